/// The tokens of a file in order, so that each is predicted exactly once: for the loss, perplexity and bits per byte of
/// held-out text.
///
/// The text is taken to follow an `[eod]`, so its first token is predicted too. With a `stride` below the sequence
/// length the windows overlap: each but the first predicts `stride` new tokens, which have the tokens before them as
/// context.
///
///     for index in 0..<batches.count {
///         let batch = try batches[index]
///         // sum the losses of batch.tokens.targets at the columns batch.counted, in every row
///     }
///     let bitsPerByte = totalLoss / log(2) / Double(dataset.textByteCount)
public struct EvaluationBatches: Sendable {
    public struct Batch: Sendable, Equatable {
        public let tokens: TokenBatch
        /// The columns whose targets count, in every row: the others are there as context and count in another batch.
        public let counted: Range<Int>
    }

    public let dataset: TokenDataset
    public let sequenceLength: Int
    public let batchSize: Int
    public let stride: Int

    /// How many batches there are.
    public let count: Int
    /// The full windows after the first.
    private let middleWindows: Int
    private let middleBatches: Int

    /// - Parameters:
    ///   - sequenceLength: Tokens in a sequence; at least 1. A shorter file gives one shorter sequence.
    ///   - batchSize: Sequences in a batch at most, at least 1.
    ///   - stride: New tokens in a sequence, 1 to `sequenceLength`; nil is `sequenceLength`, no overlap.
    /// - Throws: `LoaderError.invalidOption`.
    public init(_ dataset: TokenDataset, sequenceLength: Int, batchSize: Int, stride: Int? = nil) throws {
        func check(_ condition: Bool, _ name: String, _ reason: String) throws {
            if !condition { throw LoaderError.invalidOption(name: name, reason: reason) }
        }
        try check(sequenceLength >= 1, "sequenceLength", "expected at least 1, found \(sequenceLength)")
        try check(batchSize >= 1, "batchSize", "expected at least 1, found \(batchSize)")
        let step = stride ?? sequenceLength
        try check(step >= 1 && step <= sequenceLength, "stride", "expected 1 to \(sequenceLength), found \(step)")
        self.dataset = dataset
        self.sequenceLength = sequenceLength
        self.batchSize = batchSize
        self.stride = step
        middleWindows = max(0, dataset.tokenCount - sequenceLength) / step
        middleBatches = (middleWindows + batchSize - 1) / batchSize
        let rest = max(0, dataset.tokenCount - sequenceLength) % step
        count = 1 + middleBatches + (rest > 0 ? 1 : 0)
    }

    /// Batch `index`, in 0..<`count`.
    ///
    /// - Throws: `TokenFileError.corrupted`.
    public subscript(index: Int) -> Batch {
        get throws {
            precondition(index >= 0 && index < count, "[EvaluationBatches] batch \(index) of \(count)")
            let length = min(sequenceLength, dataset.tokenCount)
            if index == 0 {
                var builder = TokenBatchBuilder(rows: 1, columns: length)
                try builder.append(dataset, start: 0, first: dataset.eodID)
                return Batch(tokens: builder.finish(), counted: 0..<length)
            }
            if index <= middleBatches {
                let windows = (index - 1) * batchSize..<min(index * batchSize, middleWindows)
                var builder = TokenBatchBuilder(rows: windows.count, columns: sequenceLength)
                // The targets of window w end with token sequenceLength + (w + 1) * stride - 1.
                for window in windows { try builder.append(dataset, start: (window + 1) * stride - 1) }
                return Batch(tokens: builder.finish(), counted: sequenceLength - stride..<sequenceLength)
            }
            let rest = (dataset.tokenCount - sequenceLength) % stride
            var builder = TokenBatchBuilder(rows: 1, columns: sequenceLength)
            try builder.append(dataset, start: dataset.tokenCount - sequenceLength - 1)
            return Batch(tokens: builder.finish(), counted: sequenceLength - rest..<sequenceLength)
        }
    }
}
