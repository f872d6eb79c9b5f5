import Foundation
import Glibc
import Testing

/// The `martlet` program that was built with the tests, run as a process of its own.
struct MartletProgram {
    struct Missing: Error, CustomStringConvertible {
        let path: String
        var description: String {
            "the program is not at \(path): build it with the tests, `swift build -c release --build-tests`"
        }
    }

    /// What a finished process left.
    struct Outcome {
        /// The exit status; 128 + the signal's number where one ended the process.
        let status: Int32
        let output: String
        let error: String
    }

    /// Beside the program that runs the tests.
    static let path: Result<String, any Error> = Result {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let path = URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("martlet").path
        guard FileManager.default.isExecutableFile(atPath: path) else { throw Missing(path: path) }
        return path
    }

    /// A process that was started.
    final class Running {
        let pid: pid_t
        private let streams: String
        private var outcome: Outcome?

        fileprivate init(pid: pid_t, streams: String) {
            self.pid = pid
            self.streams = streams
        }

        deinit {
            if outcome == nil {
                kill(pid, SIGKILL)
                _ = try? wait()
            }
        }

        func send(_ signal: Int32) { kill(pid, signal) }

        /// Whether it has ended; then `wait()` returns at once.
        var hasEnded: Bool {
            var info = siginfo_t()
            return outcome != nil
                || (waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo != 0)
        }

        @discardableResult
        func wait() throws -> Outcome {
            if let outcome { return outcome }
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
            let signal = status & 0x7f
            let result = Outcome(
                status: signal == 0 ? (status >> 8) & 0xff : 128 + signal, output: try text(streams + "/output"),
                error: try text(streams + "/error"))
            try FileManager.default.removeItem(atPath: streams)
            outcome = result
            return result
        }
    }

    /// Starts `martlet` with arguments in a folder; in the tests' own when it is nil.
    static func start(_ arguments: [String], in folder: String?, through shell: String? = nil) throws -> Running {
        let program = try path.get()
        let streams = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: streams, withIntermediateDirectories: true)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, streams + "/output", O_WRONLY | O_CREAT, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, streams + "/error", O_WRONLY | O_CREAT, 0o600)
        // Threads that run tests may block signals, which a child would inherit.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var usual = sigset_t()
        sigfillset(&usual)
        posix_spawnattr_setsigdefault(&attributes, &usual)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        // A shell that becomes the program: posix_spawn itself cannot change the folder everywhere.
        let prepare = (shell.map { $0 + "; " } ?? "") + "cd \"$0\" && exec \"$@\""
        let command = (folder.map { ["/bin/sh", "-c", prepare, $0] } ?? []) + [program] + arguments
        var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        // Threads that wait for each other by spinning are slow where many processes share the processors.
        let variables = ProcessInfo.processInfo.environment.merging(["OMP_WAIT_POLICY": "passive"]) { $1 }
        var environment: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0)=\($1)") }
        environment.append(nil)
        defer { for variable in environment { free(variable) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, command[0], &actions, &attributes, words, environment)
        guard code == 0 else { throw POSIXError(POSIXErrorCode(rawValue: code) ?? .EIO) }
        return Running(pid: pid, streams: streams)
    }

    /// Runs `martlet` to its end.
    /// - Parameter shell: commands for a shell that then becomes `martlet`.
    @discardableResult
    static func run(_ arguments: [String], in folder: String?, through shell: String? = nil) throws -> Outcome {
        try start(arguments, in: folder, through: shell).wait()
    }

    /// Runs `martlet`, which must succeed.
    @discardableResult
    static func succeed(
        _ arguments: [String], in folder: String, _ location: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        let outcome = try run(arguments, in: folder)
        #expect(outcome.status == 0, "\(outcome.error)", sourceLocation: location)
        return outcome
    }

    /// Runs `martlet`, which must refuse with one paragraph that holds `words`, and leave every file as it is.
    static func refuse(
        _ arguments: [String], in folder: String, saying words: [String], status: Int32 = 1,
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        let before = try snapshot(folder)
        let outcome = try run(arguments, in: folder)
        #expect(outcome.status == status, "\(outcome.error)", sourceLocation: location)
        #expect(outcome.output.isEmpty, sourceLocation: location)
        let lines = outcome.error.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.last == "", "ends with a line end", sourceLocation: location)
        #expect(!lines.dropLast().contains(""), "one paragraph: \(outcome.error)", sourceLocation: location)
        let message = lines.first { $0.hasPrefix("martlet: ") }
        #expect(message != nil, "\(outcome.error)", sourceLocation: location)
        for word in words {
            #expect(outcome.error.contains(word), "\(word) in: \(outcome.error)", sourceLocation: location)
        }
        let after = try snapshot(folder)
        #expect(after == before, "files changed", sourceLocation: location)
    }

    /// Every file's content by its path, but for locks.
    private static func snapshot(_ folder: String) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for case let name as String in FileManager.default.enumerator(atPath: folder)! where !name.hasSuffix(".lock") {
            if let data = FileManager.default.contents(atPath: folder + "/" + name) { files[name] = data }
        }
        return files
    }
}

/// A folder with tiny token files and a recipe, for runs of a few milliseconds a step.
enum TinyRun {
    static let recipe = """
        name: tiny
        steps: 30
        seed: 3
        tokenizer: bytes
        output: run
        data:
          train: data/train.tokens
          validation: data/validation.tokens
          sequenceLength: 16
        model:
          width: 16
          layers: 2
          heads: 2
          headDim: 8
        batch:
          sequences: 4
        evaluation:
          everySteps: 10
          batches: 2
        checkpoint:
          everySteps: 10
        logging:
          peakFLOPs: 1.0e9

        """

    /// Words in an order that looks random.
    static func words(_ count: Int) -> String {
        let words = ["the", "of", "and", "river", "stone", "light", "never", "under", "before", "walked", "house", "é"]
        var state: UInt32 = 7
        return (0..<count).map { _ in
            state = state &* 1_664_525 &+ 1_013_904_223
            return words[Int(state >> 16) % words.count]
        }.joined(separator: " ")
    }

    /// A folder with text.txt, data/ and recipe.yaml, in which a test runs `martlet`.
    static func withFolder<R>(_ body: (String) throws -> R) throws -> R {
        try withTemporaryFolder { folder in
            try store(words(1200), at: folder + "/text.txt")
            try store(recipe, at: folder + "/recipe.yaml")
            try MartletProgram.succeed(
                [
                    "data", "prepare", "--tokenizer", "bytes", "--output", "data", "--validation-tail", "0.2",
                    "text.txt",
                ],
                in: folder)
            return try body(folder)
        }
    }

    /// The arguments of a run with changes to the recipe.
    static func train(_ changes: String..., flags: [String] = []) -> [String] {
        ["train", "recipe.yaml"] + flags + changes.flatMap { ["--set", $0] }
    }
}
