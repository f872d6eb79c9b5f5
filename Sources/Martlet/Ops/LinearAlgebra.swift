// Products and diagonals composed of other ops.

extension Tensor {
    // MARK: products that add

    /// The matrix [M, K] times the vector [K]: [M].
    public func mv(_ vector: Tensor) -> Tensor {
        if rank != 2 || vector.rank != 1 { trap("mv", "a matrix and a vector are needed: \(describe(self, vector))") }
        return matmul(vector)
    }

    /// beta · self + alpha · a @ b for matrices a [M, K] and b [K, N]; this tensor broadcasts to [M, N].
    ///
    /// With `beta` 0 this tensor is not read: what is not finite in it does not matter. Integers need whole factors.
    public func addmm(_ a: Tensor, _ b: Tensor, beta: Double = 1, alpha: Double = 1) -> Tensor {
        if a.rank != 2 || b.rank != 2 { trap("addmm", "two matrices are needed: \(describe(a, b))") }
        return adding("addmm", a.matmul(b), beta, alpha)
    }

    /// beta · self + alpha · a @ b for batches a [B, M, K] and b [B, K, N]; this tensor broadcasts to [B, M, N].
    ///
    /// With `beta` 0 this tensor is not read: what is not finite in it does not matter. Integers need whole factors.
    public func baddbmm(_ a: Tensor, _ b: Tensor, beta: Double = 1, alpha: Double = 1) -> Tensor {
        if a.rank != 3 || b.rank != 3 || a.dims[0] != b.dims[0] {
            trap("baddbmm", "two batches of as many matrices are needed: \(describe(a, b))")
        }
        return adding("baddbmm", a.matmul(b), beta, alpha)
    }

    private func adding(_ op: StaticString, _ product: Tensor, _ beta: Double, _ alpha: Double) -> Tensor {
        if Dims.broadcast(dims, product.dims) != product.dims {
            trap("\(op)", "the shape \(dims.text) does not broadcast to the product's, \(product.dims.text)")
        }
        func scaled(_ x: Tensor, _ factor: Double) -> Tensor {
            if factor == 1 { return x }
            if x.dtype.isFloatingPoint { return x * factor }
            guard let whole = Int(exactly: factor) else {
                trap("\(op)", "\(x.dtype) tensors need whole factors, \(factor) is none")
            }
            return x * whole
        }
        if beta == 0 { return scaled(product, alpha).to(Tensor.resultType(self, product)) }
        return scaled(self, beta) + scaled(product, alpha)
    }

    // MARK: diagonals

    /// The sum of a matrix's diagonal: a scalar.
    public func trace() -> Tensor {
        if rank != 2 { trap("trace", "a matrix is needed, the shape is \(dims.text)") }
        return diagonal().sum()
    }

    /// A vector [n] becomes a matrix with it on the diagonal `offset` above the main one, [n + |offset|, n + |offset|];
    /// of a matrix a copy of that diagonal is taken.
    public func diag(_ offset: Int = 0) -> Tensor {
        switch rank {
        case 1: return diagEmbed(offset)
        case 2: return diagonal(offset).clone()
        default: trap("diag", "a vector or a matrix is needed, the shape is \(dims.text)")
        }
    }

    /// Square matrices with the last dimension on the diagonal `offset` above the main one (below for negative ones)
    /// and zeros elsewhere: [..., n] gives [..., n + |offset|, n + |offset|].
    public func diagEmbed(_ offset: Int = 0) -> Tensor {
        if rank == 0 { trap("diagEmbed", "at least one dimension is needed") }
        let size = sizeSum(dims[rank - 1], Int(clamping: offset.magnitude), "diagEmbed")
        var whole = dims
        whole[rank - 1] = size
        whole.append(size)
        _ = whole.byteCount(of: dtype, "diagEmbed")
        var strides = whole.contiguousStrides
        strides.remove(at: rank)
        strides[rank - 1] = size + 1
        let start = offset >= 0 ? offset : -offset * size
        let geometry = ViewGeometry(dims: dims, strides: strides, offset: count == 0 ? 0 : start)
        let out = noGrad { detach().scatteredStrided(geometry, into: whole) }
        out.record("diagEmbed", self) { _ in { ctx, g in ctx.give(0, g.stridedView(geometry)) } }
        return out
    }

    // MARK: products of whole tensors

    /// The sum of products over the last `count` dimensions of this tensor and the first `count` of `other`.
    public func tensordot(_ other: Tensor, dims count: Int = 2) -> Tensor {
        if count < 0 || count > rank || count > other.rank {
            trap("tensordot", "\(count) dimensions cannot be summed over: \(describe(self, other))")
        }
        return tensordot(other, dims: (Array(rank - count..<rank), Array(0..<count)))
    }

    /// The sum of products over dimensions `dims.0` of this tensor and `dims.1` of `other`, pair by pair: the remaining
    /// dimensions of this one, then those of `other`.
    public func tensordot(_ other: Tensor, dims pairs: ([Int], [Int])) -> Tensor {
        if pairs.0.count != pairs.1.count {
            trap("tensordot", "\(pairs.0.count) dimensions do not pair with \(pairs.1.count)")
        }
        _ = normalizeSet(pairs.0, "tensordot")
        _ = other.normalizeSet(pairs.1, "tensordot")
        let left = pairs.0.map { normalize($0, "tensordot") }
        let right = pairs.1.map { other.normalize($0, "tensordot") }
        for (a, b) in zip(left, right) where dims[a] != other.dims[b] {
            trap(
                "tensordot",
                "dimension \(a) of the first and \(b) of the second differ: \(describe(self, other)): \(dims[a]) != "
                    + "\(other.dims[b])")
        }
        let restLeft = (0..<rank).filter { !left.contains($0) }
        let restRight = (0..<other.rank).filter { !right.contains($0) }
        let rows = restLeft.map { dims[$0] }
        let columns = restRight.map { other.dims[$0] }
        let inner = left.reduce(1) { $0 * dims[$1] }
        let a = permute(restLeft + left).reshape([rows.reduce(1, *), inner])
        let b = other.permute(right + restRight).reshape([inner, columns.reduce(1, *)])
        return a.matmul(b).reshape(rows + columns)
    }

    /// The Kronecker product: blocks of `other` multiplied by each element of this tensor. Size i of the result is the
    /// product of both sizes i; the smaller rank is filled up with leading ones.
    public func kron(_ other: Tensor) -> Tensor {
        let n = Swift.max(rank, other.rank)
        if 2 * n > Dims.maximum { trap("kron", "at most \(Dims.maximum / 2) dimensions: \(describe(self, other))") }
        let a = [Int](repeating: 1, count: n - rank) + shape
        let b = [Int](repeating: 1, count: n - other.rank) + other.shape
        let spread = reshape(a.flatMap { [$0, 1] }) * other.reshape(b.flatMap { [1, $0] })
        return spread.reshape(zip(a, b).map(*))
    }

    /// The vector product along `dim`, of size 3 in both; the other dimensions broadcast.
    public func cross(_ other: Tensor, dim: Int = -1) -> Tensor {
        let (x, y) = Tensor.promoted(self, other)
        let shape = Tensor.broadcastDims("cross", x, y)
        let (a, b) = (x.expanded(shape), y.expanded(shape))
        let d = a.normalize(dim, "cross")
        if x.rank != y.rank || x.dims[d] != 3 || y.dims[d] != 3 {
            trap("cross", "dimension \(dim) must have size 3 in both, of one rank: \(describe(self, other))")
        }
        let (next, last) = (Tensor([1, 2, 0]), Tensor([2, 0, 1]))
        return a.indexSelect(d, next) * b.indexSelect(d, last) - a.indexSelect(d, last) * b.indexSelect(d, next)
    }
}
