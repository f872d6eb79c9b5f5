import Glibc

/// What a progress line says about a step.
public struct ProgressReport: Sendable, Equatable {
    public var step: Int
    public var totalSteps: Int?
    public var loss: Double
    public var learningRate: Double?
    public var tokensPerSecond: Double
    /// The model FLOPs utilisation, from 0 to 1.
    public var utilisation: Double?
    /// Bytes in memory.
    public var memory: Int?
    public var secondsLeft: Double?

    public init(
        step: Int, totalSteps: Int?, loss: Double, learningRate: Double? = nil, tokensPerSecond: Double,
        utilisation: Double? = nil, memory: Int? = nil, secondsLeft: Double? = nil
    ) {
        self.step = step
        self.totalSteps = totalSteps
        self.loss = loss
        self.learningRate = learningRate
        self.tokensPerSecond = tokensPerSecond
        self.utilisation = utilisation
        self.memory = memory
        self.secondsLeft = secondsLeft
    }

    /// `step 120/2000  loss 3.412  lr 1.00e-2  12.3k tok/s  MFU 41 %  1.2 GB  4m 05s left`
    public var text: String { parts.joined(separator: "  ") }

    private var parts: [String] {
        var parts = [totalSteps.map { "step \(step)/\($0)" } ?? "step \(step)", "loss \(Format.fixed(loss, 3))"]
        if let learningRate { parts.append("lr \(Format.significant(learningRate, 3))") }
        parts.append("\(Format.count(tokensPerSecond)) tok/s")
        if let utilisation { parts.append("MFU \(Format.fixed(utilisation * 100, 0)) %") }
        if let memory { parts.append(Format.bytes(memory)) }
        if let secondsLeft { parts.append("\(Format.duration(secondsLeft)) left") }
        return parts
    }

    /// The text for a line of a terminal: a bar in front if there is room, and the least important parts left out if not.
    package func fitted(toWidth width: Int) -> String {
        var parts = parts
        if let totalSteps, totalSteps > 0 {
            let barWidth = min(24, width - text.count - 3)
            if barWidth >= 8 {
                let filled = max(0, min(barWidth, barWidth * step / totalSteps))
                let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: barWidth - filled)
                parts.insert(bar, at: 0)
            }
        }
        // Step, loss and the time left stay longest.
        while parts.joined(separator: "  ").count > width, parts.count > 3 { parts.remove(at: parts.count - 2) }
        return String(parts.joined(separator: "  ").prefix(max(0, width)))
    }
}

/// Shows how training goes: a line that changes in place on a terminal, a line now and then elsewhere.
public final class ProgressLine {
    /// The largest number of updates a second on a terminal.
    private static let updatesPerSecond = 10.0

    private let isTerminal: Bool
    private let printEverySteps: Int
    private let width: () -> Int
    private let now: () -> Double
    private let output: (String) -> Void
    private var lastUpdate = -Double.infinity
    private var pending: ProgressReport?
    private var isShown = false
    private var firstStep: Int?

    /// A progress line on standard error, so that standard output stays free for results.
    ///
    /// - Parameter printEverySteps: How often to print a line where the output is no terminal.
    public convenience init(printEverySteps: Int) {
        // A dumb terminal cannot go back to a line's beginning.
        let isDumb = getenv("TERM").map { String(cString: $0) == "dumb" } ?? false
        self.init(
            printEverySteps: printEverySteps, isTerminal: isatty(STDERR_FILENO) == 1 && !isDumb,
            width: Self.terminalWidth, now: Self.monotonicSeconds,
            output: { text in
                // A line that cannot be shown is no reason to end a training run.
                try? FileIO.write(Array(text.utf8), to: STDERR_FILENO, path: "standard error")
            })
    }

    /// A progress line on anything.
    ///
    /// - Parameters:
    ///   - width: The terminal's width in columns, asked for before each update.
    ///   - now: A time in seconds that never goes back.
    ///   - output: Takes the text.
    public init(
        printEverySteps: Int, isTerminal: Bool, width: @escaping () -> Int, now: @escaping () -> Double,
        output: @escaping (String) -> Void
    ) {
        precondition(
            printEverySteps >= 1, "[ProgressLine] printEverySteps must be at least 1, found \(printEverySteps)")
        self.isTerminal = isTerminal
        self.printEverySteps = printEverySteps
        self.width = width
        self.now = now
        self.output = output
    }

    /// Shows a step. Elsewhere than on a terminal, the first step, each `printEverySteps`-th and the last are printed.
    public func update(_ report: ProgressReport) {
        if isTerminal {
            pending = report
            let time = now()
            guard time - lastUpdate >= 1 / Self.updatesPerSecond || report.step == report.totalSteps else { return }
            lastUpdate = time
            show()
        } else {
            firstStep = firstStep ?? report.step
            guard report.step == firstStep || report.step % printEverySteps == 0 || report.step == report.totalSteps
            else {
                return
            }
            output(report.text + "\n")
        }
    }

    /// Prints a line of its own, above the live line.
    public func message(_ text: String) {
        if isShown { output("\r\u{1B}[K") }
        isShown = false
        output(text + "\n")
        if isTerminal && pending != nil { show() }
    }

    /// Ends the live line, so that what follows starts on a fresh line.
    public func finish() {
        if isTerminal && pending != nil {
            show()
            output("\n")
        }
        isShown = false
        pending = nil
    }

    private func show() {
        guard let pending else { return }
        // A line as wide as the terminal would wrap on some.
        output("\r" + pending.fitted(toWidth: max(1, width() - 1)) + "\u{1B}[K")
        isShown = true
    }

    private static func terminalWidth() -> Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    private static func monotonicSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
