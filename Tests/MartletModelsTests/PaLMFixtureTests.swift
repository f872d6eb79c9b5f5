import Foundation
import Martlet
import MartletModels
import MartletNN
import Testing

/// PaLM against an independent implementation in PyTorch with the same weights.
@Suite struct PaLMFixtureTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let dtype: DType
        var folder: String { fixtures + "/palm/" + name }
        /// In float32, too, the comparison is with the reference in float64.
        var tolerance: Double { dtype == .float64 ? 1e-10 : 1e-5 }
        var testDescription: String { "\(name) \(dtype)" }
    }

    static let names = [
        "layernorm-half", "layernorm-interleaved", "rmsnorm-half", "rmsnorm-interleaved", "variant-layernorm",
        "variant-rmsnorm",
    ]
    static let cases = names.flatMap { name in [DType.float32, .float64].map { Case(name: name, dtype: $0) } }

    struct ZLoss: Decodable { let zLoss: Double }

    private func inputs(_ expected: SafeTensors.Contents) -> (tokens: Tensor, targets: Tensor) {
        let all = expected["tokens"]!
        let n = all.size(1) - 1
        return (all.narrow(1, start: 0, length: n), all.narrow(1, start: 1, length: n))
    }

    @Test func everyConfigurationIsThere() throws {
        let found = try FileManager.default.contentsOfDirectory(atPath: fixtures + "/palm").sorted()
        #expect(found.filter { !$0.hasPrefix(".") } == Self.names)
    }

    @Test(arguments: cases)
    func logitsAndActivations(_ c: Case) throws {
        let model = try loadFixture(c.folder, dtype: c.dtype)
        let expected = try SafeTensors.load(c.folder + "/expected.safetensors")
        final class Record { var outputs: [String: Tensor] = [:] }
        let record = Record()
        let watched = ["embedding", "norm"] + (0..<model.configuration.layers).map { "layers.\($0)" }
        for (name, module) in model.namedModules() where watched.contains(name) {
            module.registerForwardHook { _, _, output in
                record.outputs[name] = output.detach()
                return nil
            }
        }
        let logits = noGrad { model(inputs(expected).tokens) }
        #expect(logits.dtype == c.dtype)
        #expect(relativeError(logits, expected["float64/logits"]!) < c.tolerance)
        for name in watched {
            let output = try #require(record.outputs[name])
            #expect(relativeError(output, expected["float64/activation/" + name]!) < c.tolerance, "\(name)")
        }
    }

    @Test(arguments: cases)
    func lossAndEveryGradient(_ c: Case) throws {
        let model = try loadFixture(c.folder, dtype: c.dtype)
        let expected = try SafeTensors.load(c.folder + "/expected.safetensors")
        let zLoss = try decode(ZLoss.self, c.folder + "/config.json").zLoss
        for checkpointing in [false, true] {
            model.checkpointsActivations = checkpointing
            let (tokens, targets) = inputs(expected)
            let (loss, crossEntropy) = model.loss(tokens, targets: targets, zLoss: zLoss)
            let entropy: Double = expected["float64/crossEntropy"]!.item()
            let total = entropy + expected["float64/zLoss"]!.item()
            #expect(abs(crossEntropy.item() / entropy - 1) < c.tolerance)
            #expect(abs(loss.item() / total - 1) < c.tolerance)
            loss.backward()
            let parameters = model.namedParameters()
            for (name, parameter) in parameters {
                let gradient = try #require(parameter.grad, "\(name)")
                let error = relativeError(gradient, expected["float64/gradient/" + name]!)
                #expect(error < c.tolerance, "\(name), checkpointing \(checkpointing)")
            }
            let prefix = "float64/gradient/"
            let all = expected.names.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
            #expect(Set(all) == Set(parameters.map(\.name)))
            model.zeroGrad()
        }
    }

    @Test(arguments: names)
    func countsAreTheModels(_ name: String) throws {
        struct Expected: Decodable { let parameters: Int }
        let folder = fixtures + "/palm/" + name
        let model = try loadFixture(folder, dtype: .float32)
        let expected = try decode(Expected.self, folder + "/expected.json")
        #expect(model.parameterCount == expected.parameters)
        #expect(model.configuration.parameterCount == expected.parameters)
    }

    @Test(arguments: cases)
    func greedyContinuation(_ c: Case) throws {
        let model = try loadFixture(c.folder, dtype: c.dtype).eval()
        let expected = try SafeTensors.load(c.folder + "/expected.safetensors")
        let greedy = expected["greedy"]!.toArray(Int64.self)
        let prompt = Array(greedy[..<5])
        noGrad {
            var uncached = prompt
            while uncached.count < greedy.count {
                let logits = model(Tensor(uncached, shape: [1, uncached.count]))
                uncached.append(Int64(logits.select(1, uncached.count - 1).argmax(dim: -1).item()))
            }
            #expect(uncached == greedy)

            var cached = prompt
            let cache = model.makeCache(starts: [0], capacity: greedy.count)
            var logits = model.logits(Tensor(prompt, shape: [1, prompt.count]), cache: cache)
            while cached.count < greedy.count {
                let next = Int64(logits.select(1, logits.size(1) - 1).argmax(dim: -1).item())
                cached.append(next)
                logits = model.logits(Tensor([next], shape: [1, 1]), cache: cache)
            }
            #expect(cached == greedy)
        }
    }

    /// All at once, and in pieces with a cache.
    @Test(arguments: cases)
    func cachedLogitsEqualUncached(_ c: Case) throws {
        let model = try loadFixture(c.folder, dtype: c.dtype).eval()
        let tokens = try SafeTensors.load(c.folder + "/expected.safetensors")["tokens"]!
        let n = tokens.size(1)
        noGrad {
            let whole = model(tokens)
            let cache = model.makeCache(starts: [0, 0], capacity: n)
            var parts: [Tensor] = []
            var start = 0
            for length in [4, 1, 1, 3, 1, n - 10] {
                parts.append(model.logits(tokens.narrow(1, start: start, length: length), cache: cache))
                start += length
            }
            #expect(start == n && cache.length == n)
            #expect(relativeError(Tensor.cat(parts, dim: 1), whole) < c.tolerance / 10)
            // What was forgotten can be given again.
            cache.truncate(to: 4)
            let again = model.logits(tokens.narrow(1, start: 4, length: n - 4), cache: cache)
            #expect(relativeError(again, whole.narrow(1, start: 4, length: n - 4)) < c.tolerance / 10)
        }
    }

    /// A row with padding in front sees what it would see alone.
    @Test(arguments: cases)
    func paddedRowsEqualUnpadded(_ c: Case) throws {
        let model = try loadFixture(c.folder, dtype: c.dtype).eval()
        let tokens = try SafeTensors.load(c.folder + "/expected.safetensors")["tokens"]!
        let n = tokens.size(1)
        noGrad {
            let long = tokens.narrow(0, start: 0, length: 1)
            let short = tokens.narrow(0, start: 1, length: 1).narrow(1, start: 0, length: n - 5)
            let padded = Tensor.cat([Tensor.zeros([1, 5], dtype: .int64), short], dim: 1)
            let cache = model.makeCache(starts: [0, 5], capacity: n)
            let both = Tensor.cat([long, padded])
            let logits = Tensor.cat(
                [
                    model.logits(both.narrow(1, start: 0, length: n - 2), cache: cache),
                    model.logits(both.narrow(1, start: n - 2, length: 1), cache: cache),
                    model.logits(both.narrow(1, start: n - 1, length: 1), cache: cache),
                ], dim: 1)
            #expect(relativeError(logits.narrow(0, start: 0, length: 1), model(long)) < c.tolerance / 10)
            let row = logits.narrow(0, start: 1, length: 1).narrow(1, start: 5, length: n - 5)
            #expect(relativeError(row, model(short)) < c.tolerance / 10)
        }
    }
}
