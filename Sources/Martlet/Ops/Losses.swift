// Losses.
internal import CMartletKernels

/// How the losses of single elements become the result.
public enum Reduction: String, Sendable {
    /// One loss an element.
    case none
    /// Their mean.
    case mean
    /// Their sum.
    case sum
    /// Their sum divided by the size of the first dimension.
    case batchMean

    func callAsFunction(_ losses: Tensor) -> Tensor {
        switch self {
        case .none: losses
        case .mean: losses.mean()
        case .sum: losses.sum()
        case .batchMean: losses.sum() / Double(losses.rank == 0 ? 1 : losses.size(0))
        }
    }
}

extension Tensor {
    /// Softmax cross-entropy of logits [..., V] with targets (integers) [...].
    ///
    /// - Parameters:
    ///   - ignoreIndex: targets of this value cost nothing and do not count in the mean.
    ///   - labelSmoothing: the share of the target spread evenly over all classes.
    ///   - zLoss: adds zLoss * log²Z by element, Z the softmax denominator (PaLM, section 5).
    ///   - logitScale: multiplies the logits first.
    ///   - weight: a weight [V] of each class, for rare ones: multiplies what the target's class costs, and the mean is
    ///     divided by the weights of the targets.
    /// - Returns: a scalar, or the losses [...] with `reduction: .none`, in float32 (float64 for float64).
    public func crossEntropy(
        _ targets: Tensor, ignoreIndex: Int = -100, labelSmoothing: Double = 0, zLoss: Double = 0,
        logitScale: Double = 1, weight: Tensor? = nil, reduction: Reduction = .mean
    ) -> Tensor {
        let op: StaticString = "crossEntropy"
        if rank == 0 || targets.rank != rank - 1 || Dims(shape.dropLast()) != targets.dims {
            trap("\(op)", "logits [..., classes] need targets [...]: \(describe(self, targets))")
        }
        if !dtype.isFloatingPoint { trap("\(op)", "logits must be floating-point, they are \(dtype)") }
        let classes = dims[rank - 1]
        let index = targets.indexTensor(op).reshape([-1]).contiguous()
        Tensor.checkTargets(op, index, classes, ignoreIndex)
        let rows = reshape([index.count, classes]).withContiguousRows
        if let weight {
            let weights = ClassWeights(weight.to(dtype.accumulator), op, index, classes, ignoreIndex)
            let losses = rows.weightedCrossEntropy(index, weights, ignoreIndex, labelSmoothing, zLoss, logitScale)
            return reduction == .mean ? weights.mean(losses) : reduction(losses.reshape(targets.dims))
        }
        let losses = rows.rowCrossEntropy(index, ignoreIndex, labelSmoothing, zLoss, logitScale)
        switch reduction {
        case .none, .sum, .batchMean: return reduction(losses.reshape(targets.dims))
        case .mean:
            let n = Swift.max(1, Int((index .!= Double(ignoreIndex)).sum().item()))
            return losses.sum() / Double(n)
        }
    }

    /// The element that all of them are, when the strides say so.
    private var commonValue: Double? {
        for i in 0..<dims.count where dims[i] != 1 && strideDims[i] != 0 { return nil }
        return count == 0 ? nil : element(at: offset)
    }

    static func checkTargets(_ op: StaticString, _ index: Tensor, _ classes: Int, _ ignoreIndex: Int) {
        if index.count == 0 { return }
        let wrong = noGrad {
            (index .< 0).logicalOr(index .>= Double(classes)).logicalAnd(index .!= Double(ignoreIndex))
        }
        if wrong.any().item() != 0 {
            let bad = Int(index.maskedSelect(wrong)[0].item())
            trap("\(op)", "target \(bad) is not a class in 0..<\(classes) nor the ignored \(ignoreIndex)")
        }
    }

    private func rowCrossEntropy(
        _ index: Tensor, _ ignoreIndex: Int, _ smoothing: Double, _ zLoss: Double, _ logitScale: Double
    ) -> Tensor {
        let n = index.count
        let type = dtype.accumulator
        let losses = Tensor(uninitialized: Dims([n]), type)
        let statistics = Tensor(uninitialized: Dims([2, n]), type)
        let options = Kernels.CrossEntropyOptions(
            ignoreIndex: ignoreIndex, smoothing: smoothing, zLoss: zLoss, logitScale: logitScale)
        Kernels.crossEntropy(losses, statistics, gradient: nil, self, index, options, scale: 1)
        losses.record("crossEntropy", self) { node in
            node.save(self)
            return { ctx, g in
                let logits = ctx[0]
                if isGradEnabled {
                    ctx.giveComposed(1, g) {
                        $0[0].rowCrossEntropyComposed(index, ignoreIndex, smoothing, zLoss, logitScale)
                    }
                    return
                }
                // One number for all rows, as after a sum or mean, goes into the kernel; gradients by row are
                // multiplied before anything is rounded to half precision.
                let factor = g.commonValue
                let dx = Tensor(uninitialized: logits.dims, factor == nil ? type : logits.dtype)
                Kernels.crossEntropy(nil, statistics, gradient: dx, logits, index, options, scale: factor ?? 1)
                if factor == nil { dx.mulInPlace(g.unsqueeze(1)) }
                ctx.give(0, dx.to(logits.dtype))
            }
        }
        return losses
    }

    private func rowCrossEntropyComposed(
        _ index: Tensor, _ ignoreIndex: Int, _ smoothing: Double, _ zLoss: Double, _ logitScale: Double
    ) -> Tensor {
        let x = to(dtype.accumulator) * logitScale
        let lse = x.logSumExp(dim: -1)
        let kept = index .!= Double(ignoreIndex)
        let safe = Tensor.select(kept, index, Tensor.zeros(like: index))
        var loss = lse - x.gather(1, safe.unsqueeze(1)).squeeze(1)
        if smoothing > 0 { loss = loss * (1 - smoothing) + (lse - x.mean(dim: -1)) * smoothing }
        if zLoss > 0 { loss = loss + lse.square() * zLoss }
        return Tensor.select(kept, loss, Tensor.zeros(like: loss))
    }

    private func weightedCrossEntropy(
        _ index: Tensor, _ weights: ClassWeights, _ ignoreIndex: Int, _ smoothing: Double, _ zLoss: Double,
        _ logitScale: Double
    ) -> Tensor {
        var loss = rowCrossEntropy(index, ignoreIndex, 0, 0, logitScale) * weights.ofTargets
        if smoothing == 0 && zLoss == 0 { return loss }
        let x = to(dtype.accumulator) * logitScale
        let lse = x.logSumExp(dim: -1)
        let w = weights.ofClasses
        let spread = (lse * w.sum() - x.mv(w)) / Double(w.count)
        let rest = spread * smoothing + lse.square() * zLoss
        loss = loss * (1 - smoothing)
        return loss + Tensor.select(weights.kept, rest, Tensor.zeros(Dims(), rest.dtype))
    }

    /// The negative log-likelihood of log-probabilities [..., classes] at targets [...].
    ///
    /// - Parameters:
    ///   - ignoreIndex: targets of this value cost nothing and do not count in the mean.
    ///   - weight: a weight [classes] of each class; the mean is divided by the weights of the targets.
    public func nllLoss(
        _ targets: Tensor, ignoreIndex: Int = -100, weight: Tensor? = nil, reduction: Reduction = .mean
    ) -> Tensor {
        if rank == 0 || Dims(shape.dropLast()) != targets.dims {
            trap("nllLoss", "log-probabilities [..., classes] need targets [...]: \(describe(self, targets))")
        }
        let index = targets.indexTensor("nllLoss")
        Tensor.checkTargets("nllLoss", index.reshape([-1]), dims[rank - 1], ignoreIndex)
        let kept = index .!= Double(ignoreIndex)
        let safe = Tensor.select(kept, index, Tensor.zeros(like: index))
        let picked = -gather(-1, safe.unsqueeze(-1)).squeeze(-1)
        let losses = Tensor.select(kept, picked, Tensor.zeros(like: picked))
        if let weight {
            let weights = ClassWeights(weight.to(dtype), "nllLoss", index, dims[rank - 1], ignoreIndex)
            let weighted = losses * weights.ofTargets
            return reduction == .mean ? weights.mean(weighted) : reduction(weighted)
        }
        if reduction == .mean { return losses.sum() / Swift.max(1, kept.sum().item()) }
        return reduction(losses)
    }

    /// (x - target)².
    public func mseLoss(_ target: Tensor, reduction: Reduction = .mean) -> Tensor {
        reduction((self - target).square())
    }

    /// |x - target|.
    public func l1Loss(_ target: Tensor, reduction: Reduction = .mean) -> Tensor { reduction((self - target).abs()) }

    /// Quadratic within `delta` of the target, linear beyond.
    public func huberLoss(_ target: Tensor, delta: Double = 1, reduction: Reduction = .mean) -> Tensor {
        let d = (self - target).abs()
        return reduction(Tensor.select(d .<= delta, d.square() * 0.5, (d - delta * 0.5) * delta))
    }

    /// Huber's loss divided by `beta`: as PyTorch's `smooth_l1_loss`.
    public func smoothL1Loss(_ target: Tensor, beta: Double = 1, reduction: Reduction = .mean) -> Tensor {
        beta == 0 ? l1Loss(target, reduction: reduction) : huberLoss(target, delta: beta, reduction: reduction) / beta
    }

    /// -(t log p + (1 - t) log(1 - p)) for probabilities; logarithms are bounded below by -100, as in PyTorch.
    public func binaryCrossEntropy(_ target: Tensor, reduction: Reduction = .mean) -> Tensor {
        reduction(-(target * log().clamp(min: -100) + (1 - target) * (1 - self).log().clamp(min: -100)))
    }

    /// Binary cross-entropy of logits, without over- or underflow.
    ///
    /// - Parameter posWeight: multiplies the cost of targets 1, for rare classes; broadcasts.
    public func binaryCrossEntropyWithLogits(
        _ target: Tensor, posWeight: Tensor? = nil, reduction: Reduction = .mean
    ) -> Tensor {
        guard let posWeight else { return reduction((1 - target) * self - logSigmoid()) }
        return reduction((1 - target) * self - (1 + (posWeight - 1) * target) * logSigmoid())
    }

    /// Kullback-Leibler divergence t (log t - x) of log-probabilities x from probabilities t, 0 where t is 0.
    ///
    /// - Parameter logTarget: the target holds log-probabilities.
    public func klDivergence(_ target: Tensor, logTarget: Bool = false, reduction: Reduction = .mean) -> Tensor {
        if logTarget { return reduction(target.exp() * (target - self)) }
        let positive = target .> 0
        let one = Tensor.full(Dims(), 1, target.dtype)
        let entropy = target * Tensor.select(positive, target, one).log()
        return reduction(entropy - target * self)
    }

    /// a · b / (max(|a|, eps) max(|b|, eps)) along `dim`.
    public func cosineSimilarity(_ other: Tensor, dim: Int = -1, eps: Double = 1e-8) -> Tensor {
        let (x, y) = Tensor.promoted(self, other, float: true)
        let shape = Tensor.broadcastDims("cosineSimilarity", x, y)
        let (a, b) = (x.expanded(shape), y.expanded(shape))
        let norms = a.norm(dims: [dim]).clamp(min: eps) * b.norm(dims: [dim]).clamp(min: eps)
        return (a * b).sum(dim: dim) / norms
    }
}

/// Weights of classes, and of the classes of targets: 0 for ignored ones.
private struct ClassWeights {
    let ofClasses: Tensor
    let ofTargets: Tensor
    let kept: Tensor

    init(_ weight: Tensor, _ op: StaticString, _ index: Tensor, _ classes: Int, _ ignoreIndex: Int) {
        if weight.shape != [classes] {
            trap("\(op)", "a weight [\(classes)] is needed, one for each class: \(describe(weight))")
        }
        ofClasses = weight
        kept = (index .!= ignoreIndex)
        let safe = Tensor.select(kept, index, Tensor.zeros(like: index))
        ofTargets = Tensor.select(kept, weight.take(safe), Tensor.zeros(Dims(), weight.dtype))
    }

    func mean(_ losses: Tensor) -> Tensor {
        let total = ofTargets.sum()
        // Without any target that counts the mean is 0, as without weights.
        return losses.sum() / (kept.any().item() == 0 ? total + 1 : total)
    }
}
