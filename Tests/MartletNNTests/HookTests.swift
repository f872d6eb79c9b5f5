import Martlet
import MartletNN
import Testing

@Suite struct HookTests {
    let x = Tensor([1, -2, 3, 0.5], shape: [1, 4])

    @Test func forwardHooksSeeAndReplace() {
        let model = Perceptron()
        let plain = model(x)
        var seen: [[Int]] = []
        let observer = model.hidden.registerForwardHook { module, input, output in
            #expect(module === model.hidden)
            seen += [input.shape, output.shape]
            return nil
        }
        #expect(bits(model(x)) == bits(plain))
        #expect(seen == [[1, 4], [1, 8]])
        let doubled = model.registerForwardHook { _, _, output in output * 2 }
        #expect(bits(model(x)) == bits(plain * 2))
        let zeroed = model.registerForwardPreHook { _, input in input * 0 }
        #expect(bits(model(x)) != bits(plain * 2))
        doubled.remove()
        zeroed.remove()
        observer.remove()
        seen = []
        #expect(bits(model(x)) == bits(plain))
        #expect(seen.isEmpty)
    }

    @Test func backwardHooksSeeTheGradientsOfTheModule() {
        let model = Perceptron()
        let input = x.clone().requiringGrad()
        let reference = grad(of: model(input).sum(), wrt: input)
        var calls: [String] = []
        var inputGradient: Tensor?
        let pre = model.hidden.registerBackwardPreHook { _, gradient in
            calls.append("pre \(gradient.shape)")
            return nil
        }
        let post = model.hidden.registerBackwardHook { _, gradientIn, gradientOut in
            calls.append("post \(gradientOut.shape)")
            inputGradient = gradientIn
            return nil
        }
        // The input is used outside the module, too: that part of its gradient is not the module's.
        (model(input).sum() + input.sum()).backward()
        #expect(calls == ["pre [1, 8]", "post [1, 8]"])
        #expect(bits(inputGradient!) == bits(reference))
        #expect(bits(input.grad!) == bits(reference + 1))
        pre.remove()
        post.remove()
    }

    @Test func backwardHooksReplaceGradients() {
        let model = Perceptron()
        let input = x.clone().requiringGrad()
        let reference = grad(of: model(input).sum(), wrt: input)
        let pre = model.registerBackwardPreHook { _, gradient in gradient * 2 }
        #expect(bits(grad(of: model(input).sum(), wrt: input)) == bits(reference * 2))
        let post = model.registerBackwardHook { _, gradient, _ in gradient! * 0.5 }
        #expect(bits(grad(of: model(input).sum(), wrt: input)) == bits(reference))
        pre.remove()
        #expect(bits(grad(of: model(input).sum(), wrt: input)) == bits(reference * 0.5))
        post.remove()
    }

    @Test func backwardHookWithoutInputGradient() {
        let model = Perceptron()
        var count = 0
        let hook = model.hidden.registerBackwardHook { _, gradientIn, _ in
            #expect(gradientIn == nil)
            count += 1
            return nil
        }
        model(x).sum().backward()
        #expect(count == 1)
        noGrad { _ = model(x) }
        #expect(count == 1)
        hook.remove()
    }

    @Test func hooksRunAroundCallsWithMoreArguments() {
        let attention = MultiHeadAttention(8, heads: 2, generator: Generator(seed: 3))
        let x = Tensor.randn([1, 3, 8], generator: Generator(seed: 4))
        let context = Tensor.randn([1, 5, 8], generator: Generator(seed: 5))
        var count = 0
        let hook = attention.registerForwardHook { _, input, output in
            count += 1
            #expect(input.shape == output.shape)
            return nil
        }
        _ = attention(x, context: context)
        _ = attention(x)
        #expect(count == 2)
        hook.remove()
    }
}
