/// Where a data loader stands: enough to go on from there.
public struct DataLoaderState: Sendable, Hashable, Codable {
    /// Complete passes over the data before.
    public var epoch: Int
    /// Batches of this epoch already given.
    public var batch: Int

    public init(epoch: Int = 0, batch: Int = 0) {
        self.epoch = epoch
        self.batch = batch
    }
}

/// Batches of a dataset's samples, in an order that is a function of (seed, epoch) only.
///
///     let loader = try DataLoader(digits, batchSize: 64, shuffle: true, seed: 1, workers: 2)
///     for epoch in 0..<10 {
///         for batch in loader.epoch(epoch) { ... }
///     }
///
/// Worker threads read samples ahead; the batches come in the same order with any number of them.
public struct DataLoader<Source: Dataset, Batch: Sendable>: Sendable {
    public let dataset: Source
    public let batchSize: Int
    public let shuffle: Bool
    public let seed: UInt64
    public let dropLast: Bool
    public let workers: Int
    public let prefetch: Int
    private let collate: @Sendable ([Source.Sample]) throws -> Batch

    /// - Parameters:
    ///   - batchSize: Samples in a batch, at least 1.
    ///   - shuffle: Whether each epoch has an order of its own; otherwise it is that of the dataset.
    ///   - dropLast: Whether the last batch of an epoch is left out when it is smaller than the others.
    ///   - workers: Threads that read samples; 0 reads them when a batch is asked for.
    ///   - prefetch: How many batches may be read ahead, at least 1.
    ///   - collate: Makes a batch of samples.
    /// - Throws: `LoaderError.invalidOption`.
    public init(
        _ dataset: Source, batchSize: Int, shuffle: Bool = false, seed: UInt64 = 0, dropLast: Bool = false,
        workers: Int = 0, prefetch: Int = 4, collate: @escaping @Sendable ([Source.Sample]) throws -> Batch
    ) throws {
        for (name, value, least) in [("batchSize", batchSize, 1), ("workers", workers, 0), ("prefetch", prefetch, 1)]
        where value < least {
            throw LoaderError.invalidOption(name: name, reason: "expected at least \(least), found \(value)")
        }
        self.dataset = dataset
        self.batchSize = batchSize
        self.shuffle = shuffle
        self.seed = seed
        self.dropLast = dropLast
        self.workers = workers
        self.prefetch = prefetch
        self.collate = collate
    }

    /// Batches in an epoch.
    public var batchesPerEpoch: Int {
        dropLast ? dataset.count / batchSize : (dataset.count + batchSize - 1) / batchSize
    }

    /// The numbers of the samples in a batch of an epoch.
    public func sampleIndices(epoch: Int, batch: Int) -> [Int] {
        precondition(
            batch >= 0 && batch < batchesPerEpoch, "[DataLoader] batch \(batch) of \(batchesPerEpoch) in an epoch")
        let positions = batch * batchSize..<min((batch + 1) * batchSize, dataset.count)
        guard shuffle else { return Array(positions) }
        let order = KeyedPermutation(count: dataset.count, seed: seed, stream: 4 << 60 | UInt64(epoch))
        return positions.map { order[$0] }
    }

    /// The batches of one epoch, from `batch` on.
    public func epoch(_ epoch: Int, from batch: Int = 0) -> DataLoaderEpoch<Source, Batch> {
        precondition(epoch >= 0 && batch >= 0, "[DataLoader] epoch \(epoch), batch \(batch)")
        return DataLoaderEpoch(loader: self, start: DataLoaderState(epoch: epoch, batch: batch))
    }

    fileprivate func batch(epoch: Int, batch: Int) throws -> Batch {
        try collate(sampleIndices(epoch: epoch, batch: batch).map { try dataset[$0] })
    }
}

extension DataLoader where Batch == [Source.Sample] {
    /// Batches that are arrays of samples. The parameters are those of the other initializer.
    public init(
        _ dataset: Source, batchSize: Int, shuffle: Bool = false, seed: UInt64 = 0, dropLast: Bool = false,
        workers: Int = 0, prefetch: Int = 4
    ) throws {
        try self.init(
            dataset, batchSize: batchSize, shuffle: shuffle, seed: seed, dropLast: dropLast, workers: workers,
            prefetch: prefetch, collate: { $0 })
    }
}

/// The batches of one epoch.
public struct DataLoaderEpoch<Source: Dataset, Batch: Sendable>: Sequence, Sendable {
    fileprivate let loader: DataLoader<Source, Batch>
    fileprivate let start: DataLoaderState

    public func makeIterator() -> Iterator {
        Iterator(loader: loader, start: start)
    }

    /// Gives the batches. To be used by one thread at a time; letting go of it stops the workers.
    public final class Iterator: IteratorProtocol {
        /// Where the loader stands: the position of the batch that comes next.
        public private(set) var state: DataLoaderState

        private let loader: DataLoader<Source, Batch>
        private let start: DataLoaderState
        private var prefetcher: OrderedPrefetcher<Batch>?

        fileprivate init(loader: DataLoader<Source, Batch>, start: DataLoaderState) {
            self.loader = loader
            self.start = start
            state = start
        }

        /// The next batch, nil after the last of the epoch.
        ///
        /// - Throws: What reading a sample or `collate` throws.
        public func nextBatch() throws -> Batch? {
            let prefetcher = try startedPrefetcher()
            guard let batch = try prefetcher.next() else { return nil }
            state.batch += 1
            if state.batch >= loader.batchesPerEpoch { state = DataLoaderState(epoch: state.epoch + 1) }
            return batch
        }

        /// The next batch, nil after the last of the epoch. An error in reading a sample ends the program; where
        /// samples come from outside it, use `nextBatch`.
        public func next() -> Batch? {
            do {
                return try nextBatch()
            } catch {
                fatalError("[DataLoader] \(error)")
            }
        }

        private func startedPrefetcher() throws -> OrderedPrefetcher<Batch> {
            if let prefetcher { return prefetcher }
            let (loader, start) = (loader, start)
            let created = try OrderedPrefetcher<Batch>(workers: loader.workers, depth: loader.prefetch) { index in
                let batch = start.batch + index
                return batch < loader.batchesPerEpoch ? try loader.batch(epoch: start.epoch, batch: batch) : nil
            }
            prefetcher = created
            return created
        }
    }
}
