// Order statistics, frequencies and histograms.

/// What ``Tensor/quantile(_:dim:keepDim:interpolation:)-(Double,_,_,_)`` gives between two elements.
public enum QuantileInterpolation: String, Sendable, CaseIterable {
    /// The straight line between them.
    case linear
    /// The smaller one.
    case lower
    /// The larger one.
    case higher
    /// The nearer one; of two equally near the one at the even place.
    case nearest
    /// Their mean.
    case midpoint
}

extension Tensor {
    // MARK: order

    /// The element below which the share `q` of all elements lies, along `dim` or of the whole tensor.
    ///
    /// - Parameters:
    ///   - q: in 0...1; 0.5 is the median.
    ///   - interpolation: what is given where q · (n - 1) is no whole number.
    /// - Returns: the shape without `dim` (with size 1 where `keepDim`), in this dtype, which must be floating-point.
    ///   NaN where any of the elements is.
    public func quantile(
        _ q: Double, dim: Int? = nil, keepDim: Bool = false, interpolation: QuantileInterpolation = .linear
    ) -> Tensor {
        quantile([q], dim: dim, keepDim: keepDim, interpolation: interpolation).squeeze(0)
    }

    /// Several quantiles at once, one behind the other in a new first dimension.
    public func quantile(
        _ q: [Double], dim: Int? = nil, keepDim: Bool = false, interpolation: QuantileInterpolation = .linear
    ) -> Tensor {
        if !dtype.isFloatingPoint { trap("quantile", "a floating-point tensor is needed, this one is \(dtype)") }
        if q.isEmpty { trap("quantile", "at least one q is needed") }
        if let bad = q.first(where: { !($0 >= 0 && $0 <= 1) }) { trap("quantile", "q is in 0...1, \(bad) is not") }
        let d = dim.map { normalize($0, "quantile") }
        let lines = d.map { moveDim($0, -1) } ?? reshape([-1])
        let n = lines.size(-1)
        if n == 0 { trap("quantile", "there is no quantile of no elements: the shape is \(dims.text)") }
        let sorted = lines.sort(dim: -1).values
        func at(_ place: Double) -> Tensor { sorted.select(-1, Int(place)) }
        // NaN is sorted behind all else.
        let largest = at(Double(n - 1))
        let isUndefined = largest.detach().isNaN()
        let values = q.map { q -> Tensor in
            let place = q * Double(n - 1)
            let (below, above) = (place.rounded(.down), place.rounded(.up))
            let value =
                switch interpolation {
                case .lower: at(below)
                case .higher: at(above)
                case .nearest: at(place.rounded(.toNearestOrEven))
                case .linear where below == above: at(below)
                case .linear: at(below).lerp(at(above), place - below)
                case .midpoint: below == above ? at(below) : at(below).lerp(at(above), 0.5)
                }
            return Tensor.select(isUndefined, largest, value)
        }
        let out = Tensor.stack(values)
        if !keepDim { return out }
        return d.map { out.unsqueeze($0 + 1) } ?? out.reshape([q.count] + Array(repeating: 1, count: rank))
    }

    /// The `k`-th smallest element along `dim`, counted from 1, and its index (int64).
    public func kthValue(_ k: Int, dim: Int = -1, keepDim: Bool = false) -> (values: Tensor, indices: Tensor) {
        let d = normalize(dim, "kthValue")
        if k < 1 || k > dims[d] {
            trap("kthValue", "k = \(k) is not in 1...\(dims[d]), the size of dimension \(dim) of \(dims.text)")
        }
        let (values, indices) = sort(dim: d)
        let v = values.narrow(d, start: k - 1, length: 1)
        let i = indices.narrow(d, start: k - 1, length: 1)
        return keepDim ? (v, i) : (v.squeeze(d), i.squeeze(d))
    }

    /// The most frequent element along `dim`, the smallest of several, and the index (int64) of its last occurrence.
    public func mode(dim: Int = -1, keepDim: Bool = false) -> (values: Tensor, indices: Tensor) {
        let d = normalize(dim, "mode")
        if dims[d] == 0 { trap("mode", "dimension \(dim) of \(dims.text) is empty") }
        let (values, indices) = sort(dim: d)
        let end = noGrad {
            let n = dims[d]
            let sorted = values.detach()
            var shape = Dims(repeating: 1, count: rank)
            shape[d] = n
            let place = Tensor.arange(n).reshape(shape)
            let isSame = sorted.narrow(d, start: 1, length: n - 1) .== sorted.narrow(d, start: 0, length: n - 1)
            var first = dims
            first[d] = 1
            let isStart = Tensor.cat([Tensor.full(first, 1, .bool), isSame.logicalNot()], dim: d)
            let start = Tensor.select(isStart, place, Tensor.zeros(Dims(), .int64)).cummax(dim: d).values
            // A run is longest at its end, and the first of equally long runs has the smallest value.
            return (place - start).argmax(dim: d, keepDim: true)
        }
        let v = values.gather(d, end)
        let i = indices.gather(d, end)
        return keepDim ? (v, i) : (v.squeeze(d), i.squeeze(d))
    }

    // MARK: counts

    /// How often each of the numbers 0, 1, ... occurs in a vector of integers that are not negative.
    ///
    /// - Parameters:
    ///   - weights: of the vector's shape: what each element counts. Integers are taken as float64.
    ///   - minLength: the least number of results.
    /// - Returns: [max(largest + 1, minLength)], int64 without weights.
    public func bincount(weights: Tensor? = nil, minLength: Int = 0) -> Tensor {
        let index = indexTensor("bincount")
        if rank != 1 { trap("bincount", "a vector is needed, the shape is \(dims.text)") }
        if minLength < 0 { trap("bincount", "minLength may not be negative: \(minLength)") }
        if count > 0, case let least = index.min().item(Int.self), least < 0 {
            trap("bincount", "numbers may not be negative, \(least) is")
        }
        let length = count == 0 ? minLength : Swift.max(sizeSum(index.max().item(Int.self), 1, "bincount"), minLength)
        guard let weights else {
            return Tensor.zeros(Dims([length]), .int64, "bincount").scatterAdd(0, index, Tensor.full(dims, 1, .int64))
        }
        if weights.dims != dims {
            trap("bincount", "weights of shape \(dims.text) are needed, these are \(weights.dims.text)")
        }
        let w = weights.dtype.isFloatingPoint ? weights : weights.to(.float64)
        return Tensor.zeros(Dims([length]), w.dtype, "bincount").scatterAdd(0, index, w)
    }

    /// How many elements lie in each of `bins` equal intervals from `min` to `max`, the last of which includes `max`;
    /// others are left out. With `min` = `max` the range is that of the elements.
    ///
    /// - Returns: [bins] in this dtype, which must be floating-point. No gradient flows.
    public func histc(bins: Int = 100, min: Double = 0, max: Double = 0) -> Tensor {
        if !dtype.isFloatingPoint { trap("histc", "a floating-point tensor is needed, this one is \(dtype)") }
        if bins < 1 { trap("histc", "at least one bin is needed, not \(bins)") }
        if !(min <= max) { trap("histc", "the range \(min) to \(max) is none: min must not be above max") }
        return noGrad {
            let x = detach().to(dtype.accumulator).reshape([-1])
            var (low, high) = (min, max)
            if low == high && count > 0 { (low, high) = (x.min().item(), x.max().item()) }
            if !low.isFinite || !high.isFinite { trap("histc", "the range \(low) to \(high) is not finite") }
            if low == high { (low, high) = (low - 1, high + 1) }
            let inside = x.maskedSelect((x .>= low).logicalAnd(x .<= high))
            let bin = ((inside - low) * Double(bins) / (high - low)).to(.int64).clamp(max: Double(bins - 1))
            let ones = Tensor.full(bin.dims, 1, .int64)
            return Tensor.zeros(Dims([bins]), .int64, "histc").scatterAdd(0, bin, ones).to(dtype)
        }
    }
}
