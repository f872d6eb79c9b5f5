/// What ``Profiler`` recorded.
public struct Profile: Sendable {
    /// One op, range or module's computation.
    public struct Event: Sendable {
        public enum Category: String, Sendable {
            /// An op, the derivative of one, or an optimizer's step.
            case op
            /// What the program named with ``Profiler/range(_:_:)``, and whole backward passes.
            case range
            /// The computation of a module, of the name of its path.
            case module
        }

        public enum Phase: String, Sendable {
            case forward
            case backward
            case optimizer
        }

        /// Shape and type of an operand.
        public struct Operand: Sendable, Equatable, CustomStringConvertible {
            public var shape: [Int]
            public var dtype: DType

            /// `float32[8, 512]`
            public var description: String { "\(dtype)\(shape)" }
        }

        /// `linear`, `linear backward`, a range's name, a module's path.
        public var name: String
        public var category: Category
        public var phase: Phase
        /// Seconds from the beginning of the profile.
        public var start: Double
        /// Seconds that the event took.
        public var duration: Double
        /// Seconds without those of the events inside.
        public var selfDuration: Double
        /// The kernel's number of the thread.
        public var thread: Int
        /// How many events of the thread this one is inside of.
        public var depth: Int
        /// The operands; of an op with very many the first.
        public var inputs: [Operand]
        /// What the op made, where it is one kernel.
        public var output: Operand?
        /// Bytes that were asked for by tensors, those of the events inside included; freed or not since.
        public var bytesAllocated: Int
        /// Bytes without those of the events inside.
        public var selfBytesAllocated: Int
        /// Floating-point operations of matrix products and attention, those of the events inside included; 0 where
        /// there were none.
        public var flops: Double
        var selfFLOPs: Double
        /// The module that was running, in the backward pass the one whose op is differentiated; empty outside of any.
        public var modulePath: String
        /// Bytes that all tensors of the process held when the event ended.
        public var liveBytes: Int
    }

    /// All events in the order of their beginnings, what is inside of another one after it.
    public let events: [Event]
    /// Seconds from the beginning to the end.
    public let duration: Double
    /// The thread that recorded, as in ``Event/thread``.
    public let thread: Int

    init(_ recorder: Recorder, _ entries: [Int32: [Recorder.Entry]], end: UInt64) {
        thread = Int(recorder.thread)
        duration = Double(end - recorder.start) * 1e-9
        events = entries.flatMap { Profile.nested($0.value, thread: Int($0.key), start: recorder.start) }
            .sorted { ($0.start, $0.depth) < ($1.start, $1.depth) }
    }

    /// The events of one thread, outer ones before those inside.
    private static func nested(_ entries: [Recorder.Entry], thread: Int, start: UInt64) -> [Event] {
        struct Open {
            var index: Int
            var depth: Int32
        }
        var open: [Open] = []
        var events: [Event] = []
        events.reserveCapacity(entries.count)
        for entry in entries.reversed() {
            while let last = open.last, last.depth >= entry.depth { open.removeLast() }
            let outer = open.last?.index
            // A range may have begun before the recording did.
            let begin = max(entry.start, start)
            let duration = Double(max(entry.end, begin) - begin) * 1e-9
            let bytes = Int(entry.bytes)
            if let outer {
                events[outer].selfDuration -= duration
                events[outer].selfBytesAllocated -= bytes
                events[outer].selfFLOPs -= entry.flops
            }
            // Modules are not entered again in the backward pass: what runs there belongs to the path of the op that
            // is differentiated.
            let path =
                entry.modulePath.isEmpty && outer.map { events[$0].phase == .backward } == true
                ? events[outer!].modulePath : entry.modulePath
            open.append(Open(index: events.count, depth: entry.depth))
            events.append(
                Event(
                    name: entry.name, category: entry.category,
                    phase: entry.phase ?? outer.map { events[$0].phase } ?? .forward,
                    start: Double(begin - start) * 1e-9, duration: duration, selfDuration: duration,
                    thread: thread, depth: open.count - 1, inputs: entry.operands.map { Event.Operand($0) },
                    output: entry.output.map { Event.Operand($0) }, bytesAllocated: bytes, selfBytesAllocated: bytes,
                    flops: entry.flops, selfFLOPs: entry.flops, modulePath: path, liveBytes: Int(entry.liveBytes)))
        }
        return events
    }
}

extension Profile.Event.Operand {
    fileprivate init(_ operand: Recorder.Operand) {
        shape = operand.dims.array
        dtype = operand.dtype
    }
}
