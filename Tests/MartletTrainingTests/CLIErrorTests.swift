import Foundation
import Martlet
import MartletTraining
import Testing

/// Bad input: one paragraph on standard error, a status that is not 0, nothing written over.
@Suite struct CLIErrorTests {
    @Test func recipes() throws {
        try TinyRun.withFolder { folder in
            func refuse(_ recipe: String, _ words: [String], line: Int = #line) throws {
                try store(recipe, at: folder + "/bad.yaml")
                try MartletProgram.refuse(["train", "bad.yaml"], in: folder, saying: words)
            }
            let good = TinyRun.recipe
            try refuse(
                good.replacingOccurrences(of: "everySteps", with: "everyStep"),
                ["bad.yaml:18", "everyStep", "did you mean 'everySteps'?"])
            try refuse(good + "optimiser:\n  name: sgd\n", ["unknown key 'optimiser'", "did you mean 'optimizer'?"])
            try refuse(good.replacingOccurrences(of: "steps: 30", with: "steps: many"), ["steps", "many"])
            try refuse(good.replacingOccurrences(of: "heads: 2", with: "heads: 0"), ["model.heads"])
            try refuse(good.replacingOccurrences(of: "headDim: 8", with: "headDim: 7"), ["headDim"])
            try refuse(good.replacingOccurrences(of: "  width: 16\n", with: ""), ["width"])
            try refuse("{", ["bad.yaml"])
            try refuse("", ["bad.yaml"])
            try MartletProgram.refuse(
                ["train", "none.yaml"], in: folder, saying: ["cannot read none.yaml", "no such file"])
            try MartletProgram.refuse(
                TinyRun.train("optimizer.learningRat=3"), in: folder,
                saying: ["unknown key 'optimizer.learningRat'", "did you mean 'learningRate'?"])
            try MartletProgram.refuse(
                TinyRun.train("batch.microBatch=3"), in: folder, saying: ["batch.microBatch", "3"])
            try MartletProgram.refuse(TinyRun.train("steps"), in: folder, saying: ["steps"])
            try MartletProgram.refuse(
                TinyRun.train("data.train=none.tokens"), in: folder,
                saying: ["cannot read none.tokens", "martlet data prepare"])
            try MartletProgram.refuse(
                TinyRun.train("tokenizer=none.model"), in: folder, saying: ["cannot read none.model"])
            try MartletProgram.refuse(
                TinyRun.train("model.vocabulary=100"), in: folder, saying: ["model.vocabulary is 100", "257"])
            // A sequence longer than all there is.
            try MartletProgram.refuse(
                TinyRun.train("data.sequenceLength=1000000"), in: folder, saying: ["one sequence needs 1000001"])
        }
    }

    /// What cannot fit is refused before it is tried.
    @Test func sizes() throws {
        try TinyRun.withFolder { folder in
            func refuse(_ arguments: [String], _ words: String...) throws {
                try MartletProgram.refuse(arguments, in: folder, saying: words)
            }
            try refuse(TinyRun.train("model={preset: palm-540b}"), "training a model of 5", "of memory", "available")
            try refuse(TinyRun.train("model.width=9000000000"), "model.width", "from 1 to 1048576")
            try refuse(TinyRun.train("data.sequenceLength=9223372036854775807"), "data.sequenceLength")
            try refuse(TinyRun.train("batch.sequences=1000000000"), "batch.sequences")
            try refuse(["info", "palm-540b", "--sequence-length", "99999999999999"], "--sequence-length")
            try refuse(["info", "palm-1m", "--vocabulary", "0"], "vocabularySize")
            try MartletProgram.succeed(TinyRun.train("steps=2"), in: folder)
            let generate = ["generate", "--checkpoint", "run", "--prompt", "a"]
            try refuse(generate + ["--samples", "100000000"], "1 prompt with 100000000 samples each are too many")
            try refuse(generate + ["--samples", "9223372036854775807"], "too many")
            try refuse(
                generate + ["--max-tokens", "9223372036854775807"],
                "the number of tokens to generate must be at most 1073741824, it is 9223372036854775807")
            try refuse(generate + ["--repetition-penalty", "inf"], "repetition penalty", "finite", "inf")
            let evaluate = ["evaluate", "--checkpoint", "run", "--data", "data/validation.tokens"]
            let most = "9223372036854775807"
            try refuse(evaluate + ["--batch", most], "--batch: expected 1 to 1048576, found \(most)")
            try refuse(evaluate + ["--sequence-length", most], "--sequence-length: expected 1 to", most)
            try refuse(evaluate + ["--sequence-length", "0"], "--sequence-length: expected 1 to", "found 0")
            try refuse(evaluate + ["--stride", most], "--stride: expected 1 to 512, found \(most)")
            try refuse(generate + ["--max-tokens", "-1"], "at least 1, it is -1")
            try refuse(generate + ["--temperature", "-1"], "temperature", "-1")
        }
    }

    /// A new run that cannot begin leaves the one that it was to replace.
    @Test func whatIsThereStays() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(TinyRun.train("steps=10"), in: folder)
            try MartletProgram.refuse(
                TinyRun.train("data.sequenceLength=1000000") + ["--overwrite"], in: folder,
                saying: ["one sequence needs 1000001"])
            // Going on with other text would be another run.
            try MartletProgram.succeed(
                [
                    "data", "prepare", "--tokenizer", "bytes", "--output", "data", "--validation-tail", "0.2",
                    "--overwrite", "recipe.yaml",
                ], in: folder)
            try MartletProgram.refuse(
                TinyRun.train("steps=20") + ["--resume"], in: folder,
                saying: ["data/train.tokens is not what the run in run/checkpoints/step-00000010 was trained on"])
            try SafeTensors.save(
                [("tokens", Tensor([[1, 2, 3]]))], to: folder + "/in.safetensors", metadata: [:])
            try SafeTensors.save(
                [("tokens", Tensor([[1, 2, 3]])), ("targets", Tensor([[1, 2, 7000]]))],
                to: folder + "/wrong.safetensors", metadata: [:])
            let forward = ["forward", "--checkpoint", "run", "--outputs"]
            try MartletProgram.refuse(
                forward + ["in.safetensors", "--inputs", "in.safetensors"], in: folder,
                saying: ["in.safetensors exists", "--overwrite"])
            try MartletProgram.refuse(
                forward + ["out.safetensors", "--inputs", "wrong.safetensors"], in: folder,
                saying: ["target 7000 is outside"])
            try MartletProgram.succeed(
                ["convert", "--checkpoint", "run", "--quantize", "int8", "--output", "small"], in: folder)
            try MartletProgram.refuse(
                ["convert", "--checkpoint", "run", "--output", "small"], in: folder,
                saying: ["small holds a model's config.json", "--overwrite"])
            try MartletProgram.succeed(["generate", "--checkpoint", "small", "--prompt", "the "], in: folder)
            try MartletProgram.refuse(
                forward + ["out.safetensors", "--inputs", "in.safetensors", "--gradients", "--quantize", "int8"],
                in: folder, saying: ["quantised weights have none"])
            // Weights in 4 bits are written and read again: what they say is what they say when quantised on the way.
            try MartletProgram.succeed(
                ["convert", "--checkpoint", "run", "--quantize", "int4", "--output", "smaller"], in: folder)
            let sizes = try ["smaller", "small"].map { name in
                let path = "\(folder)/\(name)/model.safetensors"
                return try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
            }
            #expect(0 < sizes[0] && sizes[0] < sizes[1])
            let say = ["generate", "--prompt", "the ", "--max-tokens", "8", "--temperature", "0", "--checkpoint"]
            let stored = try MartletProgram.run(say + ["smaller"], in: folder)
            let converted = try MartletProgram.run(say + ["run", "--quantize", "int4"], in: folder)
            #expect(stored.status == 0 && stored.output == converted.output && !stored.output.isEmpty)
            try MartletProgram.refuse(
                ["convert", "--checkpoint", "small", "--quantize", "int4", "--output", "other"], in: folder,
                saying: ["--quantize int4", "are int8 already"])
            try MartletProgram.refuse(
                ["generate", "--checkpoint", "run", "--prompt", "a", "--quantize", "int3"], in: folder,
                saying: ["--quantize int3: expected int8 or int4"])
        }
    }

    @Test func aFullStandardOutput() throws {
        let outcome = try MartletProgram.run(
            ["info", "palm-8b"], in: FileManager.default.temporaryDirectory.path, through: "exec >/dev/full")
        #expect(outcome.status == 1)
        #expect(outcome.error.hasPrefix("martlet: standard output cannot be written"))
    }

    @Test func tokenFiles() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.succeed(
                ["tokenizer", "train", "--input", "text.txt", "--vocabulary", "285", "--output", "t.model"], in: folder)
            try MartletProgram.succeed(
                ["data", "prepare", "--tokenizer", "t.model", "--output", "pieces", "text.txt"], in: folder)
            try MartletProgram.refuse(
                TinyRun.train("data.train=pieces/train.tokens"), in: folder,
                saying: ["pieces/train.tokens was made with another tokenizer", "bytes, 257 ids"])
            try MartletProgram.refuse(
                TinyRun.train("tokenizer=t.model"), in: folder,
                saying: ["data/train.tokens was made with another tokenizer"])
            try MartletProgram.refuse(
                TinyRun.train("data.train=text.txt"), in: folder, saying: ["text.txt is not a token file"])
            let good = try contents(folder + "/data/train.tokens")
            try store(Array(good.dropLast(9)), at: folder + "/data/train.tokens")
            try MartletProgram.refuse(TinyRun.train(), in: folder, saying: ["data/train.tokens is truncated"])
            var flipped = good
            flipped[40] ^= 1
            try store(flipped, at: folder + "/data/train.tokens")
            try MartletProgram.refuse(TinyRun.train(), in: folder, saying: ["data/train.tokens"])
            flipped = good
            flipped[500] ^= 1
            try store(flipped, at: folder + "/data/train.tokens")
            try MartletProgram.refuse(["data", "describe", "data/train.tokens"], in: folder, saying: ["is damaged"])
        }
    }

    @Test func texts() throws {
        try TinyRun.withFolder { folder in
            func refuse(_ input: String, _ words: [String]) throws {
                try MartletProgram.refuse(
                    ["data", "prepare", "--tokenizer", "bytes", "--output", "data", "--overwrite", input], in: folder,
                    saying: words)
            }
            try store("", at: folder + "/empty.txt")
            try refuse("empty.txt", ["there is no text in empty.txt"])
            try refuse("none.txt", ["none.txt"])
            try store([97, 98, 10, 99, 0xff, 0xfe, 100], at: folder + "/latin.txt")
            try refuse("latin.txt", ["latin.txt: invalid UTF-8 at byte 4 (line 2): found 0xFF 0xFE"])
            try MartletProgram.refuse(
                ["tokenizer", "train", "--input", "latin.txt", "--vocabulary", "300", "--output", "t.model"],
                in: folder,
                saying: ["latin.txt: invalid UTF-8 at byte 4"])
            try MartletProgram.refuse(
                ["data", "prepare", "--tokenizer", "bytes", "--output", "data", "text.txt"], in: folder,
                saying: ["data/train.tokens"])
            try store("not a model", at: folder + "/bad.model")
            try MartletProgram.refuse(
                ["tokenizer", "encode", "--tokenizer", "bad.model", "a"], in: folder, saying: ["bad.model"])
        }
    }

    /// The text of a new train.tokens may be in the validation.tokens of before.
    @Test func oldValidationTextGoesOrIsRefused() throws {
        try TinyRun.withFolder { folder in
            let prepare = ["data", "prepare", "--tokenizer", "bytes", "--output", "data", "text.txt"]
            try FileManager.default.removeItem(atPath: folder + "/data/train.tokens")
            try MartletProgram.refuse(
                prepare, in: folder, saying: ["data/validation.tokens exists", "--validation-tail", "--overwrite"])
            // What fails removes nothing.
            try MartletProgram.refuse(
                prepare.dropLast() + ["none.txt", "--overwrite"], in: folder, saying: ["none.txt"])
            let outcome = try MartletProgram.succeed(prepare + ["--overwrite"], in: folder)
            #expect(outcome.error.contains("data/validation.tokens: removed"))
            let left = try FileManager.default.contentsOfDirectory(atPath: folder + "/data")
            #expect(left.filter { $0.hasSuffix(".tokens") } == ["train.tokens"])
        }
    }

    @Test func checkpoints() throws {
        try TinyRun.withFolder { folder in
            try MartletProgram.refuse(
                ["generate", "--checkpoint", "none", "--prompt", "a"], in: folder, saying: ["none"])
            try MartletProgram.succeed(TinyRun.train("steps=10"), in: folder)
            try MartletProgram.refuse(
                ["generate", "--checkpoint", "run", "--prompt", "a", "--temperature=-1"], in: folder,
                saying: ["temperature must be 0 or more"])
            try MartletProgram.refuse(
                ["generate", "--checkpoint", "run", "--prompt", "a", "--dtype", "int8"], in: folder,
                saying: ["--dtype int8: expected float32"])
            try MartletProgram.refuse(
                ["evaluate", "--checkpoint", "run", "--data", "none.txt"], in: folder, saying: ["none.txt"])
            try store("", at: folder + "/empty.txt")
            try MartletProgram.refuse(
                ["evaluate", "--checkpoint", "run", "--data", "empty.txt"], in: folder, saying: ["empty.txt"])
            try MartletProgram.refuse(["info", "palm-7b"], in: folder, saying: ["'palm-7b' is neither", "palm-8b"])
            try SafeTensors.save(
                [("tokens", Tensor([1, 300], shape: [1, 2]))], to: folder + "/in.safetensors", metadata: [:])
            try MartletProgram.refuse(
                ["forward", "--checkpoint", "run", "--inputs", "in.safetensors", "--outputs", "out.safetensors"],
                in: folder, saying: ["token 300 is outside the model's vocabulary, 0..<257"])
        }
    }

    /// Mistakes in the arguments themselves.
    @Test func usage() throws {
        for arguments in [["train"], ["train", "r.yaml", "--resume", "--overwrite"], ["trian"], ["train", "--bogus"]] {
            let outcome = try MartletProgram.run(arguments, in: nil)
            #expect(outcome.status == 64 && outcome.output.isEmpty && outcome.error.hasPrefix("Error: "))
        }
    }
}
