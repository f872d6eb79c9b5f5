public import Martlet

/// Rotary position embedding (Su et al. 2021) with tables that grow as needed.
public final class RotaryEmbedding: Module {
    /// Dimensions of a head that rotate.
    public let rotary: Int
    public let theta: Double
    /// Whether dimension 2i rotates with 2i + 1; else i with i + rotary / 2.
    public let interleaved: Bool
    private var tables: RotaryTables

    /// - Parameter length: positions to prepare for; longer sequences make the tables longer.
    public init(_ rotary: Int, theta: Double = 10000, interleaved: Bool = false, length: Int = 0) {
        self.rotary = rotary
        self.theta = theta
        self.interleaved = interleaved
        tables = RotaryTables(length: length, rotary: rotary, theta: theta, dtype: .float64)
    }

    /// Rotates queries or keys [B, T, H, D], D at least ``rotary``. See `Tensor.rope`.
    public override func forward(_ x: Tensor) -> Tensor { rotated(x, start: 0, positions: nil) }

    public func callAsFunction(_ x: Tensor, start: Int, positions: Tensor? = nil) -> Tensor {
        run(x) { rotated($0, start: start, positions: positions) }
    }

    private func rotated(_ x: Tensor, start: Int, positions: Tensor?) -> Tensor {
        var needed = start + (x.rank == 4 ? x.size(1) : 0)
        if let positions, positions.count > 0 { needed = Int(noGrad { positions.amax().item() }) + 1 }
        let dtype: DType = x.dtype == .float64 ? .float64 : .float32
        if needed > tables.length || tables.cos.dtype != dtype {
            // Doubling, so that generation step by step makes few tables.
            let length = needed > tables.length ? max(needed, 2 * tables.length) : tables.length
            tables = RotaryTables(length: length, rotary: rotary, theta: theta, dtype: dtype)
        }
        return x.rope(tables, start: start, positions: positions, interleaved: interleaved)
    }

    public override var extraDescription: String { "\(rotary), theta: \(theta)" + (interleaved ? ", interleaved" : "") }
}

/// Attention with several heads (Vaswani et al. 2017): multi-query with `kvHeads` 1, grouped-query in between.
///
/// Input and output [batch, time, dimension].
public final class MultiHeadAttention: Module {
    /// dimension -> heads · headDimension.
    public let query: Linear
    /// context dimension -> kvHeads · headDimension.
    public let key: Linear
    public let value: Linear
    /// heads · headDimension -> dimension.
    public let output: Linear
    public let rotary: RotaryEmbedding?
    public let dropout: Dropout?

    public let heads: Int
    public let kvHeads: Int
    public let headDimension: Int
    /// Whether a position sees only itself and those before it.
    public let isCausal: Bool
    /// How many of the last positions are seen; nil: all.
    public let window: Int?
    /// What products of queries and keys are multiplied with; nil: 1 / sqrt(headDimension).
    public let scale: Double?

    /// - Parameters:
    ///   - kvHeads: heads of keys and values, a divisor of `heads`, which is the default.
    ///   - headDimension: `dimension` / `heads` unless given.
    ///   - contextDimension: the width of the context in cross-attention; `dimension` unless given.
    ///   - rotary: rotary position embedding of queries and keys.
    ///   - dropout: of the output.
    public init(
        _ dimension: Int, heads: Int, kvHeads: Int? = nil, headDimension: Int? = nil, contextDimension: Int? = nil,
        causal: Bool = false, window: Int? = nil, scale: Double? = nil, rotary: RotaryEmbedding? = nil,
        bias: Bool = true, dropout: Double = 0, initializer: Initializer = .torchLinear, dtype: DType = .float32,
        generator: Generator = .default
    ) {
        let kvHeads = kvHeads ?? heads
        if heads < 1 || kvHeads < 1 || heads % kvHeads != 0 {
            trap(
                "MultiHeadAttention",
                "the number of heads must be a multiple of that of key heads: \(heads) and \(kvHeads)")
        }
        if headDimension == nil && dimension % heads != 0 {
            trap("MultiHeadAttention", "\(heads) heads do not divide the dimension \(dimension): give headDimension")
        }
        let width = headDimension ?? dimension / heads
        let context = contextDimension ?? dimension
        if let rotary, rotary.rotary > width {
            trap("MultiHeadAttention", "\(rotary.rotary) dimensions are to rotate, but heads have \(width)")
        }
        func linear(_ from: Int, _ to: Int) -> Linear {
            Linear(from, to, bias: bias, initializer: initializer, dtype: dtype, generator: generator)
        }
        query = linear(dimension, heads * width)
        key = linear(context, kvHeads * width)
        value = linear(context, kvHeads * width)
        output = linear(heads * width, dimension)
        self.rotary = rotary
        self.dropout = dropout > 0 ? Dropout(dropout, generator: generator) : nil
        self.heads = heads
        self.kvHeads = kvHeads
        self.headDimension = width
        isCausal = causal
        self.window = window
        self.scale = scale
    }

    /// Self-attention of x [B, T, dimension].
    public override func forward(_ x: Tensor) -> Tensor { attended(x, context: nil, bias: nil, keyStart: nil) }

    /// Attention with more to say.
    ///
    /// - Parameters:
    ///   - x: [B, T, dimension]: what asks.
    ///   - context: [B, S, contextDimension]: what is looked at; x itself when nil.
    ///   - bias: added to the scaled products: [B or 1, heads or 1, T or 1, S].
    ///   - keyStart: int64 [B]: keys before it are padding and not seen.
    public func callAsFunction(
        _ x: Tensor, context: Tensor? = nil, bias: Tensor? = nil, keyStart: Tensor? = nil
    ) -> Tensor {
        run(x) { attended($0, context: context, bias: bias, keyStart: keyStart) }
    }

    private func attended(_ x: Tensor, context: Tensor?, bias: Tensor?, keyStart: Tensor?) -> Tensor {
        if x.rank != 3 {
            trap("MultiHeadAttention", "an input [batch, time, dimension] is needed, its shape is \(x.shape)")
        }
        let source = context ?? x
        if source.rank != 3 || source.size(0) != x.size(0) {
            trap(
                "MultiHeadAttention",
                "a context [\(x.size(0)), time, dimension] is needed, its shape is \(source.shape)")
        }
        var q = query(x).unflatten(-1, [heads, headDimension])
        var k = key(source).unflatten(-1, [kvHeads, headDimension])
        let v = value(source).unflatten(-1, [kvHeads, headDimension])
        if let rotary {
            q = rotary(q)
            k = rotary(k)
        }
        let attended = Tensor.scaledDotProductAttention(
            q, k, v, bias: bias, causal: isCausal, scale: scale, window: window, keyStart: keyStart)
        let y = output(attended.flatten(2))
        return dropout.map { $0(y) } ?? y
    }

    public override var extraDescription: String {
        "heads: \(heads)" + (kvHeads == heads ? "" : ", kvHeads: \(kvHeads)") + ", headDimension: \(headDimension)"
            + (isCausal ? ", causal" : "") + (window.map { ", window: \($0)" } ?? "")
    }
}
