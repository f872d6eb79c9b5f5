import Glibc

/// A mutex and a condition variable.
package final class Monitor: @unchecked Sendable {
    // Both live at a fixed address for as long as the object does, as pthreads demands.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    package init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` with the mutex held.
    package func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Waits for `signalAll`; only inside `locked`.
    package func wait() { pthread_cond_wait(condition, mutex) }

    /// Wakes everyone who waits.
    package func signalAll() { pthread_cond_broadcast(condition) }
}

/// No thread could be started.
public struct ThreadError: Error, Equatable, Sendable, CustomStringConvertible {
    public let code: Int32

    public var description: String { "cannot start a thread: \(String(cString: strerror(code)))" }
}

/// A thread of the operating system. It must be joined once.
package final class WorkerThread: @unchecked Sendable {
    private let handle: pthread_t

    package init(_ body: @escaping @Sendable () -> Void) throws {
        final class Box {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        let box = Unmanaged.passRetained(Box(body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { context in
                let box = Unmanaged<Box>.fromOpaque(context!).takeRetainedValue()
                box.body()
                return nil
            }, box.toOpaque())
        guard code == 0 else {
            box.release()
            throw ThreadError(code: code)
        }
        handle = thread
    }

    package func join() { pthread_join(handle, nil) }
}

/// The processors this process may run on.
package var processorCount: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

/// Computes numbered results on worker threads and hands them out in the order of their numbers.
///
/// Results 0, 1, 2, ... are computed ahead of the reader, at most `depth` of them. The sequence ends with the first
/// number for which `produce` returns nil or throws. What is handed out does not depend on the number of workers.
package final class OrderedPrefetcher<Output: Sendable>: @unchecked Sendable {
    private final class Shared: @unchecked Sendable {
        let monitor = Monitor()
        let depth: Int
        let produce: @Sendable (Int) throws -> Output?
        var taken = 0
        var delivered = 0
        var results: [Int: Result<Output?, any Error>] = [:]
        var end: Int?
        var stopped = false

        init(depth: Int, produce: @escaping @Sendable (Int) throws -> Output?) {
            self.depth = depth
            self.produce = produce
        }

        func work() {
            while let index = take() {
                let result = Result { try produce(index) }
                monitor.locked {
                    results[index] = result
                    var isLast = true
                    if case .success(.some) = result { isLast = false }
                    if isLast { end = min(end ?? index, index) }
                    monitor.signalAll()
                }
            }
        }

        private func take() -> Int? {
            monitor.locked {
                while !stopped && end == nil && taken >= delivered + depth { monitor.wait() }
                if stopped || end != nil { return nil }
                taken += 1
                return taken - 1
            }
        }
    }

    private let shared: Shared
    private var threads: [WorkerThread] = []

    /// - Parameters:
    ///   - workers: Threads; with 0 each result is computed when it is asked for, by the thread that asks.
    ///   - depth: How many results may be ready or under way at most; at least 1.
    package init(workers: Int, depth: Int, produce: @escaping @Sendable (Int) throws -> Output?) throws {
        shared = Shared(depth: max(1, depth), produce: produce)
        do {
            for _ in 0..<workers {
                threads.append(try WorkerThread { [shared] in shared.work() })
            }
        } catch {
            cancel()
            throw error
        }
    }

    deinit { cancel() }

    /// The next result, nil after the last. An error of `produce` is thrown once, in its place; after it comes nil.
    package func next() throws -> Output? {
        let result: Result<Output?, any Error>? =
            threads.isEmpty ? nextInPlace() : nextFromWorkers()
        return try result?.get()
    }

    /// Stops the workers and waits for them; `next` then returns nil.
    package func cancel() {
        shared.monitor.locked {
            shared.stopped = true
            shared.results.removeAll()
            shared.monitor.signalAll()
        }
        for thread in threads { thread.join() }
        threads.removeAll()
    }

    private func nextInPlace() -> Result<Output?, any Error>? {
        if shared.stopped || shared.end != nil { return nil }
        let index = shared.delivered
        let result = Result { try shared.produce(index) }
        shared.delivered += 1
        if case .success(.some) = result { return result }
        shared.end = index
        return result
    }

    private func nextFromWorkers() -> Result<Output?, any Error>? {
        shared.monitor.locked {
            while true {
                if shared.stopped { return nil }
                if let end = shared.end, shared.delivered > end { return nil }
                if let result = shared.results.removeValue(forKey: shared.delivered) {
                    shared.delivered += 1
                    shared.monitor.signalAll()
                    return result
                }
                shared.monitor.wait()
            }
        }
    }
}

/// The results of `body` for 0..<count, in order, computed on up to `threads` threads. The error thrown is the one of
/// the least number that failed.
package func concurrentMap<Output: Sendable>(
    count: Int, threads: Int, _ body: @escaping @Sendable (Int) throws -> Output
) throws -> [Output] {
    let workers = min(threads, count)
    let results = try OrderedPrefetcher<Output>(workers: workers <= 1 ? 0 : workers, depth: 2 * max(workers, 1)) {
        $0 < count ? try body($0) : nil
    }
    var outputs: [Output] = []
    outputs.reserveCapacity(count)
    while let output = try results.next() { outputs.append(output) }
    return outputs
}
