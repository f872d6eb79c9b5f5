/// The evaluation section of a recipe.
public struct EvaluationRecipe: Sendable, Equatable {
    public var everySteps = 250
    public var batches: Int?

    public init() {}
}

extension EvaluationRecipe: RecipeSection {
    package static var fields: [RecipeField<EvaluationRecipe>] {
        [
            RecipeField(
                "everySteps", \.everySteps, "Evaluate after each so many steps, and after the last",
                limit: .count(from: 1)),
            RecipeField(
                "batches", optional: \.batches,
                "How many batches of the validation data to take, always the same ones. null: all of it",
                limit: .count(from: 1)),
        ]
    }
}

/// The checkpoint section of a recipe.
public struct CheckpointRecipe: Sendable, Equatable {
    public var everySteps = 500
    public var keepLast = 3
    public var keepBest = 1

    public init() {}
}

extension CheckpointRecipe: RecipeSection {
    package static var fields: [RecipeField<CheckpointRecipe>] {
        [
            RecipeField(
                "everySteps", \.everySteps,
                "Save after each so many steps, after the last, and when the run is stopped; also after an evaluation whose "
                    + "loss is among the keepBest lowest",
                limit: .count(from: 1)),
            RecipeField("keepLast", \.keepLast, "How many of the newest to keep", limit: .count(from: 1)),
            RecipeField(
                "keepBest", \.keepBest, "How many of those with the lowest validation loss to keep besides",
                limit: .count(from: 0)),
        ]
    }
}

/// The spikes section of a recipe: PaLM's remedy was to go back about 100 steps and skip 200 to 500 batches.
public struct SpikeRecipe: Sendable, Equatable {
    public var skip: [BatchRange] = []
    public var automatic = false
    public var threshold = 6.0
    public var window = 100
    public var rewindSteps = 100
    public var skipBatches = 200
    public var maxRestarts = 20

    public init() {}
}

extension SpikeRecipe: RecipeSection {
    package static var fields: [RecipeField<SpikeRecipe>] {
        [
            RecipeField(
                "skip", \.skip,
                "Batches never to train on, such as [{from: 1200, to: 1499}], counted from 1. Those after them move up"),
            RecipeField(
                "automatic", \.automatic,
                "When the loss jumps or is no number: go back to a checkpoint at least rewindSteps old and skip batches"
            ),
            RecipeField(
                "threshold", \.threshold,
                "The loss has jumped when it is this many standard deviations above the mean of the window",
                limit: .above(0)),
            RecipeField(
                "window", \.window, "How many steps before it a loss is compared with", limit: .count(from: 10)),
            RecipeField(
                "rewindSteps", \.rewindSteps, "How many steps to go back, at the least", limit: .count(from: 1)),
            RecipeField(
                "skipBatches", \.skipBatches, "How many batches to skip, counted from the checkpoint",
                limit: .count(from: 1, to: 1_000_000_000)),
            RecipeField(
                "maxRestarts", \.maxRestarts,
                "After this many restarts a jump is trained through, and a loss that is no number ends the run",
                limit: .count(from: 1)),
        ]
    }
}

/// Batches from one number to another, both included, counted from 1.
public struct BatchRange: Sendable, Equatable {
    public var from = 0
    public var to = 0
    /// More than a recipe's ranges and all that is skipped automatically after them reach.
    static let last = 1 << 41

    public init() {}

    public init(from: Int, to: Int) {
        self.from = from
        self.to = to
    }
}

extension BatchRange: RecipeSection {
    package static var fields: [RecipeField<BatchRange>] {
        [
            RecipeField(
                "from", \.from, "The first batch", limit: .count(from: 1, to: BatchRange.last), isRequired: true),
            RecipeField("to", \.to, "The last batch", limit: .count(from: 1, to: BatchRange.last), isRequired: true),
        ]
    }
}

/// The logging section of a recipe.
public struct LoggingRecipe: Sendable, Equatable {
    public var everySteps = 1
    public var printEverySteps = 10
    public var metrics = true
    public var tensorboard = true
    public var plot = true
    public var peakFLOPs: Double?

    public init() {}
}

extension LoggingRecipe: RecipeSection {
    package static var fields: [RecipeField<LoggingRecipe>] {
        [
            RecipeField(
                "everySteps", \.everySteps, "Record the training loss and its companions each so many steps",
                limit: .count(from: 1)),
            RecipeField(
                "printEverySteps", \.printEverySteps,
                "Print a line each so many steps where the output is no terminal; a terminal shows a live line",
                limit: .count(from: 1)),
            RecipeField("metrics", \.metrics, "Write the records to metrics.jsonl, a JSON object a line"),
            RecipeField("tensorboard", \.tensorboard, "Write TensorBoard event files"),
            RecipeField("plot", \.plot, "Draw the losses as loss.svg at every evaluation"),
            RecipeField(
                "peakFLOPs", optional: \.peakFLOPs,
                "The machine's peak in floating-point operations a second, against which the model FLOPs utilisation is "
                    + "reckoned. null: the fastest matrix product measured at the start",
                limit: .above(0)),
        ]
    }
}

/// The sample section of a recipe.
public struct SampleRecipe: Sendable, Equatable {
    public var prompts: [String] = []
    public var maxTokens = 100
    public var temperature = 0.8
    public var topK: Int?
    public var topP = 1.0

    public init() {}
}

extension SampleRecipe: RecipeSection {
    package static var fields: [RecipeField<SampleRecipe>] {
        [
            RecipeField("prompts", \.prompts, "Texts to continue at every evaluation; [] for none"),
            RecipeField("maxTokens", \.maxTokens, "The longest continuation", limit: .count(from: 1)),
            RecipeField("temperature", \.temperature, "0 always takes the likeliest token", limit: .atLeast(0)),
            RecipeField(
                "topK", optional: \.topK, "Draw from this many likeliest tokens only. null: from all",
                limit: .count(from: 1)),
            RecipeField(
                "topP", \.topP, "Draw from the likeliest tokens that together have this probability. 1: from all",
                limit: .within(1e-6...1)),
        ]
    }
}
