import Martlet
import Testing

@Suite struct FunctionalTests {
    @Test func derivativesToThirdOrder() {
        let x = Tensor(2.0, dtype: .float64).requiringGrad()
        let y = x * x * x * x
        let first = grad(of: y, wrt: x, createGraph: true)
        let second = grad(of: first, wrt: x, createGraph: true)
        let third = grad(of: second, wrt: x, createGraph: true)
        let fourth = grad(of: third, wrt: x)
        #expect([first, second, third, fourth].map { $0.item() } == [32, 48, 48, 24])
        #expect(!fourth.requiresGrad)
    }

    @Test func thirdDerivativesOfFusedOps() {
        // The derivative of the gradient check's own second derivative: a check of third derivatives.
        let x = Tensor.randn([2, 3], dtype: .float64, generator: Generator(seed: 5))
        for function in [
            { $0.softmax(dim: -1).square() }, { $0.layerNorm().exp() }, { $0.gelu() }, { $0.silu() }, { $0.tanh() },
            { $0.crossEntropy(Tensor([2, 0]), zLoss: 0.1) },
        ] as [(Tensor) -> Tensor] {
            let check = secondGradientCheck([x], rtol: 1e-3) { inputs in
                let point = inputs[0]
                let g = withGrad { grad(of: function(point).sum(), wrt: point, createGraph: true) }
                return g * Tensor([0.3, -1, 2, 0.7, 0.1, 1.5], shape: [2, 3], dtype: .float64)
            }
            #expect(check == nil)
        }
    }

    @Test func createGraphAccumulatesDifferentiableGradients() {
        let x = Tensor(3.0, dtype: .float64).requiringGrad()
        (x * x * x).backward(createGraph: true)
        let g = x.grad!
        #expect(g.item() == 27 && g.requiresGrad)
        x.grad = nil
        g.backward()
        #expect(x.grad!.item() == 18)
    }

    @Test func gradientPenalty() {
        // Improved WGAN: the norm of a gradient, differentiated.
        let w = Tensor([1.0, -2], dtype: .float64).requiringGrad()
        let x = Tensor([0.5, 0.25], dtype: .float64).requiringGrad()
        let g = grad(of: (w * x).tanh().sum(), wrt: x, createGraph: true)
        let penalty = (g.norm() - 1).square()
        penalty.backward()
        let expected = gradientCheck([w.detach()]) { inputs in
            let t = (inputs[0] * x.detach()).tanh()
            return ((inputs[0] * (1 - t * t)).norm() - 1).square()
        }
        #expect(expected == nil)
        let direct = w.detach().requiringGrad()
        let t = (direct * x.detach()).tanh()
        ((direct * (1 - t * t)).norm() - 1).square().backward()
        #expect(w.grad!.allClose(direct.grad!, rtol: 1e-12))
    }

    @Test func hessians() {
        let x = Tensor([1.0, 2, 3], dtype: .float64)
        let h = hessian({ ($0 * $0 * $0).sum() + $0[0] * $0[1] * $0[2] }, x)
        #expect(h.shape == [3, 3])
        #expect(h.toArray(Double.self) == [6, 3, 2, 3, 12, 1, 2, 1, 18])
        #expect(hessian({ $0.sum() }, x).toArray(Double.self) == [Double](repeating: 0, count: 9))
    }

    @Test func jacobians() {
        let x = Tensor([[1.0, 2], [3, 4]], dtype: .float64)
        let j = jacobian({ $0.T[0] * $0[0] }, x)
        // y = [x00 x00, x10 x01]
        #expect(j.shape == [2, 4])
        #expect(j.toArray(Double.self) == [2, 0, 0, 0, 0, 3, 2, 0])
        #expect(jacobian({ _ in Tensor.ones([3]) }, x).toArray() == [Float](repeating: 0, count: 12))
    }

    @Test func productsWithJacobians() {
        let x = Tensor([1.0, 2], dtype: .float64)
        let w = Tensor([3.0, 5], dtype: .float64)
        let function: ([Tensor]) -> [Tensor] = { [$0[0] * $0[1], ($0[0] * $0[0]).sum(), Tensor.ones([1])] }
        let (outputs, pushed) = jvp(
            function, [x, w], tangents: [Tensor([1.0, 10], dtype: .float64), Tensor([2.0, 0], dtype: .float64)])
        #expect(outputs[0].toArray() == [3, 10] && outputs[1].item() == 5)
        #expect(pushed[0].toArray() == [5, 50])
        #expect(pushed[1].item() == 42)
        #expect(pushed[2].toArray() == [0])
        let (_, pulled) = vjp(
            function, [x, w],
            cotangents: [Tensor([1.0, 2], dtype: .float64), Tensor(3.0, dtype: .float64), Tensor([0.0])])
        #expect(pulled[0].toArray() == [9, 22])
        #expect(pulled[1].toArray() == [1, 4])
        // The functions themselves as inputs and outputs.
        let same = jvp({ $0 }, [x], tangents: [w])
        #expect(same.tangents[0].toArray() == [3, 5])
    }

    @Test func customFunctions() {
        final class Cube: CustomFunction {
            override func forward(_ x: [Tensor]) -> [Tensor] {
                #expect(!isGradEnabled)
                save(x[0])
                return [x[0] * x[0] * x[0]]
            }
            override func backward(_ g: [Tensor]) -> [Tensor?] { [g[0] * saved[0] * saved[0] * 3] }
        }
        let inputs = [Tensor([0.5, -1.5], dtype: .float64)]
        #expect(gradientCheck(inputs) { Cube().apply($0)[0] } == nil)
        #expect(secondGradientCheck(inputs) { Cube().apply($0)[0] } == nil)
        #expect(!noGrad { Cube().apply([inputs[0].detach().requiringGrad()])[0].requiresGrad })
    }

    @Test func customFunctionsSaveTheirOutputs() {
        final class Exponential: CustomFunction {
            override func forward(_ x: [Tensor]) -> [Tensor] {
                let y = x[0].exp()
                save(y)
                return [y]
            }
            override func backward(_ g: [Tensor]) -> [Tensor?] { [g[0] * saved[0]] }
        }
        let inputs = [Tensor([0.5, -1.5], dtype: .float64)]
        #expect(gradientCheck(inputs) { Exponential().apply($0)[0] } == nil)
        #expect(secondGradientCheck(inputs) { Exponential().apply($0)[0] } == nil)
    }

    @Test func customFunctionsChooseTheirGradients() {
        final class Scale: CustomFunction {
            var asked: [Bool] = []
            override func forward(_ x: [Tensor]) -> [Tensor] {
                save(x[1])
                return [x[0] * x[1], x[0]]
            }
            override func backward(_ g: [Tensor]) -> [Tensor?] {
                asked = needsInputGradient
                return [g[0] * saved[0] + g[1], nil]
            }
        }
        let x = Tensor([1.0, 2]).requiringGrad()
        let scale = Scale()
        let outputs = scale.apply([x, Tensor([5.0, 6])])
        (outputs[0] + outputs[1] * 10).sum().backward()
        #expect(x.grad!.toArray() == [15, 16])
        #expect(scale.asked == [true, false])
        // The second output is the input itself, with an identity of its own.
        #expect(outputs[1] !== x && outputs[1].sharesStorage(with: x) && x.isLeaf)
    }

    @Test func mistakesInCustomFunctions() async {
        let shape = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            final class Wrong: CustomFunction {
                override func forward(_ x: [Tensor]) -> [Tensor] { [x[0].sum()] }
                override func backward(_ g: [Tensor]) -> [Tensor?] { g }
            }
            let x = Tensor([1.0, 2]).requiringGrad()
            Wrong().apply([x])[0].backward()
        }
        expectMessage(shape, "Wrong gave a gradient of shape [] for input 0 of shape [2]")
        let count = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            final class Wrong: CustomFunction {
                override func forward(_ x: [Tensor]) -> [Tensor] { [x[0] + x[1]] }
                override func backward(_ g: [Tensor]) -> [Tensor?] { g }
            }
            let x = Tensor([1.0, 2]).requiringGrad()
            Wrong().apply([x, x])[0].sum().backward()
        }
        expectMessage(count, "gave 1 gradients for 2 inputs")
        let twice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            final class Identity: CustomFunction {
                override func forward(_ x: [Tensor]) -> [Tensor] { x }
                override func backward(_ g: [Tensor]) -> [Tensor?] { g }
            }
            let f = Identity()
            _ = f.apply([Tensor([1.0])])
            _ = f.apply([Tensor([1.0])])
        }
        expectMessage(twice, "applied twice")
    }

    @Test func gradientChecksFindMistakes() {
        final class Wrong: CustomFunction {
            override func forward(_ x: [Tensor]) -> [Tensor] {
                save(x[0])
                return [x[0].exp()]
            }
            override func backward(_ g: [Tensor]) -> [Tensor?] { [g[0] * saved[0]] }
        }
        let x = Tensor([0.3, 0.8], dtype: .float64)
        #expect(gradientCheck([x]) { Wrong().apply($0)[0] }?.contains("finite differences") == true)
        #expect(x.toArray(Double.self) == [0.3, 0.8])
    }

    @Test func anomaliesAreNamed() async {
        let backward = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            detectAnomaly {
                let x = Tensor([0.0, 1]).requiringGrad()
                let y = ModulePath.with("layers.3") { ModulePath.with("norm") { x.sqrt() } }
                (y * y.exp()).sum().backward()
            }
        }
        expectMessage(backward, "[backward]", "`sqrt`, recorded in layers.3.norm", "NaN or infinity", "[2]")
        let fine = Tensor([1.0, 4]).requiringGrad()
        detectAnomaly { fine.sqrt().sum().backward() }
        #expect(fine.grad!.toArray() == [0.5, 0.25])
    }
}
