/// Notices when the training loss jumps, as PaLM's did about 20 times.
///
/// Its state is part of a checkpoint, so that a resumed run notices the same spikes.
public struct SpikeDetector: Codable, Sendable, Equatable {
    private let threshold: Double
    private let window: Int
    /// The losses of the last steps, the oldest first.
    private var losses: [Double] = []

    /// - Parameters:
    ///   - threshold: How many standard deviations above the mean of the window a loss has jumped.
    ///   - window: How many losses a loss is compared with. Nothing is a jump before there are so many.
    public init(threshold: Double, window: Int) {
        precondition(threshold > 0, "[SpikeDetector] threshold must be above 0, found \(threshold)")
        precondition(window >= 2, "[SpikeDetector] window must be at least 2, found \(window)")
        self.threshold = threshold
        self.window = window
    }

    /// Takes the loss of the next step and tells whether it has jumped.
    ///
    /// A loss that is no finite number always has. One that has jumped does not become part of the window.
    public mutating func isSpike(_ loss: Double) -> Bool {
        guard loss.isFinite else { return true }
        if losses.count == window {
            let mean = losses.reduce(0, +) / Double(window)
            let variance = losses.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(window - 1)
            // Where losses hardly vary, noise of a percent is no spike.
            let deviation = max(variance.squareRoot(), 0.01 * abs(mean))
            if loss > mean + threshold * deviation { return true }
            losses.removeFirst()
        }
        losses.append(loss)
        return false
    }
}

/// Which batch each step trains on when some are skipped.
///
/// Steps and batches are counted from 1. Step k takes the k-th batch that is not skipped, so skipping batches changes
/// nothing for the steps before them.
public struct BatchSequence: Codable, Sendable, Equatable {
    /// In rising order, neither overlapping nor touching.
    public private(set) var skipped: [BatchRange] = []

    public init(skipping ranges: [BatchRange] = []) {
        for range in ranges { skip(range) }
    }

    /// The batch that a step trains on.
    public func batch(forStep step: Int) -> Int {
        var batch = step
        for range in skipped where range.from <= batch { batch += range.to - range.from + 1 }
        return batch
    }

    /// Skips batches besides those that are skipped already.
    public mutating func skip(_ range: BatchRange) {
        precondition(
            range.from >= 1 && range.from <= range.to, "[BatchSequence.skip] expected 1 <= from <= to, found \(range)")
        var merged: [BatchRange] = []
        for next in (skipped + [range]).sorted(by: { $0.from < $1.from }) {
            if let last = merged.last, next.from <= last.to + 1 {
                merged[merged.count - 1].to = max(last.to, next.to)
            } else {
                merged.append(next)
            }
        }
        skipped = merged
    }

    /// Skips a number of batches that the steps after `step` would have taken: what to do after going back to it.
    public mutating func skip(_ count: Int, afterStep step: Int) {
        var remaining = count
        while remaining > 0 {
            let first = batch(forStep: step + 1)
            // Up to the next range that is skipped already; the batches after that one move up in their turn.
            let free = skipped.first { $0.from > first }.map { $0.from - first } ?? remaining
            let taken = min(remaining, free)
            skip(BatchRange(from: first, to: first + taken - 1))
            remaining -= taken
        }
    }
}
