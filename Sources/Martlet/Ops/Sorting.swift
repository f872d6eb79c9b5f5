internal import CMartletKernels

extension Tensor {
    /// The elements in order along `dim`, and their former indices (int64). Stable; NaN counts as the largest.
    public func sort(dim: Int = -1, descending: Bool = false) -> (values: Tensor, indices: Tensor) {
        if dims.count == 0 { return (clone(), Tensor.zeros(dims, .int64)) }
        let d = normalize(dim, "sort")
        let values = Tensor(uninitialized: dims, dtype)
        let indices = Tensor(uninitialized: dims, .int64)
        Kernels.sort(values, indices, self, d, descending: descending)
        values.recordPlacement("sort", self, indices, d)
        return (values, indices)
    }

    /// The indices (int64) that sort the elements along `dim`.
    public func argsort(dim: Int = -1, descending: Bool = false) -> Tensor {
        noGrad { detach().sort(dim: dim, descending: descending).indices }
    }

    /// The `k` largest elements along `dim` in falling order (or the smallest in rising order), and their indices.
    public func topk(_ k: Int, dim: Int = -1, largest: Bool = true) -> (values: Tensor, indices: Tensor) {
        let d = normalize(dim, "topk")
        if k < 0 || k > dims[d] {
            trap("topk", "k = \(k) is not in 0...\(dims[d]), the size of dimension \(dim) of \(dims.text)")
        }
        var shape = dims
        shape[d] = k
        let values = Tensor(uninitialized: shape, dtype)
        let indices = Tensor(uninitialized: shape, .int64)
        if values.count > 0 { Kernels.topk(values, indices, self, d, largest: largest) }
        values.recordPlacement("topk", self, indices, d)
        return (values, indices)
    }

    /// The gradient of elements taken from `source` at `indices` along `d` goes back to where they came from.
    private func recordPlacement(_ name: StaticString, _ source: Tensor, _ indices: Tensor, _ d: Int) {
        let whole = source.dims
        record(name, source) { node in
            node.save(indices)
            return { ctx, g in ctx.give(0, Tensor.zeros(whole, g.dtype).scatterAdd(d, ctx[0], g)) }
        }
    }

    /// The lower median along `dim` and its index.
    public func median(dim: Int, keepDim: Bool = false) -> (values: Tensor, indices: Tensor) {
        let d = normalize(dim, "median")
        if dims[d] == 0 { trap("median", "dimension \(dim) of \(dims.text) is empty") }
        let (values, indices) = sort(dim: d)
        let middle = (dims[d] - 1) / 2
        let v = values.narrow(d, start: middle, length: 1)
        let i = indices.narrow(d, start: middle, length: 1)
        return keepDim ? (v, i) : (v.squeeze(d), i.squeeze(d))
    }

    /// The lower median of all elements; equal ones share the gradient.
    public func median() -> Tensor {
        if count == 0 { trap("median", "the tensor of shape \(dims.text) has no elements") }
        let out = noGrad { detach().reshape([-1]).sort(dim: 0).values.select(0, (count - 1) / 2).clone() }
        out.record("median", self) { node in
            node.save(self)
            node.saveOutput(out)
            return { ctx, g in
                let hit = (ctx[0] .== ctx[1]).to(g.dtype)
                ctx.give(0, hit / hit.sum() * g)
            }
        }
        return out
    }

    /// The distinct elements in rising order.
    public func unique() -> Tensor {
        noGrad {
            let sorted = detach().reshape([-1]).sort().values
            if sorted.count < 2 { return sorted }
            let changes =
                sorted.narrow(0, start: 1, length: sorted.count - 1)
                .!= sorted.narrow(0, start: 0, length: sorted.count - 1)
            return sorted.maskedSelect(Tensor.cat([Tensor.full([1], 1, dtype: .bool), changes]))
        }
    }
}
