internal import CMartletKernels

/// An n-dimensional array of one ``DType`` on one ``Device``, with reverse-mode differentiation.
///
/// A tensor is a reference: views (slices, `transpose`, `reshape` of contiguous data...) share its memory, and in-place
/// operations (`+=`, `x[i] = v`, methods ending in `InPlace`) are seen through every view, as in PyTorch and NumPy.
///
/// ```swift
/// let w = Tensor.randn([3, 4]).requiringGrad()
/// let loss = (w * w).sum()
/// loss.backward()
/// print(w.grad!)     // 2 * w
/// ```
///
/// Tensors may be read from several threads at once; writing one while another thread uses it is a race, as with any
/// array.
public class Tensor: @unchecked Sendable {
    @exclusivity(unchecked) package final internal(set) var storage: Storage
    @exclusivity(unchecked) package final internal(set) var dims: Dims
    @exclusivity(unchecked) package final internal(set) var strideDims: Dims
    /// Where the first element is in the storage, in elements.
    @exclusivity(unchecked) package final internal(set) var offset: Int
    @exclusivity(unchecked) public final internal(set) var dtype: DType
    @exclusivity(unchecked) package final internal(set) var isContiguous: Bool

    // MARK: autograd

    /// The operation that made this tensor, when it was recorded.
    @exclusivity(unchecked) final var nodeStorage: Node?
    @exclusivity(unchecked) final var outputIndex: Int32 = 0
    /// Set by the user on a leaf: gradients are wanted.
    @exclusivity(unchecked) final var leafRequiresGrad = false
    /// The tensor whose memory this one views (never itself a view), kept while gradients are recorded so that an
    /// in-place write through a view reaches the history of the whole.
    @exclusivity(unchecked) final var viewBase: Tensor?
    /// How often the history of this tensor, as a base of views, was rewritten by in-place operations; and for a view
    /// the count its own history was made at.
    @exclusivity(unchecked) final var historyVersion: Int32 = 0
    /// A view made while nothing was recorded: its base does not learn of recorded writes through it.
    @exclusivity(unchecked) final var isUntrackedView = false
    @exclusivity(unchecked) final var extras: Extras?

    /// What few tensors have.
    final class Extras {
        var grad: Tensor?
        var name: String?
        var hooks: [Int: (Tensor) -> Tensor?] = [:]
        var retainsGrad = false
        var afterAccumulation: [Int: (Tensor) -> Void] = [:]
    }

    @inline(__always)
    init(storage: Storage, dims: Dims, strides: Dims, offset: Int, dtype: DType, contiguous: Bool) {
        self.storage = storage
        self.dims = dims
        self.strideDims = strides
        self.offset = offset
        self.dtype = dtype
        self.isContiguous = contiguous
    }

    /// A new, uninitialised, contiguous tensor. Traps in the name of `op` for a shape that no memory can have.
    @inline(__always)
    convenience init(uninitialized dims: Dims, _ dtype: DType, _ op: StaticString = "tensor") {
        self.init(
            storage: Storage(byteCount: dims.byteCount(of: dtype, op)), dims: dims, strides: dims.contiguousStrides,
            offset: 0, dtype: dtype, contiguous: true)
    }

    /// A view of `other` with its own history: the base of ``Parameter``.
    init(sharing other: Tensor) {
        storage = other.storage
        dims = other.dims
        strideDims = other.strideDims
        offset = other.offset
        dtype = other.dtype
        isContiguous = other.isContiguous
    }
}

// MARK: - Attributes

extension Tensor {
    /// The size of each dimension; empty for a scalar.
    @inlinable public var shape: [Int] { dimsArray }
    @usableFromInline var dimsArray: [Int] { dims.array }

    /// Elements to step over in memory for the next index of each dimension.
    public var strides: [Int] { strideDims.array }

    /// The number of dimensions.
    public var rank: Int { dims.count }

    /// The number of elements.
    public var count: Int { dims.product }

    /// Bytes that the elements take.
    public var byteCount: Int { dims.product * dtype.byteSize }

    public var device: Device { .cpu }

    /// The size of dimension `dim`; negative counts from the end.
    public func size(_ dim: Int) -> Int { dims[normalize(dim, "size")] }

    /// Whether this tensor is a scalar (rank 0).
    public var isScalar: Bool { dims.count == 0 }

    /// How often the memory was written in place; shared by all views of it.
    public var version: Int { storage.version }

    /// Whether `other` views the same memory.
    public func sharesStorage(with other: Tensor) -> Bool { storage === other.storage }

    /// A name for error messages, given by the module that owns a parameter: "layers.3.feedForward.up.weight".
    public var name: String? {
        get { extras?.name }
        set { ensureExtras().name = newValue }
    }

    @inline(__always) func ensureExtras() -> Extras {
        if let extras { return extras }
        let new = Extras()
        extras = new
        return new
    }

    /// The index of dimension `dim` with negative ones counted from the end.
    @inline(__always) package func normalize(_ dim: Int, _ op: StaticString) -> Int {
        let d = dim < 0 ? dim + dims.count : dim
        if d < 0 || d >= dims.count {
            trap("\(op)", "dimension \(dim) is out of range for the shape \(dims.text)")
        }
        return d
    }

    /// A mask of dimensions; every one of them when `list` is nil.
    func normalizeSet(_ list: [Int]?, _ op: StaticString) -> UInt32 {
        guard let list else { return (1 << UInt32(dims.count)) - 1 }
        var mask: UInt32 = 0
        for d in list {
            let n = UInt32(normalize(d, op))
            if mask & (1 << n) != 0 { trap("\(op)", "dimension \(d) is given twice in \(list)") }
            mask |= 1 << n
        }
        return mask
    }

    static func isContiguous(_ dims: Dims, _ strides: Dims) -> Bool {
        var step = 1
        var i = dims.count - 1
        while i >= 0 {
            let n = dims[i]
            if n == 0 { return true }
            if n != 1 {
                if strides[i] != step { return false }
                step &*= n
            }
            i -= 1
        }
        return true
    }
}

// MARK: - Access to memory

extension Tensor {
    /// The address of the first element.
    package var dataPointer: UnsafeMutableRawPointer { storage.pointer + offset &* dtype.byteSize }

    /// Calls `body` with the elements in row-major order; a tensor that is not contiguous is copied first.
    ///
    /// `T.dtype` must be the tensor's ``dtype``.
    public func withUnsafeElements<T: TensorScalar, R>(
        of type: T.Type, _ body: (UnsafeBufferPointer<T>) throws -> R
    ) rethrows -> R {
        if T.dtype != dtype { trap("withUnsafeElements", "the tensor is \(dtype), not \(T.dtype)") }
        let source = isContiguous ? self : noGrad { contiguous() }
        return try withExtendedLifetime(source) {
            try body(
                UnsafeBufferPointer(start: source.dataPointer.assumingMemoryBound(to: T.self), count: source.count))
        }
    }

    /// Calls `body` with the elements for writing. The tensor must be contiguous; counts as an in-place write.
    public func withUnsafeMutableElements<T: TensorScalar, R>(
        of type: T.Type, _ body: (UnsafeMutableBufferPointer<T>) throws -> R
    ) rethrows -> R {
        if T.dtype != dtype { trap("withUnsafeMutableElements", "the tensor is \(dtype), not \(T.dtype)") }
        if !isContiguous { trap("withUnsafeMutableElements", "the tensor \(dims.text) is not contiguous") }
        storage.wrote("withUnsafeMutableElements")
        return try withExtendedLifetime(self) {
            try body(UnsafeMutableBufferPointer(start: dataPointer.assumingMemoryBound(to: T.self), count: count))
        }
    }

    /// The elements in row-major order, converted to `T`.
    public func toArray<T: TensorScalar>(_ type: T.Type) -> [T] {
        let source = noGrad { detach().to(T.dtype).contiguous() }
        return source.withUnsafeElements(of: T.self) { Array($0) }
    }

    /// The elements in row-major order as float32.
    public func toArray() -> [Float] { toArray(Float.self) }

    /// The value of a tensor of one element.
    public func item() -> Double {
        if count != 1 { trap("item", "a tensor of one element is needed, this one has the shape \(dims.text)") }
        return element(at: offset)
    }

    /// The value of a tensor of one element, as `T`.
    public func item<T: TensorScalar>(_ type: T.Type) -> T {
        if count != 1 { trap("item", "a tensor of one element is needed, this one has the shape \(dims.text)") }
        return toArray(type)[0]
    }

    /// The element at a storage position, as a Double.
    func element(at position: Int) -> Double {
        let p = storage.pointer
        switch dtype {
        case .float64: return p.load(fromByteOffset: position &* 8, as: Double.self)
        case .float32: return Double(p.load(fromByteOffset: position &* 4, as: Float.self))
        case .float16: return Double(p.load(fromByteOffset: position &* 2, as: Float16.self))
        case .bfloat16: return Double(p.load(fromByteOffset: position &* 2, as: BFloat16.self).float)
        case .int64: return Double(p.load(fromByteOffset: position &* 8, as: Int64.self))
        case .int32: return Double(p.load(fromByteOffset: position &* 4, as: Int32.self))
        case .int16: return Double(p.load(fromByteOffset: position &* 2, as: Int16.self))
        case .int8: return Double(p.load(fromByteOffset: position, as: Int8.self))
        case .uint8: return Double(p.load(fromByteOffset: position, as: UInt8.self))
        case .bool: return p.load(fromByteOffset: position, as: UInt8.self) != 0 ? 1 : 0
        }
    }

    /// The descriptor kernels take.
    @inline(__always) func descriptor() -> mk_tensor { descriptor(dims, strideDims) }

    /// The descriptor of this tensor repeated to `target`.
    @inline(__always) func descriptor(broadcastTo target: Dims) -> mk_tensor {
        if dims == target { return descriptor(dims, strideDims) }
        return descriptor(target, Dims.broadcastStrides(dims, strideDims, to: target))
    }

    @inline(__always) func descriptor(_ dims: Dims, _ strides: Dims) -> mk_tensor {
        var d = mk_tensor()
        d.data = dataPointer
        d.dtype = dtype.rawValue
        d.rank = Int32(truncatingIfNeeded: dims.count)
        withUnsafeBytes(of: dims.values) { source in
            withUnsafeMutableBytes(of: &d.shape) { $0.copyMemory(from: source) }
        }
        withUnsafeBytes(of: strides.values) { source in
            withUnsafeMutableBytes(of: &d.strides) { $0.copyMemory(from: source) }
        }
        return d
    }
}

/// A tensor that a module learns: gradients are wanted, and ``dtype`` and memory may be replaced as a whole
/// (``Tensor/setData(_:)``), so that modules can be converted and loaded.
public final class Parameter: Tensor, @unchecked Sendable {
    /// Takes over the memory of `value` (no copy). Traps for a value of integers or truth values that requires gradients.
    public init(_ value: Tensor, requiresGrad: Bool = true) {
        if requiresGrad && !value.dtype.isFloatingPoint {
            trap(
                "Parameter",
                "only floating-point values can be learned, found \(value.dtype): give a dtype, as in "
                    + "Tensor([1, 2], dtype: .float32), or make it with requiresGrad: false")
        }
        super.init(sharing: value)
        leafRequiresGrad = requiresGrad
    }
}
