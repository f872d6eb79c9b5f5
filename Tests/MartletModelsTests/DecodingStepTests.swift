import Martlet
import MartletModels
import MartletNN
import Testing

/// A step of a few tokens takes a shorter way through a block; the numbers are those of the usual one.
@Suite struct DecodingStepTests {
    private func decode(_ model: PaLM, _ tokens: Tensor) -> [Float] {
        noGrad {
            let cache = model.makeCache(starts: [0, 0], capacity: 8)
            var scores: [Float] = []
            for t in 0..<tokens.size(1) {
                let hidden = model.hiddenStates(tokens.narrow(1, start: t, length: 1).contiguous(), cache: cache)
                scores += model.logits(ofHidden: hidden).toArray()
            }
            return scores
        }
    }

    @Test func hooksSeeEveryCall() throws {
        for quantization in [nil, .int8, .int4] as [WeightQuantization?] {
            let model = tinyModel(width: 64) { $0.qkNorm = true }
            if let quantization { model.quantizeWeights(quantization) }
            let tokens = Tensor.randint(0, 257, [2, 5], generator: Generator(seed: 1))
            let plain = decode(model, tokens)
            // A hook of the layer, of what holds it, and one that changes what goes on.
            for path in ["attention", "attention.query", "feedForward", "feedForward.down"] {
                let module = try #require(model.namedModules().first { $0.name.hasSuffix("0." + path) }?.module)
                var calls = 0
                let handle = module.registerForwardHook { _, _, output in
                    calls += 1
                    return output
                }
                #expect(decode(model, tokens) == plain, "\(path)")
                #expect(calls == 5, "\(path)")
                handle.remove()
                let change = module.registerForwardHook { _, _, output in output * 2 }
                #expect(decode(model, tokens) != plain, "\(path)")
                change.remove()
            }
            #expect(decode(model, tokens) == plain)
        }
    }

    @Test func asWithGradients() {
        for dtype in [DType.float32, .bfloat16] {
            let model = tinyModel(width: 32)
            model.to(dtype)
            let tokens = Tensor.randint(0, 257, [1, 6], generator: Generator(seed: 2))
            let short = noGrad { model.logits(ofHidden: model.hiddenStates(tokens, cache: nil)).toArray() }
            let usual = model.logits(ofHidden: model.hiddenStates(tokens, cache: nil)).detach().toArray()
            #expect(short == usual, "\(dtype)")
        }
    }
}
