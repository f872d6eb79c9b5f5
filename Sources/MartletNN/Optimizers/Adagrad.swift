public import Martlet

/// Adagrad (Duchi, Hazan & Singer 2011), as PyTorch's: with s the sum of the squares of all gradients so far,
/// g += weightDecay · p;  s += g²;  p -= lr / (1 + (k - 1) · learningRateDecay) · g / (sqrt(s) + eps) at update k.
public final class Adagrad: Optimizer {
    public let learningRateDecay: Double
    /// What the sums start at.
    public let initialAccumulator: Double
    public let eps: Double

    public init(
        _ parameters: some ParameterSource, learningRate: Double = 1e-2, schedule: Schedule? = nil,
        learningRateDecay: Double = 0, initialAccumulator: Double = 0, eps: Double = 1e-10, weightDecay: Double = 0,
        groups: [ParameterGroup] = []
    ) {
        for (label, value) in [
            ("learningRateDecay", learningRateDecay), ("initialAccumulator", initialAccumulator), ("eps", eps),
        ] where !(value >= 0) {
            trap("Adagrad", "\(label) must not be negative: \(value)")
        }
        self.learningRateDecay = learningRateDecay
        self.initialAccumulator = initialAccumulator
        self.eps = eps
        super.init(
            parameters.sourceParameters, learningRate: learningRate, schedule: schedule, weightDecay: weightDecay,
            groups: groups)
    }

    public override func slots(for parameter: Parameter) -> [(name: String, shape: [Int])] {
        [("sum", parameter.shape)]
    }

    public override func update(_ state: ParameterState, _ gradient: Tensor, _ options: UpdateOptions) {
        if state.step == 1 && initialAccumulator != 0 { state["sum"].fillInPlace(initialAccumulator) }
        OptimizerKernels.adagrad(
            parameter: state.parameter, master: state.master, gradient: gradient, sum: state["sum"],
            .init(
                learningRate: options.learningRate / (1 + Double(state.step - 1) * learningRateDecay), eps: eps,
                weightDecay: options.weightDecay, gradientScale: options.gradientScale))
    }

    public override var extraDescription: String {
        "learningRateDecay: \(learningRateDecay), eps: \(eps), weightDecay: \(weightDecay)"
    }
}
