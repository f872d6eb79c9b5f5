import Foundation
import MartletTraining
import Testing

/// Runs of the built program: the same recipe, the same losses.
@Suite struct CLITrainTests {
    private func losses(_ path: String) throws -> [Double] {
        try MetricsFile.read(path).map { try #require($0["loss"]?.double) }
    }

    @Test func twoRunsAreBitIdentical() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train(), in: folder)
            try MartletProgram.succeed(TinyRun.train("output=again", "name=again"), in: folder)
            #expect(try contents(folder + "/run/metrics.jsonl") == contents(folder + "/again/metrics.jsonl"))
            let weights = "/checkpoints/step-00000030/model.safetensors"
            #expect(try contents(folder + "/run" + weights) == contents(folder + "/again" + weights))
            let records = try MetricsFile.read(folder + "/run/metrics.jsonl")
            #expect(records.map(\.step) == Array(1...30))
            #expect(records.filter { $0["validationBitsPerByte"] != nil }.map(\.step) == [10, 20, 30])
            let losses = try losses(folder + "/run/metrics.jsonl")
            #expect(losses[29] < losses[0] - 1)
            #expect(
                try names(in: folder + "/run").filter { !$0.hasPrefix(".") } == [
                    "checkpoints", "loss.svg", "metrics.jsonl", "recipe.yaml", "tensorboard", "timings.jsonl",
                ])
            // Another seed is another run.
            try MartletProgram.succeed(TinyRun.train("output=other", "seed=4"), in: folder)
            #expect(try contents(folder + "/run/metrics.jsonl") != contents(folder + "/other/metrics.jsonl"))
        }
    }

    @Test func theRecipeInTheRunsFolderRepeatsIt() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train("optimizer.name=adamw", "emaDecay=0.9"), in: folder)
            try FileManager.default.copyItem(atPath: folder + "/run/recipe.yaml", toPath: folder + "/copy.yaml")
            try MartletProgram.succeed(["train", "copy.yaml", "--set", "output=again"], in: folder)
            #expect(try contents(folder + "/run/metrics.jsonl") == contents(folder + "/again/metrics.jsonl"))
        }
    }

    @Test func microBatchesAddUpToTheBatch() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train(), in: folder)
            let whole = try losses(folder + "/run/metrics.jsonl")
            for size in [1, 2] {
                try MartletProgram.succeed(TinyRun.train("output=micro\(size)", "batch.microBatch=\(size)"), in: folder)
                let parts = try losses(folder + "/micro\(size)/metrics.jsonl")
                for (a, b) in zip(parts, whole) { #expect(abs(a - b) < 1e-4) }
            }
        }
    }

    @Test func activationCheckpointingChangesNothing() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train(), in: folder)
            try MartletProgram.succeed(TinyRun.train("output=again", "activationCheckpointing=true"), in: folder)
            #expect(try contents(folder + "/run/metrics.jsonl") == contents(folder + "/again/metrics.jsonl"))
        }
    }

    @Test func profilingChangesNothing() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train(), in: folder)
            let outcome = try MartletProgram.succeed(
                TinyRun.train("output=again", "name=again", flags: ["--profile", "--profile-steps", "2"]), in: folder)
            #expect(try contents(folder + "/run/metrics.jsonl") == contents(folder + "/again/metrics.jsonl"))
            let weights = "/checkpoints/step-00000030/model.safetensors"
            #expect(try contents(folder + "/run" + weights) == contents(folder + "/again" + weights))
            #expect(outcome.error.contains("profile of the steps 5 to 6"))
            let table = String(decoding: try contents(folder + "/again/profile.txt"), as: UTF8.self)
            for name in ["linear ", "linear backward ", "attention ", "linearCrossEntropy ", "Adafactor step "] {
                #expect(table.contains("\n" + name), "\(name) in \(table)")
            }
            let trace = try JSONSerialization.jsonObject(with: Data(contents(folder + "/again/profile.json")))
            let events = try #require((trace as? [String: Any])?["traceEvents"] as? [[String: Any]])
            #expect(events.filter { $0["name"] as? String == "step" }.count == 2)
            let modules = events.compactMap { ($0["args"] as? [String: Any])?["module"] as? String }
            #expect(modules.contains("layers.1.attention"))
            // A run with fewer steps left than the warm-up wants.
            let short = try MartletProgram.succeed(
                TinyRun.train("output=again", "steps=31", "name=again", flags: ["--resume", "--profile"]), in: folder)
            #expect(short.error.contains("profile of step 31"))
            let refused = try MartletProgram.run(TinyRun.train(flags: ["--profile-steps", "2"]), in: folder)
            #expect(refused.status == 64 && refused.error.contains("--profile-steps goes with --profile"))
        }
    }

    @Test func minutesBecomeSteps() throws {
        try TinyRun.withFolder { folder in
            try store(
                TinyRun.recipe.replacingOccurrences(of: "steps: 30", with: "minutes: 0.005"),
                at: folder + "/recipe.yaml")
            let outcome = try MartletProgram.succeed(TinyRun.train(), in: folder)
            #expect(outcome.error.contains("steps fit into 0.0 minutes"))
            let planned = try #require(try Recipe.load(folder + "/run/recipe.yaml").steps)
            #expect(try losses(folder + "/run/metrics.jsonl").count == planned)
            // The plan is a run like any other.
            try MartletProgram.succeed(["train", "run/recipe.yaml", "--set", "output=again"], in: folder)
            #expect(try contents(folder + "/run/metrics.jsonl") == contents(folder + "/again/metrics.jsonl"))
        }
    }

    @Test func minutesAreForSamplesAndCheckpoints() throws {
        try TinyRun.withFolder { folder in
            try store(
                TinyRun.recipe.replacingOccurrences(of: "steps: 30", with: "minutes: 0.01"),
                at: folder + "/recipe.yaml")
            func plan(_ output: String, _ changes: String...) throws -> Int {
                try MartletProgram.succeed(
                    ["train", "recipe.yaml"]
                        + (changes + ["output=\(output)", "evaluation.everySteps=1", "checkpoint.keepBest=0"])
                        .flatMap { ["--set", $0] }, in: folder)
                return try #require(try Recipe.load(folder + "/\(output)/recipe.yaml").steps)
            }
            let neither = try plan("neither", "checkpoint.everySteps=1000000")
            let samples = try plan(
                "samples", "checkpoint.everySteps=1000000", "sample.maxTokens=1000", "sample.prompts=[the]")
            #expect(samples * 4 < neither, "\(samples) with samples, \(neither) without")
            let checkpoints = try plan("checkpoints", "checkpoint.everySteps=1")
            #expect(checkpoints < neither, "\(checkpoints) with checkpoints, \(neither) without")
            #expect(try names(in: folder + "/checkpoints/checkpoints").allSatisfy { $0.hasPrefix("step-") })
        }
    }

    /// Evaluations that never fall on the step of a regular checkpoint.
    @Test func theBestEvaluationIsSaved() throws {
        try TinyRun.withFolder { folder in
            func steps(_ output: String, _ changes: String...) throws -> (kept: [Int], best: Int) {
                try MartletProgram.succeed(
                    ["train", "recipe.yaml"]
                        + (changes + [
                            "output=\(output)", "steps=32", "evaluation.everySteps=3", "checkpoint.everySteps=10",
                        ]).flatMap { ["--set", $0] }, in: folder)
                let checkpoints = CheckpointStore(folder: folder + "/\(output)/checkpoints")
                return (try checkpoints.steps(), try checkpoints.open(.best).checkpoint.step)
            }
            // Too small a rate to change anything: the first evaluation is as good as any.
            let first = try steps("first", "optimizer={name: sgd, learningRate: 1e-30}")
            #expect(first.best == 3 && first.kept == [3, 20, 30, 32])
            // Losses fall: those saved for their loss give way to better ones and do not push out the regular ones.
            let last = try steps("last")
            #expect(last.best == 32 && last.kept == [10, 20, 30, 32])
        }
    }

    @Test func samplesNeedNoHeldOutText() throws {
        try TinyRun.withFolder { folder in
            let outcome = try MartletProgram.succeed(
                TinyRun.train("data.validation=[]", "sample.prompts=[the river]", "sample.maxTokens=5"), in: folder)
            for step in [10, 20, 30] {
                #expect(outcome.error.contains("--- sample at step \(step) ---\nthe river"), "\(outcome.error)")
            }
        }
    }

    @Test func helpIsThereAtOnce() throws {
        _ = try MartletProgram.run(["--help"], in: nil)
        let times = try (0..<10).map { _ -> Double in
            let clock = ContinuousClock.now
            let outcome = try MartletProgram.run(["--help"], in: nil)
            #expect(outcome.status == 0 && outcome.output.contains("martlet train recipe.yaml"))
            let duration = clock.duration(to: .now)
            return Double(duration.components.attoseconds) * 1e-15 + Double(duration.components.seconds) * 1e3
        }.sorted()
        // The best: other tests run beside this one.
        #expect(times[0] < 50, "ms: \(times.map { Format.fixed($0, 1) })")
    }
}
