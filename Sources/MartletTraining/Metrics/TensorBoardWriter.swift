import Glibc
import Synchronization

/// Writes an event file that TensorBoard shows.
///
/// The file is a sequence of TFRecords, each an `Event` protocol buffer. It has a name of its own, so a resumed run writes
/// a second file into the same folder; the mark that it begins with makes TensorBoard drop the steps that are trained
/// again.
public final class TensorBoardWriter {
    public let path: String
    private let descriptor: Int32
    private let now: () -> Double

    private static let counter = Atomic<Int>(0)

    /// Begins an event file in a folder.
    ///
    /// - Parameters:
    ///   - folder: The folder, made if it is not there.
    ///   - resumedStep: The step after which the run continues; nil for a new run.
    ///   - now: The time in seconds since 1970.
    /// - Throws: `FileError`.
    public init(
        folder: String, resumingAfter resumedStep: Int? = nil, now: @escaping () -> Double = TensorBoardWriter.clock
    ) throws {
        try FileIO.makeFolder(folder)
        self.now = now
        let number = Self.counter.add(1, ordering: .relaxed).oldValue
        let time = now()
        var host = [CChar](repeating: 0, count: 256)
        let hostName =
            gethostname(&host, host.count - 1) == 0
            ? String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) : "localhost"
        // TensorBoard reads the files of a folder in the order of their names: the time must come first.
        path = "\(folder)/events.out.tfevents.\(String(Int(time))).\(hostName).\(getpid()).\(number)"
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw FileError("write", path) }
        try write(TensorBoardEvent.version(time: time))
        if let resumedStep { try write(TensorBoardEvent.start(time: time, step: resumedStep + 1)) }
    }

    deinit { close(descriptor) }

    /// Adds values to the curves of their names, such as `loss/train`.
    ///
    /// - Throws: `FileError`.
    public func scalars(_ values: KeyValuePairs<String, Double>, step: Int) throws {
        try write(TensorBoardEvent.scalars(values.map { ($0.key, $0.value) }, time: now(), step: step))
    }

    /// Adds values to the curves of their names.
    ///
    /// - Throws: `FileError`.
    public func scalars(_ values: [(name: String, value: Double)], step: Int) throws {
        try write(TensorBoardEvent.scalars(values.map { ($0.name, $0.value) }, time: now(), step: step))
    }

    /// Adds a text, which TensorBoard shows as Markdown.
    ///
    /// - Throws: `FileError`.
    public func text(_ text: String, name: String, step: Int) throws {
        try write(TensorBoardEvent.text(text, name: name, time: now(), step: step))
    }

    /// Brings everything to the disk.
    ///
    /// - Throws: `FileError`.
    public func synchronize() throws {
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw FileError("write", path) }
    }

    private func write(_ event: [UInt8]) throws {
        try FileIO.write(TFRecord.framed(event), to: descriptor, path: path)
    }

    /// The system's time in seconds since 1970.
    public static func clock() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}

/// The framing of TensorFlow's record files: length, its checksum, data, its checksum; little-endian.
enum TFRecord {
    static func framed(_ data: [UInt8]) -> [UInt8] {
        let length = bytes(UInt64(data.count))
        return length + bytes(CRC32C.masked(length)) + data + bytes(CRC32C.masked(data))
    }

    private static func bytes<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}
