import Foundation
import Martlet
import MartletTraining
import Testing

/// What lies at the edge of the possible: huge and negative numbers, too little memory, closed streams.
@Suite struct CLILimitTests {
    /// Numbers whose sums or products would overflow.
    @Test(arguments: [
        (
            "spikes.rewindSteps=9223372036854775807",
            "'spikes.rewindSteps': expected a whole number from 1 to 1000000000000"
        ),
        ("spikes.skip=[{from: 9223372036854775806, to: 9223372036854775807}]", "'spikes.skip.0.from'"),
        ("spikes.skip=[{from: 1, to: 9223372036854775807}]", "'spikes.skip.0.to': expected a whole number from 1"),
        ("spikes.skipBatches=9223372036854775807", "'spikes.skipBatches'"),
        (
            "steps=9223372036854775807",
            "'steps': expected a whole number from 1 to 1000000000000, found 9223372036854775807"
        ),
        ("schedule={name: cosine, warmupSteps: 9223372036854775807}", "'schedule.warmupSteps'"),
        ("batch.sequences=[{untilStep: 9223372036854775807, sequences: 4}, {sequences: 5}]", "untilStep"),
        ("sample={prompts: [a], maxTokens: 9223372036854775807}", "'sample.maxTokens'"),
    ])
    func largeNumbers(_ change: String, _ message: String) throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.refuse(TinyRun.train("spikes.automatic=true", change), in: folder, saying: [message])
        }
    }

    @Test func theLargestNumbersRun() throws {
        try TinyRun.withFolder { folder in
            let most = "1000000000000"
            try MartletProgram.succeed(
                TinyRun.train(
                    "steps=3",
                    "spikes={automatic: true, rewindSteps: \(most), skipBatches: 1000000000, window: \(most)}",
                    "checkpoint={everySteps: \(most), keepLast: \(most)}", "evaluation.everySteps=\(most)",
                    "spikes.skip=[{from: 2, to: 999999999999}]"), in: folder)
            #expect(try MetricsFile.read(folder + "/run/metrics.jsonl").map(\.step) == [1, 2, 3])
        }
    }

    /// A sampling that cannot be is found before the run that is there is deleted, or any step is trained.
    @Test func samplesAreCheckedFirst() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train("steps=10"), in: folder)
            try MartletProgram.refuse(
                TinyRun.train("sample={prompts: [a], maxTokens: 2000000000}", flags: ["--overwrite"]), in: folder,
                saying: ["'sample': the number of tokens to generate must be at most 1073741824"])
        }
    }

    /// What would not fit is refused instead of ending in the middle of a computation.
    @Test func memory() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train("steps=2"), in: folder)
            let limit = "ulimit -v 4000000"
            func refuse(_ arguments: [String], _ limit: String, _ words: String...) throws {
                let outcome = try MartletProgram.run(arguments, in: folder, through: limit)
                #expect(outcome.status == 1 && outcome.error.hasPrefix("martlet: "), "\(outcome.error)")
                for word in words { #expect(outcome.error.contains(word), "\(word) in: \(outcome.error)") }
            }
            try store(String(repeating: TinyRun.words(1000) + "\n", count: 1000), at: folder + "/long.txt")
            try refuse(
                ["evaluate", "--checkpoint", "run", "--data", "long.txt", "--sequence-length", "100000000"], limit,
                "measuring the loss of 1 window of", "of memory")
            let tokens = Tensor(Array(repeating: UInt8(97), count: 5_000_000), shape: [1, 5_000_000])
            try SafeTensors.save([("tokens", tokens)], to: folder + "/long.safetensors", metadata: [:])
            let forward = [
                "forward", "--checkpoint", "run", "--inputs", "long.safetensors", "--outputs", "out.safetensors",
            ]
            try refuse(forward, limit, "a pass over 1 sequence of 5000000 tokens", "of memory")
            try refuse(forward + ["--gradients"], limit, "a pass over 1 sequence", "of memory")
            // The mask that keeps documents apart grows with the square of the length.
            try refuse(
                TinyRun.train(
                    "output=masked", "model.crossDocumentAttention=false", "data.sequenceLength=4000",
                    "batch.sequences=32"), "ulimit -v 1900000", "training a model of", "of memory")
        }
    }

    /// Attention that stops where documents end, without the tokenizer that says where.
    @Test func documentsWithoutATokenizer() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train("steps=2", "model.crossDocumentAttention=false"), in: folder)
            let checkpoint = folder + "/run/checkpoints/step-00000002"
            try FileManager.default.createDirectory(atPath: folder + "/bare", withIntermediateDirectories: false)
            try FileManager.default.copyItem(
                atPath: checkpoint + "/model.safetensors", toPath: folder + "/bare/model.safetensors")
            var configuration = try #require(
                JSONSerialization.jsonObject(with: Data(contents(checkpoint + "/config.json"))) as? [String: Any])
            configuration["tokenizer"] = nil
            try store(
                Array(JSONSerialization.data(withJSONObject: configuration)), at: folder + "/bare/config.json")
            try SafeTensors.save([("tokens", Tensor([[1, 2, 3]]))], to: folder + "/in.safetensors", metadata: [:])
            try MartletProgram.refuse(
                ["forward", "--checkpoint", "bare", "--inputs", "in.safetensors", "--outputs", "out.safetensors"],
                in: folder, saying: ["bare: attention stops where documents end", "has none"])
        }
    }

    @Test func forwardArguments() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train("steps=2"), in: folder)
            func refuse(_ tokens: [[Int]], _ targets: [[Int]]?, _ arguments: [String], _ word: String) throws {
                try SafeTensors.save(
                    [("tokens", Tensor(tokens))] + (targets.map { [("targets", Tensor($0))] } ?? []),
                    to: folder + "/in.safetensors", metadata: [:])
                try MartletProgram.refuse(
                    ["forward", "--checkpoint", "run", "--inputs", "in.safetensors", "--outputs", "out.safetensors"]
                        + arguments, in: folder, saying: [word])
            }
            try refuse([[1, .max]], nil, [], "token 9223372036854775807 is outside")
            try refuse([[.min, 1]], nil, [], "token -9223372036854775808 is outside")
            try refuse([[1, 2]], [[1, .max]], [], "target 9223372036854775807 is outside")
            try refuse([[1, 2]], nil, ["--z-loss", "nan"], "--z-loss must be a finite number of 0 or more, it is nan")
            try refuse([[1, 2]], nil, ["--z-loss", "-1"], "--z-loss must be a finite number of 0 or more, it is -1")
        }
    }

    /// A negative number is a value that is out of range, not an option.
    @Test func negativeNumbers() throws {
        try TinyRun.withFolder { folder in
            for (arguments, words) in [
                (
                    ["tokenizer", "train", "--input", "text.txt", "--output", "t.model", "--vocabulary", "-5"],
                    "found -5"
                ),
                (
                    [
                        "tokenizer", "train", "--input", "text.txt", "--output", "t.model", "--vocabulary", "300",
                        "--coverage", "-1",
                    ], "found -1.0"
                ),
                (["bench", "matmul", "--m", "-1"], "M must be at least 1, it is -1"),
                (["bench", "palm-train", "--width", "-1"], "width"),
                (["bench", "ops", "--seconds", "-1"], "--seconds must be positive, it is -1"),
                (["bench", "matmul", "--threads", "-1"], "--threads must be at least 1, it is -1"),
            ] {
                try MartletProgram.refuse(arguments, in: folder, saying: [words])
            }
        }
    }

    /// Nothing of what is there is replaced unasked, and never a part of a run's checkpoint.
    @Test func convertKeepsWhatIsThere() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train("steps=2"), in: folder)
            let convert = ["convert", "--checkpoint", "run", "--output"]
            for name in ["config.json", "model.safetensors", "tokenizer.model"] {
                let output = folder + "/there-" + name
                try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: false)
                try store("precious", at: output + "/" + name)
                try MartletProgram.refuse(
                    convert + ["there-" + name], in: folder,
                    saying: ["there-\(name) holds a model's \(name)", "--overwrite"])
            }
            try MartletProgram.refuse(
                convert + ["run/checkpoints/step-00000002", "--overwrite"], in: folder,
                saying: ["run/checkpoints/step-00000002 is a run's checkpoint"])
            let outcome = try MartletProgram.run(convert + ["text.txt"], in: folder)
            #expect(outcome.status == 1)
            #expect(outcome.error == "martlet: cannot make the folder text.txt: Not a directory\n")
            try MartletProgram.succeed(convert + ["there-model.safetensors", "--overwrite"], in: folder)
        }
    }

    /// Standard input and output that are closed, full or folders.
    @Test(arguments: [
        (
            ["tokenizer", "encode", "--tokenizer", "bytes"], "exec <&-",
            "standard input cannot be read: Bad file descriptor"
        ),
        (["tokenizer", "encode", "--tokenizer", "bytes"], "exec </", "standard input cannot be read: Is a directory"),
        (["tokenizer", "decode", "--tokenizer", "bytes"], "exec </", "standard input cannot be read: Is a directory"),
        (["generate", "--checkpoint", "run"], "exec </", "standard input cannot be read: Is a directory"),
        (["generate", "--checkpoint", "run"], "exec <&-", "standard input cannot be read: Bad file descriptor"),
        (
            ["tokenizer", "decode", "--tokenizer", "bytes", "97"], "exec >/dev/full",
            "standard output cannot be written: No space left on device"
        ),
        (
            ["tokenizer", "decode", "--tokenizer", "bytes", "97"], "exec >&-",
            "standard output cannot be written: Bad file descriptor"
        ),
        (["info", "palm-8b"], "exec >&-", "standard output cannot be written: Bad file descriptor"),
    ])
    func streams(_ arguments: [String], _ redirection: String, _ message: String) throws {
        try TinyRun.withFolder { folder in
            if arguments[0] == "generate" { try MartletProgram.succeed(TinyRun.train("steps=2"), in: folder) }
            let outcome = try MartletProgram.run(arguments, in: folder, through: redirection)
            #expect(outcome.status == 1, "\(outcome.status): \(outcome.error)")
            #expect(outcome.error == "martlet: \(message)\n")
        }
    }
}
