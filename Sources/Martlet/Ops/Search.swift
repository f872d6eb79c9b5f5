// Searching in sorted and unsorted elements. No gradient flows.

extension Tensor {
    /// Where each of `values` would have to be inserted to keep this tensor sorted: the number of elements below it, or
    /// not above it with `right`.
    ///
    /// This tensor is sorted in rising order along its last dimension, which is not checked. It has one dimension, and
    /// `values` any shape; or all dimensions but the last are those of `values`, and each line is searched for its own.
    ///
    /// - Returns: int64, of the shape of `values`.
    public func searchsorted(_ values: Tensor, right: Bool = false) -> Tensor {
        let op: StaticString = "searchsorted"
        if rank == 0 { trap("\(op)", "the sorted tensor needs at least one dimension") }
        if rank > 1 && (values.rank != rank || !dims.dropLast().elementsEqual(values.dims.dropLast())) {
            trap("\(op)", "all dimensions but the last must be equal: \(describe(self, values))")
        }
        return noGrad {
            let type = DType.promote(dtype, values.dtype)
            let sorted = detach().to(type)
            let wanted = rank == 1 ? values.detach().to(type).reshape([-1]) : values.detach().to(type)
            let n = dims[rank - 1]
            var low = Tensor.zeros(wanted.dims, .int64)
            var high = Tensor.full(wanted.dims, Double(n), .int64)
            // Bisection of all intervals at once: after as many steps as n has bits every one is empty.
            for _ in 0..<(Int.bitWidth - n.leadingZeroBitCount) {
                let isOpen = low .< high
                let middle = (low + high).shiftRight(Tensor(1))
                let element = sorted.gather(-1, middle.clamp(max: Double(n - 1)))
                // NaN belongs behind all else: neither comparison holds for it.
                let isBelow = (right ? element .> wanted : element .>= wanted).logicalNot()
                low = Tensor.select(isOpen.logicalAnd(isBelow), middle + 1, low)
                high = Tensor.select(isOpen.logicalAnd(isBelow.logicalNot()), middle, high)
            }
            return low.reshape(values.dims)
        }
    }

    /// The interval that each element falls into, between `boundaries` (one dimension, rising): i where
    /// boundaries[i - 1] < x <= boundaries[i], or with `right` boundaries[i - 1] <= x < boundaries[i]. int64.
    public func bucketize(_ boundaries: Tensor, right: Bool = false) -> Tensor {
        if boundaries.rank != 1 {
            trap("bucketize", "boundaries of one dimension are needed, their shape is \(boundaries.dims.text)")
        }
        return boundaries.searchsorted(self, right: right)
    }

    /// Whether each element is among `elements`, of any shape (or is not, with `invert`): bool. NaN equals nothing.
    public func isIn(_ elements: Tensor, invert: Bool = false) -> Tensor {
        noGrad {
            let type = DType.promote(dtype, elements.dtype)
            let n = elements.count
            if n == 0 { return Tensor.full(dims, invert ? 1 : 0, .bool) }
            let sorted = elements.detach().to(type).reshape([-1]).sort().values
            let x = detach().to(type)
            let place = sorted.searchsorted(x).clamp(max: Double(n - 1))
            let found = sorted.take(place) .== x
            return invert ? found.logicalNot() : found
        }
    }

    /// The elements in row-major order without those that repeat the one before them.
    ///
    /// - Returns: the values; `inverse`, the place among them of each element, in this tensor's shape; and `counts`,
    ///   the lengths of the runs. Places and counts are int64.
    public func uniqueConsecutive() -> (values: Tensor, inverse: Tensor, counts: Tensor) {
        noGrad {
            let flat = detach().reshape([-1])
            let n = count
            if n == 0 { return (flat.clone(), Tensor.zeros(dims, .int64), Tensor.zeros(Dims([0]), .int64)) }
            let isNew = flat.narrow(0, start: 1, length: n - 1) .!= flat.narrow(0, start: 0, length: n - 1)
            let isStart = Tensor.cat([Tensor.full(Dims([1]), 1, .bool), isNew])
            let starts = isStart.nonzero().reshape([-1])
            return (
                flat.indexSelect(0, starts), (isStart.cumsum(dim: 0) - 1).reshape(dims),
                starts.diff(append: Tensor([n]))
            )
        }
    }
}
