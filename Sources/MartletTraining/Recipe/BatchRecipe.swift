/// The batch section of a recipe.
public struct BatchRecipe: Sendable, Equatable {
    public var sequences = BatchSchedule(32)
    public var microBatch: Int?

    public init() {}

    public init(sequences: Int, microBatch: Int? = nil) {
        self.sequences = BatchSchedule(sequences)
        self.microBatch = microBatch
    }
}

extension BatchRecipe: RecipeSection {
    package static var fields: [RecipeField<BatchRecipe>] {
        [
            RecipeField(
                "sequences", \.sequences,
                "Sequences in a step's batch, or a list such as [{untilStep: 1000, sequences: 32}, {sequences: 64}]. "
                    + "untilStep counts batches, also those that were skipped"),
            RecipeField(
                "microBatch", optional: \.microBatch,
                "Sequences that go through the model at once; a step adds up their gradients. Needs less memory when "
                    + "smaller, and divides every batch size. null: the whole batch",
                limit: .count(from: 1)),
        ]
    }
}

/// How many sequences each batch has.
///
/// Batches are counted from 1. A batch's size and its place in the data depend on its number alone.
public struct BatchSchedule: Sendable, Equatable {
    /// Batches of one size.
    public struct Stage: Sendable, Equatable {
        /// The last batch of this size; nil in the last stage.
        public var untilStep: Int?
        public var sequences = 0

        public init() {}

        public init(untilStep: Int?, sequences: Int) {
            self.untilStep = untilStep
            self.sequences = sequences
        }
    }

    /// One after another, `untilStep` rising, nil in the last only.
    public var stages: [Stage]

    /// The same size throughout.
    public init(_ sequences: Int) {
        stages = [Stage(untilStep: nil, sequences: sequences)]
    }

    public init(stages: [Stage]) {
        self.stages = stages
    }

    /// The number of sequences in a batch.
    public func sequences(inBatch batch: Int) -> Int {
        (stages.first { $0.untilStep.map { batch <= $0 } ?? true } ?? stages[stages.count - 1]).sequences
    }

    /// The number of sequences in all batches before one: its place in the data.
    public func sequences(beforeBatch batch: Int) -> Int {
        var total = 0
        var start = 1
        for stage in stages where start < batch {
            let end = min(stage.untilStep.map { $0 + 1 } ?? batch, batch)
            total += max(0, end - start) * stage.sequences
            start = max(start, end)
        }
        return total
    }
}

extension BatchSchedule.Stage: RecipeSection {
    package static var fields: [RecipeField<BatchSchedule.Stage>] {
        [
            RecipeField(
                "untilStep", optional: \.untilStep, "The last batch of this size; left out in the last stage",
                limit: .count(from: 1)),
            RecipeField(
                "sequences", \.sequences, "Sequences in a batch", limit: .within(1...BatchSchedule.largest),
                isRequired: true),
        ]
    }
}

extension BatchSchedule: RecipeValue {
    static let largest = 1 << 20

    package static var expectation: String {
        "a whole number from 1 to \(largest), or a list of {untilStep, sequences} mappings"
    }

    package static func read(_ node: ConfigNode, at path: String, problems: inout [RecipeProblem]) -> BatchSchedule? {
        if case .list(let nodes) = node.value, !nodes.isEmpty {
            guard let stages = [Stage].read(node, at: path, problems: &problems) else { return nil }
            let schedule = BatchSchedule(stages: stages)
            if let problem = schedule.problem {
                problems.append(RecipeProblem("'\(path)': \(problem)", origin: node.origin))
                return nil
            }
            return schedule
        }
        var mismatch: [RecipeProblem] = []
        guard let sequences = Int.read(node, at: path, problems: &mismatch), (1...largest).contains(sequences)
        else {
            problems.append(.unexpected(node, at: path, expectation: expectation))
            return nil
        }
        return BatchSchedule(sequences)
    }

    package var configNode: ConfigNode {
        if stages.count == 1, stages[0].untilStep == nil { return stages[0].sequences.configNode }
        return ConfigNode(
            .list(
                stages.map { stage in
                    var entries: [ConfigNode.Entry] = []
                    if let untilStep = stage.untilStep {
                        entries.append(.init(key: "untilStep", value: untilStep.configNode, origin: .code))
                    }
                    entries.append(.init(key: "sequences", value: stage.sequences.configNode, origin: .code))
                    return ConfigNode(.mapping(entries))
                }))
    }

    /// What is wrong with the stages taken together.
    var problem: String? {
        guard let last = stages.last else { return "expected at least one stage" }
        if let untilStep = last.untilStep {
            return "the last stage must have no untilStep, found untilStep \(untilStep)"
        }
        for (index, (stage, next)) in zip(stages, stages.dropFirst()).enumerated() {
            guard let untilStep = stage.untilStep else {
                return "only the last stage may leave out untilStep: stage \(index)"
            }
            if let nextStep = next.untilStep, nextStep <= untilStep {
                return "untilStep must rise from stage to stage, found \(untilStep) and then \(nextStep)"
            }
        }
        if let stage = stages.first(where: { $0.sequences < 1 }) {
            return "sequences must be at least 1, found \(stage.sequences)"
        }
        return nil
    }
}
