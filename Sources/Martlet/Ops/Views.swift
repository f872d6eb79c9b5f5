// Views: new shapes and strides over the same memory. No element is copied; writes are seen on both sides.
internal import CMartletKernels

/// Where a view lies in its base, relative to the base's first element.
struct ViewGeometry {
    let dims: Dims
    let strides: Dims
    let offset: Int

    init(dims: Dims, strides: Dims, offset: Int) {
        self.dims = dims
        self.strides = strides
        self.offset = offset
    }

    init(_ view: Tensor, in base: Tensor) {
        if !base.isContiguous {
            trap(
                "view",
                "a view of a tensor that is not contiguous (strides \(base.strideDims.text)) was written in place "
                    + "under autograd: call contiguous() on the whole first")
        }
        dims = view.dims
        strides = view.strideDims
        offset = view.offset - base.offset
    }
}

extension Tensor {
    /// A view with this geometry (relative to this storage), connected to the history by `make`.
    @inline(__always)
    func view(
        _ name: StaticString, _ dims: Dims, _ strides: Dims, offset: Int, _ make: MakeBackward
    ) -> Tensor {
        let out = Tensor(
            storage: storage, dims: dims, strides: strides, offset: offset, dtype: dtype,
            contiguous: Tensor.isContiguous(dims, strides))
        if !isGradEnabled {
            out.isUntrackedView = true
        } else if dtype.isFloatingPoint {
            let base = viewBase ?? self
            out.isUntrackedView = isUntrackedView
            out.viewBase = base
            out.record(name, self, make)
            out.historyVersion = base.historyVersion
        }
        return out
    }

    // MARK: geometry on contiguous tensors, for the gradients of writes through views

    /// A view of this tensor, read as if contiguous, at `geometry`.
    func stridedView(_ geometry: ViewGeometry) -> Tensor {
        let source = isContiguous ? self : contiguous()
        let dims = source.dims
        return source.view("asStrided", geometry.dims, geometry.strides, offset: source.offset + geometry.offset) { _ in
            { ctx, g in ctx.give(0, g.scatteredStrided(geometry, into: dims)) }
        }
    }

    /// Zeros of `dims` with this tensor added at `geometry` (elements that the geometry repeats are summed).
    func scatteredStrided(_ geometry: ViewGeometry, into dims: Dims) -> Tensor {
        let out = noGrad {
            // Positions are distinct but for broadcast dimensions, whose gradients add up first.
            var source = self.detach()
            var target = geometry
            for i in 0..<geometry.dims.count where geometry.strides[i] == 0 && geometry.dims[i] > 1 {
                source = source.sum(dim: i, keepDim: true)
                var d = target.dims
                d[i] = 1
                target = ViewGeometry(dims: d, strides: target.strides, offset: target.offset)
            }
            let whole = Tensor.zeros(dims, dtype)
            Kernels.copy(
                Tensor(
                    storage: whole.storage, dims: target.dims, strides: target.strides, offset: target.offset,
                    dtype: dtype, contiguous: false), source)
            return whole
        }
        out.record("asStridedBackward", self) { _ in { ctx, g in ctx.give(0, g.stridedView(geometry)) } }
        return out
    }

    /// A copy of this tensor with the elements at `geometry` replaced.
    func replacingStrided(_ geometry: ViewGeometry, with replacement: Tensor) -> Tensor {
        let out = noGrad {
            let whole = self.detach().clone()
            Kernels.copy(
                Tensor(
                    storage: whole.storage, dims: geometry.dims, strides: geometry.strides, offset: geometry.offset,
                    dtype: dtype, contiguous: false), replacement.detach())
            return whole
        }
        out.record("asStridedScatter", self, replacement) { _ in
            { ctx, g in
                ctx.give(0, g.replacingStrided(geometry, with: Tensor.zeros(geometry.dims, g.dtype)))
                ctx.give(1, g.stridedView(geometry))
            }
        }
        return out
    }
}

// MARK: - Reshaping

extension Tensor {
    /// The same elements in another shape; one size may be -1. A view where the layout allows it, else a copy.
    public func reshape(_ shape: [Int]) -> Tensor { reshape(resolve(shape, "reshape")) }

    /// ``reshape(_:)`` that refuses to copy.
    public func view(_ shape: [Int]) -> Tensor {
        let target = resolve(shape, "view")
        guard let strides = viewStrides(target) else {
            trap(
                "view",
                "the layout (shape \(dims.text), strides \(strideDims.text)) cannot be read as \(target.text) without "
                    + "a copy: use reshape")
        }
        return reshaped(target, strides)
    }

    func reshape(_ target: Dims) -> Tensor {
        if let strides = viewStrides(target) { return reshaped(target, strides) }
        let source = contiguous()
        return source.reshaped(target, target.contiguousStrides)
    }

    @inline(__always)
    private func reshaped(_ target: Dims, _ strides: Dims) -> Tensor {
        let old = dims
        return view("reshape", target, strides, offset: offset) { _ in { ctx, g in ctx.give(0, g.reshape(old)) } }
    }

    private func resolve(_ shape: [Int], _ op: StaticString) -> Dims {
        var target = Dims(shape)
        var known = 1
        var unknown: Int?
        for i in 0..<target.count {
            if target[i] == -1 {
                if unknown != nil { trap("\(op)", "only one size may be -1 in \(shape)") }
                unknown = i
            } else if target[i] < 0 {
                trap("\(op)", "a size may not be negative: \(target[i]) in \(shape)")
            } else {
                let (product, overflow) = known.multipliedReportingOverflow(by: target[i])
                if overflow && !shape.contains(0) {
                    trap(
                        "\(op)",
                        "\(describe(self)) of \(count) elements cannot take the shape \(shape), which has more than can be "
                            + "counted")
                }
                known = overflow ? 0 : product
            }
        }
        let n = count
        if let unknown {
            if known == 0 || n % known != 0 {
                trap("\(op)", "\(describe(self)) of \(n) elements cannot take the shape \(shape)")
            }
            target[unknown] = n / known
        } else if known != n {
            trap("\(op)", "\(describe(self)) of \(n) elements cannot take the shape \(shape) of \(known)")
        }
        return target
    }

    /// Strides with which this layout reads as `target`, or nil when a copy is needed.
    private func viewStrides(_ target: Dims) -> Dims? {
        if isContiguous { return target.contiguousStrides }
        if target.product == 0 { return target.contiguousStrides }
        // Group source dimensions that lie one behind the other in memory and match target dimensions to each group.
        var strides = Dims(repeating: 0, count: target.count)
        var t = target.count - 1
        var s = dims.count - 1
        while s >= 0 {
            var groupCount = dims[s]
            let step = strideDims[s]
            var inner = s
            while inner > 0
                && (dims[inner - 1] == 1 || strideDims[inner - 1] == strideDims[s] * groupCountBefore(inner, s))
            {
                groupCount *= dims[inner - 1]
                inner -= 1
            }
            var filled = 1
            while t >= 0 && (filled < groupCount || target[t] == 1) {
                strides[t] = step * filled
                filled *= target[t]
                t -= 1
            }
            if filled != groupCount { return nil }
            s = inner - 1
        }
        while t >= 0 {
            if target[t] != 1 { return nil }
            strides[t] = 1
            t -= 1
        }
        return strides
    }

    private func groupCountBefore(_ inner: Int, _ s: Int) -> Int {
        var n = 1
        for i in inner...s { n *= dims[i] }
        return n
    }

    /// Dimensions `start` through `end` as one.
    public func flatten(_ start: Int = 0, _ end: Int = -1) -> Tensor {
        if dims.count == 0 { return reshape(Dims([1])) }
        let a = normalize(start, "flatten")
        let b = normalize(end, "flatten")
        if a > b { trap("flatten", "dimension \(start) comes after \(end)") }
        var target = Dims()
        var merged = 1
        for i in 0..<dims.count {
            if i < a || i > b {
                target.append(dims[i])
            } else {
                merged = sizeProduct(merged, dims[i], "flatten")
                if i == b { target.append(merged) }
            }
        }
        return reshape(target)
    }

    /// Dimension `dim` split into `sizes`, one of which may be -1.
    public func unflatten(_ dim: Int, _ sizes: [Int]) -> Tensor {
        let d = normalize(dim, "unflatten")
        var shape = dims.array
        var sizes = sizes
        if let i = sizes.firstIndex(of: -1) {
            let known = sizes.filter { $0 != -1 }.reduce(1) { sizeProduct($0, $1, "unflatten") }
            if known > 0 { sizes[i] = dims[d] / known }
        }
        if sizes.reduce(1, { sizeProduct($0, $1, "unflatten") }) != dims[d] {
            trap(
                "unflatten",
                "sizes \(sizes) do not multiply to \(dims[d]), the size of dimension \(dim) of \(dims.text)")
        }
        shape.replaceSubrange(d...d, with: sizes)
        return reshape(shape)
    }

    /// Without dimension `dim`, which must have size 1.
    public func squeeze(_ dim: Int) -> Tensor {
        let d = normalize(dim, "squeeze")
        if dims[d] != 1 {
            return view("squeeze", dims, strideDims, offset: offset) { _ in { ctx, g in ctx.give(0, g) } }
        }
        var newDims = dims
        var newStrides = strideDims
        newDims.remove(at: d)
        newStrides.remove(at: d)
        return view("squeeze", newDims, newStrides, offset: offset) { _ in { ctx, g in ctx.give(0, g.unsqueeze(d)) } }
    }

    /// Without any dimension of size 1.
    public func squeeze() -> Tensor {
        var out = self
        var i = dims.count - 1
        while i >= 0 {
            if dims[i] == 1 { out = out.squeeze(i) }
            i -= 1
        }
        return out
    }

    /// With a new dimension of size 1 at `dim`.
    public func unsqueeze(_ dim: Int) -> Tensor {
        let d = dim < 0 ? dim + dims.count + 1 : dim
        if d < 0 || d > dims.count {
            trap("unsqueeze", "dimension \(dim) is out of range for a new dimension of the shape \(dims.text)")
        }
        var newDims = dims
        var newStrides = strideDims
        newDims.insert(1, at: d)
        newStrides.insert(1, at: d)
        return view("unsqueeze", newDims, newStrides, offset: offset) { _ in { ctx, g in ctx.give(0, g.squeeze(d)) } }
    }

    /// Repeated to `shape` without a copy: sizes of 1 become any size, -1 keeps one.
    public func expand(_ shape: [Int]) -> Tensor {
        var target = Dims(shape)
        let shift = target.count - dims.count
        if shift < 0 { trap("expand", "\(dims.text) has more dimensions than \(shape)") }
        for i in 0..<target.count {
            if target[i] == -1 {
                if i < shift { trap("expand", "-1 in a new leading dimension of \(shape)") }
                target[i] = dims[i - shift]
            }
        }
        for i in 0..<dims.count where dims[i] != 1 && dims[i] != target[i + shift] {
            trap(
                "expand",
                "\(dims.text) does not expand to \(shape): \(dims[i]) != \(target[i + shift]) in dimension \(i + shift)"
            )
        }
        return expanded(target)
    }

    /// Repeated to the shape of `other`.
    public func expand(as other: Tensor) -> Tensor { expand(other.shape) }

    func expanded(_ target: Dims) -> Tensor {
        if target == dims { return self }
        _ = target.byteCount(of: dtype, "expand")
        let old = dims
        return view("expand", target, Dims.broadcastStrides(dims, strideDims, to: target), offset: offset) { _ in
            { ctx, g in ctx.give(0, g.sum(to: old)) }
        }
    }

    // MARK: - Order of dimensions

    /// Dimensions in the order given: result dimension i is this tensor's `order[i]`.
    public func permute(_ order: [Int]) -> Tensor {
        if order.count != dims.count { trap("permute", "\(order) is no permutation of the dimensions of \(dims.text)") }
        var newDims = dims
        var newStrides = strideDims
        var inverse = [Int](repeating: -1, count: order.count)
        for (i, d) in order.enumerated() {
            let n = normalize(d, "permute")
            if inverse[n] != -1 { trap("permute", "dimension \(d) is given twice in \(order)") }
            inverse[n] = i
            newDims[i] = dims[n]
            newStrides[i] = strideDims[n]
        }
        return view("permute", newDims, newStrides, offset: offset) { _ in { ctx, g in ctx.give(0, g.permute(inverse)) }
        }
    }

    /// Two dimensions exchanged.
    public func transpose(_ a: Int, _ b: Int) -> Tensor {
        let x = normalize(a, "transpose")
        let y = normalize(b, "transpose")
        var newDims = dims
        var newStrides = strideDims
        newDims[x] = dims[y]
        newDims[y] = dims[x]
        newStrides[x] = strideDims[y]
        newStrides[y] = strideDims[x]
        return view("transpose", newDims, newStrides, offset: offset) { _ in
            { ctx, g in ctx.give(0, g.transpose(x, y)) }
        }
    }

    /// The matrix transposed; for more dimensions, each matrix of the last two.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    public var T: Tensor {
        if dims.count < 2 { return self }
        return transpose(-2, -1)
    }

    /// One dimension moved to another place.
    public func moveDim(_ source: Int, _ destination: Int) -> Tensor {
        let s = normalize(source, "moveDim")
        let d = normalize(destination, "moveDim")
        var order = Array(0..<dims.count)
        order.remove(at: s)
        order.insert(s, at: d)
        return permute(order)
    }

    // MARK: - Parts

    /// `length` indices of dimension `dim` from `start`.
    public func narrow(_ dim: Int, start: Int, length: Int) -> Tensor {
        let d = normalize(dim, "narrow")
        let s = start < 0 ? start + dims[d] : start
        if s < 0 || length < 0 || s + length > dims[d] {
            trap("narrow", "start \(start) and length \(length) do not fit in dimension \(dim) of \(dims.text)")
        }
        return sliced(d, start: s, step: 1, count: length)
    }

    /// `count` indices start, start + step, ... of a dimension; arguments are checked.
    func sliced(_ d: Int, start: Int, step: Int, count: Int) -> Tensor {
        var newDims = dims
        var newStrides = strideDims
        let old = dims
        newDims[d] = count
        newStrides[d] = strideDims[d] * step
        let shift = count > 0 ? start * strideDims[d] : 0
        return view("slice", newDims, newStrides, offset: offset + shift) { node in
            node.shape = old
            node.integers = (d, start, step)
            return { ctx, g in
                let (d, start, step) = ctx.node.integers
                ctx.give(0, g.unsliced(ctx.node.shape, d, start: start, step: step))
            }
        }
    }

    /// Zeros of `whole` with this tensor at the slice.
    private func unsliced(_ whole: Dims, _ d: Int, start: Int, step: Int) -> Tensor {
        let strides = whole.contiguousStrides
        var sliceStrides = strides
        sliceStrides[d] *= step
        return scatteredStrided(
            ViewGeometry(dims: dims, strides: sliceStrides, offset: dims[d] > 0 ? start * strides[d] : 0), into: whole)
    }

    /// Index `index` of dimension `dim`, which disappears.
    public func select(_ dim: Int, _ index: Int) -> Tensor {
        let d = normalize(dim, "select")
        let i = index < 0 ? index + dims[d] : index
        if i < 0 || i >= dims[d] {
            trap(
                "select",
                "index \(index) is out of range for dimension \(dim) of size \(dims[d]); the shape is \(dims.text)")
        }
        var newDims = dims
        var newStrides = strideDims
        newDims.remove(at: d)
        newStrides.remove(at: d)
        let old = dims
        return view("select", newDims, newStrides, offset: offset + i * strideDims[d]) { _ in
            { ctx, g in ctx.give(0, g.unsqueeze(d).unsliced(old, d, start: i, step: 1)) }
        }
    }

    /// The diagonal of the matrices in dimensions `dim1` and `dim2`, as the last dimension.
    public func diagonal(_ shift: Int = 0, dim1: Int = 0, dim2: Int = 1) -> Tensor {
        let a = normalize(dim1, "diagonal")
        let b = normalize(dim2, "diagonal")
        if a == b { trap("diagonal", "the two dimensions must differ") }
        let n = Swift.max(0, shift >= 0 ? Swift.min(dims[a], dims[b] - shift) : Swift.min(dims[a] + shift, dims[b]))
        func geometry(_ strides: Dims) -> (Dims, Dims, Int) {
            var newDims = dims
            var newStrides = strides
            for d in [Swift.max(a, b), Swift.min(a, b)] {
                newDims.remove(at: d)
                newStrides.remove(at: d)
            }
            newDims.append(n)
            newStrides.append(strides[a] + strides[b])
            return (newDims, newStrides, n == 0 ? 0 : shift >= 0 ? shift * strides[b] : -shift * strides[a])
        }
        let (newDims, newStrides, start) = geometry(strideDims)
        let old = dims
        return view("diagonal", newDims, newStrides, offset: offset + start) { _ in
            { ctx, g in
                let (d, s, o) = geometry(old.contiguousStrides)
                ctx.give(0, g.scatteredStrided(ViewGeometry(dims: d, strides: s, offset: o), into: old))
            }
        }
    }

    /// Windows of `size` along `dim` at distance `step`, as a new last dimension.
    public func unfold(_ dim: Int, size: Int, step: Int) -> Tensor {
        let d = normalize(dim, "unfold")
        if size < 0 || size > dims[d] || step < 1 {
            trap("unfold", "windows of \(size) at distance \(step) do not fit in dimension \(dim) of \(dims.text)")
        }
        let windows = (dims[d] - size) / step + 1
        let starts = Tensor.arange(windows).unsqueeze(1) * step
        let index = starts + Tensor.arange(size).unsqueeze(0)
        // Windows overlap, so the gradient adds; gathering by index has that rule.
        return indexSelect(d, index.reshape([-1])).unflatten(d, [windows, size]).moveDim(d + 1, -1)
    }
}
