import Martlet
import Testing

/// Random programs of operations, views and writes in place, checked by finite differences.
@Suite struct RandomProgramTests {
    @Test(arguments: 0..<60) func firstDerivatives(_ seed: Int) {
        #expect(gradientCheck(inputs) { program(seed, $0) } == nil)
    }

    @Test(arguments: 0..<15) func secondDerivatives(_ seed: Int) {
        #expect(secondGradientCheck(inputs) { program(seed, $0) } == nil)
    }

    @Test(arguments: 0..<15) func checkpointed(_ seed: Int) {
        #expect(gradientCheck(inputs) { x in checkpoint { program(seed, x) } } == nil)
    }

    private var inputs: [Tensor] {
        let generator = Generator(seed: 23)
        return [[3, 4], [4]].map { Tensor.randn($0, std: 0.7, dtype: .float64, generator: generator) }
    }

    private func program(_ seed: Int, _ inputs: [Tensor]) -> Tensor {
        var random = Random(seed: UInt64(seed))
        var pool = [inputs[0] * 1, inputs[1] + 0, Tensor.full([2, 3], 0.5, dtype: .float64)]
        func pick() -> Tensor { pool[random.below(pool.count)] }
        // What is saved for the backward pass is a copy, which no later write reaches.
        func number() -> Tensor { pick().clone().sin().mean() + 0.1 }
        for _ in 0..<14 {
            let x = pick()
            let d = x.rank == 0 ? 0 : random.below(x.rank)
            switch random.below(14) {
            case 0 where x.rank > 1: pool.append(x.T)
            case 1 where x.rank > 0: pool.append(x.select(d, random.below(x.size(d))))
            case 2 where x.rank > 0 && x.size(d) > 1: pool.append(x.narrow(d, start: 1, length: x.size(d) - 1))
            case 3 where x.rank > 0: pool.append(x[.slice(step: -1)])
            case 4 where x.rank > 1: pool.append(x.diagonal())
            case 5: pool.append(x.reshape([-1]))
            case 6: pool.append(x.clone().tanh() * number())
            case 7: x += number()
            case 8: x *= number()
            case 9: x /= (number() + 1.7)
            case 10: x.copyInPlace(number())
            case 11: x.tanhInPlace()
            case 12 where x.rank > 0:
                x.assign([.tensor(Tensor([0, x.size(0) - 1, 0]))], number(), accumulate: random.below(2) == 0)
            case 13 where x.rank > 0: x[random.below(x.size(0))] = x[random.below(x.size(0))]
            default: pool.append(x.clone().exp().sum())
            }
        }
        return Tensor.cat(pool.map { ($0.clone() * 0.9).sin().reshape([-1]) })
    }
}
