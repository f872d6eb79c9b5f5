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
        if dtype.isFloatingPoint {
            return noGrad { computeScalar(op, mk_scalar(value), isFloat: true, left: false, .bool) }
        }
        return compareInteger(op, value)
    }

    /// Whole numbers and truth values are compared with the number itself, not with what it becomes in their type: a
    /// fraction equals none of them, and a number outside their range is above or below them all.
    private func compareInteger(_ op: mk_binary_op, _ value: Double) -> Tensor {
        let isLess = op == MK_LT || op == MK_LE
        let isGreater = op == MK_GT || op == MK_GE
        let range = dtype == .bool ? DType.int64.wholeRange : dtype.wholeRange
        let whole = value.rounded(op == MK_LT || op == MK_GE ? .up : .down)
        // 2^63 is the first Double beyond Int64: Int64.max itself is none.
        if value.isNaN || (whole != value && !isLess && !isGreater) {
            return Tensor.full(dims, op == MK_NE ? 1 : 0, .bool)
        }
        if whole >= 0x1p63 || whole < -0x1p63 || !range.contains(Int(whole)) {
            let holds = op == MK_NE || (whole > 0 ? isLess : isGreater)
            return Tensor.full(dims, holds ? 1 : 0, .bool)
        }
        return noGrad { computeScalar(op, mk_scalar(whole), isFloat: false, left: false, .bool) }
    }

    @inline(__always)
    private func compare(_ op: mk_binary_op, _ value: Int) -> Tensor {
        if dtype.isFloatingPoint { return compare(op, Double(value)) }
        let range = dtype == .bool ? DType.int64.wholeRange : dtype.wholeRange
        if !range.contains(value) { return compareInteger(op, Double(value)) }
        return noGrad { computeScalar(op, mk_scalar(value), isFloat: false, left: false, .bool) }
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
    public static func .== (a: Tensor, b: Int) -> Tensor { a.compare(MK_EQ, b) }
    public static func .!= (a: Tensor, b: Int) -> Tensor { a.compare(MK_NE, b) }
    public static func .< (a: Tensor, b: Int) -> Tensor { a.compare(MK_LT, b) }
    public static func .<= (a: Tensor, b: Int) -> Tensor { a.compare(MK_LE, b) }
    public static func .> (a: Tensor, b: Int) -> Tensor { a.compare(MK_GT, b) }
    public static func .>= (a: Tensor, b: Int) -> Tensor { a.compare(MK_GE, b) }

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
