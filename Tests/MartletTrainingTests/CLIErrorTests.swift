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
