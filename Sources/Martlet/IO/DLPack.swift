// Tensors handed to and taken from other libraries in the same process, without a copy.
internal import CMartletKernels

extension Tensor {
    /// A `DLManagedTensor *` of DLPack over this tensor's memory, for another library in the process.
    ///
    /// The memory stays valid until the receiver calls the structure's `deleter`, which it must do exactly once, even
    /// after this tensor is gone. Both sides see each other's writes. Traps for a tensor that requires gradients (the
    /// other library's writes would escape the history: `detach()` it) and for read-only memory (a mapped file:
    /// `clone()` it).
    public func toDLPack() -> UnsafeMutableRawPointer {
        if requiresGrad { trap("toDLPack", "the tensor requires gradients: detach() it") }
        if storage.isReadOnly { trap("toDLPack", "the tensor's memory is read-only (a mapped file): clone() it") }
        let rank = dims.count
        // One block for both lists; empty ones are still an address.
        let lists = UnsafeMutablePointer<Int64>.allocate(capacity: Swift.max(2 * rank, 1))
        for i in 0..<rank {
            lists[i] = Int64(dims[i])
            lists[rank + i] = Int64(strideDims[i])
        }
        let managed = UnsafeMutablePointer<mk_dl_managed_tensor>.allocate(capacity: 1)
        managed.initialize(to: mk_dl_managed_tensor())
        managed.pointee.dl_tensor = mk_dl_tensor(
            data: dataPointer, device: mk_dl_device(device_type: MK_DL_CPU, device_id: 0), ndim: Int32(rank),
            dtype: Tensor.dlType(dtype), shape: lists, strides: lists + rank, byte_offset: 0)
        managed.pointee.manager_ctx = Unmanaged.passRetained(storage).toOpaque()
        managed.pointee.deleter = { managed in
            Unmanaged<Storage>.fromOpaque(managed.pointee.manager_ctx!).release()
            managed.pointee.dl_tensor.shape!.deallocate()
            managed.deallocate()
        }
        return UnsafeMutableRawPointer(managed)
    }

    /// A tensor over the memory of a `DLManagedTensor *` from another library.
    ///
    /// Takes the structure over: its `deleter` is called when the last tensor that uses the memory goes. When this
    /// throws, it stays the caller's.
    ///
    /// - Throws: `MartletError.format` for memory that is not the CPU's, element types that tensors do not have, more
    ///   than eight dimensions, or elements at addresses that are no multiple of their size.
    public static func fromDLPack(_ pointer: UnsafeMutableRawPointer) throws -> Tensor {
        let managed = pointer.assumingMemoryBound(to: mk_dl_managed_tensor.self)
        let source = managed.pointee.dl_tensor
        func unsupported(_ message: String) -> MartletError { MartletError(.format, "DLPack tensor: \(message)") }
        if source.device.device_type != MK_DL_CPU && source.device.device_type != MK_DL_CUDA_HOST {
            throw unsupported("it is on a device of type \(source.device.device_type), not in the CPU's memory")
        }
        guard let dtype = DType.allCases.first(where: { dlType($0) == source.dtype }) else {
            throw unsupported(
                "its element type (code \(source.dtype.code), \(source.dtype.bits) bits, \(source.dtype.lanes) lanes) "
                    + "is not supported")
        }
        guard source.ndim >= 0, Int(source.ndim) <= Dims.maximum else {
            throw unsupported("it has \(source.ndim) dimensions, at most \(Dims.maximum) are supported")
        }
        let rank = Int(source.ndim)
        if rank > 0 && source.shape == nil { throw unsupported("it has \(rank) dimensions but no shape") }
        let shape = (0..<rank).map { Int(source.shape![$0]) }
        guard checkedByteCount(shape, dtype.byteSize) != nil else {
            throw unsupported("its shape \(shape) is impossible")
        }
        let dims = Dims(shape)
        var strides = dims.contiguousStrides
        if let given = source.strides { for i in 0..<rank { strides[i] = Int(given[i]) } }

        // Strides may be negative: the memory begins at the lowest element that they reach.
        var lowest = 0
        var highest = 0
        if dims.product > 0 {
            for i in 0..<rank {
                let (reach, overflow) = strides[i].multipliedReportingOverflow(by: dims[i] - 1)
                if overflow || reach.magnitude > 1 << 56 {
                    throw unsupported("its strides \(strides.text) are impossible")
                }
                if reach < 0 { lowest += reach } else { highest += reach }
            }
        }
        let owner = DLPackOwner(managed)
        let byteCount = dims.product == 0 ? 0 : (highest - lowest + 1) * dtype.byteSize
        let start: UnsafeMutableRawPointer
        if let data = source.data {
            start = data + Int(source.byte_offset) + lowest * dtype.byteSize
        } else if byteCount == 0 {
            // No element is ever read: any address does.
            start = UnsafeMutableRawPointer(managed)
        } else {
            throw unsupported("it has elements but no memory")
        }
        if byteCount > 0 && Int(bitPattern: start) % dtype.byteSize != 0 {
            throw unsupported("its elements of \(dtype.byteSize) bytes are not at multiples of that size")
        }
        owner.isOurs = true
        let storage = Storage(borrowing: start, byteCount: byteCount, readOnly: false, owner: owner)
        return Tensor(
            storage: storage, dims: dims, strides: strides, offset: -lowest, dtype: dtype,
            contiguous: Tensor.isContiguous(dims, strides))
    }

    private static func dlType(_ dtype: DType) -> mk_dl_dtype {
        let code: Int32 =
            switch dtype {
            case .float64, .float32, .float16: MK_DL_FLOAT
            case .bfloat16: MK_DL_BFLOAT
            case .int64, .int32, .int16, .int8: MK_DL_INT
            case .uint8: MK_DL_UINT
            case .bool: MK_DL_BOOL
            }
        return mk_dl_dtype(code: UInt8(code), bits: UInt8(8 * dtype.byteSize), lanes: 1)
    }
}

private func == (a: mk_dl_dtype, b: mk_dl_dtype) -> Bool { a.code == b.code && a.bits == b.bits && a.lanes == b.lanes }

/// Gives a structure back to the library it came from.
private final class DLPackOwner {
    private let managed: UnsafeMutablePointer<mk_dl_managed_tensor>
    /// Set once nothing can fail any more: until then the structure is the caller's.
    var isOurs = false

    init(_ managed: UnsafeMutablePointer<mk_dl_managed_tensor>) { self.managed = managed }

    deinit { if isOurs { managed.pointee.deleter?(managed) } }
}
