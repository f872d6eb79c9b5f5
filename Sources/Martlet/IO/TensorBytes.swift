// Tensors over, from and to plain little-endian bytes, as every tensor file has them.
internal import CMartletKernels

#if canImport(Glibc)
internal import Glibc
#endif

/// The number of bytes of `shape` elements of `size`, or nil when that is no number a file can have.
func checkedByteCount(_ shape: [Int], _ size: Int) -> Int? {
    var total = size
    for n in shape {
        let (product, overflow) = total.multipliedReportingOverflow(by: n)
        if n < 0 || overflow { return nil }
        total = product
    }
    return total
}

/// Throws when a file's tensor has more dimensions than tensors can.
func checkRank(_ shape: [Int], _ what: String) throws {
    if shape.count > Dims.maximum {
        throw MartletError(
            .format, "\(what) has \(shape.count) dimensions, \(shape); at most \(Dims.maximum) are supported")
    }
}

extension Tensor {
    /// A tensor that reads `bytes` in place, kept valid by `owner`; a copy where that cannot be.
    ///
    /// Copied are elements at an address that is no multiple of their size, and booleans other than 0 and 1. The caller
    /// has checked that `bytes` has the size of `shape`, and the rank.
    static func borrowing(_ bytes: UnsafeRawBufferPointer, _ shape: [Int], _ dtype: DType, owner: AnyObject) -> Tensor {
        guard let start = bytes.baseAddress, Int(bitPattern: start) % dtype.byteSize == 0,
            dtype != .bool || bytes.allSatisfy({ $0 <= 1 })
        else { return copying(bytes, shape, dtype) }
        let dims = Dims(shape)
        let storage = Storage(
            borrowing: UnsafeMutableRawPointer(mutating: start), byteCount: bytes.count, readOnly: true, owner: owner)
        return Tensor(
            storage: storage, dims: dims, strides: dims.contiguousStrides, offset: 0, dtype: dtype, contiguous: true)
    }

    /// A tensor with a copy of `bytes`; booleans other than 0 become 1.
    static func copying(_ bytes: UnsafeRawBufferPointer, _ shape: [Int], _ dtype: DType) -> Tensor {
        let out = Tensor(uninitialized: Dims(shape), dtype)
        if bytes.count > 0 { out.dataPointer.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count) }
        if dtype == .bool {
            let values = out.dataPointer.assumingMemoryBound(to: UInt8.self)
            for i in 0..<bytes.count where values[i] > 1 { values[i] = 1 }
        }
        return out
    }

    /// A tensor of unsigned integers of 2 or 4 bytes, for which there is no type, in the next wider signed one.
    static func widening(_ bytes: UnsafeRawBufferPointer, _ shape: [Int], from size: Int) -> Tensor {
        let out = Tensor(uninitialized: Dims(shape), size == 2 ? .int32 : .int64)
        let count = bytes.count / size
        if size == 2 {
            let values = out.dataPointer.assumingMemoryBound(to: Int32.self)
            for i in 0..<count {
                values[i] = Int32(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self)))
            }
        } else {
            let values = out.dataPointer.assumingMemoryBound(to: Int64.self)
            for i in 0..<count {
                values[i] = Int64(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self)))
            }
        }
        return out
    }

    /// Calls `body` with the elements' bytes in row-major order; no more than this tensor is copied for it.
    func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        let source = isContiguous ? self : noGrad { detach().contiguous() }
        return try withExtendedLifetime(source) {
            try body(UnsafeRawBufferPointer(start: source.dataPointer, count: source.byteCount))
        }
    }
}
