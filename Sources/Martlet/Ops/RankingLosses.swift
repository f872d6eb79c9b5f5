// Losses of distances and orders, for embeddings and ranking.

extension Tensor {
    /// x where the target is 1, max(0, margin - x) where it is -1: of distances x that are to be small or large.
    public func hingeEmbeddingLoss(_ target: Tensor, margin: Double = 1, reduction: Reduction = .mean) -> Tensor {
        let zero = Tensor.zeros(Dims(), dtype)
        return reduction(
            Tensor.select(target .!= 1, (margin - self).relu(), zero) + Tensor.select(target .!= -1, self, zero))
    }

    /// max(0, -target · (self - other) + margin): a target 1 asks for self above other, -1 for the opposite. All three
    /// broadcast.
    public func marginRankingLoss(
        _ other: Tensor, _ target: Tensor, margin: Double = 0, reduction: Reduction = .mean
    ) -> Tensor {
        reduction((target * (other - self) + margin).relu())
    }

    /// max(0, d(self, positive) - d(self, negative) + margin), d the distance of vectors in the last dimension
    /// (``pairwiseDistance(_:p:eps:keepDim:)``). Vectors [..., D] give losses [...].
    ///
    /// - Parameter swap: takes d(positive, negative) in place of d(self, negative) where it is smaller.
    public func tripletMarginLoss(
        positive: Tensor, negative: Tensor, margin: Double = 1, p: Double = 2, eps: Double = 1e-6, swap: Bool = false,
        reduction: Reduction = .mean
    ) -> Tensor {
        let near = pairwiseDistance(positive, p: p, eps: eps)
        var far = pairwiseDistance(negative, p: p, eps: eps)
        if swap { far = far.minimum(positive.pairwiseDistance(negative, p: p, eps: eps)) }
        return reduction((near - far + margin).relu())
    }

    /// 1 - cos(self, other) where the target is 1, max(0, cos(self, other) - margin) where it is -1. Vectors [..., D]
    /// and targets [...] give losses [...].
    public func cosineEmbeddingLoss(
        _ other: Tensor, _ target: Tensor, margin: Double = 0, reduction: Reduction = .mean
    ) -> Tensor {
        let cosine = cosineSimilarity(other, dim: -1)
        let zero = Tensor.zeros(Dims(), cosine.dtype)
        return reduction(
            Tensor.select(target .== 1, 1 - cosine, zero)
                + Tensor.select(target .== -1, (cosine - margin).relu(), zero))
    }
}

// MARK: - Likelihoods

extension Tensor {
    /// The negative log-likelihood of targets under normal distributions of these means:
    /// (log variance + (self - target)² / variance) / 2.
    ///
    /// - Parameters:
    ///   - variance: of the mean's shape, or broadcasting to it; may not be negative.
    ///   - full: adds the constant log(2π) / 2.
    ///   - eps: the least variance computed with. It does not stop the variance's gradient.
    public func gaussianNLLLoss(
        _ target: Tensor, variance: Tensor, full: Bool = false, eps: Double = 1e-6, reduction: Reduction = .mean
    ) -> Tensor {
        if !(eps > 0) { trap("gaussianNLLLoss", "eps must be positive, it is \(eps)") }
        if (variance .< 0).any().item() != 0 { trap("gaussianNLLLoss", "a variance may not be negative") }
        let v = variance.clone()
        noGrad { _ = v.clampInPlace(min: eps) }
        let loss = (v.log() + (self - target).square() / v) * 0.5
        return reduction(full ? loss + 0.9189385332046727 : loss)
    }

    /// The negative log-likelihood of counts under Poisson distributions without the constant log(target!):
    /// exp(self) - target · self for logarithms of rates, self - target · log(self + eps) for rates.
    ///
    /// - Parameters:
    ///   - logInput: whether this tensor holds logarithms of rates.
    ///   - full: adds Stirling's approximation of log(target!) for targets above 1.
    public func poissonNLLLoss(
        _ target: Tensor, logInput: Bool = true, full: Bool = false, eps: Double = 1e-8, reduction: Reduction = .mean
    ) -> Tensor {
        let loss = logInput ? exp() - target * self : self - target * (self + eps).log()
        if !full { return reduction(loss) }
        let isLarge = target .> 1
        // The logarithm sees no target below 1: its gradient there would be infinite times zero.
        let t = Tensor.select(isLarge, target, Tensor.full(Dims(), 1, target.dtype))
        let stirling = t * t.log() - t + (t * (2 * Double.pi)).log() * 0.5
        return reduction(loss + Tensor.select(isLarge, stirling, Tensor.zeros(Dims(), stirling.dtype)))
    }
}
