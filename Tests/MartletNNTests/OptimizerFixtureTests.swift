import Foundation
import Martlet
import MartletNN
import Testing

/// Ten steps of every optimizer against PyTorch, T5X's formula and optax.
@Suite struct OptimizerFixtureTests {
    struct Fixture: Decodable {
        struct Options: Decodable {
            var momentum: Double?
            var dampening: Double?
            var nesterov: Bool?
            var weightDecay: Double?
            var beta1: Double?
            var beta2: Double?
            var eps: Double?
            var factored: Bool?
            var clippingThreshold: Double?
            var multiplyByParameterScale: Bool?
            var decayRate: Double?
            var eps1: Double?
            var eps2: Double?
            var alpha: Double?
            var centered: Bool?
            var learningRateDecay: Double?
            var initialAccumulator: Double?
        }
        struct Run: Decodable, CustomStringConvertible {
            var name: String
            var optimizer: String
            var options: Options
            var learningRates: [Double]
            var weightDecays: [Double]?
            var globalNormClip: Double?
            var optax: Double?
            var description: String { name }
        }
        var steps: Int
        var parameters: [String]
        var runs: [Run]
        var plateaus: [Plateau]
    }
    struct Plateau: Decodable {
        struct Options: Decodable {
            var mode: String
            var factor: Double
            var patience: Int
            var threshold: Double
            var thresholdMode: String
            var cooldown: Int
            var minimumLearningRate: Double
            var eps: Double
        }
        var options: Options
        var measures: [Double]
        var learningRates: [Double]
    }

    static let fixture = try! JSONDecoder().decode(
        Fixture.self, from: Data(contentsOf: URL(fileURLWithPath: fixtures + "/optimizers.json")))
    static let tensors = try! SafeTensors.load(fixtures + "/optimizers.safetensors")

    private func make(_ run: Fixture.Run, _ parameters: NamedParameters) -> Optimizer {
        let o = run.options
        switch run.optimizer {
        case "sgd":
            return SGD(
                parameters, momentum: o.momentum!, dampening: o.dampening!, nesterov: o.nesterov!,
                weightDecay: o.weightDecay!)
        case "adam":
            return Adam(parameters, beta1: o.beta1!, beta2: o.beta2!, eps: o.eps!, weightDecay: o.weightDecay!)
        case "adamW":
            return AdamW(parameters, beta1: o.beta1!, beta2: o.beta2!, eps: o.eps!, weightDecay: o.weightDecay!)
        case "rmsProp":
            return RMSprop(
                parameters, alpha: o.alpha!, eps: o.eps!, momentum: o.momentum!, centered: o.centered!,
                weightDecay: o.weightDecay!)
        case "adagrad":
            return Adagrad(
                parameters, learningRateDecay: o.learningRateDecay!, initialAccumulator: o.initialAccumulator!,
                eps: o.eps!, weightDecay: o.weightDecay!)
        default:
            return Adafactor(
                parameters, beta1: o.beta1, decayExponent: o.decayRate!, eps1: o.eps1!, eps2: o.eps2!,
                clipThreshold: o.clippingThreshold, multipliesByParameterScale: o.multiplyByParameterScale!,
                factored: o.factored!, minimumSizeToFactor: 2, weightDecay: run.weightDecays![0] == 0 ? 0 : 1,
                weightDecayExponent: 2)
        }
    }

    /// The largest relative difference of a parameter after any step.
    private func difference(_ run: Fixture.Run, dtype: DType, compareWith suffix: String = "") -> Double {
        let names = Self.fixture.parameters
        let parameters = names.map { name in
            (name: name, parameter: Parameter(Self.tensors["initial/" + name]!.to(dtype).clone()))
        }
        let optimizer = make(run, NamedParameters(parameters))
        var worst = 0.0
        for step in 0..<Self.fixture.steps {
            for (name, p) in parameters {
                p.grad = Self.tensors["gradients/" + name]!.select(0, step).to(dtype).clone()
            }
            optimizer.learningRate = run.learningRates[step]
            if let clip = run.globalNormClip {
                optimizer.step(clippingNorm: clip)
            } else {
                optimizer.step()
            }
            for (name, p) in parameters {
                let expected = Self.tensors[run.name + "/" + suffix + name]!.select(0, step)
                worst = max(worst, relativeDifference(p.doubles, expected.doubles))
            }
        }
        return worst
    }

    @Test(arguments: fixture.runs)
    func float64(_ run: Fixture.Run) {
        #expect(difference(run, dtype: .float64) < 1e-12)
    }

    @Test(arguments: fixture.runs)
    func float32(_ run: Fixture.Run) {
        #expect(difference(run, dtype: .float32) < 1e-5)
    }

    /// optax computes beta2 in float32.
    @Test(arguments: fixture.runs.filter { $0.optax != nil })
    func optax(_ run: Fixture.Run) {
        #expect(difference(run, dtype: .float64, compareWith: "optax/") < 1e-7)
    }

    @Test func everyRunIsThere() {
        #expect(Set(Self.fixture.runs.map(\.optimizer)) == ["sgd", "adam", "adamW", "adafactor", "rmsProp", "adagrad"])
    }

    @Test func plateaus() {
        for (i, plateau) in Self.fixture.plateaus.enumerated() {
            let o = plateau.options
            let optimizer = SGD([Parameter(Tensor.zeros([1]))], learningRate: 1)
            let scheduler = ReduceLROnPlateau(
                optimizer, mode: .init(rawValue: o.mode)!, factor: o.factor, patience: o.patience,
                threshold: o.threshold, thresholdMode: .init(rawValue: o.thresholdMode)!, cooldown: o.cooldown,
                minimumLearningRate: o.minimumLearningRate, eps: o.eps)
            for (k, measure) in plateau.measures.enumerated() {
                let before = optimizer.learningRate
                let isLower = scheduler.step(measure)
                #expect(optimizer.learningRate == plateau.learningRates[k], "plateau \(i), measure \(k)")
                #expect(isLower == (optimizer.learningRate < before))
            }
        }
    }
}
