import MartletData
import Testing

@Suite struct TokenizerTests {
    @Test func bytesRoundTrip() throws {
        let tokenizer = ByteTokenizer()
        for text in difficultTexts {
            let ids = try tokenizer.encode(text)
            #expect(ids == utf8(text).map { Int32($0) })
            #expect(try tokenizer.decodeBytes(ids) == utf8(text))
        }
        let all = (0..<256).map { UInt8($0) }
        #expect(try tokenizer.decodeBytes(tokenizer.encode(bytes: all)) == all)
        #expect(try tokenizer.decodeBytes([72, 105, tokenizer.eodID]) == utf8("Hi"))
        #expect(throws: TokenizerError.idOutOfRange(id: 257, vocabularySize: 257)) { try tokenizer.decode([257]) }
        #expect(tokenizer.piece(10) == "<0x0A>" && tokenizer.piece(256) == "[eod]" && tokenizer.piece(257) == nil)
        for id in Int32(0)..<257 { #expect(tokenizer.id(ofPiece: tokenizer.piece(id)!) == id) }
        #expect(tokenizer.id(ofPiece: "<0x0a>") == nil && tokenizer.id(ofPiece: "<0x+1>") == nil)
    }

    @Test func fingerprintsTellTokenizersApart() throws {
        let unigram = try loadTokenizer(fixture("unigram.model"))
        let bpe = try loadTokenizer(fixture("bpe.model"))
        let bytes = try loadTokenizer("bytes")
        #expect(bytes is ByteTokenizer)
        #expect(Set([unigram, bpe, bytes].map(\.fingerprint)).count == 3)
        #expect(try unigram.fingerprint == loadTokenizer(fixture("unigram.model")).fingerprint)
        #expect(bytes.fingerprint.description.count == 64 && bytes.fingerprint.short.count == 12)
    }

    @Test func streamDecodingGivesWholeScalarsOnly() throws {
        for tokenizer in [
            ByteTokenizer(), try SentencePieceTokenizer(path: fixture("bpe.model")),
            try SentencePieceTokenizer(path: fixture("prefix.model")),
        ] as [any Tokenizer] {
            for text in difficultTexts {
                let ids = try tokenizer.encode(text)
                var decoder = StreamDecoder(tokenizer)
                var streamed: [UInt8] = []
                for id in ids {
                    let part = try decoder.feed(id)
                    // A replacement character comes out only where it went in.
                    if !text.unicodeScalars.contains("\u{FFFD}") {
                        #expect(!part.unicodeScalars.contains("\u{FFFD}"))
                    }
                    #expect(decoder.pendingByteCount <= 3)
                    streamed += utf8(part)
                }
                #expect(decoder.flush() == "")
                #expect(streamed == utf8(try tokenizer.decode(ids)))
            }
        }
    }

    @Test func streamDecodingOfInvalidBytesEqualsDecodingThemAtOnce() throws {
        let tokenizer = ByteTokenizer()
        var generator = TestGenerator(9)
        let interesting: [UInt8] = [
            0x41, 0x80, 0xBF, 0xC0, 0xC3, 0xE0, 0xA0, 0x9F, 0xED, 0xE2, 0x82, 0xF0, 0x90, 0xF4, 0x8F, 0xFF,
        ]
        for _ in 0..<3000 {
            let bytes = (0..<Int.random(in: 0...8, using: &generator)).map { _ in
                interesting.randomElement(using: &generator)!
            }
            var decoder = StreamDecoder(tokenizer)
            var text = ""
            for byte in bytes { text += try decoder.feed(Int32(byte)) }
            text += decoder.flush()
            #expect(utf8(text) == utf8(String(decoding: bytes, as: UTF8.self)), "\(bytes)")
        }
        var decoder = StreamDecoder(tokenizer)
        #expect(try decoder.feed(0xE2) == "")
        #expect(try decoder.feed(0x82) == "")
        #expect(try decoder.feed(0xAC) == "€")
        #expect(try decoder.feed(0xF0) == "")
        #expect(throws: TokenizerError.self) { try decoder.feed(999) }
        #expect(decoder.flush() == "\u{FFFD}")
        #expect(decoder.pendingByteCount == 0)
    }

    @Test func validationFindsTheFirstInvalidByte() {
        func offset(_ bytes: [UInt8]) -> Int? { bytes.withUnsafeBytes { firstInvalidUTF8Offset(in: $0) } }
        for text in difficultTexts { #expect(offset(utf8(text)) == nil) }
        let ascii = utf8("0123456789abcdef")
        for bad: [UInt8] in [
            [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xE0, 0x80, 0x80], [0xE2, 0x82], [0xED, 0xA0, 0x80],
            [0xF0, 0x80, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xE2, 0x28, 0xA1],
        ] {
            for prefix in 0...16 { #expect(offset(Array(ascii[0..<prefix]) + bad) == prefix) }
            #expect(offset(ascii + bad + ascii) == 16)
        }
        var generator = TestGenerator(4)
        for _ in 0..<5000 {
            let bytes =
                (0..<Int.random(in: 1...12, using: &generator)).map { _ in
                    [0x41, 0x80, 0xA0, 0x90, 0xBF, 0xC2, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF8].randomElement(
                        using: &generator)!
                } as [UInt8]
            #expect((offset(bytes) == nil) == (String(validating: bytes, as: UTF8.self) != nil), "\(bytes)")
        }
    }

    @Test func checksumsEqualPublishedValues() {
        func sha(_ text: String) -> String { utf8(text).withUnsafeBytes { hexadecimal(SHA256.hash($0)) } }
        #expect(sha("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(sha("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        func xx(_ text: String) -> UInt64 { utf8(text).withUnsafeBytes { XXHash64.hash($0) } }
        #expect(xx("") == 0xEF46_DB37_51D8_E999)
        #expect(xx("a") == 0xD24E_C4F1_A98C_6E5B)
        #expect(xx("abc") == 0x44BC_2CF5_AD77_0999)
        #expect(xx("Nobody inspects the spammish repetition") == 0xFBCE_A83C_8A37_8BF1)

        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        let whole = bytes.withUnsafeBytes { XXHash64.hash($0) }
        var generator = TestGenerator(8)
        for _ in 0..<50 {
            var hash = XXHash64()
            var position = 0
            while position < bytes.count {
                let next = min(bytes.count, position + Int.random(in: 0...70, using: &generator))
                bytes[position..<next].withUnsafeBytes { hash.update($0) }
                position = next
            }
            #expect(hash.finalize() == whole)
        }
    }
}
