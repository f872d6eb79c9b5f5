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
    ///   - sequenceLength: Tokens in a sequence, 1 to 2^30. A shorter file gives one shorter sequence.
    ///   - batchSize: Sequences in a batch at most, 1 to 2^20.
    ///   - stride: New tokens in a sequence, 1 to `sequenceLength`; nil is `sequenceLength`, no overlap.
    /// - Throws: `LoaderError.invalidOption`.
    public init(_ dataset: TokenDataset, sequenceLength: Int, batchSize: Int, stride: Int? = nil) throws {
        try Self.check(sequenceLength: sequenceLength, batchSize: batchSize, stride: stride) {
            throw LoaderError.invalidOption(name: $0, reason: $1)
        }
        let step = stride ?? sequenceLength
        self.dataset = dataset
        self.sequenceLength = sequenceLength
        self.batchSize = batchSize
        self.stride = step
        middleWindows = max(0, dataset.tokenCount - sequenceLength) / step
        middleBatches = (middleWindows + batchSize - 1) / batchSize
        let rest = max(0, dataset.tokenCount - sequenceLength) % step
        count = 1 + middleBatches + (rest > 0 ? 1 : 0)
    }

    /// Calls `refuse` with the name of the first option that is out of range and what was expected of it.
    package static func check(
        sequenceLength: Int, batchSize: Int, stride: Int?, refuse: (_ name: String, _ reason: String) throws -> Void
    ) rethrows {
        let options = [
            ("sequenceLength", sequenceLength, 1 << 30), ("batchSize", batchSize, 1 << 20),
            ("stride", stride ?? sequenceLength, sequenceLength),
        ]
        for (name, value, most) in options where value < 1 || value > most {
            return try refuse(name, "expected 1 to \(most), found \(value)")
        }
    }

    /// Rows and columns of the largest batch.
    package var largestShape: (rows: Int, columns: Int) {
        (max(1, min(batchSize, middleWindows)), min(sequenceLength, dataset.tokenCount))
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
