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

    /// Bytes that measuring the losses of `rows` sequences of `time` tokens takes at least, besides the weights.
    func evaluationBytes(rows: Int, time: Int) -> Double
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
    /// The most tokens a row can have. Memory is taken as they come.
    public let capacity: Int
    /// Tokens a row that there is memory for.
    private var reserved = 0
    private let layers: Int
    private let heads: Int
    private let headDim: Int
    private let dtype: DType
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
        (self.layers, self.heads, self.headDim, self.dtype) = (layers, heads, headDim, dtype)
    }

    /// Makes room for rows of `count` tokens.
    ///
    /// - Throws: when there is not enough memory. Without a call before, room is made where it is needed, and a lack of
    ///   memory ends the program.
    public func reserve(_ count: Int) throws {
        if count <= reserved { return }
        let next = grown(count)
        try Memory.require(
            2 * Double(layers) * Double(batch) * Double(next) * Double(heads * headDim * dtype.byteSize),
            for: "the cache of keys and values of \(batch) row\(batch == 1 ? "" : "s") of \(next) tokens",
            remedy: "generate fewer tokens or fewer samples at once")
        grow(to: next)
    }

    /// Twice what there is, at least 256, for `count` tokens.
    private func grown(_ count: Int) -> Int { min(capacity, max(count, 256, 2 * reserved)) }

    private func grow(to count: Int) {
        func larger(_ old: Tensor?) -> Tensor {
            let new = Tensor.zeros([batch, count, heads, headDim], dtype: dtype)
            if let old, length > 0 {
                new.narrow(1, start: 0, length: length).copyInPlace(old.narrow(1, start: 0, length: length))
            }
            return new
        }
        noGrad {
            for i in 0..<layers {
                if reserved == 0 {
                    keys.append(larger(nil))
                    values.append(larger(nil))
                } else {
                    keys[i] = larger(keys[i])
                    values[i] = larger(values[i])
                }
            }
        }
        reserved = count
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
        if length + n > reserved { grow(to: grown(length + n)) }
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
