import Foundation
import Martlet
import MartletData
import MartletModels
import MartletNN
import Testing

/// A model that writes given texts whatever it reads: row r's n-th token is `script[r][n]`, or its scores are `scores`.
private final class ScriptedModel: Module, LanguageModel {
    let script: [[Int32]]
    let scores: [Float]?
    private var calls = 0

    init(script: [[Int32]] = [], scores: [Float]? = nil) {
        self.script = script
        self.scores = scores
    }

    convenience init(writing texts: String...) { self.init(script: texts.map { $0.utf8.map(Int32.init) }) }

    var vocabularySize: Int { scores?.count ?? 257 }

    func hiddenStates(_ tokens: Tensor, cache: KeyValueCache?) -> Tensor {
        defer { calls += 1 }
        let (rows, time) = (tokens.size(0), tokens.size(1))
        let pairs = (0..<rows).flatMap { row in (0..<time).flatMap { _ in [Float(row), Float(calls)] } }
        return Tensor(pairs, shape: [rows, time, 2])
    }

    func logits(ofHidden hidden: Tensor) -> Tensor {
        let pairs = hidden.contiguous().toArray(Float.self)
        var all: [Float] = []
        for i in stride(from: 0, to: pairs.count, by: 2) {
            if let scores {
                all += scores
            } else {
                var row = [Float](repeating: 0, count: vocabularySize)
                let line = script[Int(pairs[i])]
                let place = Int(pairs[i + 1])
                row[Int(place < line.count ? line[place] : 256)] = 50
                all += row
            }
        }
        return Tensor(all, shape: [pairs.count / 2, vocabularySize])
    }

    func loss(
        _ tokens: Tensor, targets: Tensor, zLoss: Double, labelSmoothing: Double, divisor: Double?
    ) -> (loss: Tensor, crossEntropy: Tensor) {
        fatalError("not trained here")
    }

    func makeCache(starts: [Int], capacity: Int) -> KeyValueCache {
        KeyValueCache(starts: starts, capacity: capacity, layers: 1, heads: 1, headDim: 2, dtype: .float32)
    }

    func trainingFLOPsPerToken(sequenceLength: Int) -> Double { 0 }

    func evaluationBytes(rows: Int, time: Int) -> Double { 0 }
}

@Suite struct GenerationTests {
    private func scripted(
        _ text: String, stop: [String] = [], maxTokens: Int = 100, stopsAtDocumentEnd: Bool = true
    ) throws -> (result: TextGenerator.Continuation, pieces: [String]) {
        let generator = TextGenerator(model: ScriptedModel(writing: text), tokenizer: ByteTokenizer())
        var pieces: [String] = []
        let result = try generator.generate(
            .init(
                prompts: ["p"], maxTokens: maxTokens, sampling: .greedy, stop: stop,
                stopsAtDocumentEnd: stopsAtDocumentEnd)
        ) { _, piece in pieces.append(piece) }
        #expect(pieces.joined() == result[0].text)
        return (result[0], pieces)
    }

    @Test func stopStringsAreLeftOut() throws {
        let (result, pieces) = try scripted("one two\n\nthree", stop: ["\n\n"])
        #expect(result.text == "one two" && result.finish == .stop)
        // The first line end might have been the beginning of the stop string.
        #expect(!pieces.contains { $0.contains("\n") })
    }

    @Test func whatOnlyBeganAStopStringIsGivenOut() throws {
        let (result, pieces) = try scripted("ab\nc abc abd", stop: ["\n\n", "abcd"])
        #expect(result.text == "ab\nc abc abd" && result.finish == .documentEnd)
        // A text is held back exactly as long as it may become a stop string.
        #expect(pieces == ["ab", "\nc", " ", "abc ", "abd"])
    }

    @Test func theEarliestStopStringCounts() throws {
        #expect(try scripted("xx end yy stop", stop: ["stop", "end"]).result.text == "xx ")
        #expect(try scripted("aab", stop: ["ab"]).result.text == "a")
        #expect(try scripted("aaab", stop: ["aab", "zz"]).result.text == "a")
        #expect(try scripted("stop", stop: ["stop"]).result.text == "")
        #expect(try scripted("text", stop: [""]).result.text == "text")
    }

    @Test func charactersAreNeverHalved() throws {
        let text = "né 語 🙂👩‍👩‍👧 ok"
        let (result, pieces) = try scripted(text)
        #expect(result.text == text)
        #expect(!pieces.contains { $0.unicodeScalars.contains("\u{FFFD}") })
        #expect(result.tokens == text.utf8.map(Int32.init))
        // A stop string of several bytes.
        #expect(try scripted("a語b", stop: ["語"]).result.text == "a")
        // Cut within a character: what is there of it shows as a replacement character at the end, not before.
        let cut = try scripted("a語", maxTokens: 2)
        #expect(cut.result.text == "a\u{FFFD}" && cut.result.finish == .length)
        #expect(cut.pieces == ["a", "\u{FFFD}"])
    }

    @Test func theDocumentsEndEndsOrDoesNot() throws {
        let ends = try scripted("abc")
        #expect(ends.result.finish == .documentEnd && ends.result.tokens.count == 3)
        let goesOn = try scripted("abc", maxTokens: 5, stopsAtDocumentEnd: false)
        #expect(goesOn.result.finish == .length && goesOn.result.tokens.count == 5)
    }

    @Test func rowsEndByThemselves() throws {
        let model = ScriptedModel(writing: "short", "a longer text", "stop here")
        let generator = TextGenerator(model: model, tokenizer: ByteTokenizer())
        var pieces = ["", "", ""]
        let results = try generator.generate(
            .init(prompts: ["1", "22", "333"], maxTokens: 9, sampling: .greedy, stop: ["p h"])
        ) { pieces[$0] += $1 }
        #expect(results.map(\.text) == ["short", "a longer ", "sto"])
        #expect(results.map(\.finish) == [.documentEnd, .length, .stop])
        #expect(results.map(\.promptTokens) == [1, 2, 3])
        #expect(pieces == results.map(\.text))
        #expect(generator.timing.promptTokens == 6)
    }

    // MARK: A real model

    private let prompts = ["a", "some longer prompt", "mid size", ""]

    @Test func aBatchEqualsEachAlone() throws {
        let generator = TextGenerator(model: tinyModel(), tokenizer: ByteTokenizer())
        let together = try generator.generate(
            .init(prompts: prompts, maxTokens: 24, sampling: .greedy, stopsAtDocumentEnd: false))
        for (prompt, row) in zip(prompts, together) {
            let alone = try generator.generate(
                .init(prompts: [prompt], maxTokens: 24, sampling: .greedy, stopsAtDocumentEnd: false))
            #expect(alone[0].tokens == row.tokens, "\(prompt)")
            #expect(row.tokens.count == 24)
        }
        #expect(Set(together.map(\.tokens)).count > 1)
    }

    @Test func seedsDecide() throws {
        let generator = TextGenerator(model: tinyModel(), tokenizer: ByteTokenizer())
        func tokens(seed: UInt64, samples: Int = 3) throws -> [[Int32]] {
            try generator.generate(
                .init(
                    prompts: ["abc"], samples: samples, maxTokens: 16, sampling: SamplingOptions(seed: seed),
                    stopsAtDocumentEnd: false)
            ).map(\.tokens)
        }
        let first = try tokens(seed: 1)
        #expect(try tokens(seed: 1) == first)
        #expect(try tokens(seed: 2) != first)
        #expect(Set(first).count == 3)
        // A sample does not depend on how many others there are.
        #expect(try tokens(seed: 1, samples: 1)[0] == first[0])
        #expect(try tokens(seed: 1, samples: 2)[1] == first[1])
    }

    @Test func greedyIsTemperatureZero() throws {
        let generator = TextGenerator(model: tinyModel(), tokenizer: ByteTokenizer())
        func tokens(_ sampling: SamplingOptions) throws -> [Int32] {
            try generator.generate(
                .init(prompts: ["abc"], maxTokens: 16, sampling: sampling, stopsAtDocumentEnd: false))[0].tokens
        }
        let greedy = try tokens(.greedy)
        #expect(try tokens(SamplingOptions(topK: 1, seed: 5)) == greedy)
        #expect(try tokens(SamplingOptions(topP: 1e-9, seed: 5)) == greedy)
        #expect(try tokens(SamplingOptions(minP: 1, seed: 5)) == greedy)
        #expect(try tokens(SamplingOptions(temperature: 1e-6, seed: 5)) == greedy)
    }

    @Test func bfloat16AndFloat64ModelsGenerate() throws {
        for dtype in [DType.bfloat16, .float64] {
            let model = tinyModel()
            model.to(dtype)
            let generator = TextGenerator(model: model, tokenizer: ByteTokenizer())
            let results = try generator.generate(
                .init(prompts: prompts, maxTokens: 5, sampling: .greedy, stopsAtDocumentEnd: false))
            #expect(results.allSatisfy { $0.tokens.count == 5 })
        }
    }

    @Test func impossibleRequestsAreRefused() {
        let generator = TextGenerator(model: tinyModel(), tokenizer: ByteTokenizer())
        func problem(_ change: (inout TextGenerator.Request) -> Void) -> String {
            var request = TextGenerator.Request(prompts: ["a"], maxTokens: 2)
            change(&request)
            return message { _ = try generator.generate(request) }
        }
        #expect(problem { _ in } == "no error")
        #expect(problem { $0.prompts = [] } == "at least one prompt is needed")
        #expect(problem { $0.maxTokens = 0 }.contains("must be at least 1, it is 0"))
        #expect(problem { $0.samples = -1 }.contains("samples must be at least 1, it is -1"))
        #expect(problem { $0.sampling.temperature = -1 }.contains("temperature"))
        #expect(problem { $0.sampling.temperature = .nan }.contains("temperature"))
        #expect(problem { $0.sampling.topK = 0 }.contains("top-k must be at least 1, it is 0"))
        #expect(problem { $0.sampling.topP = 0 }.contains("top-p"))
        #expect(problem { $0.sampling.topP = 1.5 }.contains("top-p"))
        #expect(problem { $0.sampling.minP = -0.1 }.contains("min-p"))
        #expect(problem { $0.sampling.repetitionPenalty = 0 }.contains("repetition penalty"))
        let small = TextGenerator(model: tinyModel(vocabulary: 100), tokenizer: ByteTokenizer())
        #expect(
            message { _ = try small.generate(.init(prompts: ["a"])) }
                == "the tokenizer has 257 ids, the model 100: they do not belong together")
    }

    /// Rows by which an embedding was rounded up are never drawn.
    @Test func idsPastTheTokenizersAreNotDrawn() throws {
        var scores = [Float](repeating: 0, count: 300)
        for i in 257..<300 { scores[i] = 100 }
        let generator = TextGenerator(model: ScriptedModel(scores: scores), tokenizer: ByteTokenizer())
        for sampling in [SamplingOptions.greedy, SamplingOptions(seed: 3)] {
            let result = try generator.generate(
                .init(prompts: ["a"], maxTokens: 50, sampling: sampling, stopsAtDocumentEnd: false))
            #expect(result[0].tokens.allSatisfy { $0 < 257 })
        }
    }
}

/// Draws from a known distribution.
@Suite struct SamplingTests {
    /// Probabilities of the first five ids; the others have none.
    static let probabilities: [Double] = [0.05, 0.4, 0.25, 0.1, 0.2]

    private func counts(_ sampling: SamplingOptions, draws: Int = 20_000) throws -> [Double] {
        var scores = [Float](repeating: -1e4, count: 257)
        for (i, p) in Self.probabilities.enumerated() { scores[i] = Float(log(p)) }
        let generator = TextGenerator(model: ScriptedModel(scores: scores), tokenizer: ByteTokenizer())
        // Samples of several tokens each: draws of a row and of rows must both be independent.
        let results = try generator.generate(
            .init(prompts: ["~"], samples: 50, maxTokens: draws / 50, sampling: sampling, stopsAtDocumentEnd: false))
        var counts = [Double](repeating: 0, count: 5)
        for token in results.flatMap(\.tokens) { counts[Int(token)] += 1 / Double(draws) }
        return counts
    }

    /// Within five standard deviations.
    private func expect(
        _ sampling: SamplingOptions, gives expected: [Double], _ location: SourceLocation = #_sourceLocation
    )
        throws
    {
        let found = try counts(sampling)
        for (f, e) in zip(found, expected) {
            #expect(
                abs(f - e) <= 5 * (e * (1 - e) / 20_000).squareRoot() + 1e-9, "\(found), expected \(expected)",
                sourceLocation: location)
        }
    }

    @Test func plain() throws { try expect(SamplingOptions(seed: 1), gives: Self.probabilities) }

    @Test func temperature() throws {
        let squared = Self.probabilities.map { $0 * $0 }
        let sum = squared.reduce(0, +)
        try expect(SamplingOptions(temperature: 0.5, seed: 2), gives: squared.map { $0 / sum })
    }

    @Test func topK() throws {
        try expect(SamplingOptions(topK: 2, seed: 3), gives: [0, 0.4 / 0.65, 0.25 / 0.65, 0, 0])
        try expect(SamplingOptions(topK: 1000, seed: 3), gives: Self.probabilities)
    }

    @Test func topP() throws {
        // 0.4 + 0.25 falls short of 0.7, so 0.2 comes in.
        try expect(SamplingOptions(topP: 0.7, seed: 4), gives: [0, 0.4 / 0.85, 0.25 / 0.85, 0, 0.2 / 0.85])
        try expect(SamplingOptions(topP: 0.3, seed: 4), gives: [0, 1, 0, 0, 0])
        try expect(SamplingOptions(topP: 1, seed: 4), gives: Self.probabilities)
    }

    @Test func minP() throws {
        // At least 0.45 * 0.4.
        try expect(SamplingOptions(minP: 0.45, seed: 5), gives: [0, 0.4 / 0.85, 0.25 / 0.85, 0, 0.2 / 0.85])
        try expect(SamplingOptions(minP: 0, seed: 5), gives: Self.probabilities)
    }

    @Test func combined() throws {
        try expect(SamplingOptions(topK: 3, topP: 0.7, seed: 6), gives: [0, 0.4 / 0.65, 0.25 / 0.65, 0, 0])
    }

    @Test func repetitionPenalty() throws {
        // Id 1 occurs in the prompt: its positive score is divided.
        let scores: [Float] = [1, 3, 2] + [Float](repeating: -10, count: 254)
        let generator = TextGenerator(model: ScriptedModel(scores: scores), tokenizer: ByteTokenizer())
        func first(_ penalty: Double) throws -> [Int32] {
            try generator.generate(
                .init(
                    prompts: ["\u{01}"], maxTokens: 3,
                    sampling: SamplingOptions(temperature: 0, repetitionPenalty: penalty)))[0].tokens
        }
        #expect(try first(1) == [1, 1, 1])
        // 3 / 4 < 1 and 2; then 2 / 4 < 0.75 and 1; then 1 / 4 < 0.75.
        #expect(try first(4) == [2, 0, 1])
    }
}
