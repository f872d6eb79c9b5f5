// Weights stored in 4 bits, in groups of 32 that share a factor: a seventh of float32's memory with bfloat16
// factors. Activations stay floating-point.
internal import CMartletKernels

extension Tensor {
    /// Weights that share a factor in ``quantizedGroups()``.
    public static let int4Group = 32

    /// The rows of a matrix [out, in] in 4 bits, two to a byte [out, in / 2] (uint8), and a factor for each 32 of a row
    /// [out, in / 32], of this tensor's dtype: a weight is about (value - 8) * factor, value in 0...15.
    ///
    /// `in` must be a multiple of 64: byte i of each 32 holds weight i of its 64 in the low half and weight 32 + i in the
    /// high one. The factor is the one of several that leaves the least squared error: the largest magnitude becomes -8,
    /// or, where that is nearer to the others, something a little beyond. Other shapes, and integers, trap.
    public func quantizedGroups() -> (values: Tensor, scale: Tensor) {
        if rank != 2 || !dtype.isFloatingPoint || dims[1] % 64 != 0 {
            trap(
                "quantizedGroups",
                "a floating-point matrix whose rows are a multiple of 64 long is needed: \(describe(self)), \(dtype)")
        }
        return noGrad {
            let (rows, groups) = (dims[0], dims[1] / Tensor.int4Group)
            let wide = detach().to(dtype == .float64 ? .float64 : .float32).reshape([rows, groups, Tensor.int4Group])
            let extreme = wide.gather(2, wide.abs().argmax(dim: 2, keepDim: true))  // with its sign
            // A group of zeros keeps any factor.
            let whole = Tensor.select(extreme .!= 0, extreme / -8, Tensor.ones(like: extreme))
            var best: (error: Tensor, scale: Tensor, values: Tensor)?
            for shrink in [1, 0.95, 0.9, 0.85, 0.8, 0.75] {
                let scale = (whole * shrink).to(dtype).to(wide.dtype)
                let usable = Tensor.select(scale .!= 0, scale, Tensor.ones(like: scale))
                let values = (wide / usable).round().clamp(min: -8, max: 7)
                let error = (values * usable - wide).square().sum(dims: [2], keepDim: true)
                guard let old = best else {
                    best = (error, usable, values)
                    continue
                }
                let better = error .< old.error
                best = (
                    Tensor.select(better, error, old.error), Tensor.select(better, usable, old.scale),
                    Tensor.select(better, values, old.values)
                )
            }
            let pairs = (best!.values + 8).reshape([rows, dims[1] / 64, 2, Tensor.int4Group])
            let bytes = pairs.select(2, 0) + pairs.select(2, 1) * 16
            return (
                bytes.to(.uint8).reshape([rows, dims[1] / 2]).contiguous(),
                best!.scale.squeeze(2).to(dtype).contiguous()
            )
        }
    }

    /// The matrix [out, in] that values [out, in / 2] (uint8) and factors [out, in / 32] of ``quantizedGroups()`` stand for,
    /// in the factors' dtype. Traps where shapes or dtypes are others.
    public static func dequantizedGroups(_ values: Tensor, _ scale: Tensor) -> Tensor {
        checkGroups("dequantizedGroups", values, scale)
        return noGrad {
            let (rows, groups) = (values.dims[0], scale.dims[1])
            let bytes = values.to(.int32).reshape([rows, groups / 2, Tensor.int4Group])
            let high = bytes.floorDivide(16)
            let both = Tensor.stack([bytes - high * 16, high], dim: 2).reshape([rows, groups, Tensor.int4Group])
            let wide = (both - 8).to(scale.dtype) * scale.unsqueeze(2)
            return wide.reshape([rows, groups * Tensor.int4Group])
        }
    }

    /// x @ wᵀ + bias for a weight w [out, in] of ``quantizedGroups()``: [..., in] gives [..., out].
    ///
    /// Values are [out, in / 2] (uint8), factors [out, in / 32] of the input's dtype, the bias [out]; others trap. Sums are
    /// float32, of float64 inputs float64. The weight has no gradient; the input has.
    public func linear(int4 values: Tensor, scale: Tensor, bias: Tensor? = nil) -> Tensor {
        Tensor.checkGroups("linear", values, scale)
        if rank == 0 || dims[rank - 1] != 2 * values.dims[1] {
            trap(
                "linear",
                "inner dimensions differ: \(describe(self)) and a weight [\(values.dims[0]), \(2 * values.dims[1])] in "
                    + "4 bits; the input's last dimension must be the weight's second")
        }
        if dtype != scale.dtype {
            trap("linear", "input and factors need one dtype: \(dtype), \(scale.dtype)")
        }
        if dtype == .float64 {
            let out = linear(Tensor.dequantizedGroups(values, scale))
            return bias.map { out + $0 } ?? out
        }
        let rows = rank == 2 ? self : reshape([-1, dims[rank - 1]])
        let out = Tensor(uninitialized: Dims([rows.dims[0], values.dims[0]]), dtype)
        Kernels.matmulInt4(out, rows.detach().contiguous(), values.contiguous(), scale.contiguous())
        out.record("linear", rows) { node in
            return { ctx, g in ctx.give(0, g.matmul(Tensor.dequantizedGroups(values, scale))) }
        }
        let shaped = rank == 2 ? out : out.reshape(shape.dropLast() + [values.dims[0]])
        return bias.map { shaped + $0 } ?? shaped
    }

    /// ``linear(int8:scale:bias:)`` or ``linear(int4:scale:bias:)``, as the factors' rank says.
    package func linear(quantized values: Tensor, scale: Tensor, bias: Tensor? = nil) -> Tensor {
        scale.rank == 2
            ? linear(int4: values, scale: scale, bias: bias) : linear(int8: values, scale: scale, bias: bias)
    }

    private static func checkGroups(_ op: String, _ values: Tensor, _ scale: Tensor) {
        if values.rank != 2 || values.dtype != .uint8 || values.dims[1] % 32 != 0
            || scale.dims != Dims([values.dims[0], values.dims[1] / 16]) || !scale.dtype.isFloatingPoint
        {
            trap(
                op,
                "uint8 values [out, in / 2] and floating-point factors [out, in / 32] are needed, in being a multiple of "
                    + "64: \(describe(values, scale)), \(values.dtype), \(scale.dtype)")
        }
    }
}
