// Copies and conversions.
internal import CMartletKernels

extension Tensor {
    /// The elements converted to another type. The same tensor when it has that type already.
    public func to(_ type: DType) -> Tensor {
        if type == dtype { return self }
        let out = Tensor(uninitialized: dims, type, "to")
        Kernels.copy(out, self)
        if type.isFloatingPoint && dtype.isFloatingPoint {
            let old = dtype
            out.record("to", self) { _ in { ctx, g in ctx.give(0, g.to(old)) } }
        }
        return out
    }

    /// The tensor on `device`; the same one when it is there already.
    public func to(_ device: Device) -> Tensor { self }

    /// A copy with memory of its own, contiguous.
    public func clone() -> Tensor {
        let out = Tensor(uninitialized: dims, dtype, "clone")
        Kernels.copy(out, self)
        out.record("clone", self) { _ in { ctx, g in ctx.give(0, g) } }
        return out
    }

    /// The same tensor when its elements lie in row-major order, else a copy in which they do.
    public func contiguous() -> Tensor { isContiguous ? self : clone() }

    /// To float32.
    public func float() -> Tensor { to(.float32) }
    /// To float64.
    public func double() -> Tensor { to(.float64) }
    /// To float16.
    public func half() -> Tensor { to(.float16) }
    /// To bfloat16.
    public func bfloat16() -> Tensor { to(.bfloat16) }
    /// To int64.
    public func long() -> Tensor { to(.int64) }
    /// To int32.
    public func int() -> Tensor { to(.int32) }
    /// To int16.
    public func short() -> Tensor { to(.int16) }
    /// To uint8.
    public func byte() -> Tensor { to(.uint8) }
    /// Whether each element is not zero.
    public func bool() -> Tensor { dtype == .bool ? self : self .!= 0 }
}
