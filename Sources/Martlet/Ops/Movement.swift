// Joining, splitting, padding, repeating, and taking elements by index.
internal import CMartletKernels

extension Tensor {
    /// The tensors one behind the other along `dim`.
    public static func cat(_ tensors: [Tensor], dim: Int = 0) -> Tensor {
        guard let first = tensors.first else { trap("cat", "at least one tensor is needed") }
        let d = first.normalize(dim, "cat")
        var type = first.dtype
        var shape = first.dims
        var total = 0
        for (i, t) in tensors.enumerated() {
            type = DType.promote(type, t.dtype)
            if t.dims.count != first.dims.count {
                trap("cat", "tensor \(i) has the shape \(t.dims.text), tensor 0 \(first.dims.text): the ranks differ")
            }
            for j in 0..<shape.count where j != d && t.dims[j] != first.dims[j] {
                trap(
                    "cat",
                    "tensor \(i) has the shape \(t.dims.text), tensor 0 \(first.dims.text): \(t.dims[j]) != "
                        + "\(first.dims[j]) in "
                        + "dimension \(j)")
            }
            total = sizeSum(total, t.dims[d], "cat")
        }
        shape[d] = total
        let parts = tensors.map { $0.to(type) }
        let out = Tensor(uninitialized: shape, type, "cat")
        var start = 0
        for part in parts {
            let n = part.dims[d]
            if part.count > 0 { Kernels.copy(out.bareSlice(d, start, n), part) }
            start += n
        }
        let sizes = parts.map { $0.dims[d] }
        out.record("cat", parts) { _ in
            { ctx, g in
                var start = 0
                for (i, n) in sizes.enumerated() {
                    ctx.give(i, g.narrow(d, start: start, length: n))
                    start += n
                }
            }
        }
        return out
    }

    /// A slice without history or checks.
    func bareSlice(_ d: Int, _ start: Int, _ n: Int) -> Tensor {
        var newDims = dims
        newDims[d] = n
        return Tensor(
            storage: storage, dims: newDims, strides: strideDims, offset: offset + start * strideDims[d], dtype: dtype,
            contiguous: Tensor.isContiguous(newDims, strideDims))
    }

    /// The tensors, all of one shape, along a new dimension `dim`.
    public static func stack(_ tensors: [Tensor], dim: Int = 0) -> Tensor {
        guard let first = tensors.first else { trap("stack", "at least one tensor is needed") }
        for (i, t) in tensors.enumerated() where t.dims != first.dims {
            trap("stack", "tensor \(i) has the shape \(t.dims.text), tensor 0 \(first.dims.text)")
        }
        let d = dim < 0 ? dim + first.rank + 1 : dim
        return cat(tensors.map { $0.unsqueeze(d) }, dim: d)
    }

    /// Views of `size` indices each along `dim`; the last may be smaller.
    public func split(_ size: Int, dim: Int = 0) -> [Tensor] {
        let d = normalize(dim, "split")
        if size < 1 { trap("split", "the size of a part must be at least 1, it is \(size)") }
        return stride(from: 0, to: dims[d], by: size).map {
            narrow(d, start: $0, length: Swift.min(size, dims[d] - $0))
        }
    }

    /// Views of the given sizes along `dim`.
    public func split(_ sizes: [Int], dim: Int = 0) -> [Tensor] {
        let d = normalize(dim, "split")
        if sizes.reduce(0, +) != dims[d] || sizes.contains(where: { $0 < 0 }) {
            trap("split", "sizes \(sizes) do not add up to \(dims[d]), the size of dimension \(dim) of \(dims.text)")
        }
        var start = 0
        return sizes.map { n in
            defer { start += n }
            return narrow(d, start: start, length: n)
        }
    }

    /// At most `count` views of equal size along `dim`; the last may be smaller.
    public func chunk(_ count: Int, dim: Int = 0) -> [Tensor] {
        let d = normalize(dim, "chunk")
        if count < 1 { trap("chunk", "the number of parts must be at least 1, it is \(count)") }
        return split(Swift.max(1, (dims[d] + count - 1) / count), dim: d)
    }

    /// One view for each index of `dim`, without it.
    public func unbind(_ dim: Int = 0) -> [Tensor] {
        let d = normalize(dim, "unbind")
        return (0..<dims[d]).map { select(d, $0) }
    }

    /// The order of the elements reversed along each of `list`.
    public func flip(_ list: [Int]) -> Tensor {
        var out = self
        for dim in list {
            let d = normalize(dim, "flip")
            out = out.sliced(d, start: Swift.max(0, dims[d] - 1), step: -1, count: dims[d])
        }
        return out.clone()
    }

    /// Elements moved by `shift` along `dim`; those that fall out come in at the other end.
    public func roll(_ shift: Int, dim: Int) -> Tensor {
        let d = normalize(dim, "roll")
        let n = dims[d]
        if n == 0 { return self }
        let s = ((shift % n) + n) % n
        if s == 0 { return clone() }
        return Tensor.cat([narrow(d, start: n - s, length: s), narrow(d, start: 0, length: n - s)], dim: d)
    }

    /// Elements moved by `shifts[i]` along `list[i]`; those that fall out come in at the other end.
    public func roll(_ shifts: [Int], dims list: [Int]) -> Tensor {
        if shifts.count != list.count { trap("roll", "\(shifts.count) shifts for \(list.count) dimensions") }
        return zip(shifts, list).reduce(self) { $0.roll($1.0, dim: $1.1) }
    }

    /// Elements moved by `shift` in row-major order, those that fall out coming in at the other end.
    public func roll(_ shift: Int) -> Tensor { reshape([-1]).roll(shift, dim: 0).reshape(dims) }

    /// The whole tensor repeated along each dimension; further counts in front add dimensions (PyTorch's `tile`,
    /// `repeat`).
    public func tile(_ counts: [Int]) -> Tensor {
        var counts = counts
        while counts.count < rank { counts.insert(1, at: 0) }
        if let bad = counts.first(where: { $0 < 0 }) { trap("tile", "a count may not be negative: \(bad)") }
        let shift = counts.count - rank
        var spread: [Int] = []
        var full: [Int] = []
        var shape: [Int] = []
        for (i, n) in counts.enumerated() {
            let size = i < shift ? 1 : dims[i - shift]
            spread += [1, size]
            full += [n, size]
            shape.append(sizeProduct(n, size, "tile"))
        }
        if spread.count > Dims.maximum {
            // Too many dimensions for one expansion: one at a time.
            var out = reshape(Array(repeating: 1, count: shift) + dims.array)
            for (d, n) in counts.enumerated() where n != 1 {
                out = n == 0 ? out.narrow(d, start: 0, length: 0) : Tensor.cat(Array(repeating: out, count: n), dim: d)
            }
            return out
        }
        return reshape(spread).expand(full).reshape(shape)
    }

    /// Each index of `dim` repeated `count` times in place.
    public func repeatInterleave(_ count: Int, dim: Int) -> Tensor {
        let d = normalize(dim, "repeatInterleave")
        if count < 0 { trap("repeatInterleave", "the count may not be negative: \(count)") }
        var shape = dims.array
        shape.insert(count, at: d + 1)
        return unsqueeze(d + 1).expand(shape).flatten(d, d + 1)
    }

    /// Index i of `dim` repeated `counts[i]` times in place.
    public func repeatInterleave(_ counts: [Int], dim: Int) -> Tensor {
        let d = normalize(dim, "repeatInterleave")
        if counts.count != dims[d] || counts.contains(where: { $0 < 0 }) {
            trap(
                "repeatInterleave",
                "\(dims[d]) counts of at least 0 are needed for dimension \(dim) of \(dims.text), not \(counts)")
        }
        return indexSelect(d, Tensor(counts.enumerated().flatMap { Array(repeating: $0, count: $1) }))
    }

    /// Each element of the flattened tensor repeated `count` times.
    public func repeatInterleave(_ count: Int) -> Tensor { reshape([-1]).repeatInterleave(count, dim: 0) }

    // MARK: - Differences

    /// Each element less the one before it along `dim`, `n` times over: the size falls by n. Of bool, whether they
    /// differ.
    ///
    /// - Parameters:
    ///   - prepend: joined in front along `dim` before differences are taken.
    ///   - append: joined behind.
    public func diff(_ n: Int = 1, dim: Int = -1, prepend: Tensor? = nil, append: Tensor? = nil) -> Tensor {
        let d = normalize(dim, "diff")
        if n < 0 { trap("diff", "the order may not be negative: \(n)") }
        var out = self
        if prepend != nil || append != nil { out = Tensor.cat([prepend, self, append].compactMap { $0 }, dim: d) }
        for _ in 0..<n where out.dims[d] > 0 {
            let length = out.dims[d] - 1
            let (a, b) = (out.narrow(d, start: 1, length: length), out.narrow(d, start: 0, length: length))
            out = out.dtype == .bool ? a.logicalXor(b) : a - b
        }
        return out
    }

    // MARK: - Triangles

    private func triangle(_ name: StaticString, _ diagonal: Int, lower: Bool) -> Tensor {
        if rank < 2 { trap("\(name)", "a matrix is needed, the shape is \(dims.text)") }
        return Tensor.select(
            Tensor.triangleMask(dims[rank - 2], dims[rank - 1], diagonal, lower: lower), self,
            Tensor.zeros(Dims(), dtype))
    }

    static func triangleMask(_ rows: Int, _ columns: Int, _ diagonal: Int, lower: Bool) -> Tensor {
        let i = Tensor.arange(rows).unsqueeze(1) + diagonal
        let j = Tensor.arange(columns).unsqueeze(0)
        return lower ? j .<= i : j .>= i
    }

    /// The elements on and below a diagonal; zeros above.
    public func tril(_ diagonal: Int = 0) -> Tensor { triangle("tril", diagonal, lower: true) }
    /// The elements on and above a diagonal; zeros below.
    public func triu(_ diagonal: Int = 0) -> Tensor { triangle("triu", diagonal, lower: false) }

    // MARK: - By index

    @inline(__always)
    func indexTensor(_ op: StaticString) -> Tensor {
        if dtype == .int64 { return self }
        if !dtype.isInteger { trap("\(op)", "indices must be integers, they are \(dtype)") }
        return to(.int64)
    }

    /// out[i][j][k] = self[index[i][j][k]][j][k] for dim 0, and so on.
    public func gather(_ dim: Int, _ index: Tensor) -> Tensor {
        let d = normalize(dim, "gather")
        let index = index.indexTensor("gather")
        checkIndexShape("gather", index, d)
        let out = Tensor(uninitialized: index.dims, dtype, "gather")
        Kernels.gather("gather", out, self, index, d)
        let whole = dims
        out.record("gather", self) { node in
            node.save(index)
            return { ctx, g in ctx.give(0, Tensor.zeros(whole, g.dtype).scatterAdd(d, ctx[0], g)) }
        }
        return out
    }

    private func checkIndexShape(_ op: StaticString, _ index: Tensor, _ d: Int) {
        if index.rank != rank {
            trap("\(op)", "the index has the shape \(index.dims.text), the tensor \(dims.text): the ranks differ")
        }
        for i in 0..<rank where i != d && index.dims[i] > dims[i] {
            trap("\(op)", "the index \(index.dims.text) is larger than the tensor \(dims.text) in dimension \(i)")
        }
    }

    func scattered(_ op: StaticString, _ mode: mk_scatter_mode, _ dim: Int, _ index: Tensor, _ source: Tensor)
        -> (Tensor, Tensor, Int)
    {
        let d = normalize(dim, op)
        let index = index.indexTensor(op)
        checkIndexShape(op, index, d)
        let source = source.to(dtype)
        if source.dims != index.dims && source.rank != 0 {
            trap("\(op)", "the source has the shape \(source.dims.text), the index \(index.dims.text)")
        }
        let out = Tensor(uninitialized: dims, dtype, op)
        Kernels.scatter(op, mode, out, self, index, source, d)
        return (out, index, d)
    }

    /// A copy with source[i][j][k] at [index[i][j][k]][j][k] for dim 0, and so on; of several for one place the last is
    /// kept. A 0-dimensional source fills.
    public func scatter(_ dim: Int, _ index: Tensor, _ source: Tensor) -> Tensor {
        let isFill = source.rank == 0
        let (out, index, d) = scattered("scatter", MK_SCATTER_SET, dim, index, source)
        out.record("scatter", self, source.to(dtype)) { node in
            node.save(index)
            return { ctx, g in
                ctx.give(0, g.scatter(d, ctx[0], Tensor.zeros(Dims(), g.dtype)))
                guard ctx.needs(1) else { return }
                // Of sources for one place the last was kept.
                let wins = noGrad {
                    let place = Tensor.arange(ctx[0].count).reshape(ctx[0].dims)
                    return Tensor.zeros(g.dims, .int64).scatter(d, ctx[0], place).gather(d, ctx[0]) .== place
                }
                let part = g.gather(d, ctx[0]) * wins.to(g.dtype)
                ctx.give(1, isFill ? part.sum() : part)
            }
        }
        return out
    }

    /// A copy to which source[i][j][k] is added at [index[i][j][k]][j][k] for dim 0, and so on; repeated places add up.
    public func scatterAdd(_ dim: Int, _ index: Tensor, _ source: Tensor) -> Tensor {
        let isFill = source.rank == 0
        let (out, index, d) = scattered("scatterAdd", MK_SCATTER_ADD, dim, index, source)
        out.record("scatterAdd", self, source.to(dtype)) { node in
            node.save(index)
            return { ctx, g in
                ctx.give(0, g)
                ctx.give(1, isFill ? g.gather(d, ctx[0]).sum() : g.gather(d, ctx[0]))
            }
        }
        return out
    }

    /// The slices of `dim` at `index` (rank 1).
    public func indexSelect(_ dim: Int, _ index: Tensor) -> Tensor {
        let d = normalize(dim, "indexSelect")
        let index = index.indexTensor("indexSelect")
        if index.rank != 1 { trap("indexSelect", "the index must have one dimension, its shape is \(index.dims.text)") }
        var shape = dims
        shape[d] = index.count
        let out = Tensor(uninitialized: shape, dtype, "indexSelect")
        Kernels.indexSelect("indexSelect", out, self, index, d)
        let whole = dims
        out.record("indexSelect", self) { node in
            node.save(index)
            return { ctx, g in ctx.give(0, Tensor.zeros(whole, g.dtype).indexAdd(d, ctx[0], g)) }
        }
        return out
    }

    /// A copy to which slice i of `source` is added (times `alpha`) at index[i] of `dim`.
    public func indexAdd(_ dim: Int, _ index: Tensor, _ source: Tensor, alpha: Double = 1) -> Tensor {
        let d = normalize(dim, "indexAdd")
        let index = index.indexTensor("indexAdd")
        let source = source.to(dtype)
        var expected = dims
        expected[d] = index.count
        if index.rank != 1 || source.dims != expected {
            trap(
                "indexAdd",
                "a source of shape \(expected.text) is needed for \(index.count) indices, this one is "
                    + "\(source.dims.text)"
            )
        }
        let out = noGrad { detach().clone() }
        Kernels.indexAdd("indexAdd", out, index, source, d, alpha: alpha)
        out.record("indexAdd", self, source) { node in
            node.save(index)
            return { ctx, g in
                ctx.give(0, g)
                ctx.give(1, alpha == 1 ? g.indexSelect(d, ctx[0]) : g.indexSelect(d, ctx[0]) * alpha)
            }
        }
        return out
    }

    /// A copy whose slices of `dim` at `index` (rank 1) are those of `source`; the last of repeated indices wins.
    public func indexCopy(_ dim: Int, _ index: Tensor, _ source: Tensor) -> Tensor {
        clone().indexCopyInPlace(dim, index, source)
    }

    /// Elements of the flattened tensor at `index`, in the index's shape.
    public func take(_ index: Tensor) -> Tensor {
        reshape([-1]).indexSelect(0, index.indexTensor("take").reshape([-1])).reshape(index.dims)
    }

    /// `value` where `mask` (bool, broadcast to this shape) is true.
    public func maskedFill(_ mask: Tensor, _ value: Double) -> Tensor {
        let out = Tensor.select(mask, Tensor.full(Dims(), value, dtype), self)
        if out.dims != dims {
            trap("maskedFill", "the mask \(mask.dims.text) does not broadcast to the shape \(dims.text)")
        }
        return out
    }

    /// The elements where `mask` (bool, of broadcast shape) is true, in one dimension.
    public func maskedSelect(_ mask: Tensor) -> Tensor {
        if mask.dtype != .bool { trap("maskedSelect", "the mask must be bool, it is \(mask.dtype)") }
        guard let shape = Dims.broadcast(dims, mask.dims) else { Tensor.failBroadcast("maskedSelect", self, mask) }
        let places = noGrad { mask.expanded(shape).reshape([-1]).nonzero().reshape([-1]) }
        return expanded(shape).reshape([-1]).indexSelect(0, places)
    }

    /// The indices of the elements that are not zero: int64 [count, rank], in row-major order.
    public func nonzero() -> Tensor {
        let n = Kernels.countNonzero(self)
        let out = Tensor(uninitialized: Dims([n, rank]), .int64, "nonzero")
        if n > 0 && rank > 0 { Kernels.nonzero(out, self) }
        return out
    }

    /// Vectors with a 1 at each index and zeros elsewhere, in a new last dimension of size `classes`.
    public func oneHot(_ classes: Int, dtype: DType = .int64) -> Tensor {
        let index = indexTensor("oneHot").unsqueeze(-1)
        var shape = dims
        shape.append(classes)
        return Tensor.zeros(shape, dtype, "oneHot").scatter(-1, index, Tensor.full(Dims(), 1, dtype))
    }
}
