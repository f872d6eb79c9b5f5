internal import CMartletKernels

#if canImport(Glibc)
internal import Glibc
#endif

/// Stops the program on a programmer's mistake (shapes, dtypes, indices) with `[op] what happened (in module path) at
/// file:line`, the place in the program that called Martlet.
///
/// What the world can get wrong (files, configurations, memory) is thrown as ``MartletError`` instead.
package func trap(_ op: String, _ message: String) -> Never {
    var text = "[\(op)] \(message)"
    let path = ModulePath.current
    if !path.isEmpty { text += " (in \(path))" }
    // What is known comes first: looking for the place needs memory and reads the program's debugging information.
    writeError(text)
    writeError((CallerPlace.find().map { " at \($0)" } ?? "") + "\n")
    mk_trap()
}

private func writeError(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
        var done = 0
        while done < bytes.count {
            let n = write(2, bytes.baseAddress! + done, bytes.count - done)
            if n < 0 && errno != EINTR { return }
            done += max(0, n)
        }
    }
}

/// A mistake outside the program: a file, a configuration, a value a user typed. Says what was expected and what was
/// found.
public struct MartletError: Error, CustomStringConvertible, Sendable {
    public enum Kind: Sendable, Equatable {
        /// A file is missing, unreadable or could not be written.
        case file
        /// A file's content is damaged or of another format.
        case format
        /// A configuration or a value a user gave is not acceptable.
        case configuration
        /// Two things that must agree do not: a checkpoint and a model, a token file and a tokenizer.
        case mismatch
        /// Memory or disk ran out.
        case resources
    }

    public let kind: Kind
    public let message: String

    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    public var description: String { message }
}

/// The path of the module whose `forward` is running on this thread ("layers.3.feedForward"), for error messages and
/// profiles.
public enum ModulePath {
    final class Stack {
        var names: [String] = []
        /// What the profiler times: the levels that were entered while it recorded.
        var scopes: [(level: Int, scope: ProfilerScope)] = []
    }

    static var stack: Stack? {
        guard let slot = mk_thread().pointee.slots.0 else { return nil }
        return Unmanaged<Stack>.fromOpaque(slot).takeUnretainedValue()
    }

    /// The current path, empty outside any module.
    public static var current: String {
        guard let stack else { return "" }
        return stack.names.filter { !$0.isEmpty }.joined(separator: ".")
    }

    /// Runs `body` with `name` appended to the path.
    @inline(__always)
    public static func with<R>(_ name: String, _ body: () throws -> R) rethrows -> R {
        push(name)
        defer { pop() }
        return try body()
    }

    public static func push(_ name: String) {
        if let stack {
            stack.names.append(name)
        } else {
            let new = Stack()
            new.names.append(name)
            mk_thread().pointee.slots.0 = Unmanaged.passRetained(new).toOpaque()
        }
        if mk_is_profiling(), !name.isEmpty, let stack { stack.scopes.append((stack.names.count, ProfilerScope())) }
    }

    public static func pop() {
        // The stack object goes with its last name, so that a finished thread leaves nothing behind.
        guard let stack else { return }
        if let last = stack.scopes.last, last.level == stack.names.count {
            last.scope.end(current, .module)
            stack.scopes.removeLast()
        }
        stack.names.removeLast()
        if stack.names.isEmpty {
            Unmanaged.passUnretained(stack).release()
            mk_thread().pointee.slots.0 = nil
        }
    }
}

/// Describes operands for an error message: shapes, and the parameter's name when one is involved.
package func describe(_ tensors: Tensor...) -> String {
    let shapes = tensors.map { $0.dims.text }.joined(separator: " x ")
    let names = tensors.compactMap(\.name)
    return names.isEmpty ? shapes : shapes + " (" + names.joined(separator: ", ") + ")"
}
