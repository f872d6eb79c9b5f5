import Glibc

/// The operating system refused something about a file.
public struct FileSystemError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was tried: "open", "write to", ...
    public let operation: String
    public let path: String
    /// The error number of the operating system; 0 where the error is not the system's.
    public let code: Int32
    /// More than the error number says.
    public let detail: String?

    public init(operation: String, path: String, code: Int32 = 0, detail: String? = nil) {
        self.operation = operation
        self.path = path
        self.code = code
        self.detail = detail
    }

    public var description: String {
        var message = "cannot \(operation) \(path)"
        if code != 0 { message += ": \(String(cString: strerror(code)))" }
        if let detail { message += (code != 0 ? " (\(detail))" : ": \(detail)") }
        return message
    }
}

/// The bytes of a file, mapped into memory where it is an ordinary file. They must not outlive the object.
///
/// As with every mapped file, cutting the file short while it is open ends the process with SIGBUS when the lost part
/// is read; replacing it (writing another and renaming) is safe.
package final class MappedFile: @unchecked Sendable {
    /// What tells that a file is still the one that it was; nil for pipes and the like, which are read once.
    package struct Identity: Equatable, Sendable {
        let device: UInt64
        let inode: UInt64
        let size: Int
        let seconds: Int
        let nanoseconds: Int
    }

    package let path: String
    package let identity: Identity?
    package let bytes: UnsafeRawBufferPointer
    private let isMapped: Bool

    package init(path: String) throws {
        self.path = path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileSystemError(operation: "open", path: path, code: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw FileSystemError(operation: "examine", path: path, code: errno)
        }
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            throw FileSystemError(operation: "read", path: path, code: EISDIR)
        case S_IFREG:
            let size = Int(status.st_size)
            identity = Identity(
                device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: size,
                seconds: Int(status.st_mtim.tv_sec), nanoseconds: Int(status.st_mtim.tv_nsec))
            if size == 0 {
                bytes = UnsafeRawBufferPointer(start: nil, count: 0)
                isMapped = false
                return
            }
            guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
                throw FileSystemError(operation: "map", path: path, code: errno)
            }
            bytes = UnsafeRawBufferPointer(start: address, count: size)
            isMapped = true
        default:
            // Pipes and the like cannot be mapped.
            identity = nil
            bytes = UnsafeRawBufferPointer(try Self.readAll(descriptor, path: path))
            isMapped = false
        }
    }

    deinit {
        guard let address = bytes.baseAddress else { return }
        if isMapped {
            munmap(UnsafeMutableRawPointer(mutating: address), bytes.count)
        } else {
            UnsafeMutableRawPointer(mutating: address).deallocate()
        }
    }

    private static func readAll(_ descriptor: Int32, path: String) throws -> UnsafeMutableRawBufferPointer {
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileSystemError(operation: "read", path: path, code: errno)
            }
            content.append(contentsOf: chunk[0..<count])
        }
        if content.isEmpty { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        let result = UnsafeMutableRawBufferPointer.allocate(byteCount: content.count, alignment: 16)
        result.copyBytes(from: content)
        return result
    }
}

/// Writes a file that appears whole or not at all: the bytes go to a hidden file beside it, which `commit` makes
/// durable and renames. Without `commit` nothing is left behind.
package final class AtomicFileWriter {
    package let path: String
    private let temporaryPath: String
    private var descriptor: Int32
    private var buffer: [UInt8] = []
    private var flushed = 0
    private static let bufferSize = 1 << 20

    /// - Parameter overwrite: Whether a file already at `path` may be replaced.
    package init(path: String, overwrite: Bool = true) throws {
        self.path = path
        let (directory, name) = splitPath(path)
        if name.isEmpty || name == "." || name == ".." {
            throw FileSystemError(operation: "write", path: path, detail: "it names no file")
        }
        var status = stat()
        if stat(path, &status) == 0 {
            if status.st_mode & S_IFMT == S_IFDIR {
                throw FileSystemError(operation: "write", path: path, code: EISDIR)
            }
            // Renaming would put a file in the place of a device or a pipe.
            if status.st_mode & S_IFMT != S_IFREG {
                throw FileSystemError(
                    operation: "write", path: path, detail: "it is no regular file, and only such a file is replaced")
            }
            if !overwrite {
                throw FileSystemError(
                    operation: "write", path: path,
                    detail: "the file exists and is replaced only on request (--overwrite)")
            }
        }
        var candidate = ""
        var attempt = 0
        repeat {
            candidate = joinPath(directory, ".\(name).partial-\(getpid())-\(attempt)")
            descriptor = open(candidate, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
            attempt += 1
        } while descriptor < 0 && errno == EEXIST && attempt < 1000
        temporaryPath = candidate
        guard descriptor >= 0 else { throw FileSystemError(operation: "create a file beside", path: path, code: errno) }
        buffer.reserveCapacity(Self.bufferSize)
    }

    deinit { discard() }

    /// Bytes written so far.
    package var count: Int { flushed + buffer.count }

    package func write(_ bytes: UnsafeRawBufferPointer) throws {
        if buffer.count + bytes.count > Self.bufferSize { try flush() }
        if bytes.count >= Self.bufferSize {
            try writeAll(bytes, at: nil)
            flushed += bytes.count
        } else {
            buffer.append(contentsOf: bytes)
        }
    }

    package func write(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try write($0) }
    }

    /// Overwrites bytes already written, from `offset`.
    package func overwrite(_ bytes: [UInt8], at offset: Int) throws {
        precondition(offset + bytes.count <= count, "[AtomicFileWriter] overwriting what was not written yet")
        try flush()
        try bytes.withUnsafeBytes { try writeAll($0, at: offset) }
    }

    /// Makes everything durable and puts the file in its place.
    package func commit() throws {
        try flush()
        guard fsync(descriptor) == 0 else { throw failure("write to", errno) }
        let closed = close(descriptor)
        descriptor = -1
        guard closed == 0 else { throw failure("write to", errno) }
        guard rename(temporaryPath, path) == 0 else { throw failure("rename a finished file to", errno) }
        let directory = open(splitPath(path).directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if directory >= 0 {
            fsync(directory)
            close(directory)
        }
    }

    /// Removes what was written; without effect after `commit`.
    package func discard() {
        guard descriptor >= 0 else { return }
        close(descriptor)
        descriptor = -1
        unlink(temporaryPath)
    }

    private func flush() throws {
        try buffer.withUnsafeBytes { try writeAll($0, at: nil) }
        flushed += buffer.count
        buffer.removeAll(keepingCapacity: true)
    }

    private func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: Int?) throws {
        precondition(descriptor >= 0, "[AtomicFileWriter] \(path) is already committed or discarded")
        var position = 0
        while position < bytes.count {
            let start = bytes.baseAddress! + position
            let written =
                if let offset {
                    pwrite(descriptor, start, bytes.count - position, off_t(offset + position))
                } else {
                    Glibc.write(descriptor, start, bytes.count - position)
                }
            if written < 0 {
                if errno == EINTR { continue }
                throw failure("write to", errno)
            }
            position += written
        }
    }

    /// The error for `code`; what was written so far is removed at once, because on a full disk others need the space.
    private func failure(_ operation: String, _ code: Int32) -> FileSystemError {
        let size = count
        if descriptor >= 0 { discard() } else { unlink(temporaryPath) }
        return FileSystemError(operation: operation, path: path, code: code, detail: "after \(size) bytes")
    }
}

/// The directory and the last component of a path.
package func splitPath(_ path: String) -> (directory: String, name: String) {
    let bytes = Array(path.utf8)
    guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return (".", path) }
    let directory = slash == 0 ? "/" : String(decoding: bytes[0..<slash], as: UTF8.self)
    return (directory, String(decoding: bytes[(slash + 1)...], as: UTF8.self))
}

package func joinPath(_ directory: String, _ name: String) -> String {
    directory.hasSuffix("/") ? directory + name : directory + "/" + name
}

package func isDirectory(_ path: String) -> Bool { directoryIdentity(path) != nil }

/// What a directory is by any of its names: its device and its number there.
struct DirectoryIdentity: Hashable {
    let device: UInt64
    let inode: UInt64
}

/// nil where `path` is no directory. Symbolic links are followed.
func directoryIdentity(_ path: String) -> DirectoryIdentity? {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return nil }
    return DirectoryIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
}

/// Makes a directory and those above it.
package func makeDirectory(_ path: String) throws {
    if isDirectory(path) { return }
    let trimmed = String(path.reversed().drop { $0 == "/" }.reversed())
    let above = splitPath(trimmed).directory
    if above != trimmed && above != "." { try makeDirectory(above) }
    guard mkdir(path, 0o777) == 0 || errno == EEXIST && isDirectory(path) else {
        throw FileSystemError(operation: "make the folder", path: path, code: errno == EEXIST ? ENOTDIR : errno)
    }
}

/// The names in a directory, without "." and "..", in the order of their bytes.
package func directoryEntries(_ path: String) throws -> [String] {
    guard let directory = opendir(path) else {
        throw FileSystemError(operation: "list", path: path, code: errno)
    }
    defer { closedir(directory) }
    var names: [String] = []
    errno = 0
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
        }
        if name != "." && name != ".." { names.append(name) }
        errno = 0
    }
    if errno != 0 { throw FileSystemError(operation: "list", path: path, code: errno) }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
}
