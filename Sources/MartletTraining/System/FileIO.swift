import Glibc

/// A file operation that the system refused.
public struct FileError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was tried, such as `write`.
    public let operation: String
    public let path: String
    /// The system's error number.
    public let code: Int32
    /// The number of bytes that were free, where the error is that there is no space.
    public let freeBytes: Int?

    package init(_ operation: String, _ path: String, code: Int32 = errno) {
        self.operation = operation
        self.path = path
        self.code = code
        self.freeBytes = code == ENOSPC || code == EDQUOT ? FileIO.freeBytes(near: path) : nil
    }

    public var isNoSpace: Bool { code == ENOSPC || code == EDQUOT }

    public var description: String {
        let reason = FileIO.reason(code)
        guard isNoSpace else { return "cannot \(operation) \(path): \(reason)" }
        let free = freeBytes.map { " (\(Format.bytes($0)) free)" } ?? ""
        return "cannot \(operation) \(path): \(reason)\(free); free some space, or choose another folder"
    }
}

/// Files by the system's own calls, so that every error is seen and named.
enum FileIO {
    static func reason(_ code: Int32) -> String {
        switch code {
        case ENOSPC: return "no space left on the device"
        case EDQUOT: return "the disk quota is used up"
        case ENOENT: return "no such file or folder"
        case EACCES: return "permission denied"
        case EISDIR: return "it is a folder"
        case ENOTDIR: return "a part of the path is no folder"
        default: return String(cString: strerror(code)).lowercased()
        }
    }

    static func freeBytes(near path: String) -> Int? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 || statvfs(parent(of: path), &status) == 0 else { return nil }
        return Int(status.f_bavail) * Int(status.f_frsize)
    }

    // MARK: Paths

    static func parent(of path: String) -> String {
        let trimmed = withoutTrailingSlashes(path)
        guard let slash = trimmed.lastIndex(of: "/") else { return "." }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }

    static func name(of path: String) -> String {
        let trimmed = withoutTrailingSlashes(path)
        return trimmed.lastIndex(of: "/").map { String(trimmed[trimmed.index(after: $0)...]) } ?? trimmed
    }

    private static func withoutTrailingSlashes(_ path: String) -> String {
        var path = path
        while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
        return path
    }

    // MARK: Questions

    private static func status(_ path: String) -> stat? {
        var status = stat()
        return stat(path, &status) == 0 ? status : nil
    }

    static func isFolder(_ path: String) -> Bool { status(path).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false }

    static func exists(_ path: String) -> Bool { status(path) != nil }

    static func size(_ path: String) throws(FileError) -> Int {
        guard let status = status(path) else { throw FileError("read", path) }
        return Int(status.st_size)
    }

    static func reasonNotReadable(_ path: String) -> String? {
        if isFolder(path) { return reason(EISDIR) }
        return access(path, R_OK) == 0 ? nil : reason(errno)
    }

    /// The names in a folder without `.` and `..`, sorted; empty where there is no such folder.
    static func names(in folder: String) throws(FileError) -> [String] {
        guard let stream = opendir(folder) else {
            if errno == ENOENT { return [] }
            throw FileError("list", folder)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// The files below a folder, as paths relative to it, sorted.
    static func files(below folder: String) throws(FileError) -> [String] {
        var files: [String] = []
        for name in try names(in: folder) {
            let path = folder + "/" + name
            if isFolder(path) {
                for inner in try self.files(below: path) { files.append(name + "/" + inner) }
            } else {
                files.append(name)
            }
        }
        return files
    }

    // MARK: Reading

    static func read(_ path: String) throws(FileError) -> [UInt8] {
        var bytes: [UInt8] = []
        try read(path) { bytes.append(contentsOf: $0) }
        return bytes
    }

    /// Hands a file over in pieces of at most 1 MiB.
    static func read(_ path: String, _ body: (UnsafeRawBufferPointer) -> Void) throws(FileError) {
        if isFolder(path) { throw FileError("read", path, code: EISDIR) }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("read", path) }
        defer { close(descriptor) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            if count == 0 { return }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError("read", path)
            }
            body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    // MARK: Writing

    static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String) throws(FileError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError("write", path)
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    static func write(_ bytes: [UInt8], to descriptor: Int32, path: String) throws(FileError) {
        let outcome = bytes.withUnsafeBytes { bytes in
            Result { () throws(FileError) in try write(bytes, to: descriptor, path: path) }
        }
        try outcome.get()
    }

    static func synchronize(_ path: String, flags: Int32 = O_RDONLY) throws(FileError) {
        let descriptor = open(path, flags | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("write", path) }
        defer { close(descriptor) }
        // Some file systems cannot synchronise folders and say so with EINVAL.
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw FileError("write", path) }
    }

    /// Makes a folder and those above it.
    static func makeFolder(_ path: String) throws(FileError) {
        if isFolder(path) { return }
        let above = parent(of: path)
        if above != path { try makeFolder(above) }
        guard mkdir(path, 0o777) == 0 || (errno == EEXIST && isFolder(path)) else {
            throw FileError("make the folder", path, code: errno == EEXIST ? ENOTDIR : errno)
        }
    }

    /// Removes a file, or a folder with everything in it. What is not there counts as removed.
    static func remove(_ path: String) throws(FileError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw FileError("remove", path)
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in try names(in: path) { try remove(path + "/" + name) }
            guard rmdir(path) == 0 || errno == ENOENT else { throw FileError("remove", path) }
        } else {
            guard unlink(path) == 0 || errno == ENOENT else { throw FileError("remove", path) }
        }
    }
}
