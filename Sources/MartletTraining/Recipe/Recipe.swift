/// Everything that decides the result of a training run: a value in code, a YAML file on disk.
///
/// ```yaml
/// name: shakespeare
/// steps: 2000
/// data:
///   train: data/shakespeare.train.tokens
///   validation: data/shakespeare.validation.tokens
///   sequenceLength: 256
/// tokenizer: data/shakespeare.model
/// model:
///   preset: palm-4m
/// ```
///
/// Keys that are left out have the values of PaLM (Chowdhery et al. 2022) where the paper gives one. Reading is strict: an
/// unknown key, a wrong type or a value out of range is an error that names the line, the key, what was expected and what
/// was found. `yaml()` writes the complete recipe and `explain()` every key with its meaning.
///
/// Steps are counted from 1: step k is the k-th update of the parameters. Paths are relative to the current directory.
public struct Recipe: Sendable, Equatable {
    public var name = ""
    public var seed = 0
    public var precision = Precision.float32
    public var output = ""
    public var steps: Int?
    public var minutes: Double?
    public var maxMinutes: Double?
    public var data = DataRecipe()
    public var tokenizer = ""
    public var model = ModelRecipe()
    public var optimizer = OptimizerRecipe.adafactor(AdafactorRecipe())
    public var schedule = ScheduleRecipe.palm(PaLMScheduleRecipe())
    public var batch = BatchRecipe()
    public var gradientClip: Double? = 1
    public var zLoss = 1e-4
    public var labelSmoothing = 0.0
    public var emaDecay: Double?
    public var activationCheckpointing = false
    public var evaluation = EvaluationRecipe()
    public var checkpoint = CheckpointRecipe()
    public var spikes = SpikeRecipe()
    public var logging = LoggingRecipe()
    public var sample = SampleRecipe()

    /// The type that the forward and backward passes compute in.
    public enum Precision: String, Codable, Sendable, CaseIterable {
        case float32, bfloat16
    }

    /// Every key at its default; the required ones are empty until they are set, which `validate()` checks.
    public init() {}

    /// A recipe with the required keys; everything else is at its default.
    public init(name: String, steps: Int, data: DataRecipe, tokenizer: String, model: ModelRecipe) {
        self.name = name
        self.output = Self.defaultOutput(name: name)
        self.steps = steps
        self.data = data
        self.tokenizer = tokenizer
        self.model = model
    }

    static func defaultOutput(name: String) -> String { "runs/" + name }
}

extension Recipe.Precision: RecipeWord {}

extension Recipe: RecipeSection {
    package static var fields: [RecipeField<Recipe>] {
        [
            RecipeField(
                "name", \.name, "The run's name, a single word such as shakespeare-4m", limit: .notEmpty,
                isRequired: true),
            RecipeField(
                "seed", \.seed,
                "Decides the initial parameters, the order of the data and dropout. The same recipe and seed give the same "
                    + "losses bit by bit",
                limit: .atLeast(0)),
            RecipeField(
                "precision", \.precision,
                "The type of the forward and backward passes; with bfloat16 the optimizer keeps a float32 copy of the "
                    + "parameters"),
            RecipeField(
                "output", \.output,
                "The run's folder: checkpoints, metrics, plots. runs/NAME where it is left out", limit: .notEmpty),
            RecipeField(
                "steps", optional: \.steps, "How many updates to make. Give either steps or minutes",
                limit: .count(from: 1)),
            RecipeField(
                "minutes", optional: \.minutes,
                "Train for about this long. Before step 1 the trainer times trial steps whose updates are thrown away, and "
                    + "writes the number of steps that fits as 'steps' into the recipe in the run's folder; from then on "
                    + "everything depends on step numbers only, so that recipe repeats the run exactly",
                limit: .above(0)),
            RecipeField(
                "maxMinutes", optional: \.maxMinutes,
                "Stop this long after the start, whatever step is reached, with a checkpoint that --resume continues "
                    + "(for another maxMinutes). Learning rates do not depend on it",
                limit: .above(0)),
            RecipeField("data", \.data, "What to train and evaluate on", isRequired: true),
            RecipeField(
                "tokenizer", \.tokenizer,
                "The SentencePiece model (.model) that the token files were made with, or 'bytes' for the byte-level one",
                limit: .notEmpty, isRequired: true),
            RecipeField("model", \.model, "The model's shape", isRequired: true),
            RecipeField("optimizer", \.optimizer, "How gradients change the parameters"),
            RecipeField("schedule", \.schedule, "How the learning rate changes from step to step"),
            RecipeField("batch", \.batch, "How many sequences a step takes"),
            RecipeField(
                "gradientClip", optional: \.gradientClip,
                "The largest global norm of the gradient; a longer one is scaled down to it. null: no clipping",
                limit: .above(0)),
            RecipeField(
                "zLoss", \.zLoss,
                "The coefficient of log²Z that is added to the loss, Z being the softmax's denominator",
                limit: .atLeast(0)),
            RecipeField(
                "labelSmoothing", \.labelSmoothing, "The share of the target's probability spread over the vocabulary",
                limit: .within(0..<1)),
            RecipeField(
                "emaDecay", optional: \.emaDecay,
                "Keep an exponential moving average of the parameters with this decay, and evaluate and sample with it. "
                    + "null: none",
                limit: .between(0, 1)),
            RecipeField(
                "activationCheckpointing", \.activationCheckpointing,
                "Keep only each block's input and compute the rest again in the backward pass: less memory, about a third "
                    + "more time. Losses stay the same"),
            RecipeField("evaluation", \.evaluation, "The loss on held-out data during training"),
            RecipeField("checkpoint", \.checkpoint, "What is saved"),
            RecipeField("spikes", \.spikes, "What to do about batches that make the loss jump"),
            RecipeField("logging", \.logging, "What is written down during training"),
            RecipeField("sample", \.sample, "Texts that the model writes at every evaluation"),
        ]
    }

    package static func base(
        for entries: [ConfigNode.Entry], at path: String, problems: inout [RecipeProblem]
    ) -> Recipe {
        var recipe = Recipe()
        var ignored: [RecipeProblem] = []
        if let node = entries.first(where: { $0.key == "name" })?.value,
            let name = String.read(node, at: "name", problems: &ignored)
        {
            recipe.output = defaultOutput(name: name)
        }
        return recipe
    }
}
