internal import CMartletKernels

/// Records what ops run, how long each takes, and the memory they ask for.
///
/// ```swift
/// let profile = Profiler.record {
///     let loss = Profiler.range("forward") { model(x).crossEntropy(y) }
///     loss.backward()
///     optimizer.step(clippingNorm: 1)
/// }
/// print(profile.table())
/// try profile.write(to: "trace.json")      // for chrome://tracing or ui.perfetto.dev
/// ```
///
/// An event is an op with the shapes and types of its operands, the derivative of one (`linear backward`), a range that
/// the program named, or a module's computation. Results are not changed by being recorded. Where nothing is recorded an
/// op looks at one number.
///
/// Record a few steps after some that warm up: the first ones pay for preparations that later ones do not.
public enum Profiler {
    /// Records what `body` does.
    ///
    /// - Parameter allThreads: record the ops of every thread, not of the calling one only.
    public static func record(allThreads: Bool = false, _ body: () throws -> Void) rethrows -> Profile {
        start(allThreads: allThreads)
        do { try body() } catch {
            _ = stop()
            throw error
        }
        return stop()
    }

    /// Begins to record, until ``stop()`` on the same thread. What is recorded inside of another recording is part of
    /// both.
    public static func start(allThreads: Bool = false) { Recorder.begin(allThreads: allThreads) }

    /// Ends the recording that was started last on this thread.
    public static func stop() -> Profile {
        guard let (recorder, entries, end) = Recorder.end() else {
            trap("Profiler", "stop() without start() on this thread")
        }
        return Profile(recorder, entries, end: end)
    }

    /// Whether this thread has started a recording.
    public static var isRecording: Bool { mk_is_profiling() && Recorder.isRecordingThread }

    /// Runs `body` as one event of this name. Ranges may be nested; where nothing is recorded the name is not evaluated.
    @inline(__always)
    public static func range<R>(_ name: @autoclosure () -> String, _ body: () throws -> R) rethrows -> R {
        let scope = ProfilerScope()
        defer { scope.end(name(), .range) }
        return try body()
    }
}
