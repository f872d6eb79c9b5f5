import Glibc

/// Shows how far a preparation of token files is: a line that changes in place on a terminal, a line every ten seconds
/// elsewhere.
package final class PreparationProgress {
    private static let secondsBetweenUpdates = 0.1
    private static let secondsBetweenLines = 10.0

    private let isTerminal: Bool
    private let now: () -> Double
    private let output: (String) -> Void
    private let start: Double
    private var lastShown: Double
    private var isShown = false

    /// On standard error, so that standard output stays free for results.
    package convenience init() {
        // A dumb terminal cannot go back to a line's beginning.
        let isDumb = getenv("TERM").map { String(cString: $0) == "dumb" } ?? false
        self.init(
            isTerminal: isatty(STDERR_FILENO) == 1 && !isDumb,
            now: {
                var time = timespec()
                clock_gettime(CLOCK_MONOTONIC, &time)
                return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
            },
            output: { text in
                // A line that cannot be shown is no reason to end the work.
                let bytes = Array(text.utf8)
                var done = 0
                while done < bytes.count {
                    let n = bytes[done...].withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
                    if n < 0 && errno != EINTR { return }
                    done += max(0, n)
                }
            })
    }

    /// - Parameters:
    ///   - now: A time in seconds that never goes back.
    ///   - output: Takes the text.
    package init(isTerminal: Bool, now: @escaping () -> Double, output: @escaping (String) -> Void) {
        self.isTerminal = isTerminal
        self.now = now
        self.output = output
        start = now()
        lastShown = isTerminal ? -Double.infinity : start
    }

    /// Takes the bytes of text done, and in all.
    package func update(_ done: Int, _ total: Int) {
        let time = now()
        let pause = isTerminal ? Self.secondsBetweenUpdates : Self.secondsBetweenLines
        guard time - lastShown >= pause || (isTerminal && done >= total) else { return }
        lastShown = time
        let text = Self.text(done, total, seconds: time - start)
        output(isTerminal ? "\r" + text + "\u{1B}[K" : text + "\n")
        isShown = isTerminal
    }

    /// Ends the live line, so that what follows starts on a fresh line.
    package func finish() {
        if isShown { output("\n") }
        isShown = false
    }

    /// `encoded 12.3 of 45.6 MB  26 %  3.2 MB/s  10s left`
    static func text(_ done: Int, _ total: Int, seconds: Double) -> String {
        var parts = ["encoded \(megabytes(Double(done))) of \(megabytes(Double(total))) MB"]
        if total > 0 { parts.append("\(Int(100 * Double(done) / Double(total))) %") }
        if seconds > 0, done > 0 {
            let rate = Double(done) / seconds
            parts.append("\(megabytes(rate)) MB/s")
            if done < total { parts.append("\(Int((Double(total - done) / rate).rounded(.up)))s left") }
        }
        return parts.joined(separator: "  ")
    }

    private static func megabytes(_ bytes: Double) -> String {
        let tenths = Int((bytes / 1e5).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
