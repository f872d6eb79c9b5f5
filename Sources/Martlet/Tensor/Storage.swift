internal import CMartletKernels

#if canImport(Glibc)
internal import Glibc
#endif

/// A block of memory that one or more tensors view, freed the moment the last of them goes.
package final class Storage: @unchecked Sendable {
    package let pointer: UnsafeMutableRawPointer
    package let byteCount: Int
    /// Counts writes: autograd refuses a backward pass whose saved value was overwritten since.
    @exclusivity(unchecked) package var version: Int = 0
    /// The op that wrote last, for that refusal's message.
    @exclusivity(unchecked) package var lastWriter: StaticString = "creation"
    /// What keeps borrowed memory alive; nil when the memory is ours.
    let owner: AnyObject?
    package let isReadOnly: Bool

    init(byteCount: Int) {
        guard let block = mk_alloc(byteCount) else {
            let stats = mk_memory()
            trap(
                "memory",
                "out of memory: \(byteCount) bytes were asked for, \(stats.live_bytes) are live in tensors, "
                    + "\(stats.cached_bytes) in the allocator's cache")
        }
        pointer = block
        self.byteCount = byteCount
        owner = nil
        isReadOnly = false
    }

    /// Memory that `owner` keeps valid: a mapped file, another library's buffer.
    package init(borrowing pointer: UnsafeMutableRawPointer, byteCount: Int, readOnly: Bool, owner: AnyObject) {
        self.pointer = pointer
        self.byteCount = byteCount
        self.owner = owner
        isReadOnly = readOnly
    }

    deinit {
        if owner == nil { mk_free(pointer, byteCount) }
    }

    @inline(__always) package func wrote(_ op: StaticString) {
        if isReadOnly { trap("\(op)", "the tensor's memory is read-only (a mapped file): clone() it before writing") }
        version &+= 1
        lastWriter = op
    }
}

/// What the CPU allocator holds, in bytes.
public struct MemoryStatistics: Sendable {
    /// Held by tensors now.
    public var live: Int
    /// The most that was live since the last ``Memory/resetPeak()``.
    public var peak: Int
    /// Kept for reuse, held by no tensor.
    public var cached: Int
    /// Buffers handed out so far, and how many of those needed the system.
    public var allocations: Int
    public var systemAllocations: Int
}

/// The memory that tensors use on the CPU.
public enum Memory {
    public static var statistics: MemoryStatistics {
        let s = mk_memory()
        return MemoryStatistics(
            live: Int(s.live_bytes), peak: Int(s.peak_bytes), cached: Int(s.cached_bytes),
            allocations: Int(s.allocation_count), systemAllocations: Int(s.system_count))
    }

    /// Makes the current live bytes the new peak.
    public static func resetPeak() { mk_reset_peak_memory() }

    /// Gives unused memory back to the system.
    public static func emptyCache() { mk_empty_cache() }
}

/// How the CPU kernels run.
public enum CPU {
    /// Threads that kernels use, the calling one included.
    public static var threadCount: Int {
        get { Int(mk_thread_count()) }
        set { mk_set_thread_count(Int32(newValue)) }
    }

    /// The instruction set chosen at start: "baseline", "avx2", "avx512" or "avx512bf16".
    public static var instructionSet: String { String(cString: mk_isa()) }
}
