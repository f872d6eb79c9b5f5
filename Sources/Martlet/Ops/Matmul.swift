// Matrix products.
internal import CMartletKernels

extension Tensor {
    /// The descriptor of a matrix or a batch of them, as a batch; no other tensor is made on the way.
    @inline(__always)
    func matrixDescriptor(transposed: Bool = false) -> mk_tensor {
        var d = descriptor()
        if d.rank == 2 {
            (d.shape.2, d.shape.1, d.shape.0) = (d.shape.1, d.shape.0, 1)
            (d.strides.2, d.strides.1, d.strides.0) = (d.strides.1, d.strides.0, d.shape.1 &* d.shape.2)
            d.rank = 3
        }
        if transposed {
            (d.shape.1, d.shape.2) = (d.shape.2, d.shape.1)
            (d.strides.1, d.strides.2) = (d.strides.2, d.strides.1)
        }
        return d
    }

    /// The descriptor as one matrix: all dimensions but the last are rows. Of ``matrixOfRows``.
    @inline(__always)
    func rowsDescriptor(transposed: Bool = false) -> mk_tensor {
        if rank == 2 { return matrixDescriptor(transposed: transposed) }
        var d = descriptor()
        let columns = Int64(dims[rank - 1])
        let rows = Int64(rowCount)
        d.rank = 3
        (d.shape.0, d.shape.1, d.shape.2) = (1, transposed ? columns : rows, transposed ? rows : columns)
        (d.strides.0, d.strides.1, d.strides.2) = (rows &* columns, transposed ? 1 : columns, transposed ? columns : 1)
        return d
    }

    /// These elements so that ``rowsDescriptor(transposed:)`` holds.
    var matrixOfRows: Tensor {
        if rank == 2 { return readable }
        return isContiguous ? self : noGrad { detach().reshape([rowCount, dims[rank - 1]]).readable }
    }

    /// Whether rows or columns of the last two dimensions lie one element apart, as the product kernels need.
    private var isMatrixReadable: Bool {
        let m = dims.count - 2
        if dims[m] <= 1 || dims[m + 1] <= 1 { return true }
        return (strideDims[m + 1] == 1 && strideDims[m] >= dims[m + 1])
            || (strideDims[m] == 1 && strideDims[m + 1] >= dims[m])
    }

    /// The product of all sizes but the last; unlike a quotient of counts, it is known where the last is 0.
    var rowCount: Int { dims.dropLast().reduce(1, *) }

    var readable: Tensor { isMatrixReadable ? self : noGrad { detach().contiguous() } }

    /// [B, M, K] x [B, K, N] or [M, K] x [K, N] without recording or checks; an operand's last two dimensions are
    /// swapped where asked for.
    static func product(
        _ a: Tensor, _ b: Tensor, transposeA: Bool = false, transposeB: Bool = false, into type: DType? = nil
    ) -> Tensor {
        let last = a.dims.count - 1
        var shape = a.dims
        if transposeA { shape[last - 1] = a.dims[last] }
        shape[last] = b.dims[transposeB ? last - 1 : last]
        let out = Tensor(uninitialized: shape, type ?? a.dtype, "matmul")
        Kernels.matmul(out, a.readable, b.readable, transposeA: transposeA, transposeB: transposeB)
        return out
    }

    private static func checkInner(_ a: Tensor, _ b: Tensor, _ op: StaticString) {
        let k = a.dims[a.rank - 1]
        let l = b.dims[Swift.max(0, b.rank - 2)]
        if k != l { trap("\(op)", "inner dimensions differ: \(describe(a, b)): \(k) != \(l)") }
    }

    /// A recorded product of matrices or of batches of equal size.
    private static func recordedProduct(_ a: Tensor, _ b: Tensor) -> Tensor {
        let out = product(a, b)
        out.record("matmul", a, b) { node in
            node.save(a)
            node.save(b)
            return { ctx, g in
                if isGradEnabled {
                    ctx.give(0, Tensor.recordedProduct(g, ctx[1].T))
                    ctx.give(1, Tensor.recordedProduct(ctx[0].T, g))
                    return
                }
                // An operand that is not needed may have been overwritten.
                let g = g.readable
                let (row, column) = (g.rank - 2, g.rank - 1)
                if ctx.needs(0) {
                    let b = ctx[1].readable
                    var shape = g.dims
                    shape[column] = b.dims[row]
                    ctx.give(0, shape, b.dtype) { Kernels.matmul($0, g, b, transposeB: true, accumulate: $1) }
                }
                if ctx.needs(1) {
                    let a = ctx[0].readable
                    var shape = g.dims
                    shape[row] = a.dims[column]
                    ctx.give(1, shape, a.dtype) { Kernels.matmul($0, a, g, transposeA: true, accumulate: $1) }
                }
            }
        }
        return out
    }

    /// The matrix product, as PyTorch's `matmul`: vectors, matrices, and batches that broadcast.
    ///
    /// [K]·[K] → [], [M, K]·[K] → [M], [K]·[K, N] → [N], [..., M, K]·[..., K, N] → [..., M, N].
    public func matmul(_ other: Tensor) -> Tensor {
        if rank == 0 || other.rank == 0 {
            trap("matmul", "scalars have no matrix product (use *): \(describe(self, other))")
        }
        let (a, b) = Tensor.promoted(self, other)
        if a.dtype == .bool { trap("matmul", "bool tensors have no matrix product: convert them first") }
        Tensor.checkInner(a, b, "matmul")
        switch (a.rank, b.rank) {
        case (1, 1):
            return Tensor.recordedProduct(a.unsqueeze(0), b.unsqueeze(1)).reshape(Dims())
        case (1, 2):
            return Tensor.recordedProduct(a.unsqueeze(0), b).squeeze(0)
        case (2, 1):
            return Tensor.recordedProduct(a, b.unsqueeze(1)).squeeze(1)
        case (2, 2):
            return Tensor.recordedProduct(a, b)
        case (1, _):
            return a.unsqueeze(0).matmul(b).squeeze(-2)
        case (_, 1):
            return a.matmul(b.unsqueeze(1)).squeeze(-1)
        case (_, 2):
            // One tall matrix.
            let rows = a.reshape([a.rowCount, a.dims[a.rank - 1]])
            return Tensor.recordedProduct(rows, b).reshape(a.shape.dropLast() + [b.dims[1]])
        default:
            var batchA = a.dims
            var batchB = b.dims
            for _ in 0..<2 {
                batchA.remove(at: batchA.count - 1)
                batchB.remove(at: batchB.count - 1)
            }
            guard let batch = Dims.broadcast(batchA, batchB) else {
                trap("matmul", "batch dimensions do not broadcast: \(describe(self, other))")
            }
            let x = a.expand(batch.array + a.shape.suffix(2)).reshape([batch.product] + a.shape.suffix(2))
            let y = b.expand(batch.array + b.shape.suffix(2)).reshape([batch.product] + b.shape.suffix(2))
            return Tensor.recordedProduct(x, y).reshape(batch.array + [a.dims[a.rank - 2], b.dims[b.rank - 1]])
        }
    }

    /// Matrix product of two matrices.
    public func mm(_ other: Tensor) -> Tensor {
        if rank != 2 || other.rank != 2 { trap("mm", "two matrices are needed: \(describe(self, other))") }
        return matmul(other)
    }

    /// Matrix products of two batches of matrices [B, M, K] x [B, K, N].
    public func bmm(_ other: Tensor) -> Tensor {
        if rank != 3 || other.rank != 3 || dims[0] != other.dims[0] {
            trap("bmm", "two batches of as many matrices are needed: \(describe(self, other))")
        }
        return matmul(other)
    }

    /// The sum of products of two vectors.
    public func dot(_ other: Tensor) -> Tensor {
        if rank != 1 || other.rank != 1 { trap("dot", "two vectors are needed: \(describe(self, other))") }
        return matmul(other)
    }

    /// The products of every pair of elements of two vectors: [M] and [N] give [M, N].
    public func outer(_ other: Tensor) -> Tensor {
        if rank != 1 || other.rank != 1 { trap("outer", "two vectors are needed: \(describe(self, other))") }
        return unsqueeze(1) * other.unsqueeze(0)
    }

    /// x @ weightᵀ + bias: [..., in] with a weight [out, in] gives [..., out].
    public func linear(_ weight: Tensor, _ bias: Tensor? = nil) -> Tensor {
        if weight.rank != 2 || rank == 0 || dims[rank - 1] != weight.dims[1] {
            let what =
                weight.rank == 2 ? "\(rank == 0 ? 0 : dims[rank - 1]) != \(weight.dims[1])" : "the weight is no matrix"
            trap(
                "linear",
                "inner dimensions differ: \(describe(self, weight)): \(what); the input's last dimension must be the "
                    + "weight's second")
        }
        let (x, w) = Tensor.promoted(self, weight)
        let out = Tensor.linearProduct(x, w)
        return bias.map { out + $0 } ?? out
    }

    /// x [..., K] @ wᵀ for a weight [N, K]: [..., N].
    private static func linearProduct(_ x: Tensor, _ w: Tensor) -> Tensor {
        var shape = x.dims
        shape[x.rank - 1] = w.dims[0]
        let out = Tensor(uninitialized: shape, x.dtype, "linear")
        Kernels.matmul(out, x.matrixOfRows, w.readable, transposeB: true, rows: true)
        out.record("linear", x, w) { node in
            node.save(x)
            node.save(w)
            return { ctx, g in
                if isGradEnabled {
                    ctx.give(0, g.matmul(ctx[1]))
                    if ctx.needs(1) {
                        let x = ctx[0]
                        let rows = x.reshape([g.rowCount, x.dims[x.rank - 1]])
                        ctx.give(1, Tensor.recordedProduct(g.reshape([g.rowCount, g.dims[g.rank - 1]]).T, rows))
                    }
                    return
                }
                let matrix = g.matrixOfRows
                // The weight's first: the input may have to be computed again, and is then free for the other.
                if ctx.needs(1) { ctx.giveWeight(matrix, ctx[0].matrixOfRows) }
                if ctx.needs(0) {
                    let w = ctx[1].readable
                    var shape = g.dims
                    shape[g.rank - 1] = w.dims[1]
                    ctx.give(0, shape, w.dtype) { Kernels.matmul($0, matrix, w, accumulate: $1, rows: true) }
                }
            }
        }
        return out
    }
}

extension BackwardContext {
    /// Input 1 of `linear` its gradient gᵀ @ x; of its own, so that x is gone when it returns.
    fileprivate func giveWeight(_ g: Tensor, _ x: Tensor) {
        let shape = Dims([g.dims[g.rank - 1], x.dims[x.rank - 1]])
        give(1, shape, x.dtype) { Kernels.matmul($0, g, x, transposeA: true, accumulate: $1, rows: true) }
    }
}
