import Foundation
import Glibc
import MartletTraining
import Testing

/// Runs that are stopped and continued.
@Suite struct CLIResumeTests {
    /// Waits until a run has written so many records, or has ended.
    private func wait(for records: Int, in path: String, of process: MartletProgram.Running) {
        while !process.hasEnded {
            if let data = FileManager.default.contents(atPath: path), data.count(where: { $0 == 10 }) >= records {
                return
            }
            usleep(500)
        }
    }

    @Test func cutAndContinuedEqualsUninterrupted() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train("output=whole"), in: folder)
            for steps in [10, 20, 30] {
                try MartletProgram.succeed(TinyRun.train("steps=\(steps)", flags: ["--resume"]), in: folder)
            }
            for name in ["metrics.jsonl", "checkpoints/step-00000030/optimizer.safetensors"] {
                #expect(try contents(folder + "/run/" + name) == contents(folder + "/whole/" + name), "\(name)")
            }
            let done = try MartletProgram.succeed(TinyRun.train(flags: ["--resume"]), in: folder)
            #expect(done.output.contains("nothing left to do: all 30 steps are done"))
            #expect(try contents(folder + "/run/metrics.jsonl") == contents(folder + "/whole/metrics.jsonl"))
        }
    }

    /// Kills the process with SIGKILL again and again at random moments.
    @Test(arguments: [
        [], ["precision=bfloat16", "optimizer.name=adamw", "batch.microBatch=2"],
        ["model.dropout=0.1", "emaDecay=0.95", "optimizer.factored=true"],
    ])
    func killedAndResumedEqualsUninterrupted(_ changes: [String]) throws {
        let steps = 150
        func arguments(_ output: String) -> [String] {
            TinyRun.train(
                "steps=\(steps)", "checkpoint.everySteps=20", "evaluation.everySteps=50", "output=\(output)",
                flags: ["--resume"]) + changes.flatMap { ["--set", $0] }
        }
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(arguments("whole"), in: folder)
            var moments: [Int] = []
            var killed = 0
            for round in 0..<4 {
                let process = try MartletProgram.start(arguments("run"), in: folder)
                // The file keeps its records between rounds: from somewhere to a little beyond what it had.
                let records = Int.random(in: round * 30...round * 30 + 40)
                wait(for: records, in: folder + "/run/metrics.jsonl", of: process)
                usleep(UInt32.random(in: 0..<4000))
                process.send(SIGKILL)
                let status = try process.wait().status
                #expect(status == 128 + SIGKILL || status == 0)
                if status != 0 { killed += 1 }
                moments.append(records)
            }
            #expect(killed > 0)
            try MartletProgram.succeed(arguments("run"), in: folder)
            for name in ["metrics.jsonl", "checkpoints/step-00000150/model.safetensors"] {
                let same = try contents(folder + "/run/" + name) == contents(folder + "/whole/" + name)
                #expect(same, "\(name), killed after \(moments) records")
            }
            let left = try names(in: folder + "/run/checkpoints").filter { !$0.hasPrefix("step-") }
            #expect(left.isEmpty, "\(left)")
        }
    }

    @Test(arguments: [(SIGTERM, "SIGTERM", Int32(143)), (SIGINT, "SIGINT", Int32(130))])
    func signalsSaveACheckpoint(_ signal: Int32, _ name: String, _ status: Int32) throws {
        try TinyRun.withFolder { folder in
            let process = try MartletProgram.start(
                TinyRun.train("steps=1000000", "checkpoint.everySteps=1000000", "checkpoint.keepBest=0"), in: folder)
            wait(for: 7, in: folder + "/run/metrics.jsonl", of: process)
            process.send(signal)
            let outcome = try process.wait()
            #expect(outcome.status == status, "\(outcome.error)")
            let last = try #require(try MetricsFile.read(folder + "/run/metrics.jsonl").last).step
            #expect(outcome.error.contains("\(name): stopped at step \(last), saved run/checkpoints/step-"))
            #expect(try CheckpointStore(folder: folder + "/run/checkpoints").steps() == [last])
            // And it goes on as if nothing had been.
            let steps = "steps=\(last + 5)"
            try MartletProgram.succeed(TinyRun.train(steps, flags: ["--resume"]), in: folder)
            try MartletProgram.succeed(TinyRun.train(steps, "output=whole"), in: folder)
            #expect(try contents(folder + "/run/metrics.jsonl") == contents(folder + "/whole/metrics.jsonl"))
        }
    }

    /// A bit, or the end, of each file of the last checkpoint.
    @Test func damagedCheckpointsAreRefused() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train("steps=40", "output=whole"), in: folder)
            try MartletProgram.succeed(TinyRun.train(), in: folder)
            let last = folder + "/run/checkpoints/step-00000030"
            let files = try names(in: last)
            #expect(
                Set(files).isSuperset(of: ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
            )
            let resume = TinyRun.train("steps=40", flags: ["--resume"])
            for name in files {
                let good = try contents(last + "/" + name)
                try store(Array(good.dropLast(good.count / 3)), at: last + "/" + name)
                try MartletProgram.refuse(resume, in: folder, saying: [name, "step-00000030"])
                var flipped = good
                flipped[good.count / 2] ^= 4
                try store(flipped, at: last + "/" + name)
                try MartletProgram.refuse(resume, in: folder, saying: [name, "step-00000030"])
                try FileManager.default.removeItem(atPath: last + "/" + name)
                try MartletProgram.refuse(resume, in: folder, saying: [name])
                try store(good, at: last + "/" + name)
            }
            var weights = try contents(last + "/model.safetensors")
            weights[weights.count - 5] ^= 1
            try store(weights, at: last + "/model.safetensors")
            try MartletProgram.refuse(
                ["generate", "--checkpoint", "run", "--prompt", "a"], in: folder,
                saying: ["model.safetensors", "damaged"])
            let fallen = try MartletProgram.succeed(
                TinyRun.train("steps=40", flags: ["--resume", "--fall-back"]), in: folder)
            #expect(fallen.error.contains("passed over a damaged checkpoint"))
            #expect(fallen.error.contains("from step 20"))
            #expect(try contents(folder + "/run/metrics.jsonl") == contents(folder + "/whole/metrics.jsonl"))
        }
    }

    @Test func otherModelsAndRecipesAreRefused() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train(), in: folder)
            func resume(_ change: String) -> [String] { TinyRun.train("steps=40", change, flags: ["--resume"]) }
            try MartletProgram.refuse(resume("model.width=32"), in: folder, saying: ["'width: 16'", "'width: 32'"])
            try MartletProgram.refuse(
                resume("optimizer.learningRate=0.5"), in: folder, saying: ["learningRate: 0.01", "learningRate: 0.5"])
            try MartletProgram.refuse(resume("seed=5"), in: folder, saying: ["'seed: 3'", "'seed: 5'"])
            try MartletProgram.refuse(
                TinyRun.train(), in: folder, saying: ["run holds a run already", "step 30", "--resume", "--overwrite"])
            // What does not decide losses may change.
            try MartletProgram.succeed(resume("logging.printEverySteps=3"), in: folder)
            try MartletProgram.succeed(TinyRun.train("seed=5", flags: ["--overwrite"]), in: folder)
            #expect(try CheckpointStore(folder: folder + "/run/checkpoints").steps() == [10, 20, 30])
        }
    }

    /// Going back by hand to leave out batches equals a run that never took them.
    @Test func resumingAtAnEarlierStep() throws {
        try TinyRun.withFolder { folder in
            let skip = "spikes.skip=[{from: 12, to: 14}]"
            try MartletProgram.succeed(TinyRun.train(skip, "output=whole"), in: folder)
            try MartletProgram.succeed(TinyRun.train(), in: folder)
            try MartletProgram.refuse(
                TinyRun.train(skip, flags: ["--resume-at", "15"]), in: folder,
                saying: ["there is no checkpoint of step 15, only of 10, 20, 30"])
            // What was trained on cannot be left out any more.
            try MartletProgram.refuse(
                TinyRun.train(skip, flags: ["--resume-at", "20"]), in: folder,
                saying: ["'spikes.skip': the batches from 12 on", "step 20", "up to 20", "begin the range at 21"])
            let exclusive = try MartletProgram.run(TinyRun.train(flags: ["--resume-at", "10", "--resume"]), in: folder)
            #expect(exclusive.status == 64 && exclusive.error.contains("--resume-at excludes --resume"))
            let last = try contents(folder + "/run/checkpoints/step-00000030/model.safetensors")
            let outcome = try MartletProgram.succeed(TinyRun.train(skip, flags: ["--resume-at", "10"]), in: folder)
            #expect(outcome.error.contains("from step 10"), "\(outcome.error)")
            #expect(outcome.error.contains("set aside in run/checkpoints/aside-1: the checkpoints of the steps 20, 30"))
            for name in ["metrics.jsonl", "checkpoints/step-00000030/model.safetensors"] {
                #expect(try contents(folder + "/run/" + name) == contents(folder + "/whole/" + name), "\(name)")
            }
            let aside = folder + "/run/checkpoints/aside-1"
            #expect(try CheckpointStore(folder: aside).steps() == [20, 30])
            #expect(try contents(aside + "/step-00000030/model.safetensors") == last)
            try MartletProgram.succeed(
                ["generate", "--checkpoint", "run/checkpoints/aside-1", "--prompt", "the "], in: folder)
            // Again, into another folder; and a new run takes them all away.
            try MartletProgram.succeed(TinyRun.train(skip, flags: ["--resume-at", "20"]), in: folder)
            #expect(try CheckpointStore(folder: folder + "/run/checkpoints/aside-2").steps() == [30])
            try MartletProgram.succeed(TinyRun.train(flags: ["--overwrite"]), in: folder)
            #expect(
                try names(in: folder + "/run/checkpoints") == ["step-00000010", "step-00000020", "step-00000030"])
        }
    }

    @Test func twoProcessesDoNotShareAFolder() throws {
        try TinyRun.withFolder { folder in
            let first = try MartletProgram.start(TinyRun.train("steps=1000000"), in: folder)
            wait(for: 1, in: folder + "/run/metrics.jsonl", of: first)
            let second = try MartletProgram.run(TinyRun.train("steps=1000000", flags: ["--resume"]), in: folder)
            #expect(second.status == 1)
            #expect(second.error.contains("another process is training in run"))
            #expect(!first.hasEnded)
        }
    }

    /// A file that may not grow stands for a disk that is full.
    @Test func noSpaceLeavesTheLastCheckpoint() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train("steps=40", "output=whole"), in: folder)
            try MartletProgram.succeed(TinyRun.train("steps=20"), in: folder)
            let resume = TinyRun.train("steps=40", flags: ["--resume"])
            let outcome = try MartletProgram.run(resume, in: folder, through: "trap '' XFSZ; ulimit -f 40")
            #expect(outcome.status == 1, "\(outcome.error)")
            #expect(outcome.error.contains("martlet: ") && outcome.error.contains("File too large"), "\(outcome.error)")
            let steps = try CheckpointStore(folder: folder + "/run/checkpoints").steps()
            #expect(steps == [10, 20])
            try MartletProgram.succeed(resume, in: folder)
            #expect(try contents(folder + "/run/metrics.jsonl") == contents(folder + "/whole/metrics.jsonl"))
        }
    }
}
