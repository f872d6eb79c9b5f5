// PaLM (Chowdhery et al. 2022, section 2): a decoder whose blocks run attention and feed-forward side by side.
//
// Shapes: B batch, T time, D width, H query heads, K head size, F feed-forward, V vocabulary.
public import Martlet
public import MartletNN

/// A PaLM language model.
///
/// ```swift
/// let model = PaLM(try PaLMPreset.named("palm-4m")!.configuration(vocabularySize: 8192))
/// let loss = model.loss(tokens, targets: targets, zLoss: 1e-4).loss
/// loss.backward()
/// ```
public final class PaLM: Module, LanguageModel {
    public let configuration: PaLMConfiguration
    /// [V, D]; the output layer, too, when tied.
    public let embedding: Embedding
    public let layers: [PaLMBlock]
    public let norm: Module
    /// The output layer when it is not the embedding.
    public let head: Linear?

    /// The id that ends a document, needed when attention stops at documents' ends.
    public var documentEnd: Int?
    /// Whether blocks are computed again in the backward pass instead of keeping their activations.
    public var checkpointsActivations = false

    private let rotary: RotaryCache

    /// A model with new weights: N(0, 1 / fan-in) for every kernel, N(0, 1) for the embedding (section 5).
    public init(_ configuration: PaLMConfiguration, dtype: DType = .float32, generator: Generator = .default) {
        self.configuration = configuration
        embedding = Embedding(
            configuration.vocabularySize, configuration.width, initializer: .normal(), dtype: dtype,
            generator: generator)
        layers = (0..<configuration.layers).map { _ in PaLMBlock(configuration, dtype, generator) }
        norm = PaLM.makeNorm(configuration, configuration.width, dtype)
        head =
            configuration.tieEmbeddings
            ? nil
            : Linear(
                configuration.width, configuration.vocabularySize, bias: false, initializer: .lecunNormal(),
                dtype: dtype, generator: generator)
        rotary = RotaryCache(configuration)
    }

    static func makeNorm(_ c: PaLMConfiguration, _ width: Int, _ dtype: DType) -> Module {
        switch c.norm {
        case .layernorm: LayerNorm(width, eps: c.normEps, bias: false, dtype: dtype)
        case .rmsnorm: RMSNorm(width, eps: c.normEps, dtype: dtype)
        }
    }

    public var vocabularySize: Int { configuration.vocabularySize }

    /// Scores [B, T, V] of the token after each of `tokens` [B, T].
    public override func forward(_ tokens: Tensor) -> Tensor { logits(ofHidden: hidden(tokens, nil)) }

    public func hiddenStates(_ tokens: Tensor, cache: KeyValueCache?) -> Tensor { run { hidden(tokens, cache) } }

    private func hidden(_ tokens: Tensor, _ cache: KeyValueCache?) -> Tensor {
        if tokens.rank != 2 { trap("PaLM", "tokens [batch, time] are needed, the shape is \(tokens.shape)") }
        let start = cache?.length ?? 0
        if let cache, start + tokens.size(1) > cache.capacity {
            trap(
                "PaLM",
                "the cache holds \(cache.capacity) tokens, \(start) are there and \(tokens.size(1)) more are given")
        }
        let step = PaLMStep(
            tables: rotary.tables(start + tokens.size(1), embedding.outputType == .float64 ? .float64 : .float32),
            start: start, positions: cache?.positions(tokens.size(1)), cache: cache,
            bias: configuration.crossDocumentAttention ? nil : documentMask(tokens, cache))
        var x = embedding(tokens)  // [B, T, D]
        for (i, layer) in layers.enumerated() {
            if checkpointsActivations && cache == nil && isGradEnabled {
                let input = x
                x = checkpoint { layer(input, step, i) }
            } else {
                x = layer(x, step, i)
            }
        }
        cache?.advance(tokens.size(1))
        return norm(x)
    }

    /// -infinity between tokens of different documents: [B, 1, T, T].
    private func documentMask(_ tokens: Tensor, _ cache: KeyValueCache?) -> Tensor? {
        guard let documentEnd else {
            trap("PaLM", "crossDocumentAttention is off: set documentEnd to the tokenizer's end-of-document id")
        }
        // Generated text is one document.
        if cache != nil { return nil }
        return noGrad {
            let ends = (tokens .== Double(documentEnd)).to(.int64)
            let document = ends.cumsum(dim: 1) - ends
            let same = document.unsqueeze(2) .== document.unsqueeze(1)
            let open = Tensor.zeros([1], dtype: .float32)
            return Tensor.where(same, open, Tensor.full([1], -Double.infinity)).unsqueeze(1)
        }
    }

    private var logitScale: Double {
        switch configuration.logitScale {
        case .inverseSqrtWidth: 1 / Double(configuration.width).squareRoot()
        case .none: 1
        }
    }

    public func logits(ofHidden hidden: Tensor) -> Tensor {
        // As an output layer the embedding is not called as a module: its hooks are for looking up.
        let product =
            head?(hidden) ?? embedding.scale.map { hidden.linear(int8: embedding.weight, scale: $0) }
            ?? hidden.linear(embedding.weight)
        return logitScale == 1 ? product : product * logitScale
    }

    public func loss(
        _ tokens: Tensor, targets: Tensor, zLoss: Double = 1e-4, labelSmoothing: Double = 0, divisor: Double? = nil
    ) -> (loss: Tensor, crossEntropy: Tensor) {
        let states = hiddenStates(tokens, cache: nil)
        return run {
            states.linearCrossEntropy(
                weight: outputWeight, targets: targets, labelSmoothing: labelSmoothing,
                zLoss: zLoss, logitScale: logitScale, divisor: divisor)
        }
    }

    /// The output layer's weight [V, D], widened when it is quantised.
    private var outputWeight: Tensor {
        if let head { return head.denseWeight }
        return embedding.scale.map { Tensor.dequantizedRows(embedding.weight, $0) } ?? embedding.weight
    }

    public func makeCache(starts: [Int], capacity: Int) -> KeyValueCache {
        KeyValueCache(
            starts: starts, capacity: capacity, layers: configuration.layers, heads: 1, headDim: configuration.headDim,
            dtype: embedding.outputType)
    }

    public func trainingFLOPsPerToken(sequenceLength: Int) -> Double {
        configuration.trainingFLOPsPerToken(sequenceLength: sequenceLength)
    }

    public func evaluationBytes(rows: Int, time: Int) -> Double {
        configuration.evaluationBytes(activationBytes: embedding.outputType.byteSize, rows: rows, time: time)
    }

    /// Bytes that the scores of every token and a loss take at least, besides the weights; with `gradients`, what their
    /// computation keeps and they themselves, too.
    public func forwardBytes(rows: Int, time: Int, gradients: Bool) -> Double {
        let size = embedding.outputType.byteSize
        let scores = Double(rows) * Double(time) * Double(vocabularySize) * Double(size)
        return scores
            + (gradients
                ? configuration.trainingBytes(
                    bytesPerParameter: size, activationBytes: size, rows: rows, time: time,
                    recomputes: checkpointsActivations)
                : configuration.blockBytes(activationBytes: size, rows: rows, time: time))
    }

    public override var extraDescription: String {
        "\(configuration.layers) layers, width \(configuration.width), vocabulary \(configuration.vocabularySize)"
    }
}

/// What all blocks of one forward pass share.
struct PaLMStep {
    let tables: RotaryTables
    let start: Int
    let positions: Tensor?
    let cache: KeyValueCache?
    let bias: Tensor?
}

/// The rotary tables made so far, extended when a longer sequence comes.
private final class RotaryCache {
    private let rotary: Int
    private let theta: Double
    private var made: RotaryTables?

    init(_ c: PaLMConfiguration) {
        rotary = c.headDim
        theta = c.ropeTheta
    }

    func tables(_ length: Int, _ dtype: DType) -> RotaryTables {
        if let made, made.length >= length, made.cos.dtype == dtype { return made }
        let grown = max(length, min(2 * (made?.length ?? 0), 1 << 16))
        let tables = RotaryTables(length: grown, rotary: rotary, theta: theta, dtype: dtype)
        made = tables
        return tables
    }
}

/// y = x + residualScale * (FeedForward(Norm(x)) + Attention(Norm(x))).
public final class PaLMBlock: Module {
    public let norm: Module
    public let attention: PaLMAttention
    public let feedForward: GatedFeedForward
    public let dropout: Dropout?
    private let residualScale: Double

    init(_ c: PaLMConfiguration, _ dtype: DType, _ generator: Generator) {
        norm = PaLM.makeNorm(c, c.width, dtype)
        attention = PaLMAttention(c, dtype, generator)
        feedForward = GatedFeedForward(
            c.width, hidden: c.feedForward, activation: .silu, bias: false, initializer: .lecunNormal(), dtype: dtype,
            generator: generator)
        dropout = c.dropout > 0 ? Dropout(c.dropout) : nil
        residualScale = c.residualScale
    }

    func callAsFunction(_ x: Tensor, _ step: PaLMStep, _ layer: Int) -> Tensor {
        run(x) { x in
            let n = norm(x)  // [B, T, D]
            var y = together(n, step, layer) ?? attention(n, step, layer) + feedForward(n)
            if let dropout { y = dropout(y) }
            return x + (residualScale == 1 ? y : y * residualScale)
        }
    }

    /// attention(n) + feedForward(n) for a few tokens, whose products are shorter than the start of the threads for each:
    /// all that read n go together, and both that come last. nil where that gains nothing.
    private func together(_ n: Tensor, _ step: PaLMStep, _ layer: Int) -> Tensor? {
        // A profile shows each module by itself.
        guard !isGradEnabled, !Profiler.isRecording, Tensor.gainsTogether(rows: n.size(0) * n.size(1)),
            !attention.hasHooks, !feedForward.hasHooks, feedForward.dropout == nil
        else { return nil }
        let read = Linear.together([
            (attention.query, n), (attention.key, n), (attention.value, n), (feedForward.gate, n), (feedForward.up, n),
        ])
        let attended = attention.attend(read[0], read[1], read[2], step, layer)
        let hidden = read[3].gated(feedForward.activation, read[4])
        let written = Linear.together([(attention.output, attended), (feedForward.down, hidden)])
        return written[0] + written[1]
    }
}

/// Multi-query attention (Shazeer 2019) with rotary positions: H query heads share one key and one value head.
public final class PaLMAttention: Module {
    /// [H K, D].
    public let query: Linear
    /// [K, D].
    public let key: Linear
    /// [K, D].
    public let value: Linear
    /// [D, H K].
    public let output: Linear
    public let queryNorm: Module?
    public let keyNorm: Module?
    private let heads: Int
    private let headDim: Int
    private let scale: Double
    private let interleaved: Bool

    init(_ c: PaLMConfiguration, _ dtype: DType, _ generator: Generator) {
        func kernel(_ inputs: Int, _ outputs: Int) -> Linear {
            Linear(inputs, outputs, bias: false, initializer: .lecunNormal(), dtype: dtype, generator: generator)
        }
        query = kernel(c.width, c.heads * c.headDim)
        key = kernel(c.width, c.headDim)
        value = kernel(c.width, c.headDim)
        output = kernel(c.heads * c.headDim, c.width)
        queryNorm = c.qkNorm ? PaLM.makeNorm(c, c.headDim, dtype) : nil
        keyNorm = c.qkNorm ? PaLM.makeNorm(c, c.headDim, dtype) : nil
        heads = c.heads
        headDim = c.headDim
        scale =
            switch c.attentionScale {
            case .inverseSqrtHeadDim: 1 / Double(c.headDim).squareRoot()
            case .none: 1
            }
        interleaved = c.ropeLayout == .interleaved
    }

    func callAsFunction(_ x: Tensor, _ step: PaLMStep, _ layer: Int) -> Tensor {
        run(x) { x in output(attend(query(x), key(x), value(x), step, layer)) }
    }

    /// What the values mix to, [B, T, H K], from the projections: of the queries [B, T, H K], keys and values [B, T, K].
    func attend(_ query: Tensor, _ key: Tensor, _ value: Tensor, _ step: PaLMStep, _ layer: Int) -> Tensor {
        let (batch, time) = (query.size(0), query.size(1))
        var q = query.reshape([batch, time, heads, headDim])  // [B, T, H, K]
        var k = key.reshape([batch, time, 1, headDim])  // [B, T, 1, K]
        var v = value.reshape([batch, time, 1, headDim])
        if let queryNorm, let keyNorm {
            q = queryNorm(q)
            k = keyNorm(k)
        }
        q = q.rope(step.tables, start: step.start, positions: step.positions, interleaved: interleaved)
        k = k.rope(step.tables, start: step.start, positions: step.positions, interleaved: interleaved)
        if let cache = step.cache { (k, v) = cache.extend(layer: layer, k, v) }
        return Tensor.scaledDotProductAttention(
            q, k, v, bias: step.bias, causal: true, scale: scale, keyStart: step.cache?.keyStart
        ).reshape([batch, time, heads * headDim])
    }

    public override var extraDescription: String { "heads: \(heads), headDim: \(headDim), multi-query" }
}
