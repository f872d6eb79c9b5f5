import Foundation
import Glibc
import Martlet
import MartletTraining
import Testing

/// What one does with a trained model.
@Suite struct CLICommandTests {
    private func object(_ text: String) throws -> [String: Any] {
        try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    @Test func generateAndEvaluate() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train("steps=60"), in: folder)
            func generate(_ arguments: String...) throws -> String {
                try MartletProgram.succeed(
                    ["generate", "--checkpoint", "run", "--max-tokens", "20"] + arguments, in: folder
                )
                .output
            }
            let text = try generate("--prompt", "the ", "--seed", "1")
            #expect(text.hasPrefix("the ") && text.hasSuffix("\n"))
            #expect(try generate("--prompt", "the ", "--seed", "1") == text)
            #expect(try generate("--prompt", "the ", "--seed", "2") != text)
            let greedy = try generate("--prompt", "the ", "--temperature", "0", "--no-echo", "--ignore-end")
            #expect(try generate("--prompt", "the ", "--top-k", "1", "--no-echo", "--ignore-end") == greedy)
            let lines = try generate("--prompt", "the ", "--prompt", "under", "--samples", "2", "--json").split(
                separator: "\n")
            #expect(lines.count == 4)
            let last = try object(String(lines[3]))
            #expect(last["prompt"] as? String == "under" && last["sample"] as? Int == 1)
            #expect((last["tokens"] as? [Int])?.isEmpty == false)

            let whole = try object(
                MartletProgram.succeed(
                    ["evaluate", "--checkpoint", "run", "--data", "data/validation.tokens", "--sequence-length", "16"],
                    in: folder
                ).output)
            let loss = try #require(whole["loss"] as? Double)
            let bits = try #require(whole["bitsPerByte"] as? Double)
            let tokens = try #require(whole["tokens"] as? Int)
            let bytes = try #require(whole["bytes"] as? Int)
            #expect(abs((whole["perplexity"] as? Double ?? 0) - exp(loss)) < 1e-9)
            #expect(abs(bits - loss * Double(tokens) / Double(bytes) / log(2)) < 1e-9)
            // Overlapping windows give more context, and a trained model predicts better with it.
            let overlapping = try object(
                MartletProgram.succeed(
                    [
                        "evaluate", "--checkpoint", "run", "--data", "data/validation.tokens", "--sequence-length",
                        "16",
                        "--stride", "4",
                    ], in: folder
                ).output)
            #expect(overlapping["tokens"] as? Int == tokens)
            // Text is encoded with the model's own tokenizer.
            let fromText = try object(
                MartletProgram.succeed(["evaluate", "--checkpoint", "run", "--data", "text.txt"], in: folder).output)
            let textBytes = try contents(folder + "/text.txt").count
            #expect(fromText["bytes"] as? Int == textBytes)
        }
    }

    /// Commands measure a run with emaDecay as the run itself did.
    @Test(arguments: ["float32", "bfloat16"])
    func theAverageOfTheWeights(_ precision: String) throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(
                TinyRun.train(
                    "steps=60", "emaDecay=0.95", "precision=\(precision)", "evaluation.batches=null",
                    "checkpoint.keepBest=0"), in: folder)
            let recorded = try #require(
                try MetricsFile.read(folder + "/run/metrics.jsonl").last?["validationLoss"]?.double)
            func loss(_ arguments: String...) throws -> Double {
                let outcome = try MartletProgram.succeed(
                    ["evaluate", "--data", "data/validation.tokens", "--sequence-length", "16", "--batch", "4"]
                        + arguments, in: folder)
                return try #require(object(outcome.output)["loss"] as? Double)
            }
            #expect(try abs(loss("--checkpoint", "run", "--average") - recorded) < 1e-9)
            #expect(try abs(loss("--checkpoint", "run") - recorded) > 1e-4)
            try MartletProgram.succeed(
                ["convert", "--checkpoint", "run", "--average", "--output", "averaged"], in: folder)
            #expect(try abs(loss("--checkpoint", "averaged") - recorded) < 1e-9)
            try MartletProgram.refuse(
                ["generate", "--checkpoint", "averaged", "--average", "--prompt", "a"], in: folder,
                saying: ["averaged holds no moving average of the weights", "average.safetensors"])
        }
    }

    /// The numbers of the independent implementation, through the program.
    @Test(arguments: ["layernorm-half", "rmsnorm-interleaved"])
    func forwardEqualsTheFixture(_ name: String) throws {
        let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/palm/" + name).path
        try withTemporaryFolder { folder in
            let configuration = try text(fixture + "/config.json")
            let zLoss = try #require(object(configuration)["zLoss"] as? Double)
            try FileManager.default.createDirectory(atPath: folder + "/model", withIntermediateDirectories: false)
            try store(#"{"architecture": "palm", "model": \#(configuration)}"#, at: folder + "/model/config.json")
            try FileManager.default.copyItem(
                atPath: fixture + "/model.safetensors", toPath: folder + "/model/model.safetensors")
            let expected = try SafeTensors.load(fixture + "/expected.safetensors")
            let all = try #require(expected["tokens"])
            let time = all.size(1) - 1
            try SafeTensors.save(
                [
                    ("tokens", all.narrow(1, start: 0, length: time).contiguous()),
                    ("targets", all.narrow(1, start: 1, length: time).contiguous()),
                ], to: folder + "/in.safetensors", metadata: [:])
            for (dtype, tolerance) in [("float32", 1e-5), ("float64", 1e-10)] {
                try MartletProgram.succeed(
                    [
                        "forward", "--checkpoint", "model", "--inputs", "in.safetensors", "--outputs",
                        "out.safetensors",
                        "--gradients", "--overwrite", "--dtype", dtype, "--z-loss", "\(zLoss)",
                    ], in: folder)
                let found = try SafeTensors.load(folder + "/out.safetensors")
                func expectEqual(_ name: String, _ reference: String) throws {
                    let a = try #require(found[name]).to(.float64).toArray(Double.self)
                    let b = try #require(expected[reference]).to(.float64).toArray(Double.self)
                    let scale = b.map(abs).max() ?? 0
                    let worst = zip(a, b).map { abs($0 - $1) }.max() ?? .infinity
                    #expect(a.count == b.count && worst <= tolerance * scale, "\(name) \(dtype)")
                }
                try expectEqual("logits", "float64/logits")
                try expectEqual("crossEntropy", "float64/crossEntropy")
                let prefix = "float64/gradient/"
                for name in expected.names where name.hasPrefix(prefix) {
                    try expectEqual("gradient." + name.dropFirst(prefix.count), name)
                }
            }
        }
    }

    /// On a terminal; standard output has the results alone.
    @Test func preparingShowsHowFarItIs() throws {
        try TinyRun.withFolder { folder in
            var (terminal, end): (Int32, Int32) = (-1, -1)
            var name = [CChar](repeating: 0, count: 128)
            try #require(openpty(&terminal, &end, &name, nil, nil) == 0)
            // What was written is lost when nobody has the other end open.
            defer {
                close(terminal)
                close(end)
            }
            let path = name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
            _ = fcntl(terminal, F_SETFL, O_NONBLOCK)
            let outcome = try MartletProgram.run(
                ["data", "prepare", "--tokenizer", "bytes", "--output", "other", "text.txt"], in: folder,
                through: "exec 2>\(path); export TERM=xterm")
            #expect(outcome.status == 0 && outcome.output.hasPrefix("other/train.tokens: "))
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = read(terminal, &bytes, bytes.count)
            let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
            #expect(text.hasPrefix("\rencoded 0.0 of 0.0 MB  100 %") && text.hasSuffix("\u{1B}[K\r\n"), "\(text)")
        }
    }

    @Test func infoKnowsThePaper() throws {
        let outcome = try MartletProgram.succeed(["info", "palm-540b", "--json"], in: "/")
        let record = try object(outcome.output)
        #expect(record["parameters"] as? Int == 540_356_474_880)
        #expect(record["parametersWithoutNorms"] as? Int == 540_354_281_472)
        #expect(record["keyValueBytesPerTokenBF16"] as? Int == 120_832)
        let text = try MartletProgram.succeed(["info", "palm-62b"], in: "/").output
        #expect(
            text.contains("62,495,662,080") && text.contains("62,495,129,600") && text.contains("65,536 bytes a token"))
    }

    @Test func textGoesThroughTheTokenizersUnchanged() throws {
        try withTemporaryFolder { folder in
            try store(TinyRun.words(1500), at: folder + "/text.txt")
            try MartletProgram.succeed(
                ["tokenizer", "train", "--input", "text.txt", "--vocabulary", "285", "--output", "t.model"], in: folder)
            for tokenizer in ["bytes", "t.model"] {
                let line = "  the é river\t🙂 e\u{301} 2024\r\n end "
                let ids = try MartletProgram.succeed(
                    ["tokenizer", "encode", "--tokenizer", tokenizer, line], in: folder
                )
                .output.split(whereSeparator: \.isWhitespace).map(String.init)
                let back = try MartletProgram.succeed(
                    ["tokenizer", "decode", "--tokenizer", tokenizer] + ids, in: folder
                ).output
                #expect(Array(back.utf8) == Array(line.utf8))
            }
        }
    }
}
