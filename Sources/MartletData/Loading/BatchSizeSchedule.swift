/// How many sequences a step trains on: a number that may change at given steps, as PaLM's did (512, from step 50,000
/// on 1024, from step 115,000 on 2048).
public struct BatchSizeSchedule: Sendable, Equatable, Codable, ExpressibleByIntegerLiteral {
    public struct Phase: Sendable, Equatable, Codable {
        /// The first step with this size, from 0.
        public var firstStep: Int
        /// Sequences a step, over all processes.
        public var size: Int

        public init(firstStep: Int, size: Int) {
            self.firstStep = firstStep
            self.size = size
        }
    }

    /// In the order of their steps; the first begins at step 0.
    public let phases: [Phase]

    public init(integerLiteral size: Int) {
        precondition(size > 0, "[BatchSizeSchedule] the batch size must be at least 1, found \(size)")
        phases = [Phase(firstStep: 0, size: size)]
    }

    /// - Throws: `LoaderError.invalidOption`.
    public init(_ size: Int) throws {
        try self.init(phases: [Phase(firstStep: 0, size: size)])
    }

    /// - Throws: `LoaderError.invalidOption` unless the phases begin at step 0, ascend and have sizes of at least 1.
    public init(phases: [Phase]) throws {
        func check(_ condition: Bool, _ reason: String) throws {
            if !condition { throw LoaderError.invalidOption(name: "batchSize", reason: reason) }
        }
        try check(phases.first?.firstStep == 0, "the first phase must begin at step 0")
        for (index, phase) in phases.enumerated() {
            try check(phase.size >= 1, "expected at least 1, found \(phase.size)")
            try check(
                index == 0 || phase.firstStep > phases[index - 1].firstStep,
                "the phases' first steps must ascend, found \(phases.map(\.firstStep))")
        }
        self.phases = phases
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let size = try? container.decode(Int.self) {
            try self.init(size)
        } else {
            try self.init(phases: try container.decode([Phase].self))
        }
    }

    /// A number where the size never changes, else the list of phases.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if phases.count == 1 { try container.encode(phases[0].size) } else { try container.encode(phases) }
    }

    /// Sequences at `step`, which must not be negative.
    public func size(atStep step: Int) -> Int {
        precondition(step >= 0, "[BatchSizeSchedule] step is negative: \(step)")
        return phases.last { $0.firstStep <= step }!.size
    }

    /// Sequences in all steps before `step`.
    public func samples(beforeStep step: Int) -> Int {
        var total = 0
        for (index, phase) in phases.enumerated() where phase.firstStep < step {
            let end = index + 1 < phases.count ? min(step, phases[index + 1].firstStep) : step
            total += (end - phase.firstStep) * phase.size
        }
        return total
    }
}

/// A loader was asked for what it cannot do.
public enum LoaderError: Error, Equatable, Sendable, CustomStringConvertible {
    case invalidOption(name: String, reason: String)
    /// A token file too short for one window.
    case tooShort(path: String, tokenCount: Int, needed: Int)

    public var description: String {
        switch self {
        case .invalidOption(let name, let reason): "data loading, \(name): \(reason)"
        case .tooShort(let path, let tokenCount, let needed):
            "\(path) has \(tokenCount) tokens, but one sequence needs \(needed) (the sequence length and one more): "
                + "use more text or shorter sequences"
        }
    }
}
