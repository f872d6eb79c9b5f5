import Martlet
import MartletNN
import Testing

@Suite struct InitializerTests {
    private func statistics(_ t: Tensor) -> (mean: Double, std: Double, low: Double, high: Double) {
        let x = t.doubles
        let mean = x.reduce(0, +) / Double(x.count)
        let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count)
        return (mean, variance.squareRoot(), x.min()!, x.max()!)
    }

    @Test func standardDeviations() {
        let shape = [200, 300]  // out, in
        let cases: [(Initializer, Double)] = [
            (.normal(std: 0.02), 0.02), (.uniform(low: -0.3, high: 0.3), 0.3 / 3.0.squareRoot()),
            (.lecunNormal(), 1 / 300.0.squareRoot()), (.lecunNormal(fanIn: 25), 0.2),
            (.varianceScaling(distribution: .truncatedNormal), 1 / 300.0.squareRoot()),
            (.varianceScaling(scale: 2, fan: .fanOut, distribution: .uniform), 0.1),
            (.xavierNormal(), (2.0 / 500).squareRoot()), (.xavierUniform(gain: 3), 3 * (2.0 / 500).squareRoot()),
            (.kaimingNormal(), (2.0 / 300).squareRoot()), (.kaimingUniform(.linear), (1.0 / 300).squareRoot()),
            (.torchLinear, (1.0 / 900).squareRoot()),
        ]
        for (i, (initializer, std)) in cases.enumerated() {
            let s = statistics(initializer(shape, generator: Generator(seed: UInt64(i))))
            #expect(abs(s.mean) < 0.02 * std, "case \(i)")
            #expect(abs(s.std / std - 1) < 0.02, "case \(i): \(s.std), not \(std)")
        }
    }

    @Test func bounds() {
        let t = statistics(
            Initializer.truncatedNormal(mean: 1, std: 0.5, cut: 2)([100_000], generator: Generator(seed: 1)))
        #expect(t.low >= 0 && t.high <= 2 && t.low < 0.01 && t.high > 1.99)
        #expect(abs(t.std - 0.5 * 0.87962566) < 0.005)
        let bound = 1 / 300.0.squareRoot()
        let u = statistics(Initializer.torchLinear([200, 300], generator: Generator(seed: 1)))
        #expect(u.low >= -bound && u.high <= bound)
    }

    @Test func seedsDecide() {
        let initializer = Initializer.kaimingNormal()
        let a = initializer([5, 7], generator: Generator(seed: 4))
        #expect(bits(a) == bits(initializer([5, 7], generator: Generator(seed: 4))))
        #expect(bits(a) != bits(initializer([5, 7], generator: Generator(seed: 5))))
        // Half precision rounds the same numbers.
        #expect(bits(a.to(.bfloat16)) == bits(initializer([5, 7], dtype: .bfloat16, generator: Generator(seed: 4))))
    }

    @Test func orthogonal() {
        for shape in [[4, 9], [9, 4], [6, 6], [3, 2, 4]] {
            let w = Initializer.orthogonal(gain: 2)(shape, dtype: .float64, generator: Generator(seed: 2))
            #expect(w.shape == shape)
            let m = w.reshape([shape[0], -1])
            let gram = m.size(0) <= m.size(1) ? m.matmul(m.T) : m.T.matmul(m)
            let eye = Tensor.eye(gram.size(0), dtype: .float64) * 4
            #expect(relativeDifference(gram.doubles, eye.doubles) < 1e-12)
        }
    }

    @Test func applyWritesInPlace() {
        let layer = Linear(3, 2)
        let weight = layer.weight
        Initializer.constant(5).apply(to: layer.weight)
        #expect(layer.weight === weight && weight.doubles == [5, 5, 5, 5, 5, 5] && weight.requiresGrad)
    }
}
