import Martlet
import Testing

/// Activation checkpointing. The recomputation sets back the default generator: each test has a process of its own.
@Suite struct CheckpointTests {
    @Test func gradientsAreThoseOfThePlainFunction() async {
        await #expect(processExitsWith: .success) {
            let generator = Generator(seed: 9)
            let w = [[16, 8], [8, 16], [8]].map { Parameter(Tensor.randn($0, generator: generator)) }
            let x = Tensor.randn([4, 8], generator: generator).requiringGrad()
            func block(_ x: Tensor) -> Tensor {
                let h = x.layerNorm(weight: w[2]).linear(w[0]).gelu().dropout(0.3)
                return x + h.linear(w[1]).dropout(0.2)
            }
            func run(_ body: (Tensor) -> Tensor) -> [Tensor] {
                Tensor.manualSeed(42)
                for t in w + [x] { t.grad = nil }
                let y = body(body(x * 1))
                let after = Tensor.rand([3])
                y.square().sum().backward()
                let later = Tensor.rand([3])
                return [y, after, later] + (w + [x]).map { $0.grad! }
            }
            let plain = run(block)
            let checkpointed = run { input in checkpoint { block(input) } }
            let nested = run { input in
                checkpoint { checkpoint { block(input) } * 1 }
            }
            for (i, (a, b)) in zip(plain, checkpointed).enumerated() { #expect(a.equal(b), "\(i)") }
            for (i, (a, b)) in zip(plain, nested).enumerated() { #expect(a.equal(b), "\(i)") }
        }
    }

    @Test func everyGeneratorIsSetBack() {
        let x = Tensor.ones([64]).requiringGrad()
        let generator = Generator(seed: 3)
        let y = checkpoint { checkpoint { x.exp().dropout(0.5, generator: generator) }.exp() }
        let kept = (y.detach() .> 1).to(.float32)
        let after = generator.state
        y.sum().backward()
        #expect(generator.state == after && after.offset == 16)
        #expect((x.grad! .> 0).to(.float32).equal(kept))
    }

    @Test func secondDerivativesThroughCheckpoints() async {
        await #expect(processExitsWith: .success) {
            let x = [Tensor([0.3, -0.8, 1.2], dtype: .float64), Tensor([0.5, 2, -1], dtype: .float64)]
            let function: ([Tensor]) -> Tensor = { inputs in
                checkpoint { (inputs[0] * inputs[1]).tanh() * inputs[0].softmax(dim: 0) }.square()
            }
            #expect(gradientCheck(x, function) == nil)
            #expect(secondGradientCheck(x, function) == nil)
        }
    }

    @Test func theFunctionRunsTwiceAPass() async {
        await #expect(processExitsWith: .success) {
            let x = Tensor([1.0, 2, 4]).requiringGrad()
            let runs = Box(0)
            func run() -> Tensor {
                checkpoint {
                    runs.value += 1
                    // The derivative of a quotient looks at its saved tensors several times.
                    return x.exp() / (x.sin() / x.cos())
                }
            }
            let y = run()
            #expect(runs.value == 1)
            y.sum().backward()
            #expect(runs.value == 2)
            noGrad { _ = run() }
            #expect(runs.value == 3)
            let z = run()
            z.sum().backward(retainGraph: true)
            z.sum().backward()
            #expect(runs.value <= 6)
        }
    }

    @Test func functionsThatChangeAreRefused() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor([1.0, 2]).requiringGrad()
            let runs = Box(0)
            let y = checkpoint {
                runs.value += 1
                return runs.value == 1 ? x.exp() : x.exp().sin()
            }
            y.sum().backward()
        }
        expectMessage(result, "[checkpoint]", "saved 1 tensors at first and 2")
    }
}
