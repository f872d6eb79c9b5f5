// Losses as modules, for a place that is chosen at run time; in a loop of one's own the tensor's methods are shorter.
public import Martlet

/// A loss of a prediction and a target: `loss(input, target)`.
///
/// Subclasses override ``loss(_:_:)``. Losses of other arguments have a `callAsFunction` of their own.
open class Loss: Module {
    /// What becomes of the single losses.
    public final let reduction: Reduction

    public init(reduction: Reduction = .mean) { self.reduction = reduction }

    /// The loss of `input` for `target`. Call the module itself, `loss(input, target)`, which keeps the path for error
    /// messages.
    open func loss(_ input: Tensor, _ target: Tensor) -> Tensor {
        trap("Loss", "\(type(of: self)) does not override loss(_:_:)")
    }

    public final func callAsFunction(_ input: Tensor, _ target: Tensor) -> Tensor { run { loss(input, target) } }

    open override var extraDescription: String { "reduction: \(reduction)" }
}

// MARK: - Classes

/// Softmax cross-entropy of logits [..., classes] with targets (integers) [...]; the classes are the last dimension.
/// ``Martlet/Tensor/crossEntropy(_:ignoreIndex:labelSmoothing:zLoss:logitScale:weight:reduction:)``.
public final class CrossEntropyLoss: Loss {
    public let ignoreIndex: Int
    public let labelSmoothing: Double
    public let zLoss: Double
    /// [classes], nil for none.
    public let weight: Tensor?

    /// - Parameters:
    ///   - weight: a weight [classes] of each class, for rare ones; the mean is divided by the weights of the targets.
    ///   - ignoreIndex: targets of this value cost nothing and do not count in the mean.
    ///   - labelSmoothing: the share of the target, in 0...1, that is spread evenly over all classes.
    ///   - zLoss: adds zLoss · log²Z by element, Z the softmax denominator.
    public init(
        weight: Tensor? = nil, ignoreIndex: Int = -100, labelSmoothing: Double = 0, zLoss: Double = 0,
        reduction: Reduction = .mean
    ) {
        if !(labelSmoothing >= 0 && labelSmoothing <= 1) {
            trap("CrossEntropyLoss", "the label smoothing is in 0...1, \(labelSmoothing) is not")
        }
        self.ignoreIndex = ignoreIndex
        self.labelSmoothing = labelSmoothing
        self.zLoss = zLoss
        self.weight = weight
        super.init(reduction: reduction)
    }

    public override func loss(_ input: Tensor, _ target: Tensor) -> Tensor {
        input.crossEntropy(
            target, ignoreIndex: ignoreIndex, labelSmoothing: labelSmoothing, zLoss: zLoss, weight: weight,
            reduction: reduction)
    }

    public override var extraDescription: String {
        "reduction: \(reduction), ignoreIndex: \(ignoreIndex)"
            + (labelSmoothing == 0 ? "" : ", labelSmoothing: \(labelSmoothing)")
            + (zLoss == 0 ? "" : ", zLoss: \(zLoss)")
    }
}

/// The negative log-likelihood of log-probabilities [..., classes] at targets (integers) [...].
public final class NLLLoss: Loss {
    /// Targets of this value cost nothing and do not count in the mean.
    public let ignoreIndex: Int
    /// A weight [classes] of each class, nil for none; the mean is divided by the weights of the targets.
    public let weight: Tensor?

    public init(weight: Tensor? = nil, ignoreIndex: Int = -100, reduction: Reduction = .mean) {
        self.weight = weight
        self.ignoreIndex = ignoreIndex
        super.init(reduction: reduction)
    }

    public override func loss(_ input: Tensor, _ target: Tensor) -> Tensor {
        input.nllLoss(target, ignoreIndex: ignoreIndex, weight: weight, reduction: reduction)
    }

    public override var extraDescription: String { "reduction: \(reduction), ignoreIndex: \(ignoreIndex)" }
}

/// Binary cross-entropy of probabilities with targets in 0...1.
public final class BCELoss: Loss {
    public override func loss(_ input: Tensor, _ target: Tensor) -> Tensor {
        input.binaryCrossEntropy(target, reduction: reduction)
    }
}

/// Binary cross-entropy of logits with targets in 0...1, without over- or underflow.
public final class BCEWithLogitsLoss: Loss {
    /// Multiplies the cost of targets 1; broadcasts with them.
    public let posWeight: Tensor?

    public init(posWeight: Tensor? = nil, reduction: Reduction = .mean) {
        self.posWeight = posWeight
        super.init(reduction: reduction)
    }

    public override func loss(_ input: Tensor, _ target: Tensor) -> Tensor {
        input.binaryCrossEntropyWithLogits(target, posWeight: posWeight, reduction: reduction)
    }
}

/// Kullback-Leibler divergence of log-probabilities from target probabilities. The default mean is over all elements,
/// as PyTorch's; the divergence by sample is `.batchMean`.
public final class KLDivLoss: Loss {
    /// Whether the target holds log-probabilities.
    public let logTarget: Bool

    public init(logTarget: Bool = false, reduction: Reduction = .mean) {
        self.logTarget = logTarget
        super.init(reduction: reduction)
    }

    public override func loss(_ input: Tensor, _ target: Tensor) -> Tensor {
        input.klDivergence(target, logTarget: logTarget, reduction: reduction)
    }

    public override var extraDescription: String {
        "reduction: \(reduction)" + (logTarget ? ", logTarget: true" : "")
    }
}

// MARK: - Numbers

/// (input - target)².
public final class MSELoss: Loss {
    public override func loss(_ input: Tensor, _ target: Tensor) -> Tensor {
        input.mseLoss(target, reduction: reduction)
    }
}

/// |input - target|.
public final class L1Loss: Loss {
    public override func loss(_ input: Tensor, _ target: Tensor) -> Tensor {
        input.l1Loss(target, reduction: reduction)
    }
}

/// Quadratic within `beta` of the target, of slope 1 beyond.
public final class SmoothL1Loss: Loss {
    public let beta: Double

    public init(beta: Double = 1, reduction: Reduction = .mean) {
        if !(beta >= 0) { trap("SmoothL1Loss", "beta must not be negative, it is \(beta)") }
        self.beta = beta
        super.init(reduction: reduction)
    }

    public override func loss(_ input: Tensor, _ target: Tensor) -> Tensor {
        input.smoothL1Loss(target, beta: beta, reduction: reduction)
    }

    public override var extraDescription: String { "reduction: \(reduction), beta: \(beta)" }
}

/// Quadratic within `delta` of the target, of slope `delta` beyond.
public final class HuberLoss: Loss {
    public let delta: Double

    public init(delta: Double = 1, reduction: Reduction = .mean) {
        if !(delta > 0) { trap("HuberLoss", "delta must be positive, it is \(delta)") }
        self.delta = delta
        super.init(reduction: reduction)
    }

    public override func loss(_ input: Tensor, _ target: Tensor) -> Tensor {
        input.huberLoss(target, delta: delta, reduction: reduction)
    }

    public override var extraDescription: String { "reduction: \(reduction), delta: \(delta)" }
}

/// The negative log-likelihood of counts under Poisson distributions.
/// ``Martlet/Tensor/poissonNLLLoss(_:logInput:full:eps:reduction:)``.
public final class PoissonNLLLoss: Loss {
    public let logInput: Bool
    public let full: Bool
    public let eps: Double

    public init(logInput: Bool = true, full: Bool = false, eps: Double = 1e-8, reduction: Reduction = .mean) {
        self.logInput = logInput
        self.full = full
        self.eps = eps
        super.init(reduction: reduction)
    }

    public override func loss(_ input: Tensor, _ target: Tensor) -> Tensor {
        input.poissonNLLLoss(target, logInput: logInput, full: full, eps: eps, reduction: reduction)
    }

    public override var extraDescription: String { "reduction: \(reduction), logInput: \(logInput), full: \(full)" }
}

/// The negative log-likelihood of targets under normal distributions: `loss(mean, target, variance)`.
/// ``Martlet/Tensor/gaussianNLLLoss(_:variance:full:eps:reduction:)``.
public final class GaussianNLLLoss: Module {
    public let full: Bool
    public let eps: Double
    public let reduction: Reduction

    public init(full: Bool = false, eps: Double = 1e-6, reduction: Reduction = .mean) {
        self.full = full
        self.eps = eps
        self.reduction = reduction
    }

    public func callAsFunction(_ input: Tensor, _ target: Tensor, _ variance: Tensor) -> Tensor {
        run { input.gaussianNLLLoss(target, variance: variance, full: full, eps: eps, reduction: reduction) }
    }

    public override var extraDescription: String { "reduction: \(reduction), full: \(full), eps: \(eps)" }
}

// MARK: - Embeddings and ranking

/// x where the target is 1, max(0, margin - x) where it is -1.
public final class HingeEmbeddingLoss: Loss {
    public let margin: Double

    public init(margin: Double = 1, reduction: Reduction = .mean) {
        self.margin = margin
        super.init(reduction: reduction)
    }

    public override func loss(_ input: Tensor, _ target: Tensor) -> Tensor {
        input.hingeEmbeddingLoss(target, margin: margin, reduction: reduction)
    }

    public override var extraDescription: String { "reduction: \(reduction), margin: \(margin)" }
}

/// max(0, -target · (a - b) + margin): `loss(a, b, target)`.
public final class MarginRankingLoss: Module {
    public let margin: Double
    public let reduction: Reduction

    public init(margin: Double = 0, reduction: Reduction = .mean) {
        self.margin = margin
        self.reduction = reduction
    }

    public func callAsFunction(_ a: Tensor, _ b: Tensor, _ target: Tensor) -> Tensor {
        run { a.marginRankingLoss(b, target, margin: margin, reduction: reduction) }
    }

    public override var extraDescription: String { "reduction: \(reduction), margin: \(margin)" }
}

/// max(0, d(anchor, positive) - d(anchor, negative) + margin): `loss(anchor, positive, negative)`.
/// ``Martlet/Tensor/tripletMarginLoss(positive:negative:margin:p:eps:swap:reduction:)``.
public final class TripletMarginLoss: Module {
    public let margin: Double
    public let p: Double
    public let eps: Double
    public let swap: Bool
    public let reduction: Reduction

    public init(
        margin: Double = 1, p: Double = 2, eps: Double = 1e-6, swap: Bool = false, reduction: Reduction = .mean
    ) {
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap
        self.reduction = reduction
    }

    public func callAsFunction(_ anchor: Tensor, _ positive: Tensor, _ negative: Tensor) -> Tensor {
        run {
            anchor.tripletMarginLoss(
                positive: positive, negative: negative, margin: margin, p: p, eps: eps, swap: swap,
                reduction: reduction)
        }
    }

    public override var extraDescription: String {
        "reduction: \(reduction), margin: \(margin), p: \(p)" + (swap ? ", swap: true" : "")
    }
}

/// 1 - cos(a, b) where the target is 1, max(0, cos(a, b) - margin) where it is -1: `loss(a, b, target)`.
public final class CosineEmbeddingLoss: Module {
    public let margin: Double
    public let reduction: Reduction

    public init(margin: Double = 0, reduction: Reduction = .mean) {
        self.margin = margin
        self.reduction = reduction
    }

    public func callAsFunction(_ a: Tensor, _ b: Tensor, _ target: Tensor) -> Tensor {
        run { a.cosineEmbeddingLoss(b, target, margin: margin, reduction: reduction) }
    }

    public override var extraDescription: String { "reduction: \(reduction), margin: \(margin)" }
}
