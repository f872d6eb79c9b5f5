// What fits into memory, asked before it is needed: an allocation that fails in the middle of a computation can only end
// the program.
#if canImport(Glibc)
internal import Glibc
#endif

extension Memory {
    /// Bytes that this process can still take: what the system has to give, the process's own limit (`ulimit -v`), and
    /// the allocator's cache. nil where the system does not tell.
    public static var available: Int? {
        guard let system = kibibytes("/proc/meminfo", "MemAvailable:") else { return nil }
        var least = system
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur < rlim_t(Int.max),
            let used = kibibytes("/proc/self/status", "VmSize:")
        {
            least = Swift.min(least, Swift.max(0, Int(limit.rlim_cur) - used))
        }
        return least + statistics.cached
    }

    /// Throws when `bytes` more are not to be had.
    ///
    /// - Parameters:
    ///   - what: what needs them, with its parts: "a model of 8.1 G parameters".
    ///   - remedy: what can be done about it.
    public static func require(_ bytes: Double, for what: @autoclosure () -> String, remedy: String) throws {
        guard let available, bytes > Double(available) else { return }
        throw MartletError(
            .resources,
            "\(what()) needs at least \(text(bytes)) of memory, \(text(Double(available))) are available: \(remedy)")
    }

    private static func text(_ bytes: Double) -> String {
        var value = bytes
        for unit in ["bytes", "kB", "MB", "GB", "TB", "PB"] {
            if value < 1000 || unit == "PB" {
                let digits =
                    unit == "bytes" || value >= 100 ? "\(Int(value.rounded()))" : "\((value * 10).rounded() / 10)"
                return "\(digits) \(unit)"
            }
            value /= 1000
        }
        return "\(bytes) bytes"
    }

    private static func kibibytes(_ path: String, _ field: String) -> Int? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 512)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard text.hasPrefix(field) else { continue }
            let words = text.dropFirst(field.count).split { $0 == " " || $0 == "\t" }
            return words.first.flatMap { Int($0) }.map { $0 * 1024 }
        }
        return nil
    }
}
