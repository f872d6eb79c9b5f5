import Foundation
import MartletData
import Testing

@Suite struct LanguageModelBatchesTests {
    private let folder = TemporaryFolder()

    /// A token file in which the token at position i is i modulo 251.
    private func dataset(tokens count: Int, name: String = "a.tokens") throws -> TokenDataset {
        let writer = try TokenFileWriter(path: folder.file(name), tokenizer: ByteTokenizer())
        try writer.append(document: (0..<count - 1).map { Int32($0 % 251) }, textByteCount: count - 1)
        try writer.finish()
        return try TokenDataset(path: folder.file(name))
    }

    private func batches(
        _ datasets: [TokenDataset], batchSize: BatchSizeSchedule = 8, seed: UInt64 = 1, skipping: [Range<Int>] = [],
        rank: Int = 0, of worldSize: Int = 1
    ) throws -> LanguageModelBatches {
        try LanguageModelBatches(
            sources: datasets.map { WeightedTokens($0) }, sequenceLength: 16, batchSize: batchSize, seed: seed,
            skippedBatches: skipping, rank: rank, worldSize: worldSize)
    }

    @Test func permutationsAreBijections() {
        for count in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 100, 255, 256, 257, 1000, 4097] {
            for stream in 0..<3 {
                let order = KeyedPermutation(count: count, seed: 5, stream: UInt64(stream))
                #expect((0..<count).map { order[$0] }.sorted() == Array(0..<count))
            }
        }
        let a = KeyedPermutation(count: 1000, seed: 5, stream: 0)
        let b = KeyedPermutation(count: 1000, seed: 5, stream: 1)
        let c = KeyedPermutation(count: 1000, seed: 6, stream: 0)
        #expect((0..<1000).count { a[$0] == b[$0] } < 10)
        #expect((0..<1000).count { a[$0] == c[$0] } < 10)
        #expect((0..<1000).count { a[$0] == $0 } < 10)
        let huge = KeyedPermutation(count: 1 << 40, seed: 5)
        #expect(Set((0..<1000).map { huge[$0] }).count == 1000)
        // The order of batches is a promise: a run resumed with a later version must see the same ones.
        let fixed = KeyedPermutation(count: 20, seed: 42, stream: 7)
        #expect(
            (0..<20).map { fixed[$0] }
                == [17, 4, 8, 1, 18, 10, 0, 16, 7, 14, 12, 5, 15, 11, 3, 13, 19, 9, 6, 2])
    }

    @Test func permutationsLookRandom() {
        // First elements over many streams: each value about equally often.
        var counts = [Int](repeating: 0, count: 10)
        for stream in 0..<20_000 { counts[KeyedPermutation(count: 10, seed: 1, stream: UInt64(stream))[0]] += 1 }
        let chiSquare = counts.reduce(0.0) { $0 + pow(Double($1) - 2000, 2) / 2000 }
        #expect(chiSquare < 35, "\(counts)")
        // Ascents of a random permutation are about half.
        let order = KeyedPermutation(count: 100_000, seed: 3)
        let ascents = (1..<100_000).count { order[$0] > order[$0 - 1] }
        #expect(abs(ascents - 50_000) < 500)
    }

    @Test func everyEpochVisitsEveryWindowOnce() throws {
        let dataset = try dataset(tokens: 1000)
        let batches = try batches([dataset], batchSize: 5)
        #expect(batches.windowsPerEpoch == [62])
        var visited: [[Int]] = [[], [], []]
        for step in 0..<38 {
            for sample in batches.samples(atStep: step) where sample.epoch < 3 {
                visited[sample.epoch].append(sample.window)
            }
            let batch = try batches.batch(atStep: step)
            #expect(batch.shape == [5, 16])
            for (row, sample) in batches.samples(atStep: step).enumerated() {
                let tokens = try dataset.tokens(in: sample.firstToken..<sample.firstToken + 17)
                #expect(Array(batch.inputs[row * 16..<row * 16 + 16]) == Array(tokens[..<16]))
                #expect(Array(batch.targets[row * 16..<row * 16 + 16]) == Array(tokens[1...]))
            }
        }
        for epoch in visited { #expect(epoch.sorted() == Array(0..<62)) }
        #expect(visited[0] != visited[1] && visited[1] != visited[2])
        #expect(abs(batches.epochs(beforeStep: 31) - 2.5) < 1e-12)
    }

    @Test func batchesAreAFunctionOfSeedAndStep() throws {
        let dataset = try dataset(tokens: 2000)
        let a = try batches([dataset])
        let b = try batches([dataset])
        let other = try batches([dataset], seed: 2)
        for step in [0, 1, 17, 100_000, 3] {
            #expect(try a.batch(atStep: step) == b.batch(atStep: step))
            #expect(try a.batch(atStep: step) != other.batch(atStep: step))
        }
        // Read ahead from any step, the batches are the same.
        for start in [0, 13] {
            let prefetched = try a.prefetched(steps: start..<40, depth: 3)
            for step in start..<40 {
                #expect(prefetched.step == step)
                #expect(try prefetched.next() == a.batch(atStep: step))
            }
            #expect(try prefetched.next() == nil)
        }
        let abandoned = try a.prefetched(steps: 0..<1_000_000)
        _ = try abandoned.next()
        abandoned.cancel()
        #expect(try abandoned.next() == nil)
        _ = try a.prefetched(steps: 0..<1_000_000).next()
    }

    @Test func processesDivideTheSameBatch() throws {
        let dataset = try dataset(tokens: 3000)
        let schedule = try BatchSizeSchedule(phases: [.init(firstStep: 0, size: 8), .init(firstStep: 3, size: 24)])
        let whole = try batches([dataset], batchSize: schedule)
        for worldSize in [2, 4, 8] {
            for step in 0..<6 {
                let parts = try (0..<worldSize).map {
                    try batches([dataset], batchSize: schedule, rank: $0, of: worldSize).batch(atStep: step)
                }
                let all = try whole.batch(atStep: step)
                #expect(parts.flatMap(\.inputs) == all.inputs && parts.flatMap(\.targets) == all.targets)
                #expect(all.rows(8 / worldSize..<2 * 8 / worldSize).inputs.count == 16 * 8 / worldSize)
            }
        }
    }

    @Test func batchSizesMayChange() throws {
        let schedule = try BatchSizeSchedule(
            phases: [.init(firstStep: 0, size: 4), .init(firstStep: 10, size: 8), .init(firstStep: 15, size: 2)])
        #expect([0, 9, 10, 14, 15, 100].map { schedule.size(atStep: $0) } == [4, 4, 8, 8, 2, 2])
        for step in 0..<30 {
            #expect(schedule.samples(beforeStep: step) == (0..<step).reduce(0) { $0 + schedule.size(atStep: $1) })
        }
        let palm = try BatchSizeSchedule(
            phases: [
                .init(firstStep: 0, size: 512), .init(firstStep: 50_000, size: 1024),
                .init(firstStep: 115_000, size: 2048),
            ])
        #expect(palm.samples(beforeStep: 255_000) * 2048 == 775_946_240_000)
        let dataset = try dataset(tokens: 5000)
        let changing = try batches([dataset], batchSize: schedule)
        let constant = try batches([dataset], batchSize: 1)
        var sample = 0
        for step in 0..<25 {
            #expect(changing.firstSample(ofStep: step) == sample)
            for found in changing.samples(atStep: step) {
                #expect(found == constant.sample(sample))
                sample += 1
            }
        }
        #expect(try JSONDecoder().decode(BatchSizeSchedule.self, from: Data("32".utf8)) == 32)
        for value in [schedule, 7] {
            #expect(try JSONDecoder().decode(BatchSizeSchedule.self, from: JSONEncoder().encode(value)) == value)
        }
        for phases: [BatchSizeSchedule.Phase] in [
            [], [.init(firstStep: 1, size: 4)], [.init(firstStep: 0, size: 0)],
            [.init(firstStep: 0, size: 1), .init(firstStep: 0, size: 2)],
        ] {
            #expect(throws: LoaderError.self) { try BatchSizeSchedule(phases: phases) }
        }
    }

    @Test func batchesCanBeSkipped() throws {
        let dataset = try dataset(tokens: 5000)
        let plain = try batches([dataset])
        let skipping = try batches([dataset], skipping: [20..<25, 3..<6, 25..<26])
        let kept = (0..<60).filter { !(3..<6).contains($0) && !(20..<26).contains($0) }
        for (step, batch) in kept.enumerated() {
            #expect(try skipping.batch(atStep: step) == plain.batch(atStep: batch), "step \(step)")
        }
        let fromStart = try batches([dataset], skipping: [0..<2])
        #expect(try fromStart.batch(atStep: 0) == plain.batch(atStep: 2))
        // Skipping later batches changes nothing before them.
        let later = try batches([dataset], skipping: [50..<60])
        for step in 0..<50 { #expect(later.firstSample(ofStep: step) == plain.firstSample(ofStep: step)) }
        #expect(throws: LoaderError.self) { try batches([dataset], skipping: [3..<6, 5..<8]) }
        #expect(throws: LoaderError.self) { try batches([dataset], skipping: [-3..<6]) }
    }

    @Test func mixturesKeepTheirWeights() throws {
        let a = try dataset(tokens: 4000, name: "a.tokens")
        let b = try dataset(tokens: 1700, name: "b.tokens")
        let c = try dataset(tokens: 900, name: "c.tokens")
        let mixed = try LanguageModelBatches(
            sources: [WeightedTokens(a, weight: 5), WeightedTokens(b, weight: 3), WeightedTokens(c, weight: 2)],
            sequenceLength: 16, batchSize: 16, seed: 3)
        var counts = [0, 0, 0]
        var visited: [[[Int]]] = Array(repeating: [], count: 3)
        let blocks = 2 * 65_536
        for index in 0..<blocks {
            let sample = mixed.sample(index)
            counts[sample.source] += 1
            while visited[sample.source].count <= sample.epoch { visited[sample.source].append([]) }
            visited[sample.source][sample.epoch].append(sample.window)
        }
        for (count, share) in zip(counts, [0.5, 0.3, 0.2]) {
            #expect(abs(Double(count) / Double(blocks) - share) < 1e-4)
        }
        for (source, epochs) in visited.enumerated() {
            for epoch in epochs.dropLast() { #expect(epoch.sorted() == Array(0..<mixed.windowsPerEpoch[source])) }
        }
        let early = (0..<2000).map { mixed.sample($0).source }
        for (source, share) in [0.5, 0.3, 0.2].enumerated() {
            #expect(abs(Double(early.count { $0 == source }) / 2000 - share) < 0.05)
        }
        #expect(try mixed.batch(atStep: 4).rows == 16)
        for weight in [0, -1, Double.nan, Double.infinity, 1e-9] {
            #expect(throws: LoaderError.self) {
                try LanguageModelBatches(
                    sources: [WeightedTokens(a), WeightedTokens(b, weight: weight)], sequenceLength: 16, batchSize: 8,
                    seed: 3)
            }
        }
    }

    @Test func impossibleLoadersAreRefused() throws {
        let dataset = try dataset(tokens: 17)
        #expect(try batches([dataset], batchSize: 2).batch(atStep: 5).rows == 2)
        let short = try self.dataset(tokens: 16, name: "b.tokens")
        #expect(throws: LoaderError.tooShort(path: short.path, tokenCount: 16, needed: 17)) { try batches([short]) }
        #expect(throws: LoaderError.self) { try batches([]) }
        #expect(throws: LoaderError.self) { try batches([dataset], batchSize: 6, rank: 0, of: 4) }
        #expect(throws: LoaderError.self) { try batches([dataset], rank: 2, of: 2) }
        #expect(throws: LoaderError.self) { try batches([dataset], rank: -1, of: 2) }
        let writer = try TokenFileWriter(
            path: folder.file("c.tokens"), tokenizer: try SentencePieceTokenizer(path: fixture("bpe.model")))
        try writer.append(document: [Int32](repeating: 5, count: 100), textByteCount: 100)
        try writer.finish()
        #expect(throws: TokenFileError.self) {
            try batches([dataset, try TokenDataset(path: folder.file("c.tokens"))])
        }
    }

    @Test(arguments: [1, 5, 16, 17, 33, 100, 161], [1, 3, 16])
    func evaluationPredictsEveryTokenOnce(tokens: Int, stride: Int) throws {
        let dataset = try dataset(tokens: tokens)
        let batches = try EvaluationBatches(dataset, sequenceLength: 16, batchSize: 3, stride: stride)
        let all = try dataset.tokens(in: 0..<tokens)
        var predicted: [Int32] = []
        for index in 0..<batches.count {
            let batch = try batches[index]
            #expect(batch.tokens.rows <= 3 && batch.tokens.columns == min(16, tokens))
            for row in 0..<batch.tokens.rows {
                let start = row * batch.tokens.columns
                predicted +=
                    batch.tokens.targets[(start + batch.counted.lowerBound)..<(start + batch.counted.upperBound)]
                #expect(
                    Array(batch.tokens.inputs[(start + 1)..<(start + batch.tokens.columns)])
                        == Array(batch.tokens.targets[start..<(start + batch.tokens.columns - 1)]))
            }
        }
        #expect(predicted == all)
        #expect(try batches[0].tokens.inputs[0] == dataset.eodID)
        for (length, size, stride) in [(16, 3, 17), (16, .max, 16), (.max, 3, 16), (0, 3, 1), (16, 0, 16)] {
            #expect(throws: LoaderError.self) {
                try EvaluationBatches(dataset, sequenceLength: length, batchSize: size, stride: stride)
            }
        }
    }

    @Test func skippedBatchesAreBounded() throws {
        let dataset = try dataset(tokens: 100)
        func first(skipping range: Range<Int>) throws -> Int {
            try LanguageModelBatches(
                sources: [WeightedTokens(dataset)], sequenceLength: 16, batchSize: 1_048_576, seed: 0,
                skippedBatches: [range]
            ).firstSample(ofStep: 1)
        }
        #expect(try first(skipping: 1..<1_000_000_000_001) == 1_000_000_000_001 << 20)
        #expect(throws: LoaderError.self) { try first(skipping: 1..<Int.max) }
    }
}
