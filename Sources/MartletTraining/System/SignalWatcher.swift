import Glibc
import Synchronization

/// Notes SIGTERM and SIGINT, so that a run can save a checkpoint before it ends.
///
/// The first signal only sets a flag that the trainer asks for after each step. A SIGINT (Ctrl-C) after it ends the process
/// at once with status 130; further SIGTERMs change nothing, as supervisors may send several.
public final class SignalWatcher: Sendable {
    private let previous: Mutex<(terminate: sigaction, interrupt: sigaction)?>

    /// Begins to watch. One watcher at a time; `stop()` gives the signals back.
    public init() {
        previous = Mutex(nil)
        // Touched here, so that the handler never runs the global's initialiser.
        received.store(0, ordering: .sequentiallyConsistent)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { signal in
            let first = received.compareExchange(expected: 0, desired: signal, ordering: .sequentiallyConsistent)
            if !first.exchanged && signal == SIGINT { _exit(130) }
        }
        // Reads and writes that a signal interrupts are continued: nobody below expects EINTR.
        action.sa_flags = SA_RESTART
        var terminate = sigaction()
        var interrupt = sigaction()
        sigaction(SIGTERM, &action, &terminate)
        sigaction(SIGINT, &action, &interrupt)
        previous.withLock { $0 = (terminate, interrupt) }
    }

    deinit { stop() }

    /// Gives the signals back to whoever had them before.
    public func stop() {
        previous.withLock { previous in
            guard var actions = previous else { return }
            sigaction(SIGTERM, &actions.terminate, nil)
            sigaction(SIGINT, &actions.interrupt, nil)
            previous = nil
        }
    }

    /// The name of the first signal that came, or nil.
    public var signal: String? {
        switch received.load(ordering: .sequentiallyConsistent) {
        case SIGTERM: "SIGTERM"
        case SIGINT: "SIGINT"
        default: nil
        }
    }

    /// Whether the run was asked to end.
    public var shouldStop: Bool { signal != nil }

    /// The exit status that tells a shell which signal ended the process; nil if none came.
    public var exitStatus: Int32? {
        let signal = received.load(ordering: .sequentiallyConsistent)
        return signal == 0 ? nil : 128 + signal
    }
}

/// A signal handler can reach nothing but globals. 0: no signal yet.
private let received = Atomic<Int32>(0)
