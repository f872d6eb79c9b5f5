import Glibc
import Martlet

/// Standard input and output by the system's own calls: a stream that is closed, full or a folder is an error like any
/// other.
enum StandardStreams {
    /// Takes the places of closed streams, so that no file of ours is opened in one of them. What stands there refuses to
    /// be read or written as the closed stream would.
    static func settle() {
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) < 0 {
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }

    /// All of standard input.
    static func readInput() throws -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = piece.withUnsafeMutableBytes { Glibc.read(STDIN_FILENO, $0.baseAddress, $0.count) }
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw MartletError(.file, "standard input cannot be read: \(String(cString: strerror(errno)))")
            }
            bytes += piece[..<count]
        }
    }

    static func writeOutput(_ bytes: [UInt8]) throws {
        var start = 0
        while start < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(STDOUT_FILENO, $0.baseAddress! + start, bytes.count - start)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw MartletError(.file, "standard output cannot be written: \(String(cString: strerror(errno)))")
            }
            start += count
        }
    }
}
