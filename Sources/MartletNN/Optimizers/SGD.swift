public import Martlet

/// Stochastic gradient descent, as PyTorch's:
/// g += weightDecay · p;  b = momentum · b + (1 - dampening) · g;  p -= lr · (nesterov ? g + momentum · b : b).
public final class SGD: Optimizer {
    public let momentum: Double
    /// The share of the gradient kept out of the momentum; the first gradient counts in full.
    public let dampening: Double
    public let nesterov: Bool

    public init(
        _ parameters: some ParameterSource, learningRate: Double = 1e-3, schedule: Schedule? = nil,
        momentum: Double = 0,
        dampening: Double = 0, nesterov: Bool = false, weightDecay: Double = 0, groups: [ParameterGroup] = []
    ) {
        if !(momentum >= 0) { trap("SGD", "the momentum must not be negative: \(momentum)") }
        if nesterov && (momentum <= 0 || dampening != 0) {
            trap(
                "SGD", "Nesterov's momentum needs a momentum above 0 and no dampening, not \(momentum) and \(dampening)"
            )
        }
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
        super.init(
            parameters.sourceParameters, learningRate: learningRate, schedule: schedule, weightDecay: weightDecay,
            groups: groups)
    }

    public override func slots(for parameter: Parameter) -> [(name: String, shape: [Int])] {
        momentum == 0 ? [] : [("momentum", parameter.shape)]
    }

    public override func update(_ state: ParameterState, _ gradient: Tensor, _ options: UpdateOptions) {
        OptimizerKernels.sgd(
            parameter: state.parameter, master: state.master, gradient: gradient,
            momentum: momentum == 0 ? nil : state["momentum"],
            .init(
                learningRate: options.learningRate, momentum: momentum, dampening: dampening,
                weightDecay: options.weightDecay, nesterov: nesterov, isFirstStep: state.step == 1,
                gradientScale: options.gradientScale))
    }

    public override var extraDescription: String {
        "momentum: \(momentum)" + (nesterov ? ", nesterov" : "") + (dampening == 0 ? "" : ", dampening: \(dampening)")
            + ", weightDecay: \(weightDecay)"
    }
}
