import Glibc
import Synchronization

/// Writes a file so that its path has either the old content or the new one, also after a crash or a full disk.
public enum AtomicFile {
    /// Writes to a temporary file beside the path, brings it to the disk, and puts it in the path's place.
    ///
    /// - Throws: `FileError`. The path then is as it was, and the temporary file is removed.
    public static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
        let temporary = TemporaryName.beside(path)
        do throws(FileError) {
            let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
            guard descriptor >= 0 else { throw FileError("write", path) }
            do throws(FileError) {
                try FileIO.write(bytes, to: descriptor, path: path)
                guard fsync(descriptor) == 0 else { throw FileError("write", path) }
            } catch {
                close(descriptor)
                throw error
            }
            guard close(descriptor) == 0, rename(temporary, path) == 0 else { throw FileError("write", path) }
        } catch {
            unlink(temporary)
            throw error
        }
        try FileIO.synchronize(FileIO.parent(of: path))
    }

    public static func write(_ text: String, to path: String) throws(FileError) {
        try write(Array(text.utf8), to: path)
    }
}

/// Makes a folder of files so that it appears complete or not at all.
public enum AtomicDirectory {
    /// Lets `body` fill a temporary folder beside the path, brings its files to the disk, and puts it in the path's place.
    /// A folder that is there already is replaced.
    ///
    /// - Parameter body: Gets the temporary folder's path.
    /// - Throws: `FileError`, or what `body` throws. The path then is as it was, and the temporary folder is removed.
    public static func write<Result>(to path: String, _ body: (_ temporary: String) throws -> Result) throws -> Result {
        try FileIO.makeFolder(FileIO.parent(of: path))
        let temporary = TemporaryName.beside(path)
        guard mkdir(temporary, 0o777) == 0 else { throw FileError("make the folder", path) }
        do {
            let result = try body(temporary)
            try synchronizeTree(temporary)
            try replace(path, with: temporary)
            try FileIO.synchronize(FileIO.parent(of: path))
            return result
        } catch {
            try? FileIO.remove(temporary)
            throw error
        }
    }

    /// Removes the temporary files and folders that processes left in a folder when they were killed.
    ///
    /// - Returns: The names of what was removed.
    /// - Throws: `FileError` where something cannot be removed.
    @discardableResult
    public static func removeStaleTemporaries(in folder: String) throws(FileError) -> [String] {
        var removed: [String] = []
        for name in try FileIO.names(in: folder) {
            guard let process = TemporaryName.process(of: name) else { continue }
            // The owner is alive when it can be signalled, or is somebody else's.
            if kill(process, 0) == 0 || errno == EPERM { continue }
            try FileIO.remove(folder + "/" + name)
            removed.append(name)
        }
        return removed
    }

    private static func synchronizeTree(_ folder: String) throws(FileError) {
        for name in try FileIO.names(in: folder) {
            let path = folder + "/" + name
            if FileIO.isFolder(path) { try synchronizeTree(path) } else { try FileIO.synchronize(path) }
        }
        try FileIO.synchronize(folder)
    }

    private static func replace(_ path: String, with temporary: String) throws(FileError) {
        if rename(temporary, path) == 0 { return }
        guard errno == ENOTEMPTY || errno == EEXIST else { throw FileError("write", path) }
        // Two renames: a crash between them leaves no folder at the path, and never a mixture of both.
        let old = TemporaryName.beside(path)
        guard rename(path, old) == 0 else { throw FileError("write", path) }
        guard rename(temporary, path) == 0 else {
            let error = FileError("write", path)
            rename(old, path)
            throw error
        }
        try FileIO.remove(old)
    }
}

/// Names of temporary files and folders: `.tmp-PROCESS-NUMBER-NAME`.
enum TemporaryName {
    private static let counter = Atomic<Int>(0)

    static func beside(_ path: String) -> String {
        let number = counter.add(1, ordering: .relaxed).newValue
        return FileIO.parent(of: path) + "/.tmp-\(getpid())-\(number)-\(FileIO.name(of: path))"
    }

    /// The process that made a temporary name; nil if it is none.
    static func process(of name: String) -> pid_t? {
        let parts = name.split(separator: "-", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == ".tmp", Int(parts[2]) != nil else { return nil }
        return pid_t(parts[1])
    }
}
