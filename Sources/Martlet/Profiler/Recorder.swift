internal import CMartletKernels
internal import Synchronization

/// Where the events of one profile are collected.
final class Recorder: Sendable {
    /// An event as it is noted while the program runs. Those of a thread are in the order of their ends, so what an
    /// event encloses comes before it, at a greater depth.
    struct Entry {
        var name: String
        var category: Profile.Event.Category
        /// nil: that of the enclosing event.
        var phase: Profile.Event.Phase?
        var start: UInt64
        var end: UInt64
        var depth: Int32
        var operands: [Operand]
        var output: Operand?
        var bytes: Int64
        var flops: Double
        var modulePath: String
        var liveBytes: Int64
        /// The memory that a kernel wrote, as long as no op has given the event its name.
        var written: ObjectIdentifier?
    }

    struct Operand {
        let dims: Dims
        let dtype: DType

        init(_ tensor: Tensor) {
            dims = tensor.dims
            dtype = tensor.dtype
        }
    }

    let start = mk_nanoseconds()
    let thread = mk_thread_number()
    /// The profile that this one is recorded inside of, on the same thread.
    let outer: Recorder?
    let coversAllThreads: Bool
    private let entries = Mutex<[Int32: [Entry]]>([:])
    private static let everywhere = Mutex<[Recorder]>([])
    /// Operands of an op that are kept.
    private static let mostOperands = 8

    private init(coversAllThreads: Bool, outer: Recorder?) {
        self.coversAllThreads = coversAllThreads
        self.outer = outer
    }

    // MARK: start and end

    private static var ofThread: Recorder? {
        guard let slot = mk_thread().pointee.slots.5 else { return nil }
        return Unmanaged<Recorder>.fromOpaque(slot).takeUnretainedValue()
    }

    /// What records this thread's events.
    private static var current: Recorder? { ofThread ?? everywhere.withLock { $0.last } }

    /// Whether a profile was started on this thread.
    static var isRecordingThread: Bool { ofThread != nil }

    static func begin(allThreads: Bool) {
        let recorder = Recorder(coversAllThreads: allThreads, outer: ofThread)
        mk_thread().pointee.slots.5 = Unmanaged.passRetained(recorder).toOpaque()
        if allThreads { everywhere.withLock { $0.append(recorder) } }
        let state = mk_thread()
        state.pointee.attributed_bytes = state.pointee.allocated_bytes
        mk_add_profiles(1)
    }

    /// Ends the profile that was begun last on this thread.
    static func end() -> (recorder: Recorder, entries: [Int32: [Entry]], end: UInt64)? {
        guard let recorder = ofThread else { return nil }
        let end = mk_nanoseconds()
        mk_add_profiles(-1)
        if recorder.coversAllThreads { everywhere.withLock { $0.removeAll { $0 === recorder } } }
        mk_thread().pointee.slots.5 = recorder.outer.map { Unmanaged.passUnretained($0).toOpaque() }
        // The outer recorder stays retained by its own beginning.
        Unmanaged.passUnretained(recorder).release()
        let entries = recorder.entries.withLock { $0 }
        if let outer = recorder.outer {
            outer.entries.withLock { all in
                for (thread, list) in entries { all[thread, default: []].append(contentsOf: list) }
            }
        }
        return (recorder, entries, end)
    }

    // MARK: events

    /// The time, or 0 where nobody records this thread.
    @inline(never)
    static func time() -> UInt64 { current == nil ? 0 : mk_nanoseconds() }

    /// A kernel has run: an event until now.
    @inline(never)
    static func addKernel(_ name: String, since start: UInt64, flops: Double, _ out: Tensor?, _ inputs: [Tensor?]) {
        guard let recorder = current else { return }
        let end = mk_nanoseconds()
        let state = mk_thread()
        // The output was allocated before the kernel began.
        let bytes = state.pointee.allocated_bytes - state.pointee.attributed_bytes
        state.pointee.attributed_bytes = state.pointee.allocated_bytes
        state.pointee.counted_flops += flops
        recorder.append(
            Entry(
                name: name, category: .op, phase: nil, start: start, end: end, depth: state.pointee.profile_depth,
                operands: inputs.prefix(mostOperands).compactMap { $0.map { Operand($0) } },
                output: out.map { Operand($0) }, bytes: bytes, flops: flops, modulePath: ModulePath.current,
                liveBytes: mk_memory().live_bytes, written: out.map { ObjectIdentifier($0.storage) }))
    }

    static func append(_ entry: Entry) { current?.append(entry) }

    private func append(_ entry: Entry) {
        entries.withLock { $0[mk_thread_number(), default: []].append(entry) }
    }

    /// An op says that it made `out` of `inputs`: the kernels that have just written there are its own, and become one
    /// event of its name.
    @inline(never)
    static func name(_ op: StaticString, _ out: Tensor, _ inputs: [Tensor]) {
        guard let recorder = current else { return }
        let memory = ObjectIdentifier(out.storage)
        let depth = mk_thread().pointee.profile_depth
        recorder.entries.withLock { all in
            all[mk_thread_number(), default: []].nameLast("\(op)", memory, depth, inputs.prefix(mostOperands))
        }
    }
}

extension [Recorder.Entry] {
    fileprivate mutating func nameLast(
        _ op: String, _ memory: ObjectIdentifier, _ depth: Int32, _ inputs: some Collection<Tensor>
    ) {
        var first = count
        while first > 0, self[first - 1].written == memory, self[first - 1].depth == depth { first -= 1 }
        if first == count { return }
        let last = self[count - 1]
        for later in self[(first + 1)...] {
            self[first].bytes += later.bytes
            self[first].flops += later.flops
        }
        self[first].end = last.end
        self[first].liveBytes = last.liveBytes
        self[first].name = op
        self[first].operands = inputs.map { Recorder.Operand($0) }
        self[first].written = nil
        removeLast(count - first - 1)
    }
}

// MARK: - Hooks

/// Times one kernel. Where nothing is profiled this is a load and a branch.
struct KernelSpan {
    private let start: UInt64

    @inline(__always) init() { start = mk_is_profiling() ? Recorder.time() : 0 }

    /// - Parameters:
    ///   - name: what the event is called unless an op gives it its own.
    ///   - flops: floating-point operations, where the kernel's time is made of them.
    @inline(__always)
    func end(
        _ name: @autoclosure () -> String, _ out: Tensor?, _ a: Tensor? = nil, _ b: Tensor? = nil, _ c: Tensor? = nil,
        flops: @autoclosure () -> Double = 0
    ) {
        if start != 0 { Recorder.addKernel(name(), since: start, flops: flops(), out, [a, b, c]) }
    }

    /// The name of an elementwise operation from its constant's: "logicalNot" from "LOGICAL_NOT".
    static func name(_ constant: UnsafePointer<CChar>) -> String {
        let words = String(cString: constant).lowercased().split(separator: "_")
        return words[0] + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }
}

/// Times something that other events are part of. Where nothing is profiled this is a load and a branch.
package struct ProfilerScope {
    private let start: UInt64
    private let bytes: Int64
    private let flops: Double
    private let depth: Int32

    @inline(__always)
    package init() {
        if mk_is_profiling() {
            self = ProfilerScope.begin()
        } else {
            (start, bytes, flops, depth) = (0, 0, 0, 0)
        }
    }

    private init(start: UInt64, bytes: Int64, flops: Double, depth: Int32) {
        self.start = start
        self.bytes = bytes
        self.flops = flops
        self.depth = depth
    }

    @inline(never)
    private static func begin() -> ProfilerScope {
        let start = Recorder.time()
        if start == 0 { return ProfilerScope(start: 0, bytes: 0, flops: 0, depth: 0) }
        let state = mk_thread()
        // What was allocated since the last event belongs to what this is part of.
        state.pointee.attributed_bytes = state.pointee.allocated_bytes
        let depth = state.pointee.profile_depth
        state.pointee.profile_depth = depth + 1
        return ProfilerScope(
            start: start, bytes: state.pointee.allocated_bytes, flops: state.pointee.counted_flops, depth: depth)
    }

    /// - Parameters:
    ///   - phase: that of everything inside; nil for that of what this is part of.
    ///   - path: the module path, where it is not the one that is running.
    @inline(__always)
    package func end(
        _ name: @autoclosure () -> String, _ category: Profile.Event.Category = .op,
        phase: Profile.Event.Phase? = nil, path: @autoclosure () -> String? = nil,
        inputs: @autoclosure () -> [Tensor] = []
    ) {
        if start != 0 { add(name(), category, phase, path(), inputs()) }
    }

    @inline(never)
    private func add(
        _ name: String, _ category: Profile.Event.Category, _ phase: Profile.Event.Phase?, _ path: String?,
        _ inputs: [Tensor]
    ) {
        let state = mk_thread()
        state.pointee.profile_depth = depth
        state.pointee.attributed_bytes = state.pointee.allocated_bytes
        Recorder.append(
            Recorder.Entry(
                name: name, category: category, phase: phase, start: start, end: mk_nanoseconds(), depth: depth,
                operands: inputs.map { Recorder.Operand($0) }, output: nil,
                bytes: state.pointee.allocated_bytes - bytes, flops: state.pointee.counted_flops - flops,
                modulePath: path ?? ModulePath.current, liveBytes: mk_memory().live_bytes, written: nil))
    }
}
