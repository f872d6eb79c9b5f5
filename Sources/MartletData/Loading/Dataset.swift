/// Samples by number. A dataset is read by several threads at once.
public protocol Dataset<Sample>: Sendable {
    associatedtype Sample: Sendable

    /// The number of samples.
    var count: Int { get }

    /// The sample at `index`, in 0..<`count`. It should be the same each time.
    subscript(index: Int) -> Sample { get throws }
}

/// The elements of an array as samples.
public struct ArrayDataset<Sample: Sendable>: Dataset {
    public let samples: [Sample]

    public init(_ samples: [Sample]) {
        self.samples = samples
    }

    public var count: Int { samples.count }

    public subscript(index: Int) -> Sample { samples[index] }
}

/// The samples of another dataset, transformed one by one when they are read.
public struct MappedDataset<Base: Dataset, Sample: Sendable>: Dataset {
    public let base: Base
    private let transform: @Sendable (Base.Sample) throws -> Sample

    public init(_ base: Base, transform: @escaping @Sendable (Base.Sample) throws -> Sample) {
        self.base = base
        self.transform = transform
    }

    public var count: Int { base.count }

    public subscript(index: Int) -> Sample {
        get throws { try transform(base[index]) }
    }
}

/// Some of another dataset's samples, in the order of their numbers in `indices`.
public struct SubsetDataset<Base: Dataset>: Dataset {
    public let base: Base
    public let indices: [Int]

    public init(_ base: Base, indices: [Int]) {
        for index in indices {
            precondition(index >= 0 && index < base.count, "[SubsetDataset] sample \(index) of \(base.count)")
        }
        self.base = base
        self.indices = indices
    }

    public var count: Int { indices.count }

    public subscript(index: Int) -> Base.Sample {
        get throws { try base[indices[index]] }
    }
}

/// The samples of several datasets, one dataset after another.
public struct ConcatenatedDataset<Base: Dataset>: Dataset {
    public let parts: [Base]
    private let starts: [Int]

    public init(_ parts: [Base]) {
        self.parts = parts
        starts = parts.reduce(into: [0]) { $0.append($0.last! + $1.count) }
    }

    public var count: Int { starts.last! }

    public subscript(index: Int) -> Base.Sample {
        get throws {
            precondition(index >= 0 && index < count, "[ConcatenatedDataset] sample \(index) of \(count)")
            let part = starts.lastIndex { $0 <= index }!
            return try parts[part][index - starts[part]]
        }
    }
}

extension Dataset {
    /// The samples transformed by `transform` when they are read.
    public func mapSamples<Result: Sendable>(
        _ transform: @escaping @Sendable (Sample) throws -> Result
    ) -> MappedDataset<Self, Result> {
        MappedDataset(self, transform: transform)
    }

    /// Divides the samples at random into parts of the given sizes; the same seed gives the same parts.
    ///
    /// - Parameter counts: Their sum must be `count`.
    public func randomSplit(_ counts: [Int], seed: UInt64) -> [SubsetDataset<Self>] {
        precondition(
            counts.allSatisfy { $0 >= 0 } && counts.reduce(0, +) == count,
            "[randomSplit] parts of \(counts) samples do not add up to \(count)")
        if count == 0 { return counts.map { _ in SubsetDataset(self, indices: []) } }
        let order = KeyedPermutation(count: count, seed: seed, stream: 3 << 60)
        var start = 0
        return counts.map { size in
            defer { start += size }
            return SubsetDataset(self, indices: (start..<start + size).map { order[$0] })
        }
    }
}
