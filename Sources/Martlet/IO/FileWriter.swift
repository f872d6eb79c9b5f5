private import Synchronization

#if canImport(Glibc)
internal import Glibc
#endif

private let temporaryCounter = Atomic<Int>(0)

/// Writes a file that appears under its name only when it is complete: until ``commit(sync:)`` the bytes go to a
/// temporary file beside it, which is removed if the writer goes before that.
///
/// A file of that name that exists is replaced as a whole, so tensors mapped from it stay valid.
package final class FileWriter {
    package let path: String
    private let temporaryPath: String
    private var file: Int32
    private var buffer: [UInt8] = []
    private static let bufferLimit = 1 << 16
    /// Bytes written so far.
    package private(set) var position = 0

    /// - Throws: `MartletError.file` when the folder is missing or not writable, or `path` is a folder or a device.
    package init(replacing path: String) throws {
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            let kind = status.st_mode & S_IFMT == S_IFDIR ? "a directory" : "no regular file"
            throw MartletError(.file, "cannot write \(path): it is \(kind)")
        }
        self.path = path
        let folder = FileWriter.folder(of: path)
        while true {
            let number = temporaryCounter.wrappingAdd(1, ordering: .relaxed).newValue
            let name = "\(folder)/.martlet-\(getpid())-\(number).tmp"
            let file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
            if file >= 0 {
                temporaryPath = name
                self.file = file
                return
            }
            if errno != EEXIST { throw fileError("write", path) }
        }
    }

    deinit {
        if file >= 0 {
            close(file)
            unlink(temporaryPath)
        }
    }

    package static func folder(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Appends bytes.
    ///
    /// - Throws: `MartletError.resources` when the disk is full, else `.file`.
    package func write(_ bytes: UnsafeRawBufferPointer) throws {
        position += bytes.count
        if buffer.count + bytes.count <= FileWriter.bufferLimit {
            buffer.append(contentsOf: bytes)
            return
        }
        try flush()
        if bytes.count <= FileWriter.bufferLimit {
            buffer.append(contentsOf: bytes)
        } else {
            try writeAll(bytes)
        }
    }

    package func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

    private func flush() throws {
        try buffer.withUnsafeBytes { try writeAll($0) }
        buffer.removeAll(keepingCapacity: true)
    }

    private func writeAll(_ bytes: UnsafeRawBufferPointer) throws {
        guard let start = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            let n = Glibc.write(file, start + done, min(bytes.count - done, 1 << 26))
            if n < 0 {
                if errno == EINTR { continue }
                throw fileError("write", path)
            }
            done += n
        }
    }

    /// Completes the file and gives it its name.
    ///
    /// - Parameter sync: wait until the bytes and the name are on the disk, so that they survive a power failure.
    package func commit(sync: Bool = false) throws {
        precondition(file >= 0, "the file was committed already")
        try flush()
        if sync && fsync(file) != 0 { throw fileError("write", path) }
        // The number is invalid after close even when that fails: it must not be closed again.
        let closed = file
        file = -1
        if close(closed) != 0 {
            let code = errno
            unlink(temporaryPath)
            throw fileError("write", path, code)
        }
        if rename(temporaryPath, path) != 0 {
            let code = errno
            unlink(temporaryPath)
            throw fileError("write", path, code)
        }
        if sync { try FileWriter.syncFolder(FileWriter.folder(of: path)) }
    }

    /// Waits until the names in a folder are on the disk.
    package static func syncFolder(_ path: String) throws {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if folder < 0 { throw fileError("open", path) }
        defer { close(folder) }
        // Some file systems cannot sync a folder and say so; they order names on their own.
        if fsync(folder) != 0 && errno != EINVAL { throw fileError("write", path) }
    }

    /// Replaces the file at `path` by these bytes.
    package static func write(_ bytes: [UInt8], to path: String, sync: Bool = false) throws {
        let writer = try FileWriter(replacing: path)
        try writer.write(bytes)
        try writer.commit(sync: sync)
    }
}
