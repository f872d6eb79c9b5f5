public import Martlet

/// How the next token is chosen from the model's scores.
public struct SamplingOptions: Codable, Sendable, Equatable {
    /// 0 takes the best token always (greedy); 1 samples from the model's distribution.
    public var temperature: Double
    /// Only the k best tokens are candidates; nil for all.
    public var topK: Int?
    /// Only the fewest best tokens whose probabilities reach p together (Holtzman et al. 2020); nil for all.
    public var topP: Double?
    /// Only tokens at least this fraction as probable as the best; nil for all.
    public var minP: Double?
    /// Above 1: scores of tokens that occurred are divided (multiplied where negative) by it (Keskar et al. 2019).
    public var repetitionPenalty: Double
    /// Decides every draw, together with the number of the sample and of the token.
    public var seed: UInt64

    public init(
        temperature: Double = 1, topK: Int? = nil, topP: Double? = nil, minP: Double? = nil,
        repetitionPenalty: Double = 1, seed: UInt64 = 0
    ) {
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.repetitionPenalty = repetitionPenalty
        self.seed = seed
    }

    public static let greedy = SamplingOptions(temperature: 0)

    /// Throws what is impossible.
    public func validate() throws(MartletError) {
        func require(_ condition: Bool, _ message: String) throws(MartletError) {
            if !condition { throw MartletError(.configuration, message) }
        }
        try require(temperature >= 0 && temperature.isFinite, "temperature must be 0 or more, it is \(temperature)")
        try require(topK.map { $0 >= 1 } ?? true, "top-k must be at least 1, it is \(topK ?? 0)")
        try require(topP.map { $0 > 0 && $0 <= 1 } ?? true, "top-p must be above 0 and at most 1, it is \(topP ?? 0)")
        try require(minP.map { $0 >= 0 && $0 <= 1 } ?? true, "min-p must be between 0 and 1, it is \(minP ?? 0)")
        try require(
            repetitionPenalty > 0 && repetitionPenalty.isFinite,
            "the repetition penalty must be above 0 and finite, it is \(repetitionPenalty)")
    }
}

/// Chooses tokens for one sample. Its draws depend on the seed, the sample's number and the token's place only: not on
/// what else is generated in the same batch.
struct Sampler {
    let options: SamplingOptions
    let sample: Int
    private var drawn = 0

    init(_ options: SamplingOptions, sample: Int) {
        self.options = options
        self.sample = sample
    }

    /// A number in [0, 1), the same for the same (seed, sample, step).
    private mutating func uniform() -> Double {
        // Samples are streams of one generator, far enough apart never to meet.
        let generator = Generator(seed: options.seed)
        generator.state = Generator.State(seed: options.seed, offset: UInt64(sample) << 32 &+ UInt64(drawn))
        drawn += 1
        return generator.uniform()
    }

    /// The next token given the scores of all.
    /// - Parameter seen: tokens of the prompt and of what was generated so far.
    mutating func next(_ scores: UnsafeBufferPointer<Float>, seen: Set<Int32>) -> Int32 {
        var logits = Array(scores)
        if options.repetitionPenalty != 1 {
            let penalty = Float(options.repetitionPenalty)
            for token in seen where Int(token) < logits.count {
                let score = logits[Int(token)]
                logits[Int(token)] = score > 0 ? score / penalty : score * penalty
            }
        }
        if options.temperature == 0 {
            var best = 0
            for i in logits.indices where logits[i] > logits[best] { best = i }
            return Int32(best)
        }
        var candidates = Array(logits.indices)
        if let k = options.topK, k < candidates.count {
            // The k best: the order within ties is the token's number.
            candidates.sort { logits[$0] > logits[$1] || (logits[$0] == logits[$1] && $0 < $1) }
            candidates.removeSubrange(k...)
        } else if options.topP != nil {
            candidates.sort { logits[$0] > logits[$1] || (logits[$0] == logits[$1] && $0 < $1) }
        }
        let top = candidates.reduce(-Float.infinity) { max($0, logits[$1]) }
        var weights = candidates.map { Double.exponential((Double(logits[$0]) - Double(top)) / options.temperature) }
        if let minP = options.minP {
            // The best has weight 1.
            let kept = candidates.indices.filter { weights[$0] >= minP }
            candidates = kept.map { candidates[$0] }
            weights = kept.map { weights[$0] }
        }
        if let p = options.topP, p < 1 {
            let total = weights.reduce(0, +)
            var sum = 0.0
            var count = 0
            while count < weights.count && sum < p * total {
                sum += weights[count]
                count += 1
            }
            candidates.removeSubrange(max(1, count)...)
            weights.removeSubrange(max(1, count)...)
        }
        let total = weights.reduce(0, +)
        var remaining = uniform() * total
        for (candidate, weight) in zip(candidates, weights) {
            remaining -= weight
            if remaining < 0 { return Int32(candidate) }
        }
        return Int32(candidates[candidates.count - 1])
    }
}

#if canImport(Glibc)
private import Glibc
#endif

extension Double {
    fileprivate static func exponential(_ x: Double) -> Double { exp(x) }
}
