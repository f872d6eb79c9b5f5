// What replaces or leaves out elements that are not a number.

extension Tensor {
    /// Numbers in place of NaN and infinities: `nan`, and the largest and smallest finite number of the dtype unless
    /// `posInf` and `negInf` say otherwise. The gradient there is 0; integers are unchanged.
    public func nanToNum(nan: Double = 0, posInf: Double? = nil, negInf: Double? = nil) -> Tensor {
        if !dtype.isFloatingPoint { return self }
        func constant(_ value: Double) -> Tensor { Tensor.full(Dims(), value, dtype) }
        let x = detach()
        let bounded = Tensor.select(
            x .== .infinity, constant(posInf ?? dtype.greatestFinite),
            Tensor.select(x .== -.infinity, constant(negInf ?? -dtype.greatestFinite), self))
        return Tensor.select(x.isNaN(), constant(nan), bounded)
    }

    /// The sum over `dims` of the elements that are not NaN; 0 where there are none. Integers sum in int64.
    public func nanSum(dims: [Int]? = nil, keepDim: Bool = false) -> Tensor {
        (dtype.isFloatingPoint ? withoutNaN : self).sum(dims: dims, keepDim: keepDim)
    }

    /// The sum over one dimension; see ``nanSum(dims:keepDim:)``.
    public func nanSum(dim: Int, keepDim: Bool = false) -> Tensor { nanSum(dims: [dim], keepDim: keepDim) }

    /// The mean over `dims` of the elements that are not NaN; NaN where there are none. Floating-point tensors only.
    public func nanMean(dims: [Int]? = nil, keepDim: Bool = false) -> Tensor {
        if !dtype.isFloatingPoint { trap("nanMean", "a floating-point tensor is needed, this one is \(dtype)") }
        // In half precision neither a long sum nor its count would be right.
        let type = dtype.accumulator
        let total = withoutNaN.to(type).sum(dims: dims, keepDim: keepDim)
        let n = noGrad { detach().isNaN().logicalNot().sum(dims: dims, keepDim: keepDim).to(type) }
        return (total / n).to(dtype)
    }

    /// The mean over one dimension; see ``nanMean(dims:keepDim:)``.
    public func nanMean(dim: Int, keepDim: Bool = false) -> Tensor { nanMean(dims: [dim], keepDim: keepDim) }

    private var withoutNaN: Tensor { Tensor.select(detach().isNaN(), Tensor.zeros(Dims(), dtype), self) }
}
