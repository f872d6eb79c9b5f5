public import Martlet
public import MartletNN

/// A decoder-only language model: tokens in, scores of the next token out.
public protocol LanguageModel: Module {
    var vocabularySize: Int { get }

    /// The last hidden states [B, T, width] of tokens [B, T], with the cache extended by them when there is one.
    func hiddenStates(_ tokens: Tensor, cache: KeyValueCache?) -> Tensor

    /// Scores [..., V] of hidden states [..., width].
    func logits(ofHidden hidden: Tensor) -> Tensor

    /// Mean cross-entropy in nats of targets [B, T] given tokens [B, T], plus z-loss: see
    /// ``Tensor/linearCrossEntropy(weight:targets:ignoreIndex:labelSmoothing:zLoss:logitScale:divisor:)``.
    func loss(
        _ tokens: Tensor, targets: Tensor, zLoss: Double, labelSmoothing: Double, divisor: Double?
    ) -> (loss: Tensor, crossEntropy: Tensor)

    /// An empty cache for rows of up to `capacity` tokens, of which row b's first `starts[b]` will be padding.
    func makeCache(starts: [Int], capacity: Int) -> KeyValueCache

    /// Floating-point operations to train on one token of a sequence of this length.
    func trainingFLOPsPerToken(sequenceLength: Int) -> Double
}

extension LanguageModel {
    /// Scores [B, T, V] of the token after each of tokens [B, T].
    public func logits(_ tokens: Tensor, cache: KeyValueCache? = nil) -> Tensor {
        logits(ofHidden: hiddenStates(tokens, cache: cache))
    }
}

/// Keys and values of the tokens a model has seen, so that each new token costs one step.
///
/// Rows may start at different times: row b's first `starts[b]` places are padding, which no query sees and which do not
/// count in positions.
public final class KeyValueCache {
    /// A block's keys and values [B, capacity, heads, headDim].
    var keys: [Tensor] = []
    var values: [Tensor] = []
    /// Tokens seen, padding included.
    public private(set) var length = 0
    public let batch: Int
    public let capacity: Int
    /// Padding in front of each row.
    public let starts: [Int]
    let keyStart: Tensor?

    public init(
        starts: [Int], capacity: Int, layers: Int, heads: Int, headDim: Int, dtype: DType
    ) {
        batch = starts.count
        self.capacity = capacity
        self.starts = starts
        keyStart = starts.contains { $0 > 0 } ? Tensor(starts) : nil
        for _ in 0..<layers {
            keys.append(Tensor.zeros([batch, capacity, heads, headDim], dtype: dtype))
            values.append(Tensor.zeros([batch, capacity, heads, headDim], dtype: dtype))
        }
    }

    /// Positions [B or 1, count] of the next `count` tokens; nil where every row is at `length`.
    func positions(_ count: Int) -> Tensor? {
        guard keyStart != nil else { return nil }
        let rows = starts.map { start in (0..<count).map { max(0, length + $0 - start) } }
        return Tensor(rows)
    }

    /// Writes a block's keys and values of new tokens and returns all there are.
    func extend(layer: Int, _ k: Tensor, _ v: Tensor) -> (keys: Tensor, values: Tensor) {
        let n = k.size(1)
        keys[layer].narrow(1, start: length, length: n).copyInPlace(k)
        values[layer].narrow(1, start: length, length: n).copyInPlace(v)
        return (
            keys[layer].narrow(1, start: 0, length: length + n), values[layer].narrow(1, start: 0, length: length + n)
        )
    }

    /// Counts tokens that every block has written.
    func advance(_ count: Int) { length += count }

    /// Forgets all but the first `length` tokens.
    public func truncate(to length: Int) { self.length = min(length, self.length) }

    /// Bytes the cache holds.
    public var byteCount: Int { (keys + values).reduce(0) { $0 + $1.byteCount } }
}
