import Foundation
import MartletData
import Testing

private struct FixtureCases: Decodable {
    struct Case: Decodable {
        var text: String
        var unigram: [Int32]
        var bpe: [Int32]
        var prefix: [Int32]
        var prefixDecoded: String
    }
    var cases: [Case]
}

private func loadCases() throws -> [FixtureCases.Case] {
    try JSONDecoder().decode(
        FixtureCases.self, from: Data(contentsOf: URL(fileURLWithPath: fixture("cases.json")))
    ).cases
}

/// Text for training: sentences drawn from some hundred words.
func trainingTexts(count: Int, seed: UInt64 = 1) -> [String] {
    let syllables = ["ka", "lo", "mi", "ter", "an", "ge", "sch", "über", "é", "té", "ма", "як", "灯", "台", "ing", "ed"]
    var generator = TestGenerator(99)
    let words =
        ["the", "says", "1897", "12", "3.5"]
        + (0..<300).map { _ in
            (0..<Int.random(in: 1...4, using: &generator)).map { _ in syllables.randomElement(using: &generator)! }
                .joined()
        }
    generator = TestGenerator(seed)
    return (0..<count).map { _ in
        (0..<Int.random(in: 1...4, using: &generator)).map { _ in
            (0..<Int.random(in: 1...12, using: &generator)).map { _ in words.randomElement(using: &generator)! }
                .joined(separator: " ")
        }.joined(separator: ".\n") + ".\n"
    }
}

@Suite struct SentencePieceTests {
    @Test(arguments: ["unigram", "bpe"])
    func idsEqualThePythonPackage(model: String) throws {
        let tokenizer = try SentencePieceTokenizer(path: fixture("\(model).model"))
        #expect(tokenizer.isLossless)
        #expect(tokenizer.eodID == 1)
        #expect(tokenizer.piece(tokenizer.eodID) == "[eod]")
        let cases = try loadCases()
        #expect(cases.count > 100)
        for item in cases {
            let ids = try tokenizer.encode(item.text)
            #expect(ids == (model == "bpe" ? item.bpe : item.unigram), "\(item.text.debugDescription)")
            #expect(try tokenizer.decodeBytes(ids) == utf8(item.text))
            #expect(utf8(try tokenizer.libraryDecode(ids)) == utf8(item.text))
        }
    }

    @Test func idsAndTextOfAModelWithDummyPrefixEqualThePythonPackage() throws {
        let tokenizer = try SentencePieceTokenizer(path: fixture("prefix.model"))
        #expect(!tokenizer.isLossless)
        for item in try loadCases() {
            let ids = try tokenizer.encode(item.text)
            #expect(ids == item.prefix, "\(item.text.debugDescription)")
            #expect(utf8(try tokenizer.decode(ids)) == utf8(item.prefixDecoded), "\(item.text.debugDescription)")
        }
    }

    @Test(arguments: SentencePieceTrainingOptions.Model.allCases, SentencePieceTrainingOptions.Newlines.allCases)
    func trainingGivesALosslessModel(
        model: SentencePieceTrainingOptions.Model, newlines: SentencePieceTrainingOptions.Newlines
    ) throws {
        var options = SentencePieceTrainingOptions(vocabularySize: 400)
        options.model = model
        options.newlines = newlines
        options.userDefinedSymbols = ["<|user|>", "a,\"b\""]
        options.controlSymbols = ["[mask]"]
        let texts = trainingTexts(count: 400)
        let tokenizer = try SentencePieceTokenizer.train(texts: texts, options: options)
        #expect(tokenizer.vocabularySize == 400)
        #expect(tokenizer.isLossless)
        #expect(tokenizer.eodID == 1)
        #expect(tokenizer.endID == 1)
        #expect(tokenizer.beginID == nil && tokenizer.paddingID == nil)
        #expect(tokenizer.kind(of: 0) == .unknown && tokenizer.kind(of: 1) == .control)
        #expect(tokenizer.kind(of: 400) == nil && tokenizer.piece(400) == nil && tokenizer.piece(-1) == nil)
        #expect(tokenizer.id(ofPiece: "[mask]").map { tokenizer.kind(of: $0) } == .control)
        #expect(tokenizer.id(ofPiece: "<0x0A>").map { tokenizer.kind(of: $0) } == .byte)
        #expect(tokenizer.id(ofPiece: "no such piece") == nil)
        for text in difficultTexts + texts.prefix(20) {
            let ids = try tokenizer.encode(text)
            #expect(try tokenizer.decodeBytes(ids) == utf8(text))
            #expect(!ids.contains(tokenizer.eodID) && !ids.contains(tokenizer.unknownID))
        }
        #expect(try tokenizer.encode("<|user|>").count == 1)
        #expect(try tokenizer.encode("a,\"b\"").count == 1)
        #expect(try tokenizer.encode("1897").map { try tokenizer.decode([$0]) } == ["1", "8", "9", "7"])
        if newlines == .symbol {
            #expect(try tokenizer.encodePieces("\n\n") == ["\n", "\n"])
        } else {
            #expect(try tokenizer.encodePieces("ka.\n").last == ".\n")
        }
        // The text of control symbols is text.
        #expect(try tokenizer.encode("[mask]").count > 1)
    }

    @Test func trainingIsDeterministicAndSaves() throws {
        let folder = TemporaryFolder()
        let texts = trainingTexts(count: 300)
        var options = SentencePieceTrainingOptions(vocabularySize: 380)
        options.maximumTrainingBytes = 8000
        let first = try SentencePieceTokenizer.train(texts: texts, options: options)
        let second = try SentencePieceTokenizer.train(texts: texts, options: options)
        #expect(first.modelBytes == second.modelBytes)
        #expect(first.fingerprint == second.fingerprint)
        options.seed = 1
        let third = try SentencePieceTokenizer.train(texts: texts, options: options)
        #expect(first.fingerprint != third.fingerprint)

        try first.save(to: folder.file("a.model"))
        #expect(folder.names == ["a.model"])
        let loaded = try SentencePieceTokenizer(path: folder.file("a.model"))
        #expect(loaded.modelBytes == first.modelBytes)
        #expect(try loaded.encode(texts[0]) == first.encode(texts[0]))
        #expect(throws: FileSystemError.self) { try first.save(to: folder.file("a.model"), overwrite: false) }
    }

    @Test func trainingFromACorpusEqualsTrainingFromItsTexts() throws {
        let folder = TemporaryFolder()
        let texts = trainingTexts(count: 50)
        let paths = texts.enumerated().map { folder.write(String(format: "%03d.txt", $0), $1) }
        let options = SentencePieceTrainingOptions(vocabularySize: 340)
        let corpus = try TextCorpus(paths: paths)
        #expect(
            try SentencePieceTokenizer.train(corpus: corpus, options: options).fingerprint
                == SentencePieceTokenizer.train(texts: texts, options: options).fingerprint)
    }

    @Test func trainingRefusesWhatCannotWork() throws {
        let options = SentencePieceTrainingOptions(vocabularySize: 400)
        for texts in [[], [""], ["", ""]] {
            #expect(throws: TokenizerError.training(reason: "the text is empty")) {
                try SentencePieceTokenizer.train(texts: texts, options: options)
            }
        }
        #expect(throws: TokenizerError.self) {
            try SentencePieceTokenizer.train(texts: ["too little text"], options: .init(vocabularySize: 8000))
        }
        do {
            _ = try SentencePieceTokenizer.train(
                texts: trainingTexts(count: 50), options: .init(vocabularySize: 20_000))
            Issue.record("20000 pieces of 25 words")
        } catch {
            #expect("\(error)".contains("Vocabulary size") && "\(error)".contains("20000"), "\(error)")
        }
        #expect(
            throws: TokenizerError.training(
                reason: "a vocabulary of 264 is too small for the characters of the text: it must be at least 269, or "
                    + "characterCoverage lower")
        ) {
            try SentencePieceTokenizer.train(
                texts: [String(repeating: "1234567890\n", count: 50)], options: .init(vocabularySize: 264))
        }
        #expect(throws: TokenizerError.self) {
            try SentencePieceTokenizer.train(texts: ["\u{2585} only\n"], options: options)
        }
        func refused(_ change: (inout SentencePieceTrainingOptions) -> Void) {
            var changed = options
            change(&changed)
            #expect(throws: TokenizerError.self) {
                try SentencePieceTokenizer.train(texts: trainingTexts(count: 50), options: changed)
            }
        }
        refused { $0.vocabularySize = 100 }
        refused { $0.vocabularySize = -1 }
        refused { $0.characterCoverage = 0 }
        refused { $0.characterCoverage = 1.5 }
        refused { $0.maximumPieceLength = 0 }
        refused { $0.maximumTrainingBytes = 0 }
        refused { $0.userDefinedSymbols = [""] }
        refused { $0.userDefinedSymbols = ["x", "x"] }
        refused { $0.controlSymbols = ["[eod]"] }
    }

    @Test func longTextsAreEncodedAlikeInSegments() throws {
        for name in ["bpe", "unigram"] {
            let tokenizer = try SentencePieceTokenizer(path: fixture("\(name).model"))
            let text = utf8((trainingTexts(count: 3000, seed: 5) + difficultTexts).joined(separator: " \n"))
            #expect(text.count > 200_000)
            let whole = try tokenizer.encode(bytes: text)
            #expect(try tokenizer.encode(bytes: text, threads: 3) == whole)
            #expect(try tokenizer.decodeBytes(whole) == text)
            let segments = text.withUnsafeBytes { tokenizer.segments(of: $0, length: 1000) }
            #expect(segments.count > 100)
            #expect(segments.first?.lowerBound == 0 && segments.last?.upperBound == text.count)
            for (a, b) in zip(segments, segments.dropFirst()) { #expect(a.upperBound == b.lowerBound) }
            let parts = try segments.flatMap { try tokenizer.encode(bytes: Array(text[$0])) }
            #expect(parts == whole)
            let lines = try text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
                .map { try tokenizer.encode(bytes: Array($0)) }
            let newline = try tokenizer.encode("\n")
            #expect(Array(lines.joined(separator: newline)) == whole)
        }
    }

    @Test func segmentsNeverCutWhatAPieceSpans() throws {
        let tokenizer = try SentencePieceTokenizer(path: fixture("bpe.model"))
        let text = [UInt8](repeating: UInt8(ascii: "\n"), count: 300)
        #expect(text.withUnsafeBytes { tokenizer.segments(of: $0, length: 100) } == [0..<100, 100..<200, 200..<300])
        let spaces = [UInt8](repeating: UInt8(ascii: " "), count: 300)
        let ids = try tokenizer.encode(bytes: spaces)
        let parts = try spaces.withUnsafeBytes { tokenizer.segments(of: $0, length: 100) }
            .flatMap { try tokenizer.encode(bytes: Array(spaces[$0])) }
        #expect(parts == ids)
        let emoji = utf8(String(repeating: "😀", count: 100))
        for segment in emoji.withUnsafeBytes({ tokenizer.segments(of: $0, length: 10) }) {
            #expect(segment.lowerBound % 4 == 0 && segment.upperBound % 4 == 0)
        }
    }

    @Test func encodingRefusesInvalidUTF8() throws {
        let tokenizer = try SentencePieceTokenizer(path: fixture("unigram.model"))
        let error = #expect(throws: InvalidUTF8Error.self) {
            try tokenizer.encode(bytes: utf8("ab\n") + [0xC3, 0x28])
        }
        #expect(error?.offset == 3 && error?.line == 2)
    }

    @Test func idsOutsideTheVocabularyAreRefused() throws {
        let tokenizer = try SentencePieceTokenizer(path: fixture("unigram.model"))
        for id in [Int32(-1), 640, Int32.max, Int32.min] {
            #expect(throws: TokenizerError.idOutOfRange(id: id, vocabularySize: 640)) { try tokenizer.decode([5, id]) }
        }
    }

    @Test func damagedModelsAreRefused() throws {
        let folder = TemporaryFolder()
        let good = [UInt8](try Data(contentsOf: URL(fileURLWithPath: fixture("unigram.model"))))
        for bytes in [[], Array(good[0..<good.count / 2]), utf8("not a model at all"), [0xFF] + good] {
            let path = folder.write("bad.model", bytes: bytes)
            #expect(throws: TokenizerError.self) { try SentencePieceTokenizer(path: path) }
        }
        #expect(throws: FileSystemError.self) { try SentencePieceTokenizer(path: folder.file("missing.model")) }
        #expect(throws: FileSystemError.self) { try SentencePieceTokenizer(path: folder.path) }
        #expect(throws: TokenizerError.self) {
            try SentencePieceTokenizer(path: fixture("unigram.model"), endOfDocument: "<none>")
        }
        // Whatever bits are flipped, loading either throws or gives something that can be used.
        var generator = TestGenerator(3)
        for _ in 0..<300 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] ^=
                    1 << UInt8.random(in: 0..<8, using: &generator)
            }
            if let tokenizer = try? SentencePieceTokenizer(model: bytes) {
                _ = try? tokenizer.decode(tokenizer.encode("The lighthouse\n 12 😀"))
            }
        }
    }

    @Test func optionsAreReadFromJSON() throws {
        let json = #"{"vocabularySize": 1000, "model": "bpe", "newlines": "learned"}"#
        let options = try JSONDecoder().decode(SentencePieceTrainingOptions.self, from: Data(json.utf8))
        var expected = SentencePieceTrainingOptions(vocabularySize: 1000)
        expected.model = .bpe
        expected.newlines = .learned
        #expect(options == expected)
        let again = try JSONDecoder().decode(
            SentencePieceTrainingOptions.self, from: JSONEncoder().encode(options))
        #expect(again == options)
    }
}
