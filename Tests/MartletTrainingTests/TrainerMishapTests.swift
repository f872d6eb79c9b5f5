import Foundation
import Martlet
import MartletData
import MartletTraining
import Testing

/// Losses that jump or are no numbers.
@Suite struct TrainerMishapTests {
    /// Puts a changed weight into the run's last checkpoint, which stays sound otherwise.
    private func poison(_ folder: String, _ name: String, _ change: (Tensor) -> Tensor) throws {
        let store = CheckpointStore(folder: folder + "/run/checkpoints")
        let step = try #require(try store.steps().last)
        let old = store.path(step: step)
        let kept = folder + "/kept"
        try FileManager.default.copyItem(atPath: old, toPath: kept)
        try store.save(step: step, keepLast: 9) { target in
            for file in try names(in: kept) where file != "manifest.json" {
                try FileManager.default.copyItem(atPath: kept + "/" + file, toPath: target + "/" + file)
            }
            let weights = try SafeTensors.load(kept + "/model.safetensors")
            try SafeTensors.save(
                weights.names.map { ($0, $0 == name ? change(weights[$0]!) : weights[$0]!) },
                to: target + "/model.safetensors", metadata: weights.metadata)
        }
    }

    private func stop(_ name: String, saying words: [String], _ change: (Tensor) -> Tensor) throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train("steps=10"), in: folder)
            try poison(folder, name, change)
            let outcome = try MartletProgram.run(TinyRun.train("steps=20", flags: ["--resume"]), in: folder)
            #expect(outcome.status == 1)
            for word in ["martlet: training stopped at step 11: the "] + words
                + ["The last checkpoint is run/checkpoints/step-00000010."]
            {
                #expect(outcome.error.contains(word), "\(word) in: \(outcome.error)")
            }
            #expect(try MetricsFile.read(folder + "/run/metrics.jsonl").last?.step == 10)
            #expect(try CheckpointStore(folder: folder + "/run/checkpoints").steps() == [10])
        }
    }

    @Test func aParameterThatIsNoNumberIsNamed() throws {
        try stop(
            "layers.1.attention.key.weight",
            saying: ["loss is nan", "the parameter layers.1.attention.key.weight holds NaN or infinity"]
        ) { weight in
            let poisoned = weight.clone()
            poisoned.select(0, 0).fillInPlace(.nan)
            return poisoned
        }
    }

    @Test func theFirstModuleIsNamed() throws {
        try stop(
            "layers.1.feedForward.up.weight",
            saying: ["the first module whose output holds NaN or infinity is layers.1.feedForward"]
        ) { $0 * 1e38 }
    }

    /// One stretch of noise in a text that is learned at once: the loss jumps there.
    @Test func spikesAreLeftOut() throws {
        try TinyRun.withFolder { folder in
            let line = String(repeating: "abab", count: 4)
            let noise = String(decoding: (0..<16).map { UInt8(33 + ($0 * 37 + 11) % 90) }, as: UTF8.self)
            let text = String(repeating: line, count: 100) + noise + String(repeating: line, count: 59)
            try store(text, at: folder + "/text.txt")
            try MartletProgram.succeed(
                ["data", "prepare", "--tokenizer", "bytes", "--output", "spiky", "text.txt"], in: folder)
            func arguments(_ output: String, _ changes: String...) -> [String] {
                TinyRun.train(
                    "steps=60", "output=\(output)", "data.train=spiky/train.tokens", "data.validation=[]",
                    "optimizer.name=adamw", "optimizer.learningRate=0.02", "spikes.automatic=true", "spikes.window=10",
                    "spikes.threshold=8", "spikes.rewindSteps=5", "spikes.skipBatches=20", flags: ["--resume"])
                    + changes.flatMap { ["--set", $0] }
            }
            let outcome = try MartletProgram.succeed(arguments("run"), in: folder)
            #expect(outcome.error.contains("spike at step"), "\(outcome.error)")
            let records = try MetricsFile.read(folder + "/run/metrics.jsonl")
            let back = try #require(records.indices.dropFirst().first { records[$0].step <= records[$0 - 1].step })
            let target = records[back].step - 1
            #expect(target % 10 == 0 && records[back - 1].step - target >= 4)
            func batch(_ record: MetricsRecord) -> Int { Int(record["batch"]?.double ?? -1) }
            #expect(batch(records[back]) == target + 21)
            #expect(records.last?.step == 60)
            // It comes out the same again, and from a recipe with the range in it.
            try MartletProgram.succeed(arguments("again"), in: folder)
            #expect(try contents(folder + "/run/metrics.jsonl") == contents(folder + "/again/metrics.jsonl"))
            try MartletProgram.succeed(
                arguments(
                    "by-hand", "spikes.automatic=false", "spikes.skip=[{from: \(target + 1), to: \(target + 20)}]"),
                in: folder)
            let byHand = try MetricsFile.read(folder + "/by-hand/metrics.jsonl")
            let count = records[back...].firstIndex { $0.step == 60 }! - back
            for offset in 0..<min(count, 10) {
                #expect(byHand[target + offset]["loss"] == records[back + offset]["loss"])
            }
        }
    }

    @Test func withoutTheRemedySpikesAreTrainedOn() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train("spikes.skip=[{from: 3, to: 7}]"), in: folder)
            let batches = try MetricsFile.read(folder + "/run/metrics.jsonl").map { $0["batch"]?.double }
            #expect(batches == ([1, 2] + (8...35)).map(Double.init))
        }
    }
}
