import MartletModels

/// The model section of a recipe: PaLM's architecture, with a named option for each point that the paper leaves open.
public struct ModelRecipe: Sendable, Equatable {
    public var family = Family.palm
    public var preset: String?
    public var width = 0
    public var layers = 0
    public var heads = 0
    public var headDim = 0
    public var ffMultiplier = 4.0
    public var vocabulary: Int?
    public var norm = Norm.layernorm
    public var normEps = 1e-6
    public var ropeTheta = 10_000.0
    public var ropeLayout = RoPELayout.half
    public var attentionScale = AttentionScale.inverseSqrtHeadDim
    public var logitScale = LogitScale.inverseSqrtWidth
    public var tieEmbeddings = true
    public var qkNorm = false
    public var residualScale = 1.0
    public var crossDocumentAttention = true
    public var dropout = 0.0

    public enum Family: String, Codable, Sendable, CaseIterable { case palm }
    public enum Norm: String, Codable, Sendable, CaseIterable { case layernorm, rmsnorm }
    public enum RoPELayout: String, Codable, Sendable, CaseIterable { case half, interleaved }
    public enum AttentionScale: String, Codable, Sendable, CaseIterable { case inverseSqrtHeadDim, none }
    public enum LogitScale: String, Codable, Sendable, CaseIterable { case inverseSqrtWidth, none }

    public init() {}

    /// A model of a shape of one's own.
    public init(width: Int, layers: Int, heads: Int, headDim: Int, vocabulary: Int? = nil) {
        self.width = width
        self.layers = layers
        self.heads = heads
        self.headDim = headDim
        self.vocabulary = vocabulary
    }

    /// A named member of the family; nil if there is none of that name.
    public init?(preset name: String) {
        guard let preset = PaLMPreset.named(name) else { return nil }
        self.init(preset)
    }

    init(_ preset: PaLMPreset) {
        self.init(
            width: preset.width, layers: preset.layers, heads: preset.heads, headDim: preset.headDim,
            vocabulary: preset.vocabularySize)
        self.preset = preset.name
    }

    /// The inner width of the feed-forward part. `validate()` checks that it is whole.
    public var feedForwardWidth: Int { Int((Double(width) * ffMultiplier).rounded()) }
}

extension ModelRecipe.Family: RecipeWord {}
extension ModelRecipe.Norm: RecipeWord {}
extension ModelRecipe.RoPELayout: RecipeWord {}
extension ModelRecipe.AttentionScale: RecipeWord {}
extension ModelRecipe.LogitScale: RecipeWord {}

extension ModelRecipe: RecipeSection {
    package static var fields: [RecipeField<ModelRecipe>] {
        [
            RecipeField("family", \.family, "The architecture"),
            RecipeField(
                "preset", optional: \.preset,
                "A named shape that the keys below then change: \(PaLMPreset.all.map(\.name).joined(separator: ", "))"),
            RecipeField(
                "width", \.width, "d_model, the length of a token's vector", limit: .within(1...1 << 20),
                isRequired: true),
            RecipeField("layers", \.layers, "The number of blocks", limit: .within(1...1 << 14), isRequired: true),
            RecipeField(
                "heads", \.heads, "Query heads; keys and values have one head for all of them",
                limit: .within(1...1 << 12),
                isRequired: true),
            RecipeField(
                "headDim", \.headDim, "The length of a head's vector, an even number (256 in the paper)",
                limit: .within(2...1 << 12), isRequired: true),
            RecipeField(
                "ffMultiplier", \.ffMultiplier, "The feed-forward width divided by width", limit: .above(0)),
            RecipeField(
                "vocabulary", optional: \.vocabulary,
                "Rows of the embedding, at least the tokenizer's size. null: the tokenizer's size",
                limit: .within(1...1 << 28)),
            RecipeField(
                "norm", \.norm,
                "layernorm subtracts the mean, as the paper's text says; rmsnorm does not. Neither has a bias"),
            RecipeField("normEps", \.normEps, "Added to the variance", limit: .above(0)),
            RecipeField("ropeTheta", \.ropeTheta, "The base of the rotary position's wavelengths", limit: .above(1)),
            RecipeField(
                "ropeLayout", \.ropeLayout,
                "Which elements of a head turn together: i and i + headDim/2 (half), or 2i and 2i + 1 (interleaved)"),
            RecipeField("attentionScale", \.attentionScale, "What queries are multiplied with: 1/sqrt(headDim) or 1"),
            RecipeField("logitScale", \.logitScale, "What logits are multiplied with: 1/sqrt(width) or 1"),
            RecipeField("tieEmbeddings", \.tieEmbeddings, "Use the input embedding as the output projection, too"),
            RecipeField("qkNorm", \.qkNorm, "Normalise queries and keys in each head before the rotary position"),
            RecipeField(
                "residualScale", \.residualScale, "What each block's output is multiplied with before it is added",
                limit: .above(0)),
            RecipeField(
                "crossDocumentAttention", \.crossDocumentAttention,
                "Let tokens attend to earlier documents in their sequence, as PaLM does"),
            RecipeField(
                "dropout", \.dropout,
                "Applied to each block's output; 0 in PaLM's pre-training, 0.1 in its fine-tuning",
                limit: .within(0..<1)),
        ]
    }

    package static func base(
        for entries: [ConfigNode.Entry], at path: String, problems: inout [RecipeProblem]
    ) -> ModelRecipe {
        guard let node = entries.first(where: { $0.key == "preset" })?.value, !node.isNull else { return ModelRecipe() }
        var ignored: [RecipeProblem] = []
        guard let name = String.read(node, at: path, problems: &ignored) else { return ModelRecipe() }
        if let preset = PaLMPreset.named(name) { return ModelRecipe(preset) }
        problems.append(.unknownName(node, at: path + ".preset", name: name, among: PaLMPreset.all.map(\.name)))
        // Any shape will do: the problem above keeps it from being used, and the keys need not be reported as missing.
        return ModelRecipe(PaLMPreset.all[0])
    }
}
