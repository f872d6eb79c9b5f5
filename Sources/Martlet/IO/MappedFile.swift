#if canImport(Glibc)
internal import Glibc
#endif

/// The error of a failed system call on a file: "cannot open weights.safetensors: No such file or directory".
package func fileError(_ action: String, _ path: String, _ code: Int32 = errno) -> MartletError {
    let isResource = code == ENOSPC || code == EDQUOT || code == ENOMEM || code == EMFILE || code == ENFILE
    return MartletError(isResource ? .resources : .file, "cannot \(action) \(path): \(String(cString: strerror(code)))")
}

/// A file whose bytes are read as memory, loaded by the system page by page as they are touched.
///
/// The file must not be shortened while it is mapped: reading beyond the new end stops the program. Files that this
/// library writes are replaced by renaming, which leaves what is mapped alone.
public final class MappedFile: @unchecked Sendable {
    public let path: String
    public let byteCount: Int
    package let pointer: UnsafeMutableRawPointer

    /// How the bytes will be read, for the system's read-ahead.
    public enum Access: Sendable {
        case normal
        case sequential
        case random
        /// Start loading now.
        case willNeed
    }

    /// Maps the file at `path` for reading.
    ///
    /// - Throws: `MartletError.file` with the system's reason when it is missing, unreadable or no regular file.
    public init(_ path: String) throws {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        if file < 0 { throw fileError("open", path) }
        defer { close(file) }
        var status = stat()
        if fstat(file, &status) != 0 { throw fileError("read", path) }
        if status.st_mode & S_IFMT != S_IFREG {
            let kind = status.st_mode & S_IFMT == S_IFDIR ? "a directory" : "no regular file"
            throw MartletError(.file, "cannot open \(path): it is \(kind)")
        }
        self.path = path
        byteCount = Int(status.st_size)
        if byteCount == 0 {
            // The system maps no empty range.
            pointer = .allocate(byteCount: 1, alignment: 64)
            return
        }
        guard let map = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, file, 0), map != MAP_FAILED else {
            throw fileError("map", path)
        }
        pointer = map
    }

    deinit {
        if byteCount == 0 { pointer.deallocate() } else { munmap(pointer, byteCount) }
    }

    /// The content; valid while this object lives.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: pointer, count: byteCount) }

    /// Calls `body` with the content.
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withExtendedLifetime(self) { try body(bytes) }
    }

    /// Tells the system how the content will be read.
    public func advise(_ access: Access) {
        if byteCount == 0 { return }
        let advice: Int32
        switch access {
        case .normal: advice = MADV_NORMAL
        case .sequential: advice = MADV_SEQUENTIAL
        case .random: advice = MADV_RANDOM
        case .willNeed: advice = MADV_WILLNEED
        }
        madvise(pointer, byteCount, advice)
    }
}
