// Weights stored as int8 with a factor for each row: a quarter of float32's memory, which is what generating text one
// token at a time is limited by. Activations stay floating-point.
internal import CMartletKernels

extension Tensor {
    /// The rows of a matrix [out, in] as int8 and a factor for each [out], of this tensor's dtype: row i is about
    /// values[i] * scale[i].
    ///
    /// Symmetric: a row's largest magnitude becomes 127. The factor is rounded to the dtype first and the values are
    /// rounded with what it became, so that half-precision factors add no error of their own.
    public func quantizedRows() -> (values: Tensor, scale: Tensor) {
        if rank != 2 || !dtype.isFloatingPoint {
            trap("quantizedRows", "a floating-point matrix is needed: \(describe(self)), \(dtype)")
        }
        return noGrad {
            let wide = detach().to(dtype == .float64 ? .float64 : .float32)
            let largest = wide.abs().max(dim: 1, keepDim: true).values
            // A row of zeros keeps any factor.
            let scale = Tensor.where(largest .> 0, largest / 127, Tensor.ones(like: largest)).to(dtype)
            let values = (wide / scale.to(wide.dtype)).round().clamp(min: -127, max: 127).to(.int8)
            return (values, scale.squeeze(1).contiguous())
        }
    }

    /// values * scale, row by row, in the factors' dtype: what ``quantizedRows()`` stands for.
    public static func dequantizedRows(_ values: Tensor, _ scale: Tensor) -> Tensor {
        checkQuantized("dequantizedRows", values, scale)
        return noGrad { values.to(scale.dtype) * scale.unsqueeze(1) }
    }

    /// x @ (values * scale)ᵀ + bias for a weight [out, in] of ``quantizedRows()``: [..., in] gives [..., out].
    ///
    /// The weight is widened on its way into the product and summed in float32. It has no gradient; the input has.
    public func linear(int8 values: Tensor, scale: Tensor, bias: Tensor? = nil) -> Tensor {
        Tensor.checkQuantized("linear", values, scale)
        if rank == 0 || dims[rank - 1] != values.dims[1] {
            trap(
                "linear",
                "inner dimensions differ: \(describe(self, values)); the input's last dimension must be the weight's second"
            )
        }
        if dtype != scale.dtype {
            trap("linear", "input and factors need one dtype: \(dtype), \(scale.dtype)")
        }
        let rows = rank == 2 ? self : reshape([-1, dims[rank - 1]])
        let out: Tensor
        if dtype == .float64 {
            out = rows.linear(Tensor.dequantizedRows(values, scale))
        } else {
            out = Tensor(uninitialized: Dims([rows.dims[0], values.dims[0]]), dtype)
            let x = rows.detach().contiguous()
            Kernels.matmulInt8(out, x, values.contiguous(), scale.contiguous())
            out.record("linear", rows) { node in
                return { ctx, g in ctx.give(0, g.matmul(Tensor.dequantizedRows(values, scale))) }
            }
        }
        let shaped = rank == 2 ? out : out.reshape(shape.dropLast() + [values.dims[0]])
        return bias.map { shaped + $0 } ?? shaped
    }

    private static func checkQuantized(_ op: String, _ values: Tensor, _ scale: Tensor) {
        if values.rank != 2 || values.dtype != .int8 || scale.dims != Dims([values.dims[0]])
            || !scale.dtype.isFloatingPoint
        {
            trap(
                op,
                "int8 values [out, in] and floating-point factors [out] are needed: \(describe(values, scale)), "
                    + "\(values.dtype), \(scale.dtype)")
        }
    }
}
