import Martlet
import MartletNN
import Testing

/// A programmer's mistakes stop the program with a message that names the module and the parameter.
@Suite struct MistakeTests {
    private func text(_ result: ExitTest.Result?) -> String {
        String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    }

    @Test func shapeErrorsNameTheModuleAndTheParameter() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            final class Outer: Module {
                let layers = [Perceptron(), Perceptron()]
                override func forward(_ x: Tensor) -> Tensor { layers[1](x) }
            }
            _ = Outer()(Tensor.ones([2, 5]))
        }
        #expect(text(result).contains("[linear] inner dimensions differ: [2, 5] x [8, 4] (layers.1.hidden.weight)"))
        #expect(text(result).contains("(in layers.1.hidden)"))
    }

    @Test func hooksThatCannotRun() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            final class TwoInputs: Module {
                func callAsFunction(_ a: Tensor, _ b: Tensor) -> Tensor { run { a + b } }
            }
            let module = TwoInputs()
            module.registerForwardHook { _, _, _ in nil }
            _ = module(Tensor.ones([1]), Tensor.ones([1]))
        }
        #expect(text(result).contains("[TwoInputs]") && text(result).contains("its hooks cannot run"))
    }

    @Test func aModuleWithoutForward() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            final class Silent: Module {}
            _ = Silent()(Tensor.ones([1]))
        }
        #expect(text(result).contains("Silent does not override forward(_:)"))
    }

    @Test func averagesInUse() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let average = ExponentialMovingAverage(Perceptron(), decay: 0.9)
            average.swapIn()
            average.update()
        }
        #expect(text(result).contains("call swapOut() before update()"))
    }
}
