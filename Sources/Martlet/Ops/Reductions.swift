// Reductions and scans. `dims: nil` means all dimensions.
internal import CMartletKernels

extension Tensor {
    /// This shape with the dimensions in `mask` of size 1.
    private func keptDims(_ mask: UInt32) -> Dims { Tensor.kept(dims, mask) }

    private static func kept(_ dims: Dims, _ mask: UInt32) -> Dims {
        var kept = dims
        for i in 0..<dims.count where mask & (1 << UInt32(i)) != 0 { kept[i] = 1 }
        return kept
    }

    private func dropped(_ kept: Dims, _ mask: UInt32) -> Dims {
        var out = Dims()
        for i in 0..<kept.count where mask & (1 << UInt32(i)) == 0 { out.append(kept[i]) }
        return out
    }

    private func maskedCount(_ mask: UInt32) -> Int {
        var n = 1
        for i in 0..<dims.count where mask & (1 << UInt32(i)) != 0 { n *= dims[i] }
        return n
    }

    /// Reduces without recording; the result keeps reduced dimensions with size 1 when `keep`.
    private func reduced(_ op: mk_reduce_op, _ mask: UInt32, keep: Bool, _ type: DType, scale: Double = 1) -> Tensor {
        let kept = keptDims(mask)
        let out = Tensor(uninitialized: keep ? kept : dropped(kept, mask), type)
        Kernels.reduce(op, out, kept, self, scale: scale)
        return out
    }

    /// The same fresh, contiguous memory in another shape, without history.
    func reinterpreted(_ shape: Dims) -> Tensor {
        Tensor(
            storage: storage, dims: shape, strides: shape.contiguousStrides, offset: offset, dtype: dtype,
            contiguous: true)
    }

    private func summed(_ name: StaticString, _ mask: UInt32, keep: Bool, _ type: DType?, scale: Double) -> Tensor {
        let result = type ?? (dtype.isFloatingPoint ? dtype : .int64)
        // Whole numbers are summed in int64 whatever is asked for.
        if !result.isFloatingPoint && result != .int64 {
            return summed(name, mask, keep: keep, .int64, scale: scale).to(result)
        }
        let source = result.isFloatingPoint == dtype.isFloatingPoint ? self : to(result)
        let out = source.reduced(MK_REDUCE_SUM, mask, keep: keep, result, scale: scale)
        if isGradEnabled && source.requiresGrad {
            out.record(name, source) { node in
                node.shape = dims
                node.integers = (Int(mask), Int(source.dtype.rawValue), 0)
                node.factor = scale
                return { ctx, g in
                    let (whole, scale) = (ctx.node.shape, ctx.node.factor)
                    let type = DType(rawValue: Int32(ctx.node.integers.1))!
                    let spread = g.reshape(Tensor.kept(whole, UInt32(ctx.node.integers.0))).to(type)
                    ctx.give(0, (scale == 1 ? spread : spread * scale).expanded(whole))
                }
            }
        }
        return out
    }

    /// The sum over `dims`; integers and bool sum in int64.
    public func sum(dims: [Int]? = nil, keepDim: Bool = false, dtype: DType? = nil) -> Tensor {
        summed("sum", normalizeSet(dims, "sum"), keep: keepDim, dtype, scale: 1)
    }

    /// The sum over one dimension.
    public func sum(dim: Int, keepDim: Bool = false) -> Tensor { sum(dims: [dim], keepDim: keepDim) }

    /// Sums away what broadcasting from `target` to this shape repeated.
    func sum(to target: Dims) -> Tensor {
        if dims == target { return self }
        let shift = dims.count - target.count
        var mask: UInt32 = 0
        for i in 0..<dims.count where i < shift || (target[i - shift] == 1 && dims[i] != 1) { mask |= 1 << UInt32(i) }
        // Without the leading dimensions the others are what is left of the target.
        let leading: UInt32 = (1 << UInt32(shift)) - 1
        if mask == leading { return summed("sum", mask, keep: false, nil, scale: 1) }
        let sums = summed("sum", mask, keep: true, nil, scale: 1)
        return shift == 0 ? sums : sums.reshape(target)
    }

    /// The arithmetic mean over `dims`. Floating-point tensors only.
    public func mean(dims: [Int]? = nil, keepDim: Bool = false) -> Tensor {
        if !dtype.isFloatingPoint { trap("mean", "a floating-point tensor is needed, this one is \(dtype)") }
        let mask = normalizeSet(dims, "mean")
        return summed("mean", mask, keep: keepDim, nil, scale: 1 / Double(maskedCount(mask)))
    }

    /// The mean over one dimension.
    public func mean(dim: Int, keepDim: Bool = false) -> Tensor { mean(dims: [dim], keepDim: keepDim) }

    /// The variance over `dims`; divided by n - `correction` (1: unbiased, as PyTorch's default).
    public func variance(dims: [Int]? = nil, correction: Int = 1, keepDim: Bool = false) -> Tensor {
        varMean(dims: dims, correction: correction, keepDim: keepDim).variance
    }
    public func variance(dim: Int, correction: Int = 1, keepDim: Bool = false) -> Tensor {
        variance(dims: [dim], correction: correction, keepDim: keepDim)
    }

    /// The standard deviation; see ``variance(dims:correction:keepDim:)``.
    public func std(dims: [Int]? = nil, correction: Int = 1, keepDim: Bool = false) -> Tensor {
        variance(dims: dims, correction: correction, keepDim: keepDim).sqrt()
    }
    public func std(dim: Int, correction: Int = 1, keepDim: Bool = false) -> Tensor {
        std(dims: [dim], correction: correction, keepDim: keepDim)
    }

    /// ``variance(dims:correction:keepDim:)`` and the mean, which is computed on the way.
    public func varMean(dims: [Int]? = nil, correction: Int = 1, keepDim: Bool = false) -> (
        variance: Tensor, mean: Tensor
    ) {
        if !dtype.isFloatingPoint { trap("variance", "a floating-point tensor is needed, this one is \(dtype)") }
        let mask = normalizeSet(dims, "variance")
        let kept = keptDims(mask)
        let shape = keepDim ? kept : dropped(kept, mask)
        let n = maskedCount(mask)
        let divisor = Double(Swift.max(0, n - correction))
        let mean = Tensor(uninitialized: shape, dtype)
        let variance = Tensor(uninitialized: shape, dtype)
        Kernels.moments(mean, variance, kept, self, divisor: divisor)
        let whole = self.dims
        mean.record("mean", self) { _ in
            { ctx, g in ctx.give(0, (g.reshape(kept) * (1 / Double(n))).expanded(whole)) }
        }
        variance.record("variance", self) { node in
            node.save(self)
            return { ctx, g in
                let list = (0..<whole.count).filter { mask & (1 << UInt32($0)) != 0 }
                let deviation = ctx[0] - ctx[0].mean(dims: list, keepDim: true)
                ctx.give(0, deviation * (g.reshape(kept) * (2 / divisor)))
            }
        }
        return (variance, mean)
    }
    public func varMean(dim: Int, correction: Int = 1, keepDim: Bool = false) -> (variance: Tensor, mean: Tensor) {
        varMean(dims: [dim], correction: correction, keepDim: keepDim)
    }

    /// The standard deviation and the mean, which is computed on the way.
    public func stdMean(dims: [Int]? = nil, correction: Int = 1, keepDim: Bool = false) -> (std: Tensor, mean: Tensor) {
        let (variance, mean) = varMean(dims: dims, correction: correction, keepDim: keepDim)
        return (variance.sqrt(), mean)
    }
    public func stdMean(dim: Int, correction: Int = 1, keepDim: Bool = false) -> (std: Tensor, mean: Tensor) {
        stdMean(dims: [dim], correction: correction, keepDim: keepDim)
    }

    /// The product over `dims`.
    public func prod(dims: [Int]? = nil, keepDim: Bool = false) -> Tensor {
        let mask = normalizeSet(dims, "prod")
        let out = reduced(MK_REDUCE_PROD, mask, keep: keepDim, dtype.isFloatingPoint ? dtype : .int64)
        if isGradEnabled && requiresGrad {
            let list = (0..<rank).filter { mask & (1 << UInt32($0)) != 0 }
            let kept = keptDims(mask)
            out.record("prod", self) { node in
                node.save(self)
                return { ctx, g in ctx.give(0, ctx[0].productGradient(g.reshape(kept), list)) }
            }
        }
        return out
    }
    public func prod(dim: Int, keepDim: Bool = false) -> Tensor { prod(dims: [dim], keepDim: keepDim) }

    /// g times the product of the other elements, by exclusive products from both sides: right where elements are zero.
    private func productGradient(_ g: Tensor, _ list: [Int]) -> Tensor {
        if list.isEmpty || count == 0 { return g.expanded(dims) }
        let others = (0..<rank).filter { !list.contains($0) }
        let order = others + list
        let moved = permute(order)
        let flat = moved.reshape(others.map { dims[$0] } + [-1])
        let n = flat.size(-1)
        let one = Tensor.full(Dims(flat.shape.dropLast() + [1]), 1, dtype)
        let before = Tensor.cat([one, flat.narrow(-1, start: 0, length: n - 1)], dim: -1).cumprod(dim: -1)
        let after = Tensor.cat([one, flat.flip([-1]).narrow(-1, start: 0, length: n - 1)], dim: -1).cumprod(dim: -1)
            .flip([-1])
        var inverse = [Int](repeating: 0, count: rank)
        for (i, d) in order.enumerated() { inverse[d] = i }
        return (before * after).reshape(moved.shape).permute(inverse) * g
    }

    // MARK: extrema

    private func extremum(_ name: StaticString, _ op: mk_reduce_op, _ list: [Int]?, _ keep: Bool) -> Tensor {
        let mask = normalizeSet(list, name)
        if maskedCount(mask) == 0 {
            trap("\(name)", "there is no extreme element among none: the shape is \(dims.text)")
        }
        let out = reduced(op, mask, keep: keep, dtype)
        if isGradEnabled && requiresGrad {
            let kept = keptDims(mask)
            let all = (0..<rank).filter { mask & (1 << UInt32($0)) != 0 }
            out.record(name, self) { node in
                node.save(self)
                node.saveOutput(out)
                return { ctx, g in
                    let hit = (ctx[0] .== ctx[1].detach().reshape(kept)).to(g.dtype)
                    ctx.give(0, hit / hit.sum(dims: all, keepDim: true) * g.reshape(kept))
                }
            }
        }
        return out
    }

    /// The largest element over `dims`; equal ones share the gradient. NaN wins.
    public func amax(dims: [Int]? = nil, keepDim: Bool = false) -> Tensor {
        extremum("amax", MK_REDUCE_MAX, dims, keepDim)
    }
    /// The smallest element over `dims`; equal ones share the gradient. NaN wins.
    public func amin(dims: [Int]? = nil, keepDim: Bool = false) -> Tensor {
        extremum("amin", MK_REDUCE_MIN, dims, keepDim)
    }
    /// The largest of all elements.
    public func max() -> Tensor { amax() }
    /// The smallest of all elements.
    public func min() -> Tensor { amin() }

    /// The smallest and the largest element along `dim`, or of all elements; equal ones share the gradient. NaN wins.
    public func aminmax(dim: Int? = nil, keepDim: Bool = false) -> (min: Tensor, max: Tensor) {
        let list = dim.map { [$0] }
        return (amin(dims: list, keepDim: keepDim), amax(dims: list, keepDim: keepDim))
    }

    private func extremum(_ name: StaticString, maximum: Bool, _ dim: Int, _ keep: Bool) -> (
        values: Tensor, indices: Tensor
    ) {
        let d = normalize(dim, name)
        if dims[d] == 0 { trap("\(name)", "dimension \(dim) of \(dims.text) is empty") }
        let mask: UInt32 = 1 << UInt32(d)
        let kept = keptDims(mask)
        let indices = Tensor(uninitialized: kept, .int64)
        let values = Tensor(uninitialized: kept, dtype)
        Kernels.argReduce(maximum: maximum, indices, values, self, d)
        let shape = keep ? kept : dropped(kept, mask)
        let out = values.reinterpreted(shape)
        let whole = dims
        out.record(name, self) { node in
            node.save(indices)
            return { ctx, g in
                let spread = g.reshape(kept)
                ctx.give(0, Tensor.zeros(whole, g.dtype).scatterAdd(d, ctx[0], spread))
            }
        }
        return (out, indices.reinterpreted(shape))
    }

    /// The largest element along `dim` and its index, the first where several are equal.
    public func max(dim: Int, keepDim: Bool = false) -> (values: Tensor, indices: Tensor) {
        extremum("max", maximum: true, dim, keepDim)
    }
    /// The smallest element along `dim` and its index, the first where several are equal.
    public func min(dim: Int, keepDim: Bool = false) -> (values: Tensor, indices: Tensor) {
        extremum("min", maximum: false, dim, keepDim)
    }

    private func argExtremum(_ name: StaticString, maximum: Bool, _ dim: Int?, _ keep: Bool) -> Tensor {
        guard let dim else {
            if count == 0 { trap("\(name)", "the tensor of shape \(dims.text) has no elements") }
            let flat = noGrad { detach().reshape([-1]) }
            return flat.argExtremum(name, maximum: maximum, 0, false)
        }
        let d = normalize(dim, name)
        if dims[d] == 0 { trap("\(name)", "dimension \(dim) of \(dims.text) is empty") }
        let kept = keptDims(1 << UInt32(d))
        let indices = Tensor(uninitialized: kept, .int64)
        Kernels.argReduce(maximum: maximum, indices, nil, self, d)
        return keep ? indices : indices.reinterpreted(dropped(kept, 1 << UInt32(d)))
    }

    /// The index (int64) of the largest element along `dim`, or in the flattened tensor.
    public func argmax(dim: Int? = nil, keepDim: Bool = false) -> Tensor {
        argExtremum("argmax", maximum: true, dim, keepDim)
    }
    /// The index (int64) of the smallest element along `dim`, or in the flattened tensor.
    public func argmin(dim: Int? = nil, keepDim: Bool = false) -> Tensor {
        argExtremum("argmin", maximum: false, dim, keepDim)
    }

    // MARK: logic

    /// Whether any element is not zero.
    public func any(dims: [Int]? = nil, keepDim: Bool = false) -> Tensor {
        reduced(MK_REDUCE_ANY, normalizeSet(dims, "any"), keep: keepDim, .bool)
    }
    public func any(dim: Int, keepDim: Bool = false) -> Tensor { any(dims: [dim], keepDim: keepDim) }
    /// Whether no element is zero.
    public func all(dims: [Int]? = nil, keepDim: Bool = false) -> Tensor {
        reduced(MK_REDUCE_ALL, normalizeSet(dims, "all"), keep: keepDim, .bool)
    }
    public func all(dim: Int, keepDim: Bool = false) -> Tensor { all(dims: [dim], keepDim: keepDim) }
    /// The number of elements that are not zero, int64.
    public func countNonzero(dims: [Int]? = nil, keepDim: Bool = false) -> Tensor {
        reduced(MK_REDUCE_COUNT_NONZERO, normalizeSet(dims, "countNonzero"), keep: keepDim, .int64)
    }

    // MARK: norms

    /// The p-norm over `dims`: (Σ|x|^p)^(1/p); infinity gives the largest |x|, 0 the number of non-zeros.
    public func norm(_ p: Double = 2, dims: [Int]? = nil, keepDim: Bool = false) -> Tensor {
        if !dtype.isFloatingPoint { trap("norm", "a floating-point tensor is needed, this one is \(dtype)") }
        if p == 2 {
            let mask = normalizeSet(dims, "norm")
            // The sum of squares in one pass; its root is rounded once.
            let squares = reduced(MK_REDUCE_SUM_SQUARES, mask, keep: keepDim, dtype.accumulator)
            let out = noGrad { squares.sqrt().to(dtype) }
            let kept = keptDims(mask)
            out.record("norm", self) { node in
                node.save(self)
                node.saveOutput(out)
                return { ctx, g in
                    let n = ctx[1].reshape(kept)
                    let zero = Tensor.zeros(like: n)
                    ctx.give(0, ctx[0] * Tensor.select(n .== 0, zero, g.reshape(kept) / n))
                }
            }
            return out
        }
        if p == .infinity { return abs().amax(dims: dims, keepDim: keepDim) }
        if p == -.infinity { return abs().amin(dims: dims, keepDim: keepDim) }
        if p == 0 { return (self .!= 0).to(dtype).sum(dims: dims, keepDim: keepDim) }
        if p == 1 { return abs().sum(dims: dims, keepDim: keepDim) }
        return abs().pow(p).sum(dims: dims, keepDim: keepDim).pow(1 / p)
    }

    /// log Σ exp(x) over `dims`, without overflow.
    public func logSumExp(dims: [Int]? = nil, keepDim: Bool = false) -> Tensor {
        let x = dtype.isFloatingPoint ? self : to(.float32)
        let top = noGrad {
            let m = x.detach().amax(dims: dims, keepDim: true)
            return Tensor.select(m.isFinite(), m, Tensor.zeros(like: m))
        }
        let sum = (x - top).exp().sum(dims: dims, keepDim: true).log() + top
        if keepDim { return sum }
        return sum.reshape(x.dropped(sum.dims, x.normalizeSet(dims, "logSumExp")))
    }
    public func logSumExp(dim: Int, keepDim: Bool = false) -> Tensor { logSumExp(dims: [dim], keepDim: keepDim) }

    // MARK: scans

    private func scanned(_ op: mk_scan_op, _ d: Int, reverse: Bool = false) -> Tensor {
        let type: DType = dtype.isFloatingPoint || op == MK_SCAN_MAX || op == MK_SCAN_MIN ? dtype : .int64
        let out = Tensor(uninitialized: dims, type)
        Kernels.scan(op, out, self, d, reverse: reverse)
        return out
    }

    /// Sums of the elements up to each, along `dim`; `reverse`: from each to the end.
    public func cumsum(dim: Int, reverse: Bool = false) -> Tensor {
        let d = normalize(dim, "cumsum")
        let out = scanned(MK_SCAN_SUM, d, reverse: reverse)
        out.record("cumsum", self) { _ in { ctx, g in ctx.give(0, g.cumsum(dim: d, reverse: !reverse)) } }
        return out
    }

    /// Products of the elements up to each, along `dim`.
    public func cumprod(dim: Int) -> Tensor {
        let d = normalize(dim, "cumprod")
        let out = scanned(MK_SCAN_PROD, d)
        out.record("cumprod", self) { node in
            node.save(self)
            node.saveOutput(out)
            return { ctx, g in ctx.give(0, ctx[0].cumprodGradient(g, ctx[1], d)) }
        }
        return out
    }

    private func cumprodGradient(_ g: Tensor, _ y: Tensor, _ d: Int) -> Tensor {
        if (noGrad { (self.detach() .== 0).any().item() }) == 0 {
            return (g * y).cumsum(dim: d, reverse: true) / self
        }
        // With zeros the quotient is undefined: each element's gradient is the sum of g times the products of the
        // others.
        let n = dims[d]
        var parts: [Tensor] = []
        for i in 0..<n {
            let before =
                i == 0
                ? Tensor.full(select(d, 0).dims, 1, dtype).unsqueeze(d)
                : y.narrow(d, start: i - 1, length: 1)
            let later = i + 1 < n ? narrow(d, start: i + 1, length: n - i - 1).cumprod(dim: d) : nil
            var total = g.narrow(d, start: i, length: 1)
            if let later {
                total = total + (g.narrow(d, start: i + 1, length: n - i - 1) * later).sum(dim: d, keepDim: true)
            }
            parts.append(total * before)
        }
        return Tensor.cat(parts, dim: d)
    }

    /// log Σ exp of the elements up to each, along `dim`, without overflow; `reverse`: from each to the end.
    public func logCumSumExp(dim: Int, reverse: Bool = false) -> Tensor {
        let d = normalize(dim, "logCumSumExp")
        let x = dtype.isFloatingPoint ? self : to(.float32)
        let out = x.scanned(MK_SCAN_LOGSUMEXP, d, reverse: reverse)
        out.record("logCumSumExp", x) { node in
            node.save(x)
            node.saveOutput(out)
            return { ctx, g in
                // Σ g_j exp(x_i - y_j) over the j that saw x_i, in logarithms: the exponentials alone may overflow.
                let (x, y) = (ctx[0], ctx[1])
                func part(_ size: Tensor) -> Tensor {
                    ((size.log() - y).logCumSumExp(dim: d, reverse: !reverse) + x).exp()
                }
                if g.count == 0 {
                    ctx.give(0, g)
                } else if isGradEnabled {
                    // The sum is linear in g, but its logarithm is differentiable where g is positive only.
                    let shift = noGrad { g.detach().abs().amax(keepDim: true) * 2 + 1 }
                    ctx.give(0, part(g + shift) - part(shift.expanded(g.dims)))
                } else {
                    let none = Tensor.zeros(Dims(), g.dtype)
                    ctx.give(0, part(Tensor.select(g .> 0, g, none)) - part(Tensor.select(g .< 0, -g, none)))
                }
            }
        }
        return out
    }

    private func runningExtremum(_ name: StaticString, _ op: mk_scan_op, _ dim: Int) -> (
        values: Tensor, indices: Tensor
    ) {
        let d = normalize(dim, name)
        let values = scanned(op, d)
        let indices = noGrad {
            var shape = Dims(repeating: 1, count: rank)
            shape[d] = dims[d]
            let place = Tensor.arange(dims[d]).reshape(shape)
            let hit = (detach() .== values).logicalOr(detach().isNaN())
            return Tensor.select(hit, place, Tensor.zeros(Dims(), .int64)).scanned(MK_SCAN_MAX, d)
        }
        let whole = dims
        values.record(name, self) { node in
            node.save(indices)
            return { ctx, g in ctx.give(0, Tensor.zeros(whole, g.dtype).scatterAdd(d, ctx[0], g)) }
        }
        return (values, indices)
    }

    /// The largest element up to each, along `dim`, and its index: the last where several are equal. NaN wins.
    public func cummax(dim: Int) -> (values: Tensor, indices: Tensor) { runningExtremum("cummax", MK_SCAN_MAX, dim) }
    /// The smallest element up to each, along `dim`, and its index: the last where several are equal. NaN wins.
    public func cummin(dim: Int) -> (values: Tensor, indices: Tensor) { runningExtremum("cummin", MK_SCAN_MIN, dim) }
}
