public import Martlet

/// What ``Adam`` and ``AdamW`` share.
public class AdamBase: Optimizer {
    public let beta1: Double
    public let beta2: Double
    public let eps: Double
    private let decoupled: Bool

    fileprivate init(
        _ name: String, _ parameters: some ParameterSource, learningRate: Double, schedule: Schedule?, beta1: Double,
        beta2: Double, eps: Double, weightDecay: Double, decoupled: Bool, groups: [ParameterGroup]
    ) {
        for (label, beta) in [("beta1", beta1), ("beta2", beta2)] where !(beta >= 0 && beta < 1) {
            trap(name, "\(label) is in 0..<1, \(beta) is not")
        }
        if !(eps >= 0) { trap(name, "eps must not be negative: \(eps)") }
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps
        self.decoupled = decoupled
        super.init(
            parameters.sourceParameters, learningRate: learningRate, schedule: schedule, weightDecay: weightDecay,
            groups: groups)
    }

    public override func slots(for parameter: Parameter) -> [(name: String, shape: [Int])] {
        [("m", parameter.shape), ("v", parameter.shape)]
    }

    public override func update(_ state: ParameterState, _ gradient: Tensor, _ options: UpdateOptions) {
        OptimizerKernels.adam(
            parameter: state.parameter, master: state.master, gradient: gradient, m: state["m"], v: state["v"],
            .init(
                learningRate: options.learningRate, beta1: beta1, beta2: beta2, eps: eps,
                weightDecay: options.weightDecay, decoupled: decoupled, step: state.step,
                gradientScale: options.gradientScale))
    }

    public override var extraDescription: String {
        "beta1: \(beta1), beta2: \(beta2), eps: \(eps), weightDecay: \(weightDecay)"
    }
}

/// Adam (Kingma & Ba 2015), as PyTorch's: m and v are running means of the gradient and its square, and
/// p -= lr · m̂ / (sqrt(v̂) + eps) with both corrected for their start at zero. Weight decay is part of the gradient:
/// g += weightDecay · p.
public final class Adam: AdamBase {
    public init(
        _ parameters: some ParameterSource, learningRate: Double = 1e-3, schedule: Schedule? = nil, beta1: Double = 0.9,
        beta2: Double = 0.999, eps: Double = 1e-8, weightDecay: Double = 0, groups: [ParameterGroup] = []
    ) {
        super.init(
            "Adam", parameters, learningRate: learningRate, schedule: schedule, beta1: beta1, beta2: beta2, eps: eps,
            weightDecay: weightDecay, decoupled: false, groups: groups)
    }
}

/// Adam with weight decay apart from the gradient (Loshchilov & Hutter 2019), as PyTorch's: p *= 1 - lr · weightDecay
/// comes before Adam's update.
public final class AdamW: AdamBase {
    public init(
        _ parameters: some ParameterSource, learningRate: Double = 1e-3, schedule: Schedule? = nil, beta1: Double = 0.9,
        beta2: Double = 0.999, eps: Double = 1e-8, weightDecay: Double = 1e-2, groups: [ParameterGroup] = []
    ) {
        super.init(
            "AdamW", parameters, learningRate: learningRate, schedule: schedule, beta1: beta1, beta2: beta2, eps: eps,
            weightDecay: weightDecay, decoupled: true, groups: groups)
    }
}
