public import Martlet

/// Lowers an optimizer's learning rate when a measure has stopped improving, as PyTorch's.
///
/// ```swift
/// let plateau = ReduceLROnPlateau(optimizer, patience: 3)
/// for epoch in 0..<100 {
///     train()
///     plateau.step(validationLoss())
/// }
/// ```
///
/// What the learning rate will be depends on the measurements, which a ``Schedule`` cannot know: the optimizer must
/// have none. Parameter groups with a schedule of their own keep it; those with a scale follow.
public final class ReduceLROnPlateau: CustomStringConvertible {
    public enum Mode: String, Sendable, CaseIterable {
        /// A measure is better the smaller it is: a loss.
        case min
        /// A measure is better the larger it is: an accuracy.
        case max
    }
    public enum ThresholdMode: String, Sendable, CaseIterable {
        /// The threshold is a share of the best measure.
        case relative
        /// The threshold is a difference from the best measure.
        case absolute
    }

    public let optimizer: Optimizer
    public let mode: Mode
    public let factor: Double
    public let patience: Int
    public let threshold: Double
    public let thresholdMode: ThresholdMode
    public let cooldown: Int
    public let minimumLearningRate: Double
    public let eps: Double

    /// The best measure so far; infinite before the first.
    public private(set) var best: Double
    /// Measures in a row that were no better.
    public private(set) var badCount = 0
    /// Measures to come that are not counted as bad, after a reduction.
    public private(set) var cooldownLeft = 0

    /// - Parameters:
    ///   - factor: what the learning rate is multiplied with, below 1.
    ///   - patience: how many measures in a row may be no better; the next one lowers the rate.
    ///   - threshold: by how much a measure has to be better than the best one to count as better.
    ///   - cooldown: how many measures after a reduction are not counted as bad.
    ///   - minimumLearningRate: the rate is not lowered beyond.
    ///   - eps: a change of the rate by no more than this is not made.
    public init(
        _ optimizer: Optimizer, mode: Mode = .min, factor: Double = 0.1, patience: Int = 10, threshold: Double = 1e-4,
        thresholdMode: ThresholdMode = .relative, cooldown: Int = 0, minimumLearningRate: Double = 0,
        eps: Double = 1e-8
    ) {
        if !(factor >= 0 && factor < 1) { trap("ReduceLROnPlateau", "the factor is in 0..<1, \(factor) is not") }
        if patience < 0 || cooldown < 0 {
            trap("ReduceLROnPlateau", "patience and cooldown may not be negative: \(patience) and \(cooldown)")
        }
        if optimizer.schedule != nil {
            trap("ReduceLROnPlateau", "the optimizer has a schedule, which sets the learning rate at every step")
        }
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.thresholdMode = thresholdMode
        self.cooldown = cooldown
        self.minimumLearningRate = minimumLearningRate
        self.eps = eps
        best = mode == .min ? .infinity : -.infinity
    }

    /// Takes account of a measure, once an epoch or evaluation. NaN is never better.
    /// - Returns: whether the learning rate was lowered.
    @discardableResult
    public func step(_ measure: Double) -> Bool {
        if isBetter(measure) {
            best = measure
            badCount = 0
        } else {
            badCount += 1
        }
        if cooldownLeft > 0 {
            cooldownLeft -= 1
            badCount = 0
        }
        guard badCount > patience else { return false }
        cooldownLeft = cooldown
        badCount = 0
        let old = optimizer.learningRate
        let new = max(old * factor, minimumLearningRate)
        guard old - new > eps else { return false }
        optimizer.learningRate = new
        return true
    }

    private func isBetter(_ measure: Double) -> Bool {
        switch (mode, thresholdMode) {
        case (.min, .relative): measure < best * (1 - threshold)
        case (.max, .relative): measure > best * (1 + threshold)
        case (.min, .absolute): measure < best - threshold
        case (.max, .absolute): measure > best + threshold
        }
    }

    /// What a run that goes on needs beside the optimizer's state, in which the learning rate is.
    public func stateDictionary() -> [(String, Tensor)] {
        [
            ("best", Tensor(best, dtype: .float64)), ("badCount", Tensor(badCount)),
            ("cooldownLeft", Tensor(cooldownLeft)),
        ]
    }

    /// Takes over a state that ``stateDictionary()`` gave.
    /// - Throws: ``Martlet/MartletError`` where names, types or values are others; nothing is changed then.
    public func load(_ state: [(String, Tensor)]) throws {
        let expected = stateDictionary()
        let found = Dictionary(state, uniquingKeysWith: { first, _ in first })
        var problems: [String] = []
        for (name, tensor) in expected {
            guard let given = found[name] else {
                problems.append("\(name) is missing")
                continue
            }
            if given.dtype != tensor.dtype || given.count != 1 {
                problems.append("\(name): one \(tensor.dtype) is expected, the state has \(given.dtype) \(given.shape)")
            } else if tensor.dtype == .int64 && given.item() < 0 {
                problems.append("\(name) is negative: \(given.item())")
            }
        }
        let names = Set(expected.map(\.0))
        problems += state.map(\.0).filter { !names.contains($0) }.map { "unexpected: \($0)" }
        if state.count != found.count { problems.append("a name is given twice") }
        guard problems.isEmpty else {
            throw MartletError(
                .mismatch, "this is no state of ReduceLROnPlateau: " + problems.joined(separator: "; "))
        }
        best = found["best"]!.item()
        badCount = found["badCount"]!.item(Int.self)
        cooldownLeft = found["cooldownLeft"]!.item(Int.self)
    }

    public var description: String {
        "ReduceLROnPlateau(mode: \(mode), factor: \(factor), patience: \(patience), threshold: \(threshold) "
            + "\(thresholdMode), cooldown: \(cooldown), minimumLearningRate: \(minimumLearningRate), eps: \(eps))"
    }
}
