import ArgumentParser
import Foundation
import Martlet
import MartletData
import MartletTraining

struct LoaderBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "loader", abstract: "Tokenising text, writing token files and reading training batches.",
        discussion: """
            Lines, by 'measure': 'tokenise' encodes documents that are in memory with one thread and with --threads; \
            'prepare' is 'martlet data prepare' from the files to the token file; 'batches' reads shuffled training \
            batches from it, and 'batches, prefetched' does so on another thread. Files go to a temporary folder.

            Example: martlet bench loader --tokenizer tokenizer.model texts
            """)

    @Option(help: "A SentencePiece model, or 'bytes'.")
    var tokenizer: String
    @Option(parsing: .unconditional, help: "Sequences in a batch.")
    var batch = 8
    @Option(parsing: .unconditional, help: "Tokens in a sequence.")
    var sequence = 512
    @Option(parsing: .unconditional, help: "Times to repeat; the median counts.")
    var repeats = 3
    @OptionGroup var threads: BenchThreads
    @Argument(help: "Text files or folders of them, a document each.")
    var texts: [String]

    struct Record: Encodable {
        let name = "loader"
        let framework = "martlet"
        let measure: String
        let threads: Int
        let seconds: Double
        let tokens: Int
        let tokensPerSecond: Double
        let textBytes: Int?
        let mbPerSecond: Double?

        init(_ measure: String, threads: Int, seconds: Double, tokens: Int, textBytes: Int? = nil) {
            (self.measure, self.threads, self.seconds, self.tokens) = (measure, threads, seconds, tokens)
            tokensPerSecond = Double(tokens) / seconds
            self.textBytes = textBytes
            mbPerSecond = textBytes.map { Double($0) / seconds / 1e6 }
        }
    }

    func run() throws {
        try Bench.requireSizes(["--batch": batch, "--sequence": sequence, "--repeats": repeats])
        try Bench.requireMemory([[2, batch, sequence]], of: .int64, for: "a batch of \(batch) x \(sequence) tokens")
        try threads.apply()
        let tokenizer = try loadTokenizer(tokenizer)
        let corpus = try TextCorpus(paths: texts)
        let documents = try (0..<corpus.count).map { try corpus.document($0) }
        let bytes = corpus.byteCount

        for count in Set([1, CPU.threadCount]).sorted() {
            var tokens = 0
            let time = try median {
                tokens = 0
                for document in documents { tokens += try tokenizer.encode(bytes: document, threads: count).count }
            }
            try Bench.emit(Record("tokenise", threads: count, seconds: time, tokens: tokens, textBytes: bytes))
        }

        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-bench-\(getpid())")
        do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
            throw MartletError(.file, "the folder \(folder.path) could not be made: \(error.localizedDescription)")
        }
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("train.tokens").path
        var options = PreparationOptions()
        options.threads = CPU.threadCount
        var tokens = 0
        let preparing = try median {
            let report = try prepareTokenFiles(
                corpus: corpus, tokenizer: tokenizer, training: path, options: options)
            tokens = report.training.tokenCount
        }
        try Bench.emit(
            Record("prepare", threads: CPU.threadCount, seconds: preparing, tokens: tokens, textBytes: bytes))

        let dataset = try TokenDataset(path: path, tokenizer: tokenizer)
        let batches = try LanguageModelBatches(
            sources: [WeightedTokens(dataset)], sequenceLength: sequence, batchSize: try BatchSizeSchedule(batch),
            seed: 0)
        // Enough for some tenths of a second, whatever the size of a batch.
        let steps = max(10, 20_000_000 / (batch * sequence))
        let read = try median { for step in 0..<steps { _ = try batches.batch(atStep: step) } }
        try Bench.emit(Record("batches", threads: 1, seconds: read, tokens: steps * batch * sequence))
        let ahead = try median {
            let prefetched = try batches.prefetched(steps: 0..<steps)
            while try prefetched.next() != nil {}
        }
        try Bench.emit(Record("batches, prefetched", threads: 2, seconds: ahead, tokens: steps * batch * sequence))
    }

    private func median(_ body: () throws -> Void) throws -> Double {
        try body()
        return Bench.median(try (0..<repeats).map { _ in try Bench.seconds(body) })
    }
}
