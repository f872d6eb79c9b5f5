import Glibc

/// Keeps two processes from writing to one run's folder.
///
/// The kernel gives the lock back when the process ends, however it ends.
public final class RunLock: Sendable {
    private let descriptor: Int32

    /// Takes the lock on a folder, which is made if it is not there.
    ///
    /// - Throws: `RunLockError` where another process has it, `FileError` where the folder cannot be written.
    public init(folder: String) throws {
        try FileIO.makeFolder(folder)
        let path = folder + "/.lock"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw FileError("write", path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            close(descriptor)
            if code == EWOULDBLOCK { throw RunLockError(folder: folder) }
            throw FileError("lock", path, code: code)
        }
    }

    deinit { close(descriptor) }
}

/// Another process is writing to a run's folder.
public struct RunLockError: Error, Sendable, Equatable, CustomStringConvertible {
    public let folder: String

    public var description: String {
        "another process is training in \(folder): wait for it, stop it, or choose another 'output'"
    }
}
