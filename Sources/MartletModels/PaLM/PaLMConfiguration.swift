public import Martlet

/// The shape of a PaLM and the named choices where the paper leaves one open (Chowdhery et al. 2022, section 2 and table 1).
public struct PaLMConfiguration: Codable, Sendable, Equatable {
    /// The kind of the one normalisation of a block; neither has a bias.
    public enum Norm: String, Codable, Sendable, CaseIterable {
        /// Subtracts the mean, as the paper's text says.
        case layernorm
        /// Does not: what T5X's layer, PaLM's probable code, computes.
        case rmsnorm
    }

    /// Which dimensions of a head rotate together.
    public enum RoPELayout: String, Codable, Sendable, CaseIterable {
        /// i with i + headDim / 2.
        case half
        /// 2i with 2i + 1.
        case interleaved
    }

    /// What queries are multiplied by.
    public enum AttentionScale: String, Codable, Sendable, CaseIterable {
        case inverseSqrtHeadDim, none
    }

    /// What logits are multiplied by: 1 / sqrt(width) because the output layer is the embedding, of unit variance.
    public enum LogitScale: String, Codable, Sendable, CaseIterable {
        case inverseSqrtWidth, none
    }

    /// V: rows of the embedding.
    public var vocabularySize: Int
    /// d_model.
    public var width: Int
    /// Blocks.
    public var layers: Int
    /// Query heads; one key and one value head serve them all.
    public var heads: Int
    /// The size of a head, 256 in every PaLM; heads * headDim need not be `width`.
    public var headDim: Int
    /// d_ff, 4 * width in every PaLM.
    public var feedForward: Int
    public var norm: Norm
    public var normEps: Double
    public var ropeTheta: Double
    public var ropeLayout: RoPELayout
    public var attentionScale: AttentionScale
    public var logitScale: LogitScale
    /// Whether the output layer is the embedding.
    public var tieEmbeddings: Bool
    /// Whether queries and keys are normalised by head before the rotation. Not in PaLM.
    public var qkNorm: Bool
    /// What a block's output is multiplied by before it is added.
    public var residualScale: Double
    /// On the output of each block, in training. PaLM: 0 in pre-training, 0.1 in fine-tuning.
    public var dropout: Double
    /// Whether tokens see earlier documents of their sequence, as in PaLM.
    public var crossDocumentAttention: Bool

    public init(
        vocabularySize: Int, width: Int, layers: Int, heads: Int, headDim: Int, feedForward: Int? = nil,
        norm: Norm = .layernorm, normEps: Double = 1e-6, ropeTheta: Double = 10000, ropeLayout: RoPELayout = .half,
        attentionScale: AttentionScale = .inverseSqrtHeadDim, logitScale: LogitScale = .inverseSqrtWidth,
        tieEmbeddings: Bool = true, qkNorm: Bool = false, residualScale: Double = 1, dropout: Double = 0,
        crossDocumentAttention: Bool = true
    ) {
        self.vocabularySize = vocabularySize
        self.width = width
        self.layers = layers
        self.heads = heads
        self.headDim = headDim
        self.feedForward = feedForward ?? 4 * width
        self.norm = norm
        self.normEps = normEps
        self.ropeTheta = ropeTheta
        self.ropeLayout = ropeLayout
        self.attentionScale = attentionScale
        self.logitScale = logitScale
        self.tieEmbeddings = tieEmbeddings
        self.qkNorm = qkNorm
        self.residualScale = residualScale
        self.dropout = dropout
        self.crossDocumentAttention = crossDocumentAttention
    }

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case vocabularySize, width, layers, heads, headDim, feedForward, norm, normEps, ropeTheta, ropeLayout
        case attentionScale, logitScale, tieEmbeddings, qkNorm, residualScale, dropout, crossDocumentAttention
    }

    /// Keys that are absent take the paper's reading.
    public init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        let width = try c.decode(Int.self, forKey: .width)
        self.init(
            vocabularySize: try c.decode(Int.self, forKey: .vocabularySize), width: width,
            layers: try c.decode(Int.self, forKey: .layers), heads: try c.decode(Int.self, forKey: .heads),
            headDim: try c.decode(Int.self, forKey: .headDim),
            feedForward: try c.decodeIfPresent(Int.self, forKey: .feedForward),
            norm: try c.decodeIfPresent(Norm.self, forKey: .norm) ?? .layernorm,
            normEps: try c.decodeIfPresent(Double.self, forKey: .normEps) ?? 1e-6,
            ropeTheta: try c.decodeIfPresent(Double.self, forKey: .ropeTheta) ?? 10000,
            ropeLayout: try c.decodeIfPresent(RoPELayout.self, forKey: .ropeLayout) ?? .half,
            attentionScale: try c.decodeIfPresent(AttentionScale.self, forKey: .attentionScale) ?? .inverseSqrtHeadDim,
            logitScale: try c.decodeIfPresent(LogitScale.self, forKey: .logitScale) ?? .inverseSqrtWidth,
            tieEmbeddings: try c.decodeIfPresent(Bool.self, forKey: .tieEmbeddings) ?? true,
            qkNorm: try c.decodeIfPresent(Bool.self, forKey: .qkNorm) ?? false,
            residualScale: try c.decodeIfPresent(Double.self, forKey: .residualScale) ?? 1,
            dropout: try c.decodeIfPresent(Double.self, forKey: .dropout) ?? 0,
            crossDocumentAttention: try c.decodeIfPresent(Bool.self, forKey: .crossDocumentAttention) ?? true)
    }

    /// Throws what is impossible about this shape.
    public func validate() throws(MartletError) {
        // The limits keep all counts and sizes within 64 bits; they are far beyond every model there is.
        func within(_ name: String, _ value: Int, _ most: Int) throws(MartletError) {
            if value < 1 || value > most {
                throw MartletError(.configuration, "the model's \(name) must be in 1...\(most), it is \(value)")
            }
        }
        try within("vocabularySize", vocabularySize, 1 << 28)
        try within("width", width, 1 << 20)
        try within("layers", layers, 1 << 14)
        try within("heads", heads, 1 << 12)
        try within("headDim", headDim, 1 << 12)
        try within("feedForward", feedForward, 1 << 24)
        if headDim % 2 != 0 {
            throw MartletError(
                .configuration, "the model's headDim must be even for rotary positions, it is \(headDim)")
        }
        if !(normEps > 0) {
            throw MartletError(.configuration, "the model's normEps must be above 0, it is \(normEps)")
        }
        if !(ropeTheta > 1) {
            throw MartletError(.configuration, "the model's ropeTheta must be above 1, it is \(ropeTheta)")
        }
        if !residualScale.isFinite {
            throw MartletError(.configuration, "the model's residualScale must be finite, it is \(residualScale)")
        }
        if !(dropout >= 0 && dropout < 1) {
            throw MartletError(.configuration, "the model's dropout must be in 0..<1, it is \(dropout)")
        }
    }
}

// MARK: - Named members of the family

/// A named shape. Small members follow the large ones' rules: heads * headDim = width, d_ff = 4 * width.
public struct PaLMPreset: Sendable {
    public let name: String
    public let width: Int
    public let layers: Int
    public let heads: Int
    public let headDim: Int
    /// nil: the tokenizer's.
    public let vocabularySize: Int?

    /// From the smallest to the largest. The last three are the paper's (table 1); the small ones are named by their
    /// parameters without the embedding.
    public static let all: [PaLMPreset] = [
        PaLMPreset(name: "palm-1m", width: 128, layers: 4, heads: 2, headDim: 64, vocabularySize: nil),
        PaLMPreset(name: "palm-4m", width: 256, layers: 4, heads: 4, headDim: 64, vocabularySize: nil),
        PaLMPreset(name: "palm-10m", width: 384, layers: 5, heads: 6, headDim: 64, vocabularySize: nil),
        PaLMPreset(name: "palm-30m", width: 512, layers: 8, heads: 2, headDim: 256, vocabularySize: nil),
        PaLMPreset(name: "palm-85m", width: 768, layers: 10, heads: 3, headDim: 256, vocabularySize: nil),
        PaLMPreset(name: "palm-350m", width: 1280, layers: 15, heads: 5, headDim: 256, vocabularySize: nil),
        PaLMPreset(name: "palm-8b", width: 4096, layers: 32, heads: 16, headDim: 256, vocabularySize: 256_000),
        PaLMPreset(name: "palm-62b", width: 8192, layers: 64, heads: 32, headDim: 256, vocabularySize: 256_000),
        PaLMPreset(name: "palm-540b", width: 18432, layers: 118, heads: 48, headDim: 256, vocabularySize: 256_000),
    ]

    public static func named(_ name: String) -> PaLMPreset? { all.first { $0.name == name.lowercased() } }

    /// The configuration, with `vocabularySize` in place of the preset's own when given.
    ///
    /// - Throws: when neither is there.
    public func configuration(vocabularySize: Int? = nil) throws(MartletError) -> PaLMConfiguration {
        guard let vocabulary = vocabularySize ?? self.vocabularySize else {
            throw MartletError(.configuration, "\(name) takes its vocabulary from the tokenizer: give its size")
        }
        return PaLMConfiguration(
            vocabularySize: vocabulary, width: width, layers: layers, heads: heads, headDim: headDim)
    }
}
