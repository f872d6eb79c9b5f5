internal import CMartletKernels

// MARK: - From Swift values

extension Tensor {
    /// A tensor of `shape` holding a copy of `values` in row-major order; `shape` defaults to one dimension.
    public convenience init<T: TensorScalar>(_ values: [T], shape: [Int]? = nil) {
        let dims = Dims(shape ?? [values.count])
        if dims.product != values.count {
            trap(
                "Tensor",
                "\(values.count) values do not fill the shape \(dims.text), which has \(dims.product) elements")
        }
        self.init(uninitialized: dims, T.dtype, "Tensor")
        values.withUnsafeBytes {
            if $0.count > 0 { storage.pointer.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        }
    }

    /// A tensor of Doubles, stored as float32 unless `dtype` says otherwise: Swift's decimal literals are Doubles, and
    /// deep learning computes in float32.
    public convenience init(_ values: [Double], shape: [Int]? = nil, dtype: DType = .float32) {
        let dims = Dims(shape ?? [values.count])
        if dims.product != values.count {
            trap(
                "Tensor",
                "\(values.count) values do not fill the shape \(dims.text), which has \(dims.product) elements")
        }
        let source = Tensor(uninitialized: dims, .float64, "Tensor")
        values.withUnsafeBytes {
            if $0.count > 0 { source.storage.pointer.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        }
        if dtype == .float64 {
            self.init(sharing: source)
        } else {
            self.init(uninitialized: dims, dtype)
            Kernels.copy(self, source)
        }
    }

    /// A scalar (rank 0).
    public convenience init(_ value: Double, dtype: DType = .float32) { self.init([value], shape: [], dtype: dtype) }

    /// An int64 scalar.
    public convenience init(_ value: Int) { self.init([value], shape: []) }

    /// A matrix from its rows, which must have one length; float32 unless `dtype` says otherwise.
    public convenience init(_ rows: [[Double]], dtype: DType = .float32) {
        let width = rows.first?.count ?? 0
        if let i = rows.firstIndex(where: { $0.count != width }) {
            trap("Tensor", "row \(i) has \(rows[i].count) elements, row 0 has \(width)")
        }
        self.init(rows.flatMap { $0 }, shape: [rows.count, width], dtype: dtype)
    }

    /// A matrix of another scalar type from its rows.
    public convenience init<T: TensorScalar>(_ rows: [[T]]) {
        let width = rows.first?.count ?? 0
        if let i = rows.firstIndex(where: { $0.count != width }) {
            trap("Tensor", "row \(i) has \(rows[i].count) elements, row 0 has \(width)")
        }
        self.init(rows.flatMap { $0 }, shape: [rows.count, width])
    }
}

extension Tensor {
    /// A tensor of rank 3 from its matrices, which must have one shape; float32 unless `dtype` says otherwise.
    public convenience init(_ matrices: [[[Double]]], dtype: DType = .float32) {
        self.init(matrices.flatMap { $0.flatMap { $0 } }, shape: Tensor.commonShape(matrices), dtype: dtype)
    }

    /// A tensor of rank 3 of another scalar type from its matrices.
    public convenience init<T: TensorScalar>(_ matrices: [[[T]]]) {
        self.init(matrices.flatMap { $0.flatMap { $0 } }, shape: Tensor.commonShape(matrices))
    }

    private static func commonShape<T>(_ matrices: [[[T]]]) -> [Int] {
        let height = matrices.first?.count ?? 0
        let width = matrices.first?.first?.count ?? 0
        for (i, matrix) in matrices.enumerated() {
            if matrix.count != height { trap("Tensor", "matrix \(i) has \(matrix.count) rows, matrix 0 has \(height)") }
            if let j = matrix.firstIndex(where: { $0.count != width }) {
                trap("Tensor", "row \(j) of matrix \(i) has \(matrix[j].count) elements, the first has \(width)")
            }
        }
        return [matrices.count, height, width]
    }
}

// MARK: - Filled

extension Tensor {
    static func full(_ dims: Dims, _ value: Double, _ dtype: DType, _ op: StaticString = "full") -> Tensor {
        let out = Tensor(uninitialized: dims, dtype, op)
        Kernels.fill(out, mk_scalar(value))
        return out
    }

    static func zeros(_ dims: Dims, _ dtype: DType, _ op: StaticString = "zeros") -> Tensor {
        full(dims, 0, dtype, op)
    }

    static func checked(_ shape: [Int], _ op: StaticString) -> Dims {
        if let bad = shape.first(where: { $0 < 0 }) { trap("\(op)", "a size may not be negative: \(bad) in \(shape)") }
        return Dims(shape)
    }

    /// Zeros.
    public static func zeros(_ shape: [Int], dtype: DType = .float32) -> Tensor {
        zeros(checked(shape, "zeros"), dtype)
    }

    /// Ones.
    public static func ones(_ shape: [Int], dtype: DType = .float32) -> Tensor {
        full(checked(shape, "ones"), 1, dtype, "ones")
    }

    /// Every element `value`.
    public static func full(_ shape: [Int], _ value: Double, dtype: DType = .float32) -> Tensor {
        full(checked(shape, "full"), value, dtype)
    }

    /// Memory of unspecified content, to be written.
    public static func empty(_ shape: [Int], dtype: DType = .float32) -> Tensor {
        Tensor(uninitialized: checked(shape, "empty"), dtype, "empty")
    }

    /// Zeros of the shape of `other`, and of its type unless given.
    public static func zeros(like other: Tensor, dtype: DType? = nil) -> Tensor {
        zeros(other.dims, dtype ?? other.dtype)
    }

    /// Ones of the shape of `other`, and of its type unless given.
    public static func ones(like other: Tensor, dtype: DType? = nil) -> Tensor {
        full(other.dims, 1, dtype ?? other.dtype, "ones")
    }

    /// `value` in the shape of `other`, and of its type unless given.
    public static func full(like other: Tensor, _ value: Double, dtype: DType? = nil) -> Tensor {
        full(other.dims, value, dtype ?? other.dtype)
    }

    /// Unspecified content in the shape of `other`, and of its type unless given.
    public static func empty(like other: Tensor, dtype: DType? = nil) -> Tensor {
        Tensor(uninitialized: other.dims, dtype ?? other.dtype, "empty")
    }

    /// Integers start, start + step, ... before `end`: int64.
    public static func arange(_ start: Int, _ end: Int, step: Int = 1, dtype: DType = .int64) -> Tensor {
        if step == 0 { trap("arange", "the step may not be 0") }
        let (span, overflow) = end.subtractingReportingOverflow(start)
        if overflow { trap("arange", "\(start) and \(end) are further apart than can be counted") }
        let n = span == 0 || (span < 0) != (step < 0) ? 0 : (span.magnitude - 1) / step.magnitude + 1
        let out = Tensor(uninitialized: Dims([Int(clamping: n)]), dtype, "arange")
        Kernels.arange(out, mk_scalar(start), mk_scalar(step))
        return out
    }

    /// 0, 1, ... before `end`: int64.
    public static func arange(_ end: Int, dtype: DType = .int64) -> Tensor { arange(0, end, dtype: dtype) }

    /// Numbers start, start + step, ... before `end`.
    public static func arange(_ start: Double, _ end: Double, step: Double, dtype: DType = .float32) -> Tensor {
        if step == 0 { trap("arange", "the step may not be 0") }
        let steps = ((end - start) / step).rounded(.up)
        guard steps < 0x1p62 else {
            trap("arange", "from \(start) to \(end) in steps of \(step) are \(steps) numbers, more than can be counted")
        }
        let n = steps > 0 ? Int(steps) : 0
        let out = Tensor(uninitialized: Dims([n]), dtype, "arange")
        Kernels.arange(out, mk_scalar(start), mk_scalar(step))
        return out
    }

    /// `count` numbers from `start` to `end`, both included, at equal distances.
    public static func linspace(_ start: Double, _ end: Double, _ count: Int, dtype: DType = .float32) -> Tensor {
        if count < 0 { trap("linspace", "the number of elements may not be negative: \(count)") }
        let out = Tensor(uninitialized: Dims([count]), dtype, "linspace")
        let step = count > 1 ? (end - start) / Double(count - 1) : 0
        Kernels.arange(out, mk_scalar(start), mk_scalar(step))
        return out
    }

    /// `count` numbers from base^start to base^end, both included, at equal distances of their logarithms.
    public static func logspace(
        _ start: Double, _ end: Double, _ count: Int, base: Double = 10, dtype: DType = .float32
    ) -> Tensor {
        if count < 0 { trap("logspace", "the number of elements may not be negative: \(count)") }
        if base <= 0 { trap("logspace", "the base must be positive, it is \(base)") }
        let exponents = linspace(start, end, count, dtype: .float64)
        return noGrad { full(Dims(), base, .float64).pow(exponents).to(dtype) }
    }

    /// The identity matrix, or its first `columns` columns.
    public static func eye(_ rows: Int, _ columns: Int? = nil, dtype: DType = .float32) -> Tensor {
        let out = zeros(checked([rows, columns ?? rows], "eye"), dtype, "eye")
        let n = Swift.min(rows, columns ?? rows)
        let diagonal = Tensor(
            storage: out.storage, dims: Dims([n]), strides: Dims([(columns ?? rows) + 1]), offset: 0, dtype: dtype,
            contiguous: false)
        Kernels.fill(diagonal, mk_scalar(1))
        return out
    }
}
