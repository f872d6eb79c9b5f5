import Martlet
import MartletNN
import Testing

@Suite struct GradientTests {
    private func parameters() -> [Parameter] {
        let a = Parameter(Tensor.zeros([2]))
        let b = Parameter(Tensor.zeros([1]))
        let c = Parameter(Tensor.zeros([1]))
        a.grad = Tensor([3.0, 0])
        b.grad = Tensor([-4.0])
        return [a, b, c]
    }

    @Test func clippingByNorm() {
        let p = parameters()
        #expect(gradientNorm(p) == 5)
        #expect(clipGradNorm(p, maxNorm: 10) == 5)
        #expect(p[0].grad!.doubles == [3, 0])
        #expect(clipGradNorm(p, maxNorm: 2.5) == 5)
        #expect(p[0].grad!.doubles == [1.5, 0] && p[1].grad!.doubles == [-2] && p[2].grad == nil)
        #expect(gradientNorm(p) == 2.5)
        #expect(clippingScale(5, maxNorm: 1) == 0.2 && clippingScale(0.5, maxNorm: 1) == 1)
    }

    @Test func clippingByValue() {
        let p = parameters()
        clipGradValue(p, limit: 3.5)
        #expect(p[0].grad!.doubles == [3, 0] && p[1].grad!.doubles == [-3.5])
    }

    @Test func fusedClippingIsTheSame() {
        let a = parameters()
        let b = parameters()
        let optimizers = (SGD(a, learningRate: 1), SGD(b, learningRate: 1))
        clipGradNorm(a, maxNorm: 2.5)
        optimizers.0.step()
        #expect(optimizers.1.step(clippingNorm: 2.5) == 5)
        for (p, q) in zip(a, b) { #expect(bits(p) == bits(q)) }
    }

    @Test func aGradientThatIsNotFiniteChangesNothing() {
        let p = parameters()
        p[1].grad = Tensor([Double.infinity])
        let optimizer = AdamW(p)
        #expect(optimizer.step(clippingNorm: 1) == .infinity)
        #expect(optimizer.stepCount == 0 && p[0].doubles == [0, 0])
        #expect(clippingScale(.nan, maxNorm: 1).isNaN)
        #expect(clipGradNorm(p, maxNorm: 1) == .infinity && p[0].grad!.doubles == [3, 0])
    }

    @Test func accumulation() {
        let x = Tensor.randn([8, 4], generator: Generator(seed: 1))
        let y = Tensor([0, 1, 2, 0, 1, 2, 0, 1])
        let whole = Perceptron()
        let parts = Perceptron()
        let loss = whole(x).crossEntropy(y)
        loss.backward()
        let mean = accumulateGradients(parts.parameters, microBatches: 4) { i in
            parts(x.narrow(0, start: 2 * i, length: 2)).crossEntropy(y.narrow(0, start: 2 * i, length: 2))
        }
        #expect(abs(mean - loss.item()) < 1e-6)
        for (p, q) in zip(whole.parameters, parts.parameters) {
            #expect(relativeDifference(q.grad!.doubles, p.grad!.doubles) < 1e-5)
        }
        // Unequal parts with their weights.
        parts.zeroGrad()
        let sizes = [1, 7]
        let weighted = accumulateGradients(parts.parameters, microBatches: 2, weights: [1.0 / 8, 7.0 / 8]) { i in
            parts(x.narrow(0, start: i, length: sizes[i])).crossEntropy(y.narrow(0, start: i, length: sizes[i]))
        }
        #expect(abs(weighted - loss.item()) < 1e-6)
        for (p, q) in zip(whole.parameters, parts.parameters) {
            #expect(relativeDifference(q.grad!.doubles, p.grad!.doubles) < 1e-5)
        }
    }

    @Test func halfPrecisionGradientsAreSummedInFloat32() {
        let p = Parameter(Tensor.ones([1]).to(.bfloat16))
        // 1 + 256 * 2^-9 in bfloat16 sums would stay 1.
        let loss = { (i: Int) in (p * (i == 0 ? 257.0 : 1.0)).sum() }
        accumulateGradients([p], microBatches: 257, loss)
        #expect(p.grad!.dtype == .float32)
        #expect(abs(p.grad!.item() - (257.0 + 256) / 257) < 0.01)
        let optimizer = SGD([p], learningRate: 0.5)
        optimizer.step()
        #expect(p.dtype == .bfloat16 && p.item() < 0.01)
    }
}
