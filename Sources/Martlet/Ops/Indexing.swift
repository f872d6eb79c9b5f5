// Subscripts: basic indexing makes views, indexing by tensors copies; both can be assigned to. The rules are NumPy's.
internal import CMartletKernels

/// One component of a tensor subscript.
public enum TensorIndex: Sendable {
    /// One index, counted from the end when negative; the dimension disappears.
    case at(Int)
    /// Indices from `start` to before `end` at distance `step` (negative: backwards). nil is the end in that direction;
    /// negative bounds count from the end; bounds outside are moved to the nearest end.
    case range(start: Int?, end: Int?, step: Int)
    /// A new dimension of size 1.
    case newDimension
    /// As many whole dimensions as are left.
    case rest
    /// Indices (integers) or a mask (bool).
    case tensor(Tensor)
}

/// What may stand in a tensor subscript: `Int`, ranges, ``Tensor``, arrays of integers, and `.all`, `.ellipsis`,
/// `.newAxis`, `.slice(from:to:step:)`.
public protocol TensorIndexConvertible {
    var tensorIndex: TensorIndex { get }
}

extension TensorIndex: TensorIndexConvertible { public var tensorIndex: TensorIndex { self } }
extension Int: TensorIndexConvertible { public var tensorIndex: TensorIndex { .at(self) } }
extension Range<Int>: TensorIndexConvertible {
    public var tensorIndex: TensorIndex { .range(start: lowerBound, end: upperBound, step: 1) }
}
extension ClosedRange<Int>: TensorIndexConvertible {
    public var tensorIndex: TensorIndex {
        .range(start: lowerBound, end: upperBound == -1 ? nil : upperBound + 1, step: 1)
    }
}
extension PartialRangeFrom<Int>: TensorIndexConvertible {
    public var tensorIndex: TensorIndex { .range(start: lowerBound, end: nil, step: 1) }
}
extension PartialRangeUpTo<Int>: TensorIndexConvertible {
    public var tensorIndex: TensorIndex { .range(start: nil, end: upperBound, step: 1) }
}
extension PartialRangeThrough<Int>: TensorIndexConvertible {
    public var tensorIndex: TensorIndex { .range(start: nil, end: upperBound == -1 ? nil : upperBound + 1, step: 1) }
}
extension Tensor: TensorIndexConvertible { public var tensorIndex: TensorIndex { .tensor(self) } }
extension [Int]: TensorIndexConvertible { public var tensorIndex: TensorIndex { .tensor(Tensor(self)) } }

extension TensorIndexConvertible where Self == TensorIndex {
    /// The whole dimension, Python's `:`.
    public static var all: TensorIndex { .range(start: nil, end: nil, step: 1) }
    /// As many whole dimensions as are left, Python's `...`.
    public static var ellipsis: TensorIndex { .rest }
    /// A new dimension of size 1, NumPy's `newaxis`.
    public static var newAxis: TensorIndex { .newDimension }
    /// Python's `from:to:step`.
    public static func slice(from start: Int? = nil, to end: Int? = nil, step: Int = 1) -> TensorIndex {
        .range(start: start, end: end, step: step)
    }
}

extension Tensor {
    /// Elements by index, range, mask or tensor of indices.
    ///
    /// ```swift
    /// x[0]                        // first slice, a view
    /// x[1..., .slice(step: -1)]   // rows from 1, columns reversed, a view
    /// x[.ellipsis, 0]             // first of the last dimension
    /// x[mask]                     // elements where mask is true, a copy
    /// x[rows, columns] = y        // written in place
    /// ```
    public subscript(_ indices: any TensorIndexConvertible...) -> Tensor {
        get { at(indices.map(\.tensorIndex)) }
        set { assign(indices.map(\.tensorIndex), newValue) }
    }

    /// Sets the indexed elements to one number.
    public func fill(_ indices: any TensorIndexConvertible..., with value: Double) {
        assign(indices.map(\.tensorIndex), Tensor.full(Dims(), value, dtype))
    }

    /// ``subscript(_:)`` with components in an array.
    public func at(_ indices: [TensorIndex]) -> Tensor {
        let (view, advanced) = basicView(indices)
        if advanced.isEmpty { return view }
        let plan = AdvancedPlan(view, advanced)
        let flat = view.permute(plan.order).reshape(plan.flatShape)
        let taken = flat.indexSelect(0, plan.linear).reshape(plan.broadcast + plan.restShape)
        return taken.permute(plan.resultOrder)
    }

    /// Assignment to ``subscript(_:)`` with components in an array.
    ///
    /// - Parameter accumulate: add the value instead; elements that the index names several times get every one of
    ///   theirs.
    public func assign(_ indices: [TensorIndex], _ value: Tensor, accumulate: Bool = false) {
        let (view, advanced) = basicView(indices)
        if advanced.isEmpty {
            if accumulate { view.addInPlace(value) } else { view.copyInPlace(value) }
            return
        }
        let plan = AdvancedPlan(view, advanced)
        // The value has the shape that reading gives; bring it to [indices..., rest...] as the memory is addressed.
        let resultShape = plan.resultOrder.map { (plan.broadcast + plan.restShape)[$0] }
        var inverse = [Int](repeating: 0, count: plan.resultOrder.count)
        for (i, d) in plan.resultOrder.enumerated() { inverse[d] = i }
        guard let dims = Dims.broadcast(Dims(resultShape), value.dims), dims == Dims(resultShape) else {
            trap("assign", "a value of shape \(value.dims.text) does not broadcast to the indexed shape \(resultShape)")
        }
        let source = value.to(dtype).expand(resultShape).permute(inverse)
            .reshape([plan.linear.count] + plan.restShape)
        let ordered = view.permute(plan.order)
        let flat = ordered.reshape(plan.flatShape)
        if accumulate {
            flat.indexAddInPlace(0, plan.linear, source)
        } else {
            flat.indexCopyInPlace(0, plan.linear, source)
        }
        // Where the layout does not allow the reshape as a view, the write went to a copy.
        if flat.storage !== ordered.storage { ordered.copyInPlace(flat.reshape(ordered.shape)) }
    }

    /// Adds `alpha` times slice i of `source` to the slice of `dim` at index[i].
    @discardableResult
    public func indexAddInPlace(_ dim: Int, _ index: Tensor, _ source: Tensor, alpha: Double = 1) -> Tensor {
        let d = normalize(dim, "indexAddInPlace")
        let index = index.indexTensor("indexAddInPlace")
        var expected = dims
        expected[d] = index.count
        if index.rank != 1 || source.dims != expected {
            trap(
                "indexAddInPlace",
                "a source of shape \(expected.text) is needed for \(index.count) indices, this one is "
                    + "\(source.dims.text)"
            )
        }
        let source = source.to(dtype)
        let bare = source.storage === storage ? noGrad { source.clone() } : source
        mutate("indexAddInPlace", [source]) {
            Kernels.indexAdd("indexAddInPlace", self, index, bare, d, alpha: alpha)
        } _: { node in
            node.save(index)
            return { ctx, g in
                ctx.give(0, g)
                ctx.give(1, alpha == 1 ? g.indexSelect(d, ctx[0]) : g.indexSelect(d, ctx[0]) * alpha)
            }
        }
        return self
    }

    /// Sets the slices of `dim` at `index` (rank 1) to those of `source`; the last of repeated indices wins.
    @discardableResult
    public func indexCopyInPlace(_ dim: Int, _ index: Tensor, _ source: Tensor) -> Tensor {
        let d = normalize(dim, "indexCopyInPlace")
        let index = index.indexTensor("indexCopyInPlace")
        var expected = dims
        expected[d] = index.count
        if index.rank != 1 || source.dims != expected {
            trap("indexCopyInPlace", "a source of shape \(expected.text) is needed, this one is \(source.dims.text)")
        }
        let source = source.to(dtype)
        let bare = source.storage === storage ? noGrad { source.clone() } : source
        mutate("indexCopyInPlace", [source]) {
            Kernels.indexCopy("indexCopyInPlace", self, index, bare, d)
        } _: { node in
            node.save(index)
            return { ctx, g in
                if ctx.needs(0) {
                    var shape = g.dims
                    shape[d] = ctx[0].count
                    let cleared = g.clone()
                    ctx.give(0, cleared.indexCopyInPlace(d, ctx[0], Tensor.zeros(shape, g.dtype)))
                }
                guard ctx.needs(1) else { return }
                let part = g.indexSelect(d, ctx[0])
                guard let winners = Tensor.lastOfRepeated(ctx[0], g.dims[d]) else {
                    ctx.give(1, part)
                    return
                }
                var shape = Dims(repeating: 1, count: g.rank)
                shape[d] = winners.count
                ctx.give(1, part * winners.to(g.dtype).reshape(shape))
            }
        }
        return self
    }

    /// Which elements of an index (rank 1) into a dimension of `size` are the last of their value; nil when all are.
    private static func lastOfRepeated(_ index: Tensor, _ size: Int) -> Tensor? {
        noGrad {
            let place = Tensor.arange(index.count)
            let last = Tensor.zeros(Dims([size]), .int64)
            Kernels.indexCopy("indexCopyInPlace", last, index, place, 0)
            let wins = last.indexSelect(0, index) .== place
            return wins.all().item() != 0 ? nil : wins
        }
    }

    /// Applies everything but index tensors; those come back with the dimension of the view that they index.
    private func basicView(_ indices: [TensorIndex]) -> (Tensor, [(dim: Int, index: Tensor)]) {
        var consumed = 0
        var hasRest = false
        for index in indices {
            switch index {
            case .at, .range: consumed += 1
            case .newDimension: break
            case .rest:
                if hasRest { trap("subscript", "an index may hold only one ellipsis") }
                hasRest = true
            case .tensor(let t): consumed += t.dtype == .bool ? t.rank : 1
            }
        }
        if consumed > rank {
            trap("subscript", "\(consumed) indices for the \(rank) dimensions of the shape \(dims.text)")
        }
        var view = self
        var d = 0
        var advanced: [(dim: Int, index: Tensor)] = []
        for index in indices {
            switch index {
            case .at(let i):
                view = view.select(d, i)
            case .range(let start, let end, let step):
                view = view.range(d, start, end, step)
                d += 1
            case .newDimension:
                view = view.unsqueeze(d)
                d += 1
            case .rest:
                d += rank - consumed
            case .tensor(let t):
                if t.dtype == .bool {
                    for i in 0..<t.rank where t.dims[i] != view.dims[d + i] {
                        trap(
                            "subscript",
                            "a mask of shape \(t.dims.text) does not fit the shape \(view.dims.text) from dimension "
                                + "\(d)"
                        )
                    }
                    let places = t.nonzero()
                    for i in 0..<t.rank { advanced.append((d + i, places.select(1, i))) }
                    d += t.rank
                } else {
                    if !t.dtype.isInteger {
                        trap("subscript", "an index tensor must be of integers or bool, it is \(t.dtype)")
                    }
                    advanced.append((d, t.to(.int64)))
                    d += 1
                }
            }
        }
        return (view, advanced)
    }

    private func range(_ d: Int, _ start: Int?, _ end: Int?, _ step: Int) -> Tensor {
        let n = dims[d]
        if step == 0 { trap("subscript", "the step of a range may not be 0") }
        func place(_ i: Int, _ low: Int, _ high: Int) -> Int { Swift.min(Swift.max(i < 0 ? i + n : i, low), high) }
        if step > 0 {
            let a = start.map { place($0, 0, n) } ?? 0
            let b = end.map { place($0, 0, n) } ?? n
            if a == 0 && b == n && step == 1 { return self }
            return sliced(d, start: a, step: step, count: b > a ? (b - a + step - 1) / step : 0)
        }
        let a = start.map { place($0, -1, n - 1) } ?? n - 1
        let b = end.map { place($0, -1, n - 1) } ?? -1
        return sliced(d, start: Swift.max(a, 0), step: step, count: a > b ? (a - b - step - 1) / -step : 0)
    }

    /// How reading or writing by index tensors becomes taking slices of one dimension.
    private struct AdvancedPlan {
        /// Indexed dimensions first, then the others.
        let order: [Int]
        /// The indexed dimensions as one, then the others.
        let flatShape: [Int]
        let restShape: [Int]
        /// The common shape of the index tensors.
        let broadcast: [Int]
        /// Row-major positions within the indexed dimensions.
        let linear: Tensor
        /// From [broadcast..., rest...] to where NumPy puts the indexed dimensions.
        let resultOrder: [Int]

        init(_ view: Tensor, _ advanced: [(dim: Int, index: Tensor)]) {
            let indexed = advanced.map(\.dim)
            let others = (0..<view.rank).filter { !indexed.contains($0) }
            order = indexed + others
            restShape = others.map { view.dims[$0] }
            flatShape = [indexed.map { view.dims[$0] }.reduce(1, *)] + restShape
            var shape = Dims()
            for (_, index) in advanced {
                guard let next = Dims.broadcast(shape, index.dims) else {
                    trap(
                        "subscript",
                        "index tensors do not broadcast: "
                            + advanced.map { $0.index.dims.text }.joined(separator: " x "))
                }
                shape = next
            }
            broadcast = shape.array
            linear = noGrad {
                var sum: Tensor?
                for (dim, index) in advanced {
                    let n = view.dims[dim]
                    if advanced.count > 1, index.count > 0 {
                        // The product of several indices hides one that is out of range.
                        let low = Int(index.amin().item())
                        let high = Int(index.amax().item())
                        if low < -n || high >= n {
                            trap(
                                "subscript",
                                "index \(low < -n ? low : high) is out of range for dimension \(dim) of size \(n); the "
                                    + "shape is "
                                    + view.dims.text)
                        }
                    }
                    let positive = advanced.count > 1 ? Tensor.select(index .< 0, index + n, index) : index
                    sum = sum.map { $0 * n + positive } ?? positive
                }
                return sum!.expanded(shape).reshape([-1])
            }
            let b = broadcast.count
            let adjacent = zip(indexed, indexed.dropFirst()).allSatisfy { $1 == $0 + 1 }
            let lead = adjacent ? indexed[0] : 0
            let restPlaces = Array(b..<(b + others.count))
            resultOrder = Array(restPlaces[..<lead]) + Array(0..<b) + Array(restPlaces[lead...])
        }
    }
}
