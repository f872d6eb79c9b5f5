import Glibc

/// Writes records to a file of JSON lines.
///
/// A record is handed to the system whole and at once: what a killed process has written is there, and at most its last
/// line is torn. On resuming, the records of steps that will be trained again are taken off, so that the file of a run
/// that was stopped and resumed equals, byte by byte, the file of one that never was. For this to hold, a file must take
/// only what the recipe decides; times and rates belong in a file of their own.
public final class MetricsWriter {
    public let path: String
    private let descriptor: Int32

    /// Begins a new file; one that is there is emptied.
    ///
    /// - Throws: `FileError`.
    public convenience init(path: String) throws {
        try self.init(path: path, flags: O_TRUNC)
    }

    /// Continues a file after a step: later records at its end, and a torn last line, are taken off.
    ///
    /// A run that went back before a loss spike has steps twice in its file. Only what stands after the last record of
    /// this step or an earlier one is taken off.
    ///
    /// - Throws: `MetricsError` where a line in the middle is no record, `FileError`.
    public convenience init(path: String, resumingAfter step: Int) throws {
        try self.init(path: path, flags: 0)
        try rewind(to: step)
    }

    private init(path: String, flags: Int32) throws {
        self.path = path
        try FileIO.makeFolder(FileIO.parent(of: path))
        descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0o666)
        guard descriptor >= 0 else { throw FileError("write", path) }
    }

    deinit { close(descriptor) }

    /// Appends a record.
    ///
    /// - Throws: `FileError`.
    public func write(_ record: MetricsRecord) throws {
        let line = Array((record.json + "\n").utf8)
        try FileIO.write(line, to: descriptor, path: path)
    }

    /// Brings everything to the disk.
    ///
    /// - Throws: `FileError`.
    public func synchronize() throws {
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw FileError("write", path) }
    }

    private func rewind(to step: Int) throws {
        let bytes = try FileIO.read(path)
        let lines = MetricsFile.lines(of: bytes)
        var kept = lines.count
        while kept > 0 {
            guard let record = MetricsRecord(json: bytes[lines[kept - 1]]) else {
                throw MetricsError(path: path, line: kept)
            }
            if record.step <= step { break }
            kept -= 1
        }
        let length = kept == 0 ? 0 : lines[kept - 1].upperBound + 1
        if length < bytes.count {
            guard ftruncate(descriptor, off_t(length)) == 0 else { throw FileError("write", path) }
        }
    }
}

/// Reads files of JSON lines.
public enum MetricsFile {
    /// The records of a file. A torn last line is left out.
    ///
    /// - Throws: `MetricsError` where a line is no record, `FileError`.
    public static func read(_ path: String) throws -> [MetricsRecord] {
        let bytes = try FileIO.read(path)
        return try lines(of: bytes).enumerated().map { index, range in
            guard let record = MetricsRecord(json: bytes[range]) else {
                throw MetricsError(path: path, line: index + 1)
            }
            return record
        }
    }

    /// The lines that end with a newline, without it.
    static func lines(of bytes: [UInt8]) -> [Range<Int>] {
        var lines: [Range<Int>] = []
        var start = 0
        for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: "\n") {
            lines.append(start..<index)
            start = index + 1
        }
        return lines
    }
}

/// A file of metrics with a line that is no record.
public struct MetricsError: Error, Sendable, Equatable, CustomStringConvertible {
    public let path: String
    /// The line, counted from 1.
    public let line: Int

    public var description: String {
        "\(path):\(line): expected a JSON object with a whole number 'step', found something else; the file is damaged"
    }
}
