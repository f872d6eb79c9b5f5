import Foundation
import Martlet
import MartletModels
import MartletNN
import Testing

/// What the tensors of a process hold. Each test has a process of its own: the count is of the whole process.
@Suite struct TrainingMemoryTests {
    /// Bytes that a step must hold when the loss has been computed and nothing of the backward pass has been freed:
    /// parameters, the optimizer's state, what the derivatives need of every block, and the loss's own gradients.
    private static func analyticPeak(_ c: PaLMConfiguration, tokens: Int, bytes s: Int, recomputes: Bool) -> Int {
        let parameters = c.parameterCount
        // AdamW: two moments in float32, and a float32 copy of half-precision weights.
        let state = parameters * (s + 8 + (s == 4 ? 0 : 4))
        let (d, q, f) = (c.width, c.heads * c.headDim, c.feedForward)
        // The input, the normalised input, queries, keys, values, attention's output, gate and up (their product is
        // computed again); the norm's two statistics and attention's one a head in float32.
        let block = (2 * d + 2 * q + 2 * c.headDim + 2 * f) * s + 8 + 4 * c.heads
        let blocks = recomputes ? c.layers * d * s : c.layers * block
        // The last norm's input and output, the gradient of the latter, ids and targets, losses and log Z.
        let ends = 3 * d * s + 8 + 16 + 8
        let rows = min(tokens, max(64, (8 << 20) / c.vocabularySize / 64 * 64))
        let logits = rows * c.vocabularySize * (s == 4 ? 4 : 6)
        let headGradient = c.vocabularySize * d * 4
        return state + tokens * (blocks + ends) + logits + headGradient
    }

    private static func measuredPeak(_ c: PaLMConfiguration, rows: Int, time: Int, _ dtype: DType, _ recomputes: Bool)
        -> Int
    {
        let model = PaLM(c, generator: Generator(seed: 1))
        if dtype != .float32 { model.to(dtype) }
        model.checkpointsActivations = recomputes
        let optimizer = AdamW(model, learningRate: 1e-3)
        let ids = Tensor.randint(0, c.vocabularySize, [rows, time + 1], generator: Generator(seed: 2))
        let inputs = ids.narrow(1, start: 0, length: time).contiguous()
        let targets = ids.narrow(1, start: 1, length: time).contiguous()
        for _ in 0..<2 {
            Memory.resetPeak()
            model.loss(inputs, targets: targets).loss.backward()
            optimizer.step(clippingNorm: 1)
            optimizer.zeroGrad()
        }
        return Memory.statistics.peak
    }

    @Test func aStepsPeakIsItsLiveSet() async {
        await #expect(processExitsWith: .success) {
            let c = PaLMConfiguration(vocabularySize: 1000, width: 128, layers: 6, heads: 2, headDim: 64)
            for (dtype, recomputes) in [(DType.float32, false), (.bfloat16, false)] {
                let measured = TrainingMemoryTests.measuredPeak(c, rows: 4, time: 256, dtype, recomputes)
                let analytic = TrainingMemoryTests.analyticPeak(
                    c, tokens: 1024, bytes: dtype.byteSize, recomputes: recomputes)
                #expect(
                    abs(Double(measured) / Double(analytic) - 1) < 0.1,
                    "\(dtype): measured \(measured), analytic \(analytic)")
            }
        }
    }

    @Test func activationCheckpointingKeepsBlockInputsOnly() async {
        await #expect(processExitsWith: .success) {
            let c = PaLMConfiguration(vocabularySize: 1000, width: 128, layers: 6, heads: 2, headDim: 64)
            let measured = TrainingMemoryTests.measuredPeak(c, rows: 4, time: 256, .float32, true)
            // The peak is now either at the loss, or while the last block is computed again.
            let atLoss = TrainingMemoryTests.analyticPeak(c, tokens: 1024, bytes: 4, recomputes: true)
            let whole = TrainingMemoryTests.measuredPeak(c, rows: 4, time: 256, .float32, false)
            // A block that is computed again keeps the gated product, too.
            let block = (whole - atLoss) / 6 + 1024 * c.feedForward * 4
            #expect(
                Double(measured) < 1.1 * Double(atLoss) + Double(block),
                "measured \(measured), at the loss \(atLoss), whole \(whole)")
            #expect(Double(measured) < 0.75 * Double(whole), "measured \(measured), whole \(whole)")
        }
    }

    @Test func doesNotGrowWithChangingLengths() async {
        await #expect(processExitsWith: .success) {
            let model = PaLM(
                PaLMConfiguration(vocabularySize: 60, width: 16, layers: 2, heads: 2, headDim: 8),
                generator: Generator(seed: 1))
            let optimizer = AdamW(model, learningRate: 1e-3)
            let generator = Generator(seed: 2)
            func step(_ length: Int) {
                let ids = Tensor.randint(0, 60, [2, length + 1], generator: generator)
                model.loss(
                    ids.narrow(1, start: 0, length: length), targets: ids.narrow(1, start: 1, length: length)
                ).loss.backward()
                optimizer.step(clippingNorm: 1)
                optimizer.zeroGrad()
            }
            // The longest first: tables of positions are kept.
            step(48)
            let live = Memory.statistics.live
            var most = 0
            var cached = 0
            for i in 0..<1000 {
                step(3 + (i * 31) % 46)
                most = max(most, Memory.statistics.live)
                if i == 499 { cached = Memory.statistics.cached }
            }
            #expect(most == live, "live at most \(most) bytes, after one step \(live)")
            // How many threads hold scratch memory at once varies with what else the machine does.
            let now = Memory.statistics.cached
            #expect(now <= cached + cached / 2 + 1 << 20, "\(now) bytes cached, half-way \(cached)")
        }
    }

    @Test func whatIsDroppedIsFreeOnTheNextLine() async {
        await #expect(processExitsWith: .success) {
            let model = PaLM(
                PaLMConfiguration(vocabularySize: 60, width: 16, layers: 2, heads: 2, headDim: 8),
                generator: Generator(seed: 1))
            let tokens = Tensor.randint(0, 60, [2, 16], generator: Generator(seed: 2))
            _ = model(tokens)
            let before = Memory.statistics.live
            var loss: Tensor? = model.loss(tokens, targets: tokens).loss
            #expect(Memory.statistics.live > before)
            #expect(loss!.isFinite().item() == 1)
            loss = nil
            #expect(Memory.statistics.live == before)
            var cache: KeyValueCache? = model.makeCache(starts: [0], capacity: 100)
            #expect((try? cache!.reserve(100)) != nil)
            #expect(cache!.byteCount >= 2 * 2 * 100 * 8 * 4)
            #expect(Memory.statistics.live - before >= cache!.byteCount)
            cache = nil
            #expect(Memory.statistics.live == before)
        }
    }
}
