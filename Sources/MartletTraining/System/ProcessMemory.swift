import Glibc

/// The memory of this process, as the kernel counts it.
public enum ProcessMemory {
    /// Bytes in physical memory now; nil where the system does not tell.
    public static var resident: Int? { field("VmRSS:") }

    /// The largest number of bytes that were in physical memory so far; nil where the system does not tell.
    public static var peakResident: Int? { field("VmHWM:") }

    /// Makes `peakResident` count from now on.
    ///
    /// - Returns: Whether the system allowed it.
    @discardableResult
    public static func resetPeak() -> Bool {
        let descriptor = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return write(descriptor, "5", 1) == 1
    }

    private static func field(_ name: String) -> Int? {
        guard let bytes = try? FileIO.read("/proc/self/status") else { return nil }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix(name) {
            let kibibytes = line.dropFirst(name.count).split(whereSeparator: { $0 == " " || $0 == "\t" }).first
            return kibibytes.flatMap { Int($0) }.map { $0 * 1024 }
        }
        return nil
    }
}
