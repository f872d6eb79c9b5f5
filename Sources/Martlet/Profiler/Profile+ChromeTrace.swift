extension Profile {
    /// The profile in Chrome's trace event format, which chrome://tracing and Perfetto show: a track a thread, and one of
    /// the bytes that tensors hold.
    public func chromeTrace() -> String {
        var text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
        var isFirst = true
        func add(_ object: JSONValue) {
            if !isFirst { text += ",\n" }
            isFirst = false
            // Only a number that is not finite cannot be written, and there is none.
            text += try! object.text()
        }
        add(["name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": ["name": "Martlet"]])
        for (i, thread) in threads.enumerated() {
            let name = thread == self.thread ? "recording thread" : "thread \(thread)"
            add(metadata("thread_name", thread, "name", .string(name)))
            add(metadata("thread_sort_index", thread, "sort_index", .int(Int64(i))))
        }
        for event in events { add(object(event)) }
        var live: Int?
        for event in events.sorted(by: { $0.start + $0.duration < $1.start + $1.duration })
        where event.liveBytes != live {
            live = event.liveBytes
            add([
                "name": "live tensor bytes", "ph": "C", "pid": 1, "tid": 0,
                "ts": .double(microseconds(event.start + event.duration)),
                "args": ["bytes": .int(Int64(event.liveBytes))],
            ])
        }
        return text + "\n]}\n"
    }

    /// Writes ``chromeTrace()`` to a file.
    ///
    /// - Throws: `MartletError` when the file cannot be written.
    public func write(to path: String) throws {
        let file = try FileWriter(replacing: path)
        var text = chromeTrace()
        try text.withUTF8 { try file.write(UnsafeRawBufferPointer($0)) }
        try file.commit(sync: false)
    }

    /// All threads, the recording one first.
    private var threads: [Int] {
        var all = Set(events.map(\.thread))
        all.remove(thread)
        return [thread] + all.sorted()
    }

    private func metadata(_ name: String, _ thread: Int, _ key: String, _ value: JSONValue) -> JSONValue {
        var arguments = JSONObject()
        arguments[key] = value
        return [
            "name": .string(name), "ph": "M", "pid": 1, "tid": .int(Int64(thread)), "args": .object(arguments),
        ]
    }

    private func object(_ event: Event) -> JSONValue {
        var arguments = JSONObject()
        if event.category == .op || event.phase != .forward { arguments["phase"] = .string(event.phase.rawValue) }
        if !event.modulePath.isEmpty { arguments["module"] = .string(event.modulePath) }
        if !event.inputs.isEmpty {
            arguments["shapes"] = .array(event.inputs.map { .array($0.shape.map { .int(Int64($0)) }) })
            arguments["dtypes"] = .array(event.inputs.map { .string("\($0.dtype)") })
        }
        if let output = event.output { arguments["output"] = .string(output.description) }
        arguments["bytes allocated"] = .int(Int64(event.bytesAllocated))
        if event.flops > 0 && event.duration > 0 {
            arguments["GFLOP/s"] = .double((event.flops / event.duration * 1e-8).rounded() / 10)
        }
        return [
            "name": .string(event.name), "cat": .string(event.category.rawValue), "ph": "X", "pid": 1,
            "tid": .int(Int64(event.thread)), "ts": .double(microseconds(event.start)),
            "dur": .double(microseconds(event.duration)), "args": .object(arguments),
        ]
    }

    /// To the nanosecond that the clock gives.
    private func microseconds(_ seconds: Double) -> Double { (seconds * 1e9).rounded() / 1e3 }
}
