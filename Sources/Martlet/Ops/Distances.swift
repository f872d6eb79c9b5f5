// Lengths of vectors and distances between them.

extension Tensor {
    /// x / max(‖x‖, eps), ‖x‖ the p-norm along `dim`: vectors of length 1. PyTorch's `F.normalize`, whose default is
    /// dimension 1.
    public func normalize(p: Double = 2, dim: Int = -1, eps: Double = 1e-12) -> Tensor {
        let d = normalize(dim, "normalize")
        return self / norm(p, dims: [d], keepDim: true).clamp(min: eps)
    }

    /// The p-norm of a - b + eps along the last dimension; the operands broadcast.
    ///
    /// `eps` keeps the gradient finite where both are equal.
    public func pairwiseDistance(_ other: Tensor, p: Double = 2, eps: Double = 1e-6, keepDim: Bool = false) -> Tensor {
        let difference = self - other + eps
        if difference.rank == 0 { trap("pairwiseDistance", "vectors are needed, not scalars") }
        return difference.norm(p, dims: [-1], keepDim: keepDim)
    }

    /// The p-distance of every row of this tensor to every row of `other`: [..., P, M] and [..., R, M] give
    /// [..., P, R]; leading dimensions broadcast. The gradient of a distance 0 is 0.
    ///
    /// For `p` 2 memory beyond the result is small; for others, where gradients are required, all P · R · M differences
    /// are kept.
    public func cdist(_ other: Tensor, p: Double = 2) -> Tensor {
        let (a, b) = Tensor.promoted(self, other, float: true)
        if a.rank < 2 || b.rank < 2 || a.dims[a.rank - 1] != b.dims[b.rank - 1] {
            trap("cdist", "two matrices (or batches) with rows of one length are needed: \(describe(self, other))")
        }
        if !(p >= 0) { trap("cdist", "p must not be negative, it is \(p)") }
        guard let batch = Dims.broadcast(Dims(a.dims.dropLast(2)), Dims(b.dims.dropLast(2))) else {
            trap("cdist", "batch dimensions do not broadcast: \(describe(self, other))")
        }
        let (rows, columns, width) = (a.dims[a.rank - 2], b.dims[b.rank - 2], a.dims[a.rank - 1])
        let shape = batch.array + [rows, columns]
        if shape.contains(0) || width == 0 {
            // Zero everywhere, with a history like that of any other result.
            return (a.sum(dims: [-1]).unsqueeze(-1) + b.sum(dims: [-1]).unsqueeze(-2)) * 0
        }
        let x = a.expand(batch.array + a.shape.suffix(2))
        let y = b.expand(batch.array + b.shape.suffix(2))
        if p == 2 { return x.euclideanDistances(y) }
        if isGradEnabled && (x.requiresGrad || y.requiresGrad) { return x.differences(y).norm(p, dims: [-1]) }
        return x.distancesInParts(y, p)
    }

    private func differences(_ other: Tensor) -> Tensor { unsqueeze(-2) - other.unsqueeze(-3) }

    /// ``differences(_:)`` in parts that stay small, reduced at once.
    private func distancesInParts(_ other: Tensor, _ p: Double) -> Tensor {
        noGrad {
            let rows = dims[rank - 2]
            let perRow = Swift.max(1, count / rows * other.dims[rank - 2])
            let parts = detach().split(Swift.max(1, (1 << 20) / perRow), dim: rank - 2)
            return Tensor.cat(parts.map { $0.differences(other.detach()).norm(p, dims: [-1]) }, dim: rank - 2)
        }
    }

    private func euclideanDistances(_ other: Tensor) -> Tensor {
        let out = distancesInParts(other, 2)
        out.record("cdist", self, other) { node in
            node.save(self)
            node.save(other)
            node.saveOutput(out)
            return { ctx, g in
                let (x, y, d) = (ctx[0], ctx[1], ctx[2])
                // Σ_j g_ij (x_i - y_j) / d_ij in products: no difference is made again.
                let isZero = d .== 0
                let w = Tensor.select(
                    isZero, Tensor.zeros(Dims(), d.dtype),
                    g / Tensor.select(isZero, Tensor.full(Dims(), 1, d.dtype), d))
                ctx.give(0, x * w.sum(dim: -1, keepDim: true) - w.matmul(y))
                ctx.give(1, y * w.sum(dim: -2).unsqueeze(-1) - w.T.matmul(x))
            }
        }
        return out
    }
}
