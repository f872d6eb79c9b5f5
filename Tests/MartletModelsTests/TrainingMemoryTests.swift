import Foundation
import Martlet
import MartletModels
import MartletNN
import Testing

/// What the tensors of a process hold. Each test has a process of its own: the count is of the whole process.
@Suite struct TrainingMemoryTests {
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
            #expect(most == live)
            #expect(Memory.statistics.cached <= cached + cached / 4)
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
            #expect(Memory.statistics.live - before >= cache!.byteCount)
            cache = nil
            #expect(Memory.statistics.live == before)
        }
    }
}
