// Activations as modules, for ``Sequential``; in a `forward` of one's own the tensor's methods are shorter.
public import Martlet

/// max(0, x).
public final class ReLU: Module {
    public override init() {}
    public override func forward(_ x: Tensor) -> Tensor { x.relu() }
}

/// x for x > 0, else slope · x.
public final class LeakyReLU: Module {
    public let slope: Double
    public init(_ slope: Double = 0.01) { self.slope = slope }
    public override func forward(_ x: Tensor) -> Tensor { x.leakyRelu(slope) }
    public override var extraDescription: String { "slope: \(slope)" }
}

/// x for x > 0, else alpha · (exp(x) - 1).
public final class ELU: Module {
    public let alpha: Double
    public init(_ alpha: Double = 1) { self.alpha = alpha }
    public override func forward(_ x: Tensor) -> Tensor { x.elu(alpha) }
    public override var extraDescription: String { "alpha: \(alpha)" }
}

/// x · Φ(x), exactly or by its tanh approximation.
public final class GELU: Module {
    public enum Approximation: String, Sendable { case none, tanh }
    public let approximation: Approximation
    public init(_ approximation: Approximation = .none) { self.approximation = approximation }
    public override func forward(_ x: Tensor) -> Tensor { approximation == .none ? x.gelu() : x.geluTanh() }
    public override var extraDescription: String { "approximation: \(approximation)" }
}

/// x · sigmoid(x), also called Swish.
public final class SiLU: Module {
    public override init() {}
    public override func forward(_ x: Tensor) -> Tensor { x.silu() }
}

public final class Tanh: Module {
    public override init() {}
    public override func forward(_ x: Tensor) -> Tensor { x.tanh() }
}

public final class Sigmoid: Module {
    public override init() {}
    public override func forward(_ x: Tensor) -> Tensor { x.sigmoid() }
}

/// log(1 + exp(x)).
public final class Softplus: Module {
    public override init() {}
    public override func forward(_ x: Tensor) -> Tensor { x.softplus() }
}

/// log(sigmoid(x)).
public final class LogSigmoid: Module {
    public override init() {}
    public override func forward(_ x: Tensor) -> Tensor { x.logSigmoid() }
}

/// The self-normalising elu.
public final class SELU: Module {
    public override init() {}
    public override func forward(_ x: Tensor) -> Tensor { x.selu() }
}

/// x · tanh(softplus(x)).
public final class Mish: Module {
    public override init() {}
    public override func forward(_ x: Tensor) -> Tensor { x.mish() }
}

/// x · hardsigmoid(x).
public final class Hardswish: Module {
    public override init() {}
    public override func forward(_ x: Tensor) -> Tensor { x.hardswish() }
}

/// 0 up to -3, 1 from 3, a straight line between.
public final class Hardsigmoid: Module {
    public override init() {}
    public override func forward(_ x: Tensor) -> Tensor { x.hardsigmoid() }
}

/// x limited to [0, 6].
public final class ReLU6: Module {
    public override init() {}
    public override func forward(_ x: Tensor) -> Tensor { x.relu6() }
}

/// x / (1 + |x|).
public final class Softsign: Module {
    public override init() {}
    public override func forward(_ x: Tensor) -> Tensor { x.softsign() }
}

/// x for x > 0, else alpha · (exp(x / alpha) - 1).
public final class CELU: Module {
    public let alpha: Double
    public init(_ alpha: Double = 1) { self.alpha = alpha }
    public override func forward(_ x: Tensor) -> Tensor { x.celu(alpha) }
    public override var extraDescription: String { "alpha: \(alpha)" }
}

/// x limited to [min, max].
public final class Hardtanh: Module {
    public let min: Double
    public let max: Double
    public init(min: Double = -1, max: Double = 1) {
        self.min = min
        self.max = max
    }
    public override func forward(_ x: Tensor) -> Tensor { x.hardtanh(min: min, max: max) }
    public override var extraDescription: String { "min: \(min), max: \(max)" }
}

/// x for x > 0, else weight · x with a learned weight.
public final class PReLU: Module {
    /// [count], starts as `initial`.
    public let weight: Parameter

    /// - Parameter count: 1 slope for all, or one for each channel (index of dimension 1).
    public init(_ count: Int = 1, initial: Double = 0.25, dtype: DType = .float32) {
        if count < 1 { trap("PReLU", "at least one slope is needed, not \(count)") }
        weight = Parameter(Tensor.full([count], initial, dtype: dtype))
    }

    public override func forward(_ x: Tensor) -> Tensor { x.prelu(weight) }
    public override var extraDescription: String { "\(weight.count)" }
}

/// The first half of dimension `dim` times the sigmoid of the second.
public final class GLU: Module {
    public let dim: Int
    public init(dim: Int = -1) { self.dim = dim }
    public override func forward(_ x: Tensor) -> Tensor { x.glu(dim: dim) }
    public override var extraDescription: String { "dim: \(dim)" }
}

/// x where above `threshold`, `value` elsewhere.
public final class Threshold: Module {
    public let threshold: Double
    public let value: Double
    public init(_ threshold: Double, _ value: Double) {
        self.threshold = threshold
        self.value = value
    }
    public override func forward(_ x: Tensor) -> Tensor { x.threshold(threshold, value) }
    public override var extraDescription: String { "threshold: \(threshold), value: \(value)" }
}

public final class Softmax: Module {
    public let dim: Int
    public init(dim: Int = -1) { self.dim = dim }
    public override func forward(_ x: Tensor) -> Tensor { x.softmax(dim: dim) }
    public override var extraDescription: String { "dim: \(dim)" }
}

/// The softmax of -x.
public final class Softmin: Module {
    public let dim: Int
    public init(dim: Int = -1) { self.dim = dim }
    public override func forward(_ x: Tensor) -> Tensor { x.softmin(dim: dim) }
    public override var extraDescription: String { "dim: \(dim)" }
}

public final class LogSoftmax: Module {
    public let dim: Int
    public init(dim: Int = -1) { self.dim = dim }
    public override func forward(_ x: Tensor) -> Tensor { x.logSoftmax(dim: dim) }
    public override var extraDescription: String { "dim: \(dim)" }
}

/// The input as it is.
public final class Identity: Module {
    public override init() {}
    public override func forward(_ x: Tensor) -> Tensor { x }
}

/// Dimensions `start` ... `end` made one; all but the first unless given.
public final class Flatten: Module {
    public let start: Int
    public let end: Int
    public init(_ start: Int = 1, _ end: Int = -1) {
        self.start = start
        self.end = end
    }
    public override func forward(_ x: Tensor) -> Tensor { x.flatten(start, end) }
    public override var extraDescription: String { "start: \(start), end: \(end)" }
}
