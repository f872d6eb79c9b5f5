import ArgumentParser
import Foundation
import Martlet
import MartletTraining

struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Trains a model as a recipe says.",
        discussion: """
            Everything goes to the recipe's output folder: checkpoints, metrics.jsonl, timings.jsonl, TensorBoard events, the \
            complete recipe, and a plot of the loss. SIGTERM or Ctrl-C saves a checkpoint and ends; --resume goes on from it \
            with the same losses as if nothing had happened. --resume-at STEP goes back to an earlier checkpoint: to leave \
            out the batches around a spike of the loss (spikes.skip), say.

            Examples:
              martlet train recipe.yaml --set optimizer.learningRate=3e-3 --set steps=2000
              martlet train recipe.yaml --resume
              martlet train recipe.yaml --resume-at 1000 --set 'spikes.skip=[{from: 1001, to: 1300}]'
              martlet train recipe.yaml --profile
              martlet train --explain optimizer
            """)

    @Argument(help: "The recipe, a YAML file.")
    var recipe: String?
    @Option(
        name: .customLong("set"), help: "Changes a value of the recipe: key.path=value. May be given several times.")
    var overrides: [String] = []
    @Flag(help: "Go on from the last checkpoint, or begin where there is none.")
    var resume = false
    @Option(
        parsing: .unconditional,
        help: "Go back to the checkpoint of this step and on from there; later checkpoints are set aside.")
    var resumeAt: Int?
    @Flag(help: "With --resume: where the last checkpoint is damaged, take the one before.")
    var fallBack = false
    @Flag(help: "Delete the run that is in the output folder.")
    var overwrite = false
    @Flag(help: "Print the complete recipe, every default spelt out, and stop.")
    var printRecipe = false
    @Flag(help: "Describe the keys of a recipe: all, or those of the section given in place of the recipe.")
    var explain = false
    @Option(parsing: .unconditional, help: "Threads to compute with.")
    var threads: Int?
    @Flag(
        help: """
            Profile some steps, from the fifth of this start: profile.json in the run's folder is a trace for \
            chrome://tracing and Perfetto, profile.txt has tables.
            """)
    var profile = false
    @Option(parsing: .unconditional, help: "With --profile: how many steps (default: 3).")
    var profileSteps: Int?

    func run() throws {
        if explain {
            Terminal.print(try Recipe.explain(recipe))
            return
        }
        guard let path = recipe else { throw ValidationError("a recipe is needed: martlet train RECIPE.yaml") }
        if resume && overwrite { throw ValidationError("--resume and --overwrite exclude each other") }
        if resumeAt != nil && (resume || overwrite) {
            throw ValidationError("--resume-at excludes --resume and --overwrite")
        }
        if fallBack && !resume { throw ValidationError("--fall-back goes with --resume") }
        if let profileSteps {
            if !profile { throw ValidationError("--profile-steps goes with --profile") }
            if profileSteps < 1 { throw ValidationError("--profile-steps must be at least 1") }
        }
        let recipe = try Recipe.load(path, overrides: overrides)
        if printRecipe {
            Terminal.print(recipe.yaml(), terminator: "")
            return
        }
        if let threads {
            if threads < 1 { throw ValidationError("--threads must be at least 1") }
            CPU.threadCount = threads
        }
        let start: Trainer.Start =
            if let resumeAt { .resumeAt(step: resumeAt) } else if overwrite { .overwrite } else if resume {
                fallBack ? .resumeFallingBack : .resume
            } else { .new }
        let trainer = try Trainer(recipe, start: start)
        let result = try trainer.run(profiling: profile ? ProfiledSteps(count: profileSteps ?? 3) : nil)
        if let signal = result.signal {
            Terminal.error(
                "\(signal): stopped at step \(result.step), saved \(result.checkpoint). Go on with: \(continuation(path))"
            )
            throw ExitCode(signal == "SIGINT" ? 130 : 143)
        }
        guard let loss = result.loss else {
            Terminal.print(
                result.isComplete
                    ? "nothing left to do: all \(result.step) steps are done. To go on, give more: --set steps=..."
                    : "maxMinutes ended before a step was done")
            Terminal.print("checkpoint: \(result.checkpoint)")
            return
        }
        var text =
            "done: step \(result.step), loss \(Format.fixed(loss, 4)), \(Format.count(Double(result.tokens))) tokens in "
            + Format.duration(result.seconds)
        if let heldOut = result.heldOut {
            text +=
                "; held out: loss \(Format.fixed(heldOut.loss, 4)), perplexity \(Format.fixed(heldOut.perplexity, 2)), "
                + "\(Format.fixed(heldOut.bitsPerByte, 4)) bits per byte"
        }
        Terminal.print(text)
        Terminal.print("checkpoint: \(result.checkpoint)")
        if !result.isComplete { Terminal.print("not all steps are done: go on with \(continuation(path))") }
    }

    /// The command line that goes on with this run.
    private func continuation(_ path: String) -> String {
        var words = ["martlet", "train", path]
        for text in overrides { words += ["--set", text] }
        if let threads { words += ["--threads", "\(threads)"] }
        return (words + ["--resume"]).map(TrainCommand.quoted).joined(separator: " ")
    }

    /// A word as a shell reads it back.
    private static func quoted(_ word: String) -> String {
        let plain = word.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "-_./=,:+@%".utf8.contains($0)
            }
        }
        return plain && !word.isEmpty ? word : "'" + word.replacingOccurrences(of: "'", with: "'\\''") + "'"
    }
}
