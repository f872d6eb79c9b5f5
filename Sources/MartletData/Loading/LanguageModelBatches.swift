/// A token file and how much of the training data is taken from it.
public struct WeightedTokens: Sendable {
    public let dataset: TokenDataset
    /// Relative to the other files' weights; above 0.
    public let weight: Double

    public init(_ dataset: TokenDataset, weight: Double = 1) {
        self.dataset = dataset
        self.weight = weight
    }
}

/// Training batches of a language model, each a function of the seed and its step only, as in PaLM.
///
/// A token file, its documents joined by `[eod]`, is cut into windows of `sequenceLength + 1` tokens that overlap by
/// one, so that every token but the first is predicted once; nothing is padded. Each epoch visits all windows once, in
/// an order drawn from (seed, epoch). With several files each has its own epochs, and the weights decide how often it
/// is drawn from.
///
/// Sequences are numbered from 0 through the whole training; step s takes the sequences from `firstSample(ofStep: s)`
/// on, as many as the schedule says. So the step is all the state there is, and a run may go on with another number of
/// processes: they divide the rows of the same batch.
public struct LanguageModelBatches: Sendable {
    public let sources: [WeightedTokens]
    /// Tokens in a sequence.
    public let sequenceLength: Int
    public let batchSize: BatchSizeSchedule
    public let seed: UInt64
    /// Batches that are left out, ascending.
    public let skippedBatches: [Range<Int>]
    /// Which process this is, of how many.
    public let rank: Int
    public let worldSize: Int

    /// Numbers of batches up to here cannot overflow when they are multiplied by sizes.
    private static let mostSkipped = 1 << 41

    private let windowCounts: [Int]
    private let mixture: MixtureSchedule

    /// Where a sequence comes from.
    public struct Sample: Sendable, Hashable {
        /// The number of the token file.
        public let source: Int
        /// How often its windows were all visited before.
        public let epoch: Int
        /// The number of the window in the file.
        public let window: Int
        /// The position of the window's first token in the file.
        public let firstToken: Int
    }

    /// - Parameters:
    ///   - sources: Token files of one tokenizer.
    ///   - sequenceLength: Tokens in a sequence, at least 1.
    ///   - batchSize: Sequences a step, over all processes; every size must be divisible by `worldSize`.
    ///   - skippedBatches: Ranges of batches that are not trained on, numbered as they would be without any skipping: the
    ///     remedy for loss spikes is to go back and leave out the batches around one. The batches that are left keep
    ///     their order. Ranges must not overlap.
    /// - Throws: `LoaderError`, `TokenFileError.otherTokenizer`.
    public init(
        sources: [WeightedTokens], sequenceLength: Int, batchSize: BatchSizeSchedule, seed: UInt64,
        skippedBatches: [Range<Int>] = [], rank: Int = 0, worldSize: Int = 1
    ) throws {
        func check(_ condition: Bool, _ name: String, _ reason: @autoclosure () -> String) throws {
            if !condition { throw LoaderError.invalidOption(name: name, reason: reason()) }
        }
        try check(
            !sources.isEmpty && sources.count <= 1 << 16, "sources",
            "expected 1 to \(1 << 16) token files, found \(sources.count)")
        try check(
            (1...1 << 30).contains(sequenceLength), "sequenceLength",
            "expected 1 to \(1 << 30), found \(sequenceLength)")
        try check(worldSize >= 1, "worldSize", "expected at least 1, found \(worldSize)")
        try check(
            rank >= 0 && rank < worldSize, "rank", "expected 0..<\(worldSize) by the world size, found \(rank)")
        for phase in batchSize.phases {
            try check(
                phase.size % worldSize == 0, "batchSize",
                "\(phase.size) sequences cannot be divided evenly among \(worldSize) processes")
        }
        let skipped = skippedBatches.filter { !$0.isEmpty }.sorted { $0.lowerBound < $1.lowerBound }
        for (index, range) in skipped.enumerated() {
            try check(
                range.lowerBound >= 0 && range.upperBound <= Self.mostSkipped, "skippedBatches",
                "expected batches from 0 to \(Self.mostSkipped), found \(range)")
            try check(
                index == 0 || range.lowerBound >= skipped[index - 1].upperBound, "skippedBatches",
                "\(skipped[max(0, index - 1)]) and \(range) overlap")
        }
        let first = sources[0].dataset
        for source in sources {
            let dataset = source.dataset
            guard dataset.tokenCount > sequenceLength else {
                throw LoaderError.tooShort(
                    path: dataset.path, tokenCount: dataset.tokenCount, needed: sequenceLength + 1)
            }
            guard dataset.fingerprint == first.fingerprint else {
                throw TokenFileError.otherTokenizer(
                    path: dataset.path, expected: first.fingerprint, expectedSummary: first.tokenizerSummary,
                    found: dataset.fingerprint, foundSummary: dataset.tokenizerSummary)
            }
        }
        self.sources = sources
        self.sequenceLength = sequenceLength
        self.batchSize = batchSize
        self.seed = seed
        self.skippedBatches = skipped
        self.rank = rank
        self.worldSize = worldSize
        windowCounts = sources.map { ($0.dataset.tokenCount - 1) / sequenceLength }
        mixture = try MixtureSchedule(weights: sources.map(\.weight), seed: seed)
    }

    /// Windows in each token file: sequences in one epoch of it.
    public var windowsPerEpoch: [Int] { windowCounts }

    /// The number of the sequence with which `step` begins: all before it were trained on or skipped.
    ///
    /// A skipped batch counts as many sequences as the step that would have taken it.
    public func firstSample(ofStep step: Int) -> Int {
        precondition(step >= 0, "[LanguageModelBatches] step is negative: \(step)")
        var samples = batchSize.samples(beforeStep: step)
        var skippedBefore = 0
        for range in skippedBatches {
            let stepAtSkip = range.lowerBound - skippedBefore
            if stepAtSkip > step { break }
            samples += range.count * batchSize.size(atStep: stepAtSkip)
            skippedBefore += range.count
        }
        return samples
    }

    /// Epochs done before `step` of the token file most often repeated, as a fraction: 0.5 is half way through the
    /// first.
    public func epochs(beforeStep step: Int) -> Double {
        let samples = Double(firstSample(ofStep: step))
        return sources.indices.map { samples * mixture.share(of: $0) / Double(windowCounts[$0]) }.max()!
    }

    /// Where sequence `index`, counted over the whole training, comes from.
    public func sample(_ index: Int) -> Sample {
        let (source, position) = mixture.place(of: index)
        let count = windowCounts[source]
        let epoch = position / count
        let order = KeyedPermutation(
            count: count, seed: seed, stream: 1 << 60 | UInt64(source) << 44 | UInt64(epoch))
        let window = order[position % count]
        return Sample(source: source, epoch: epoch, window: window, firstToken: window * sequenceLength)
    }

    /// The samples of this process's rows at `step`, in order.
    public func samples(atStep step: Int) -> [Sample] {
        let size = batchSize.size(atStep: step)
        let first = firstSample(ofStep: step)
        return (size * rank / worldSize..<size * (rank + 1) / worldSize).map { sample(first + $0) }
    }

    /// This process's rows of the batch of `step`.
    ///
    /// - Throws: `TokenFileError.corrupted`.
    public func batch(atStep step: Int) throws -> TokenBatch {
        let samples = samples(atStep: step)
        var builder = TokenBatchBuilder(rows: samples.count, columns: sequenceLength)
        for sample in samples {
            try builder.append(sources[sample.source].dataset, start: sample.firstToken)
        }
        return builder.finish()
    }

    /// The batches of `steps` in order, read ahead on another thread.
    ///
    /// - Parameter depth: How many batches may be ready at most.
    public func prefetched(steps: Range<Int>, depth: Int = 4) throws -> PrefetchedBatches {
        try PrefetchedBatches(self, steps: steps, depth: depth)
    }
}

/// Batches that another thread reads ahead. To be used by one thread at a time; letting go of it stops the other
/// thread.
public final class PrefetchedBatches {
    /// The step whose batch `next` gives next.
    public private(set) var step: Int
    private let prefetcher: OrderedPrefetcher<TokenBatch>

    init(_ batches: LanguageModelBatches, steps: Range<Int>, depth: Int) throws {
        step = steps.lowerBound
        prefetcher = try OrderedPrefetcher(workers: 1, depth: depth) { index in
            index < steps.count ? try batches.batch(atStep: steps.lowerBound + index) : nil
        }
    }

    /// The next batch, nil after the last.
    public func next() throws -> TokenBatch? {
        guard let batch = try prefetcher.next() else { return nil }
        step += 1
        return batch
    }

    /// Stops reading ahead; `next` then gives nil.
    public func cancel() { prefetcher.cancel() }
}

/// Divides the sequences of a training among sources by weight, with nothing but arithmetic: in each block of
/// `blockLength` sequences every source has its share, in an order drawn from the seed and the block.
struct MixtureSchedule: Sendable {
    private static let blockLength = 65_536

    private let seed: UInt64
    /// Source s has the slots `starts[s]..<starts[s + 1]` of a block.
    private let starts: [Int]

    init(weights: [Double], seed: UInt64) throws {
        self.seed = seed
        guard weights.allSatisfy({ $0 > 0 && $0.isFinite }) else {
            throw LoaderError.invalidOption(name: "weights", reason: "expected numbers above 0, found \(weights)")
        }
        let total = weights.reduce(0, +)
        let exact = weights.map { $0 / total * Double(Self.blockLength) }
        var slots = exact.map { Int($0) }
        let missing = Self.blockLength - slots.reduce(0, +)
        let byRemainder = weights.indices.sorted {
            let (a, b) = (exact[$0] - Double(slots[$0]), exact[$1] - Double(slots[$1]))
            return a == b ? $0 < $1 : a > b
        }
        for source in byRemainder.prefix(missing) { slots[source] += 1 }
        guard let least = slots.min(), least > 0 else {
            throw LoaderError.invalidOption(
                name: "weights",
                reason: "the least weight must be at least 1/\(Self.blockLength) of the sum, found \(weights)")
        }
        starts = slots.reduce(into: [0]) { $0.append($0.last! + $1) }
    }

    /// The share of a source in all sequences.
    func share(of source: Int) -> Double {
        Double(starts[source + 1] - starts[source]) / Double(Self.blockLength)
    }

    /// The source of a sequence, and how many of its sequences come before.
    func place(of sample: Int) -> (source: Int, position: Int) {
        if starts.count == 2 { return (0, sample) }
        let (block, offset) = sample.quotientAndRemainder(dividingBy: Self.blockLength)
        let order = KeyedPermutation(count: Self.blockLength, seed: seed, stream: 2 << 60 | UInt64(block))
        let slot = order[offset]
        let source = starts.lastIndex { $0 <= slot }!
        return (source, block * (starts[source + 1] - starts[source]) + slot - starts[source])
    }
}
