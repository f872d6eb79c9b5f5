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

public final class Softmax: Module {
    public let dim: Int
    public init(dim: Int = -1) { self.dim = dim }
    public override func forward(_ x: Tensor) -> Tensor { x.softmax(dim: dim) }
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
