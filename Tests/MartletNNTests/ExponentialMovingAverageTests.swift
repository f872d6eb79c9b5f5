import Martlet
import MartletNN
import Testing

@Suite struct ExponentialMovingAverageTests {
    @Test func averages() {
        let p = Parameter(Tensor([1.0, 2]))
        let average = ExponentialMovingAverage([p], decay: 0.9)
        noGrad { _ = p.fillInPlace(11) }
        average.update()
        let expected = [0.9 * 1 + 0.1 * 11, 0.9 * 2 + 0.1 * 11]
        #expect(relativeDifference(average.averages[0].average.doubles, expected) < 1e-6)
        #expect(p.doubles == [11, 11])
        average.withAverages {
            #expect(relativeDifference(p.doubles, expected) < 1e-6)
            noGrad { _ = p.fillInPlace(0) }
        }
        #expect(p.doubles == [11, 11])
        // What was done to the parameter meanwhile does not reach the average.
        #expect(relativeDifference(average.averages[0].average.doubles, expected) < 1e-6)
        #expect(p.requiresGrad)
    }

    @Test func halfPrecisionKeepsSmallChanges() {
        let p = Parameter(Tensor([1.0]).to(.bfloat16))
        let average = ExponentialMovingAverage([p], decay: 0.999)
        noGrad { _ = p.fillInPlace(2) }
        for _ in 0..<100 { average.update() }
        let value = average.averages[0].average
        #expect(value.dtype == .float32)
        var expected = 1.0
        for _ in 0..<100 { expected = 0.999 * expected + 0.001 * 2 }
        #expect(abs(value.item() - expected) < 1e-4)
        average.withAverages { #expect(p.dtype == .bfloat16) }
    }

    @Test func warmupForgetsTheStart() {
        let p = Parameter(Tensor([0.0]))
        let average = ExponentialMovingAverage([p], decay: 0.999, warmup: true)
        noGrad { _ = p.fillInPlace(1) }
        average.update()
        #expect(abs(average.averages[0].average.item() - 9.0 / 11) < 1e-6)
    }

    @Test func swappingDoesNotDisturbMasterCopies() {
        let p = Parameter(Tensor([1.0]).to(.bfloat16))
        let optimizer = SGD([p], learningRate: 1e-4)
        let average = ExponentialMovingAverage([p], decay: 0.5)
        p.grad = Tensor([1.0]).to(.bfloat16)
        optimizer.step()
        average.withAverages {}
        optimizer.step()
        #expect(abs(optimizer.stateDictionary().first { $0.0 == "0/master" }!.1.item() - (1 - 2e-4)) < 1e-6)
    }

    @Test func stateRoundTrip() throws {
        let model = Perceptron()
        let a = ExponentialMovingAverage(model, decay: 0.9, warmup: true)
        noGrad { for p in model.parameters { _ = p.mulInPlace(3) } }
        a.update()
        let b = ExponentialMovingAverage(Perceptron(7), decay: 0.9, warmup: true)
        try b.load(a.stateDictionary())
        #expect(b.updateCount == 1)
        for (x, y) in zip(a.averages, b.averages) { #expect(x.name == y.name && bits(x.average) == bits(y.average)) }
        // The averages are a state of the model.
        try model.load(a.averages.map { ($0.name, $0.average) })
        #expect(bits(model.hidden.weight) == bits(a.averages[0].average))
        #expect(
            message { try b.load(Array(a.stateDictionary().dropLast())) }.contains("missing: output.weight/average"))
    }
}
