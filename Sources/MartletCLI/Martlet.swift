import ArgumentParser
import Foundation
import Martlet
import MartletData
import MartletTraining

@main
struct MartletCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "Trains, evaluates and runs language models, from raw text on.",
        discussion: """
            From text to a model that continues it:

              martlet tokenizer train --input text.txt --vocabulary 4096 --output tokenizer.model
              martlet data prepare --tokenizer tokenizer.model --output data text.txt
              martlet train recipe.yaml
              martlet generate --checkpoint runs/NAME --prompt "Once"

            'martlet train --explain' describes every key of a recipe.
            """,
        version: "0.1.0",
        subcommands: [
            TokenizerCommand.self, DataCommand.self, TrainCommand.self, GenerateCommand.self, EvaluateCommand.self,
            InfoCommand.self, ConvertCommand.self, ForwardCommand.self, BenchCommand.self,
        ])

    static func main() {
        StandardStreams.settle()
        ThreadWaiting.settle()
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let error where CommandFailure.isOurs(error) {
            // One paragraph, and a status that is not 0.
            Terminal.error("martlet: \(CommandFailure.text(error))")
            Foundation.exit(1)
        } catch {
            exit(withError: error)
        }
    }
}

/// What is the user's to mend, as opposed to what the argument parser reports itself.
enum CommandFailure {
    static func isOurs(_ error: any Error) -> Bool {
        !(error is ValidationError || error is ExitCode || error is CleanExit || "\(type(of: error))" == "CommandError")
    }

    static func text(_ error: any Error) -> String {
        "\(error)"
    }
}

enum Terminal {
    /// Results: standard output.
    static func print(_ text: String, terminator: String = "\n") {
        do { try StandardStreams.writeOutput(Array((text + terminator).utf8)) } catch {
            self.error("martlet: \(error)")
            Foundation.exit(1)
        }
    }

    /// Progress, notes and errors: standard error, so that results can be piped.
    /// Where standard error cannot be written, nobody can be told.
    static func error(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8)) }

    /// One line of JSON of `value`.
    static func json(_ value: some Encodable, pretty: Bool = false, snakeCase: Bool = false) throws -> String {
        let encoder = JSONEncoder()
        if snakeCase { encoder.keyEncodingStrategy = .convertToSnakeCase }
        encoder.outputFormatting = pretty ? [.prettyPrinted, .sortedKeys] : [.sortedKeys]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}
