import Martlet
import MartletNN
import Testing

/// Losses as modules give what the tensor's methods give, which the fixtures check.
@Suite struct LossTests {
    let input = Tensor.rand([4, 3], low: 0.1, high: 0.9, dtype: .float64, generator: Generator(seed: 1))
    let target = Tensor.rand([4, 3], low: 0.1, high: 0.9, dtype: .float64, generator: Generator(seed: 2))
    let classes = Tensor([0, 2, -100, 1])

    @Test(arguments: [Reduction.none, .mean, .sum]) func pairs(_ reduction: Reduction) {
        let weight = Tensor([1.0, 2, 3], dtype: .float64)
        let cases: [(Loss, Tensor, Tensor)] = [
            (MSELoss(reduction: reduction), target, input.mseLoss(target, reduction: reduction)),
            (L1Loss(reduction: reduction), target, input.l1Loss(target, reduction: reduction)),
            (
                SmoothL1Loss(beta: 0.2, reduction: reduction), target,
                input.smoothL1Loss(target, beta: 0.2, reduction: reduction)
            ),
            (
                HuberLoss(delta: 0.2, reduction: reduction), target,
                input.huberLoss(target, delta: 0.2, reduction: reduction)
            ),
            (BCELoss(reduction: reduction), target, input.binaryCrossEntropy(target, reduction: reduction)),
            (
                BCEWithLogitsLoss(posWeight: weight, reduction: reduction), target,
                input.binaryCrossEntropyWithLogits(target, posWeight: weight, reduction: reduction)
            ),
            (
                KLDivLoss(logTarget: true, reduction: reduction), target,
                input.klDivergence(target, logTarget: true, reduction: reduction)
            ),
            (
                PoissonNLLLoss(full: true, reduction: reduction), target,
                input.poissonNLLLoss(target, full: true, reduction: reduction)
            ),
            (
                HingeEmbeddingLoss(margin: 0.5, reduction: reduction), target.round() * 2 - 1,
                input.hingeEmbeddingLoss(target.round() * 2 - 1, margin: 0.5, reduction: reduction)
            ),
            (
                CrossEntropyLoss(labelSmoothing: 0.1, zLoss: 0.01, reduction: reduction), classes,
                input.crossEntropy(classes, labelSmoothing: 0.1, zLoss: 0.01, reduction: reduction)
            ),
            (
                CrossEntropyLoss(weight: weight, reduction: reduction), classes,
                input.crossEntropy(classes, weight: weight, reduction: reduction)
            ),
            (NLLLoss(reduction: reduction), classes, input.nllLoss(classes, reduction: reduction)),
            (
                NLLLoss(weight: weight, ignoreIndex: 0, reduction: reduction), classes.clamp(min: 0),
                input.nllLoss(classes.clamp(min: 0), ignoreIndex: 0, weight: weight, reduction: reduction)
            ),
        ]
        for (loss, target, expected) in cases {
            let found = loss(input, target)
            #expect(found.shape == expected.shape && bits(found) == bits(expected), "\(loss)")
            #expect("\(loss)".contains("reduction: \(reduction)"))
        }
    }

    @Test func triples() {
        let (other, far) = (target, target + 1)
        let signs = Tensor([1.0, -1, 1, -1], dtype: .float64)
        #expect(
            bits(GaussianNLLLoss(full: true)(input, target, far))
                == bits(input.gaussianNLLLoss(target, variance: far, full: true)))
        #expect(
            bits(MarginRankingLoss(margin: 0.1)(input.select(1, 0), other.select(1, 0), signs))
                == bits(input.select(1, 0).marginRankingLoss(other.select(1, 0), signs, margin: 0.1)))
        #expect(
            bits(TripletMarginLoss(margin: 2, swap: true)(input, other, far))
                == bits(input.tripletMarginLoss(positive: other, negative: far, margin: 2, swap: true)))
        #expect(
            bits(CosineEmbeddingLoss(margin: 0.2, reduction: .sum)(input, other, signs))
                == bits(input.cosineEmbeddingLoss(other, signs, margin: 0.2, reduction: .sum)))
    }

    @Test func aLossOfOnesOwn() {
        final class LogCosh: Loss {
            override func loss(_ input: Tensor, _ target: Tensor) -> Tensor {
                (input - target).cosh().log().mean()
            }
        }
        let x = Tensor([0.5, -1], dtype: .float64).requiringGrad()
        LogCosh()(x, Tensor.zeros([2], dtype: .float64)).backward()
        #expect(relativeDifference(x.grad!.doubles, (x.detach().tanh() / 2).doubles) < 1e-14)
    }

    @Test func buffersOfLosses() {
        let loss = BCEWithLogitsLoss(posWeight: Tensor([1.0, 2]))
        #expect(loss.parameters.isEmpty)
        #expect(loss.to(.float64).posWeight?.dtype == .float64)
        #expect(loss.stateDictionary().map(\.0) == ["posWeight"])
    }

    @Test func mistakesNameTheLoss() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            final class Model: Module {
                let criterion = CrossEntropyLoss()
            }
            let model = Model()
            _ = model.parameters
            _ = model.criterion(Tensor.zeros([2, 3]), Tensor([0, 3]))
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("[crossEntropy] target 3 is not a class in 0..<3"))
    }
}
