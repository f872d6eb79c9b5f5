import ArgumentParser
import Foundation
import Glibc
import Martlet
import MartletData

struct DataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data", abstract: "Turns text into token files for training.",
        subcommands: [Prepare.self, Describe.self])

    struct Prepare: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Encodes text into memory-mapped token files.",
            discussion: """
                Writes OUTPUT/train.tokens and, with a part held out, OUTPUT/validation.tokens. Progress goes to standard \
                error.

                Example: martlet data prepare --tokenizer t.model --output data --validation-tail 0.05 shakespeare.txt
                """)

        @Option(help: "A SentencePiece model, or 'bytes'.")
        var tokenizer: String
        @Option(help: "The folder for the token files.")
        var output: String
        @Option(help: "Where documents end: file, line:TEXT, blank-lines:COUNT or every-line.")
        var separator: String = "file"
        @Option(help: "The field of a JSON line that holds the text.")
        var textField: String = "text"
        @Option(parsing: .unconditional, help: "Hold out this share of the text, from its end.")
        var validationTail: Double?
        @Option(parsing: .unconditional, help: "Hold out this share of the documents, chosen by the seed.")
        var validationDocuments: Double?
        @Flag(help: "Write the documents in random order, by the seed.")
        var shuffle = false
        @Option(parsing: .unconditional, help: "Decides what is held out and the order.")
        var seed: UInt64 = 0
        @Flag(
            help: "Replace token files that are there; with nothing held out, remove a validation.tokens of before.")
        var overwrite = false
        @Argument(help: "Text files, JSON-lines files or folders of them.")
        var inputs: [String]

        func run() throws {
            if validationTail != nil && validationDocuments != nil {
                throw MartletError(
                    .configuration, "--validation-tail and --validation-documents exclude each other: give one of them")
            }
            let tokenizer = try loadTokenizer(tokenizer)
            let corpus = try TextCorpus(
                paths: inputs,
                options: TextReadingOptions(separator: try DocumentSeparator(parsing: separator), textField: textField))
            var options = PreparationOptions()
            options.shufflesDocuments = shuffle
            options.seed = seed
            options.overwrites = overwrite
            if let share = validationTail { options.validation = .tail(fraction: share) }
            if let share = validationDocuments { options.validation = .documents(fraction: share) }
            do { try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true) } catch {
                throw MartletError(.file, "the folder \(output) could not be made: \(error.localizedDescription)")
            }
            let (training, validation) = (output + "/train.tokens", output + "/validation.tokens")
            let leftover = options.validation == .none && FileManager.default.fileExists(atPath: validation)
            if leftover && !overwrite {
                throw MartletError(
                    .file,
                    "\(validation) exists, and with nothing held out it would stay beside a new \(training) that may "
                        + "contain its text: give --validation-tail or --validation-documents, another --output, or "
                        + "--overwrite, which removes it")
            }
            let progress = PreparationProgress()
            defer { progress.finish() }
            let report = try prepareTokenFiles(
                corpus: corpus, tokenizer: tokenizer, training: training,
                validation: options.validation == .none ? nil : validation, options: options,
                progress: progress.update)
            progress.finish()
            if leftover {
                guard unlink(validation) == 0 else {
                    throw FileSystemError(
                        operation: "remove", path: validation, code: errno,
                        detail: "\(training) is new and may contain its text")
                }
                Terminal.error("\(validation): removed, nothing is held out any more")
            }
            for part in [report.training, report.validation].compactMap({ $0 }) {
                Terminal.print(
                    "\(part.path): \(part.tokenCount) tokens, \(part.documentCount) documents, \(part.textByteCount) bytes, "
                        + String(format: "%.2f bytes a token", part.bytesPerToken))
            }
        }
    }

    struct Describe: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says what a token file holds and checks every byte of it.")

        @Argument(help: "A token file.")
        var file: String

        func run() throws {
            let dataset = try TokenDataset(path: file)
            try dataset.verify()
            Terminal.print(
                """
                \(file)
                tokens     \(dataset.tokenCount)
                documents  \(dataset.documentCount)
                text       \(dataset.textByteCount) bytes
                tokenizer  \(dataset.tokenizerSummary), fingerprint \(dataset.fingerprint.short)
                """)
        }
    }
}
