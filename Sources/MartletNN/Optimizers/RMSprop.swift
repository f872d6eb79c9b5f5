public import Martlet

/// RMSprop (Hinton 2012), as PyTorch's: with v the running mean of the gradient's square (and m, where `centered`, of
/// the gradient itself),
/// g += weightDecay · p;  s = g / (sqrt(v - m²) + eps);  b = momentum · b + s;  p -= lr · b.
public final class RMSprop: Optimizer {
    /// What the running means keep of themselves.
    public let alpha: Double
    public let eps: Double
    public let momentum: Double
    /// Whether the gradient's mean is taken off its square: s is divided by the standard deviation.
    public let centered: Bool

    public init(
        _ parameters: some ParameterSource, learningRate: Double = 1e-2, schedule: Schedule? = nil,
        alpha: Double = 0.99, eps: Double = 1e-8, momentum: Double = 0, centered: Bool = false,
        weightDecay: Double = 0, groups: [ParameterGroup] = []
    ) {
        if !(alpha >= 0 && alpha < 1) { trap("RMSprop", "alpha is in 0..<1, \(alpha) is not") }
        if !(eps >= 0) { trap("RMSprop", "eps must not be negative: \(eps)") }
        if !(momentum >= 0) { trap("RMSprop", "the momentum must not be negative: \(momentum)") }
        self.alpha = alpha
        self.eps = eps
        self.momentum = momentum
        self.centered = centered
        super.init(
            parameters.sourceParameters, learningRate: learningRate, schedule: schedule, weightDecay: weightDecay,
            groups: groups)
    }

    public override func slots(for parameter: Parameter) -> [(name: String, shape: [Int])] {
        [("v", parameter.shape)] + (momentum == 0 ? [] : [("momentum", parameter.shape)])
            + (centered ? [("m", parameter.shape)] : [])
    }

    public override func update(_ state: ParameterState, _ gradient: Tensor, _ options: UpdateOptions) {
        OptimizerKernels.rmsProp(
            parameter: state.parameter, master: state.master, gradient: gradient, v: state["v"],
            momentum: momentum == 0 ? nil : state["momentum"], mean: centered ? state["m"] : nil,
            .init(
                learningRate: options.learningRate, alpha: alpha, eps: eps, momentum: momentum,
                weightDecay: options.weightDecay, gradientScale: options.gradientScale))
    }

    public override var extraDescription: String {
        "alpha: \(alpha), eps: \(eps), momentum: \(momentum)" + (centered ? ", centered" : "")
            + ", weightDecay: \(weightDecay)"
    }
}
