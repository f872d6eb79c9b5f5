internal import Martlet
public import MartletData
internal import MartletNN

/// Continues prompts with a language model, one token a step, with cached keys and values.
public final class TextGenerator {
    public let model: any LanguageModel
    public let tokenizer: any Tokenizer

    public init(model: any LanguageModel, tokenizer: any Tokenizer) {
        self.model = model
        self.tokenizer = tokenizer
        model.eval()
    }

    /// What is asked for.
    public struct Request: Sendable {
        public var prompts: [String]
        /// Continuations of each prompt.
        public var samples: Int
        public var maxTokens: Int
        public var sampling: SamplingOptions
        /// Texts that end a continuation; they are not part of it.
        public var stop: [String]
        /// Whether the end-of-document token ends a continuation.
        public var stopsAtDocumentEnd: Bool

        public init(
            prompts: [String], samples: Int = 1, maxTokens: Int = 128, sampling: SamplingOptions = SamplingOptions(),
            stop: [String] = [], stopsAtDocumentEnd: Bool = true
        ) {
            self.prompts = prompts
            self.samples = samples
            self.maxTokens = maxTokens
            self.sampling = sampling
            self.stop = stop
            self.stopsAtDocumentEnd = stopsAtDocumentEnd
        }

        private static let mostTokens = 1 << 30
        private static let mostRows = 1 << 20

        /// Throws what cannot be generated with any model.
        public func validate() throws {
            try sampling.validate()
            if prompts.isEmpty { throw MartletError(.configuration, "at least one prompt is needed") }
            if maxTokens < 1 || maxTokens > Self.mostTokens {
                throw MartletError(
                    .configuration,
                    "the number of tokens to generate must be "
                        + (maxTokens < 1 ? "at least 1" : "at most \(Self.mostTokens)") + ", it is \(maxTokens)")
            }
            if samples < 1 {
                throw MartletError(.configuration, "the number of samples must be at least 1, it is \(samples)")
            }
            let (rows, overflow) = prompts.count.multipliedReportingOverflow(by: samples)
            if overflow || rows > Self.mostRows {
                throw MartletError(
                    .configuration,
                    "\(prompts.count) prompt\(prompts.count == 1 ? "" : "s") with \(samples) samples each are too many: at "
                        + "most \(Self.mostRows) continuations are generated at once")
            }
        }
    }

    public enum FinishReason: String, Sendable, Codable {
        /// As many tokens as asked for.
        case length
        /// A stop string came.
        case stop
        /// The end-of-document token came.
        case documentEnd
    }

    public struct Continuation: Sendable {
        /// The prompt's number.
        public let prompt: Int
        public let sample: Int
        public let text: String
        public let tokens: [Int32]
        public let promptTokens: Int
        public let finish: FinishReason
    }

    /// Seconds and tokens of a call.
    public struct Timing: Sendable {
        public var promptTokens = 0
        public var promptSeconds = 0.0
        public var generatedTokens = 0
        public var generationSeconds = 0.0
    }

    public private(set) var timing = Timing()

    /// Generates. All rows run as one batch, prompts of unequal length padded in front.
    ///
    /// - Parameter onText: called with (row, text) as soon as whole characters of a row are certain: never half a character,
    ///   never the beginning of a stop string. Row r is sample r % samples of prompt r / samples.
    /// - Returns: prompts' continuations in order, samples of a prompt together.
    public func generate(_ request: Request, onText: ((Int, String) -> Void)? = nil) throws -> [Continuation] {
        try request.validate()
        if tokenizer.vocabularySize > model.vocabularySize {
            throw MartletError(
                .mismatch,
                "the tokenizer has \(tokenizer.vocabularySize) ids, the model \(model.vocabularySize): they do not belong together"
            )
        }
        return try noGrad { try run(request, onText) }
    }

    private func run(_ request: Request, _ onText: ((Int, String) -> Void)?) throws -> [Continuation] {
        let encoded = try request.prompts.map { prompt -> [Int32] in
            let ids = try tokenizer.encode(prompt)
            // The beginning of a document is what follows the end of another.
            return ids.isEmpty ? [tokenizer.eodID] : ids
        }
        let longest = encoded.map(\.count).max()!
        let capacity = longest + request.maxTokens
        let rows = encoded.flatMap { Array(repeating: $0, count: request.samples) }
        let starts = rows.map { longest - $0.count }
        let cache = model.makeCache(starts: starts, capacity: capacity)
        try cache.reserve(min(capacity, longest + 256))
        let padded = rows.map { Array(repeating: tokenizer.eodID, count: longest - $0.count) + $0 }

        var states = rows.enumerated().map { i, ids in
            RowState(
                sampler: Sampler(request.sampling, sample: i), seen: Set(ids),
                text: StreamingText(stop: request.stop, decoder: StreamDecoder(tokenizer)))
        }
        timing = Timing()
        var watch = ContinuousClock.now
        var hidden = model.hiddenStates(
            Tensor(padded.flatMap { $0 }, shape: [rows.count, longest]).to(.int64), cache: cache)
        timing.promptTokens = rows.reduce(0) { $0 + $1.count }
        var isFirst = true
        for step in 0..<request.maxTokens {
            let last = hidden.select(1, hidden.size(1) - 1)
            let scores = model.logits(ofHidden: last).to(.float32).contiguous()
            if isFirst {
                timing.promptSeconds = watch.duration(to: .now).seconds
                watch = .now
                isFirst = false
            }
            var next = [Int32](repeating: tokenizer.eodID, count: rows.count)
            let vocabulary = model.vocabularySize
            try scores.withUnsafeElements(of: Float.self) { all in
                for row in states.indices where states[row].finish == nil {
                    // Ids past the tokenizer's are rows the vocabulary was rounded up by.
                    let token = states[row].sampler.next(
                        UnsafeBufferPointer(
                            rebasing: all[row * vocabulary..<row * vocabulary + tokenizer.vocabularySize]),
                        seen: states[row].seen)
                    next[row] = token
                    if token == tokenizer.eodID && request.stopsAtDocumentEnd {
                        states[row].finish = .documentEnd
                    } else {
                        states[row].tokens.append(token)
                        states[row].seen.insert(token)
                        timing.generatedTokens += 1
                        let piece = try states[row].text.append(token)
                        if let onText, !piece.isEmpty { onText(row, piece) }
                        if states[row].text.isStopped {
                            states[row].finish = .stop
                        } else if step == request.maxTokens - 1 {
                            states[row].finish = .length
                        }
                    }
                    if let finish = states[row].finish, finish != .stop {
                        let rest = states[row].text.finish()
                        if let onText, !rest.isEmpty { onText(row, rest) }
                    }
                }
            }
            if states.allSatisfy({ $0.finish != nil }) { break }
            try cache.reserve(cache.length + 1)
            hidden = model.hiddenStates(Tensor(next, shape: [rows.count, 1]).to(.int64), cache: cache)
        }
        timing.generationSeconds = watch.duration(to: .now).seconds
        return states.enumerated().map { i, state in
            Continuation(
                prompt: i / request.samples, sample: i % request.samples, text: state.text.text, tokens: state.tokens,
                promptTokens: rows[i].count, finish: state.finish ?? .length)
        }
    }

    private struct RowState {
        var sampler: Sampler
        var seen: Set<Int32>
        var text: StreamingText
        var tokens: [Int32] = []
        var finish: FinishReason?
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}

/// Text that grows by tokens, held back while it might be the beginning of a stop string or half a character.
struct StreamingText {
    private let stop: [[UInt8]]
    private var decoder: StreamDecoder
    /// Bytes decoded, of which `emitted` were given out.
    private var bytes: [UInt8] = []
    private var emitted = 0
    private(set) var isStopped = false

    init(stop: [String], decoder: StreamDecoder) {
        self.stop = stop.filter { !$0.isEmpty }.map { Array($0.utf8) }
        self.decoder = decoder
    }

    /// All text so far, without a stop string.
    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Adds a token; returns what became certain.
    mutating func append(_ token: Int32) throws -> String {
        bytes += Array(try decoder.feed(token).utf8)
        return release(final: false)
    }

    /// No more tokens come; returns the rest.
    mutating func finish() -> String {
        bytes += Array(decoder.flush().utf8)
        return release(final: true)
    }

    private mutating func release(final: Bool) -> String {
        if isStopped { return "" }
        var end = bytes.count
        // The earliest stop string ends the text; it can only begin in what was not given out.
        for i in emitted..<bytes.count {
            if stop.contains(where: { bytes[i...].starts(with: $0) }) {
                isStopped = true
                end = i
                break
            }
            if !final, stop.contains(where: { $0.starts(with: bytes[i...]) }) {
                end = i
                break
            }
        }
        if isStopped { bytes.removeSubrange(end...) }
        defer { emitted = end }
        return String(decoding: bytes[emitted..<end], as: UTF8.self)
    }
}
