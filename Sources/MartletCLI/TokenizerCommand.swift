public import ArgumentParser
import Foundation
import Martlet
public import MartletData

struct TokenizerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenizer", abstract: "Trains tokenizers; turns text into ids and back.",
        subcommands: [Train.self, Encode.self, Decode.self])

    struct Train: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Trains a SentencePiece tokenizer on text.",
            discussion: """
                The model keeps text exactly: white space and line ends are tokens like any others, digits are split, and \
                characters outside the vocabulary become bytes (PaLM, section 2). The file is an ordinary SentencePiece \
                model.

                Example: martlet tokenizer train --input shakespeare.txt --vocabulary 4096 --output shakespeare.model
                """)

        @Option(name: .long, parsing: .upToNextOption, help: "Text files, JSON-lines files or folders of them.")
        var input: [String]
        @Option(parsing: .unconditional, help: "The number of ids, the 256 bytes and the end of a document included.")
        var vocabulary: Int
        @Option(help: "Where to write the model.")
        var output: String
        @Option(help: "unigram or bpe.")
        var model: SentencePieceTrainingOptions.Model = .unigram
        @Option(parsing: .unconditional, help: "The share of the characters in the text that get ids of their own.")
        var coverage: Double = 0.9995
        @Option(help: "Where documents end: file, line:TEXT, blank-lines:COUNT or every-line.")
        var separator: String = "file"
        @Option(parsing: .unconditional, help: "Train on a sample of at most so many bytes.")
        var maximumBytes: Int = 200_000_000
        @Flag(help: "Replace a model that is there.")
        var overwrite = false

        func run() throws {
            if !overwrite && FileManager.default.fileExists(atPath: output) {
                throw MartletError(.file, "\(output) is there already: give --overwrite to replace it")
            }
            var options = SentencePieceTrainingOptions(vocabularySize: vocabulary)
            options.model = model
            options.characterCoverage = coverage
            options.maximumTrainingBytes = maximumBytes
            let corpus = try TextCorpus(
                paths: input, options: TextReadingOptions(separator: try DocumentSeparator(parsing: separator)))
            let tokenizer = try SentencePieceTokenizer.train(corpus: corpus, options: options)
            try tokenizer.save(to: output, overwrite: overwrite)
            Terminal.print(
                "\(output): \(tokenizer.summary), trained on \(corpus.byteCount) bytes of \(corpus.count) documents")
        }
    }

    struct Encode: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the ids of a text.",
            discussion: "Example: martlet tokenizer encode --tokenizer t.model 'To be, or not to be'")

        @Option(help: "A SentencePiece model, or 'bytes'.")
        var tokenizer: String
        @Flag(help: "Print the pieces as well.")
        var pieces = false
        @Argument(help: "The text; standard input when left out.")
        var text: String?

        func run() throws {
            let tokenizer = try loadTokenizer(tokenizer)
            let bytes = try text.map { Array($0.utf8) } ?? StandardStreams.readInput()
            let ids = try tokenizer.encode(bytes: bytes)
            if pieces {
                for id in ids { Terminal.print("\(id)\t\(tokenizer.piece(id) ?? "")") }
            } else {
                Terminal.print(ids.map(String.init).joined(separator: " "))
            }
        }
    }

    struct Decode: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the text of ids.",
            discussion: "Example: martlet tokenizer decode --tokenizer t.model 12 7 99")

        @Option(help: "A SentencePiece model, or 'bytes'.")
        var tokenizer: String
        @Argument(help: "Ids; standard input when left out.")
        var ids: [Int32] = []

        func run() throws {
            let tokenizer = try loadTokenizer(tokenizer)
            var ids = ids
            if ids.isEmpty {
                let text = String(decoding: try StandardStreams.readInput(), as: UTF8.self)
                ids = try text.split(whereSeparator: \.isWhitespace).map {
                    guard let id = Int32($0) else {
                        throw MartletError(.configuration, "expected ids separated by white space, found '\($0)'")
                    }
                    return id
                }
            }
            try StandardStreams.writeOutput(tokenizer.decodeBytes(ids))
        }
    }
}

extension SentencePieceTrainingOptions.Model: ExpressibleByArgument {}
