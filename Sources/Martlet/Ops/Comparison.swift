// Comparisons and logic: results are bool, no gradient flows.
internal import CMartletKernels

infix operator .== : ComparisonPrecedence
infix operator .!= : ComparisonPrecedence
infix operator .< : ComparisonPrecedence
infix operator .<= : ComparisonPrecedence
infix operator .> : ComparisonPrecedence
infix operator .>= : ComparisonPrecedence

extension Tensor {
    @inline(__always)
    private static func compare(_ name: StaticString, _ op: mk_binary_op, _ a: Tensor, _ b: Tensor) -> Tensor {
        let (x, y) = noGrad { promoted(a, b) }
        return compute(name, op, x, y, .bool)
    }

    @inline(__always)
    private func compare(_ op: mk_binary_op, _ value: Double) -> Tensor {
        // An integer tensor is compared with a fraction as numbers, not after truncating the fraction.
        let isWhole = value == value.rounded()
        return noGrad { computeScalar(op, mk_scalar(value), isFloat: !isWhole, left: false, .bool) }
    }

    public static func .== (a: Tensor, b: Tensor) -> Tensor { compare("eq", MK_EQ, a, b) }
    public static func .!= (a: Tensor, b: Tensor) -> Tensor { compare("ne", MK_NE, a, b) }
    public static func .< (a: Tensor, b: Tensor) -> Tensor { compare("lt", MK_LT, a, b) }
    public static func .<= (a: Tensor, b: Tensor) -> Tensor { compare("le", MK_LE, a, b) }
    public static func .> (a: Tensor, b: Tensor) -> Tensor { compare("gt", MK_GT, a, b) }
    public static func .>= (a: Tensor, b: Tensor) -> Tensor { compare("ge", MK_GE, a, b) }
    public static func .== (a: Tensor, b: Double) -> Tensor { a.compare(MK_EQ, b) }
    public static func .!= (a: Tensor, b: Double) -> Tensor { a.compare(MK_NE, b) }
    public static func .< (a: Tensor, b: Double) -> Tensor { a.compare(MK_LT, b) }
    public static func .<= (a: Tensor, b: Double) -> Tensor { a.compare(MK_LE, b) }
    public static func .> (a: Tensor, b: Double) -> Tensor { a.compare(MK_GT, b) }
    public static func .>= (a: Tensor, b: Double) -> Tensor { a.compare(MK_GE, b) }

    @inline(__always)
    private static func logical(_ name: StaticString, _ op: mk_binary_op, _ a: Tensor, _ b: Tensor) -> Tensor {
        let (x, y) = noGrad { promoted(a, b) }
        return compute(name, op, x, y, .bool)
    }

    public func logicalAnd(_ other: Tensor) -> Tensor { Tensor.logical("logicalAnd", MK_LOGICAL_AND, self, other) }
    public func logicalOr(_ other: Tensor) -> Tensor { Tensor.logical("logicalOr", MK_LOGICAL_OR, self, other) }
    public func logicalXor(_ other: Tensor) -> Tensor { Tensor.logical("logicalXor", MK_LOGICAL_XOR, self, other) }

    /// Whether the shapes and dtypes are equal and every pair of elements is.
    public func equal(_ other: Tensor) -> Bool {
        dims == other.dims && dtype == other.dtype && Kernels.allClose(self, other, rtol: 0, atol: 0, equalNaN: false)
    }

    /// Whether |a - b| <= atol + rtol * |b| for every pair of elements; the operands broadcast.
    public func allClose(_ other: Tensor, rtol: Double = 1e-5, atol: Double = 1e-8, equalNaN: Bool = false) -> Bool {
        noGrad {
            let (x, y) = Tensor.promoted(self, other)
            let dims = Tensor.broadcastDims("allClose", x, y)
            return Kernels.allClose(
                x.expanded(dims), y.expanded(dims), rtol: rtol, atol: atol, equalNaN: equalNaN)
        }
    }

    /// |a - b| <= atol + rtol * |b| by element.
    public func isClose(_ other: Tensor, rtol: Double = 1e-5, atol: Double = 1e-8) -> Tensor {
        noGrad { (self - other).abs() .<= (other.abs() * rtol + atol) }
    }
}
