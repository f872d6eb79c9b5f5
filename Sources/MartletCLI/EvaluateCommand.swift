import ArgumentParser
import Foundation
import Martlet
import MartletData
import MartletModels
import MartletTraining

struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measures how well a model predicts a text: loss, perplexity, bits per byte.",
        discussion: """
            DATA is a token file, or text, which is encoded with the model's tokenizer. Prints one JSON object; with \
            --per-document one more for each document.

            Example: martlet evaluate --checkpoint runs/demo --data heldout.txt
            """)

    @OptionGroup var model: CheckpointOption
    @Option(help: "A token file (.tokens), a text file or a JSON-lines file.")
    var data: String
    @Option(parsing: .unconditional, help: "Tokens in a window.")
    var sequenceLength = 512
    @Option(parsing: .unconditional, help: "Windows computed at once.")
    var batch = 8
    @Option(
        parsing: .unconditional,
        help: "New tokens in a window: fewer than --sequence-length makes windows overlap, for more context.")
    var stride: Int?
    @Option(help: "Where documents of a text file end: file, line:TEXT, blank-lines:COUNT or every-line.")
    var separator: String = "file"
    @Flag(help: "Also print each document's loss, predicted by itself.")
    var perDocument = false

    struct Record: Encodable {
        let document: Int?
        let loss: Double
        let perplexity: Double
        let bitsPerByte: Double
        let tokens: Int
        let bytes: Int
    }

    private func record(_ r: HeldOutLoss, _ document: Int?) -> Record {
        Record(
            document: document, loss: r.loss, perplexity: r.perplexity, bitsPerByte: r.bitsPerByte, tokens: r.tokens,
            bytes: Int(r.bytes))
    }

    func run() throws {
        try EvaluationBatches.check(sequenceLength: sequenceLength, batchSize: batch, stride: stride) {
            throw MartletError(
                .configuration,
                "--\(["sequenceLength": "sequence-length", "batchSize": "batch"][$0] ?? $0): \($1)")
        }
        let contents = try model.load()
        guard let tokenizer = contents.tokenizer else {
            throw MartletError(.file, "\(try model.folder()) has no tokenizer, which measuring text needs")
        }
        var path = data
        var temporary: URL?
        defer { if let temporary { try? FileManager.default.removeItem(at: temporary) } }
        if !data.hasSuffix(".tokens") {
            let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            temporary = folder
            path = folder.path + "/text.tokens"
            let corpus = try TextCorpus(
                paths: [data], options: TextReadingOptions(separator: try DocumentSeparator(parsing: separator)))
            try prepareTokenFiles(corpus: corpus, tokenizer: tokenizer, training: path)
        }
        let dataset = try TokenDataset(path: path, tokenizer: tokenizer)
        if let folder = temporary {
            // The mapping keeps the content; nothing is left behind when the command is interrupted.
            try FileManager.default.removeItem(at: folder)
            temporary = nil
        } else {
            try dataset.verify()
        }
        let whole = try HeldOutLoss.measure(
            contents.model, dataset, sequenceLength: sequenceLength, batchSize: batch, stride: stride)
        Terminal.print(try Terminal.json(record(whole, nil)))
        if perDocument {
            let all = try HeldOutLoss.measureDocuments(contents.model, dataset, sequenceLength: sequenceLength)
            for (i, r) in all.enumerated() { Terminal.print(try Terminal.json(record(r, i))) }
        }
    }
}
