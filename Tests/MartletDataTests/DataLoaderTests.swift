import Foundation
import MartletData
import Testing

private struct ReadFailure: Error, Equatable {
    let index: Int
}

/// Samples that take their time, some more than others.
private struct SlowSquares: Dataset {
    let count: Int
    var failing: Int?

    subscript(index: Int) -> Int {
        get throws {
            if index == failing { throw ReadFailure(index: index) }
            if index % 7 == 0 { usleep(300) }
            return index * index
        }
    }
}

@Suite struct DataLoaderTests {
    @Test func batchesComeInOrderWithAnyNumberOfWorkers() throws {
        let dataset = SlowSquares(count: 103)
        var runs: [[[Int]]] = []
        for workers in [0, 1, 2, 5] {
            let loader = try DataLoader(dataset, batchSize: 10, shuffle: true, seed: 3, workers: workers, prefetch: 3)
            #expect(loader.batchesPerEpoch == 11)
            runs.append((0..<3).flatMap { Array(loader.epoch($0)) })
        }
        #expect(runs[0] == runs[1] && runs[0] == runs[2] && runs[0] == runs[3])
        let epochs = (0..<3).map { epoch in runs[0][epoch * 11..<(epoch + 1) * 11].flatMap { $0 } }
        for epoch in epochs { #expect(epoch.sorted() == (0..<103).map { $0 * $0 }) }
        #expect(epochs[0] != epochs[1] && epochs[1] != epochs[2])
    }

    @Test func loadingGoesOnFromAnyState() throws {
        let loader = try DataLoader(SlowSquares(count: 50), batchSize: 8, shuffle: true, seed: 1, workers: 2)
        let all = (0..<2).flatMap { Array(loader.epoch($0)) }
        let iterator = loader.epoch(0).makeIterator()
        var seen: [[Int]] = []
        for _ in 0..<3 { seen.append(try #require(try iterator.nextBatch())) }
        let state = iterator.state
        #expect(state == DataLoaderState(epoch: 0, batch: 3))
        let decoded = try JSONDecoder().decode(DataLoaderState.self, from: JSONEncoder().encode(state))
        seen += Array(loader.epoch(decoded.epoch, from: decoded.batch)) + Array(loader.epoch(1))
        #expect(seen == all)
        while try iterator.nextBatch() != nil {}
        #expect(iterator.state == DataLoaderState(epoch: 1, batch: 0))
        #expect(Array(loader.epoch(0, from: 100)) == [])
    }

    @Test func orderAndLastBatchAreAsAsked() throws {
        let dataset = ArrayDataset(Array(0..<10))
        let plain = try DataLoader(dataset, batchSize: 4)
        #expect(Array(plain.epoch(5)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]])
        let dropping = try DataLoader(dataset, batchSize: 4, dropLast: true)
        #expect(Array(dropping.epoch(0)) == [[0, 1, 2, 3], [4, 5, 6, 7]])
        let sums = try DataLoader(dataset, batchSize: 4, collate: { $0.reduce(0, +) })
        #expect(Array(sums.epoch(0)) == [6, 22, 17])
        let empty = try DataLoader(ArrayDataset([Int]()), batchSize: 4, shuffle: true)
        #expect(Array(empty.epoch(0)) == [])
        #expect(throws: LoaderError.self) { try DataLoader(dataset, batchSize: 0) }
        #expect(throws: LoaderError.self) { try DataLoader(dataset, batchSize: 1, workers: -1) }
        #expect(throws: LoaderError.self) { try DataLoader(dataset, batchSize: 1, prefetch: 0) }
    }

    @Test func errorsComeInTheirPlace() throws {
        for workers in [0, 1, 4] {
            let loader = try DataLoader(SlowSquares(count: 100, failing: 55), batchSize: 10, workers: workers)
            let iterator = loader.epoch(0).makeIterator()
            for batch in 0..<5 { #expect(try iterator.nextBatch()?.first == batch * batch * 100) }
            #expect(throws: ReadFailure(index: 55)) { try iterator.nextBatch() }
            #expect(try iterator.nextBatch() == nil)
        }
    }

    @Test func datasetsCompose() throws {
        let dataset = ArrayDataset(Array(0..<10))
        #expect(try dataset.mapSamples { "\($0 * 2)" }[4] == "8")
        let both = ConcatenatedDataset([dataset, ArrayDataset([]), ArrayDataset([100, 101])])
        #expect(both.count == 12)
        #expect(try (8..<12).map { try both[$0] } == [8, 9, 100, 101])
        let parts = dataset.randomSplit([7, 3], seed: 4)
        #expect(parts.map(\.count) == [7, 3])
        #expect(try parts.flatMap { part in try (0..<part.count).map { try part[$0] } }.sorted() == Array(0..<10))
        #expect(parts[0].indices == dataset.randomSplit([7, 3], seed: 4)[0].indices)
        #expect(parts[0].indices != dataset.randomSplit([7, 3], seed: 5)[0].indices)
    }

    @Test func concurrentMapKeepsOrderAndTheFirstError() throws {
        for threads in [1, 2, 6] {
            #expect(try concurrentMap(count: 100, threads: threads) { $0 * 3 } == (0..<100).map { $0 * 3 })
            #expect(throws: ReadFailure(index: 20)) {
                try concurrentMap(count: 100, threads: threads) { index -> Int in
                    if index >= 20 { throw ReadFailure(index: index) }
                    return index
                }
            }
            #expect(try concurrentMap(count: 0, threads: threads) { $0 } == [])
        }
    }
}
