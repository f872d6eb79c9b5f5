public import Martlet

/// The cosine of the angle between vectors along `dim`: `similarity(a, b)`. The default is the last dimension.
public final class CosineSimilarity: Module {
    public let dim: Int
    public let eps: Double

    /// - Parameter eps: the least length that vectors are divided by.
    public init(dim: Int = -1, eps: Double = 1e-8) {
        self.dim = dim
        self.eps = eps
    }

    public func callAsFunction(_ a: Tensor, _ b: Tensor) -> Tensor { run { a.cosineSimilarity(b, dim: dim, eps: eps) } }

    public override var extraDescription: String { "dim: \(dim), eps: \(eps)" }
}

/// The p-norm of a - b + eps along the last dimension: `distance(a, b)`.
public final class PairwiseDistance: Module {
    public let p: Double
    public let eps: Double
    public let keepDim: Bool

    public init(p: Double = 2, eps: Double = 1e-6, keepDim: Bool = false) {
        self.p = p
        self.eps = eps
        self.keepDim = keepDim
    }

    public func callAsFunction(_ a: Tensor, _ b: Tensor) -> Tensor {
        run { a.pairwiseDistance(b, p: p, eps: eps, keepDim: keepDim) }
    }

    public override var extraDescription: String { "p: \(p), eps: \(eps)" + (keepDim ? ", keepDim: true" : "") }
}
