internal import CSentencePiece

/// How a SentencePiece model is trained. The defaults are those of the PaLM paper as far as it tells them: whitespace
/// is preserved exactly, text outside the vocabulary falls back to UTF-8 bytes, numbers are split into single digits.
public struct SentencePieceTrainingOptions: Sendable, Equatable, Codable {
    public enum Model: String, Sendable, Codable, CaseIterable {
        case unigram
        case bpe
    }

    public enum Newlines: String, Sendable, Codable, CaseIterable {
        /// Every newline is one token, "\n". A prompt that ends with a line then has the tokens that it has inside a
        /// text.
        case symbol
        /// Pieces such as ".\n\n" are learnt as any others. Text needs about a tenth fewer tokens.
        case learned
    }

    /// The number of ids, including `<unk>`, `[eod]`, the 256 bytes and the user-defined symbols.
    public var vocabularySize: Int
    public var model: Model = .unigram
    /// The share of the text whose characters get a piece of their own; the rest falls back to bytes. In (0, 1].
    public var characterCoverage = 0.9995
    public var splitDigits = true
    public var byteFallback = true
    public var newlines = Newlines.symbol
    /// Strings that are always one token.
    public var userDefinedSymbols: [String] = []
    /// Ids that no text encodes to, besides `[eod]`.
    public var controlSymbols: [String] = []
    /// The most scalars in a piece.
    public var maximumPieceLength = 16
    /// Train on about this many bytes, chosen evenly, where the text has more. SentencePiece needs some 20 times as
    /// much memory.
    public var maximumTrainingBytes = 200_000_000
    /// Chooses the text where there is more than `maximumTrainingBytes`.
    public var seed: UInt64 = 0
    /// Whether the library may write its progress to stderr.
    public var isVerbose = false

    public init(vocabularySize: Int) {
        self.vocabularySize = vocabularySize
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(vocabularySize: try values.decode(Int.self, forKey: .vocabularySize))
        func read<Value: Decodable>(_ key: CodingKeys, into value: inout Value) throws {
            value = try values.decodeIfPresent(Value.self, forKey: key) ?? value
        }
        try read(.model, into: &model)
        try read(.characterCoverage, into: &characterCoverage)
        try read(.splitDigits, into: &splitDigits)
        try read(.byteFallback, into: &byteFallback)
        try read(.newlines, into: &newlines)
        try read(.userDefinedSymbols, into: &userDefinedSymbols)
        try read(.controlSymbols, into: &controlSymbols)
        try read(.maximumPieceLength, into: &maximumPieceLength)
        try read(.maximumTrainingBytes, into: &maximumTrainingBytes)
        try read(.seed, into: &seed)
        try read(.isVerbose, into: &isVerbose)
    }

    func validate() throws {
        func check(_ condition: Bool, _ name: String, _ reason: String) throws {
            if !condition { throw TokenizerError.invalidOption(name: name, reason: reason) }
        }
        let reserved =
            2 + (byteFallback ? 256 : 0) + (newlines == .symbol ? 1 : 0) + userDefinedSymbols.count
            + controlSymbols.count
        try check(
            vocabularySize > reserved, "vocabularySize",
            "expected more than \(reserved) (the symbols and bytes alone need that many), found \(vocabularySize)")
        try check(
            characterCoverage > 0 && characterCoverage <= 1, "characterCoverage",
            "expected a share above 0 and up to 1, found \(characterCoverage)")
        try check(
            maximumPieceLength >= 1 && maximumPieceLength <= 512, "maximumPieceLength",
            "expected 1 to 512, found \(maximumPieceLength)")
        try check(
            maximumTrainingBytes > 0, "maximumTrainingBytes", "expected at least 1, found \(maximumTrainingBytes)")
        var seen = Set<[UInt8]>(["<unk>", "[eod]"].map { Array($0.utf8) })
        for (name, symbols) in [("userDefinedSymbols", userDefinedSymbols), ("controlSymbols", controlSymbols)] {
            for symbol in symbols {
                try check(!symbol.isEmpty, name, "a symbol is empty")
                try check(!symbol.utf8.contains(0), name, "a symbol has a NUL character")
                try check(seen.insert(Array(symbol.utf8)).inserted, name, "\"\(symbol)\" is there twice")
            }
        }
    }

    /// The options as the `spm_train` program names them.
    fileprivate var libraryOptions: [String: String] {
        var symbols = userDefinedSymbols
        if newlines == .symbol, !symbols.contains("\n") { symbols.insert("\n", at: 0) }
        var options = [
            "model_type": model.rawValue,
            "vocab_size": String(vocabularySize),
            "character_coverage": String(characterCoverage),
            "normalization_rule_name": "identity",
            "add_dummy_prefix": "false",
            "remove_extra_whitespaces": "false",
            "allow_whitespace_only_pieces": "true",
            "split_digits": splitDigits ? "true" : "false",
            "byte_fallback": byteFallback ? "true" : "false",
            "max_sentencepiece_length": String(maximumPieceLength),
            "max_sentence_length": String(2 * sentenceLength),
            "unk_id": "0",
            "eos_id": "1",
            "eos_piece": "[eod]",
            "bos_id": "-1",
            "pad_id": "-1",
            // The order of the sums, and with it the model, depends on the number of threads: a fixed one gives the
            // same model on every machine.
            "num_threads": "8",
        ]
        if !symbols.isEmpty {
            options["user_defined_symbols"] = symbols.map(commaSeparatedField).joined(separator: ",")
        }
        if !controlSymbols.isEmpty {
            options["control_symbols"] = controlSymbols.map(commaSeparatedField).joined(separator: ",")
        }
        return options
    }
}

/// The library reads whole sentences into memory; this many bytes are given as one.
private let sentenceLength = 4096

private func commaSeparatedField(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
        if scalar == "\"" { quoted += "\"" }
        quoted.unicodeScalars.append(scalar)
    }
    return quoted + "\""
}

extension SentencePieceTokenizer {
    /// Trains a model on texts. The same texts and options give the same model.
    ///
    /// - Throws: `TokenizerError.training` where the text is empty or too little for the vocabulary.
    public static func train(
        texts: [String], options: SentencePieceTrainingOptions
    ) throws -> SentencePieceTokenizer {
        try train(
            documentCount: texts.count, totalBytes: texts.reduce(0) { $0 + $1.utf8.count }, options: options
        ) { Array(texts[$0].utf8) }
    }

    /// Trains a model on the documents of a corpus. The same documents and options give the same model.
    ///
    /// - Throws: `TokenizerError.training` where the text is empty or too little for the vocabulary; errors of reading.
    public static func train(
        corpus: TextCorpus, options: SentencePieceTrainingOptions
    ) throws -> SentencePieceTokenizer {
        try train(documentCount: corpus.count, totalBytes: corpus.byteCount, options: options) {
            try corpus.document($0)
        }
    }

    private static func train(
        documentCount: Int, totalBytes: Int, options: SentencePieceTrainingOptions,
        document: (Int) throws -> [UInt8]
    ) throws -> SentencePieceTokenizer {
        try options.validate()
        if totalBytes == 0 { throw TokenizerError.training(reason: "the text is empty") }
        return try withoutActuallyEscaping(document) { document in
            let sentences = SentenceFeed(
                documentCount: documentCount, options: options,
                share: min(1, Double(options.maximumTrainingBytes) / Double(totalBytes)), document: document)
            let model = try trainModel(sentences, options: options.libraryOptions, isVerbose: options.isVerbose)
            return try SentencePieceTokenizer(model: model, source: "the trained model", endOfDocument: "[eod]")
        }
    }

    private static func trainModel(
        _ sentences: SentenceFeed, options: [String: String], isVerbose: Bool
    ) throws -> [UInt8] {
        let sorted = options.sorted { $0.key < $1.key }
        // Option values hold no NUL: the symbols were checked.
        let texts = sorted.map { Array($0.key.utf8CString) } + sorted.map { Array($0.value.utf8CString) }
        let storage = texts.flatMap { $0 }
        var offsets: [Int] = []
        var offset = 0
        for text in texts {
            offsets.append(offset)
            offset += text.count
        }
        var model: UnsafeMutablePointer<CChar>?
        var length = 0
        var message: UnsafeMutablePointer<CChar>?
        msp_set_log_level(isVerbose ? 0 : 3)
        defer { msp_set_log_level(3) }
        let failed = storage.withUnsafeBufferPointer { storage in
            let pointers: [UnsafePointer<CChar>?] = offsets.map { storage.baseAddress! + $0 }
            return pointers.withUnsafeBufferPointer { pointers in
                msp_train(
                    pointers.baseAddress, pointers.baseAddress! + sorted.count, sorted.count,
                    { context, text, length in
                        let feed = Unmanaged<SentenceFeed>.fromOpaque(context!).takeUnretainedValue()
                        return feed.next(text!, length!) ? 1 : 0
                    }, Unmanaged.passUnretained(sentences).toOpaque(), &model, &length, &message)
            }
        }
        defer { msp_release(model) }
        if let error = sentences.error {
            if failed != 0 { msp_release(message) }
            throw error
        }
        guard failed == 0 else { throw TokenizerError.training(reason: readable(takeMessage(message))) }
        return [UInt8](UnsafeRawBufferPointer(start: model, count: length))
    }

    /// The library's message without the place in its source, and with what may help.
    private static func readable(_ message: String) -> String {
        if message.contains("sentences_.empty()") {
            return "the text has nothing to learn from: the sample is empty, or every line has U+2585, which "
                + "SentencePiece reserves"
        }
        let bytes = Array(message.utf8)
        let start = bytes.lastIndex(of: UInt8(ascii: "]")).map { $0 + 1 } ?? 0
        let reason = String(decoding: bytes[start...].drop { $0 == UInt8(ascii: " ") }, as: UTF8.self)
        if reason.isEmpty { return message }
        if reason.hasPrefix("Vocabulary size is smaller than required_chars") {
            let sizes = reason.utf8.split { $0 < 0x30 || $0 > 0x39 }.prefix(2).map { String(Substring($0)) }
            if sizes.count == 2 {
                return "a vocabulary of \(sizes[0]) is too small for the characters of the text: it must be at least "
                    + "\(sizes[1]), or characterCoverage lower"
            }
        }
        if reason.hasPrefix("Vocabulary size too high") { return reason + " More text allows more." }
        return reason
    }
}

/// Gives the trainer the text in sentences: lines, or with learnt newlines blocks of lines.
private final class SentenceFeed {
    private(set) var error: (any Error)?

    private let documentCount: Int
    private let options: SentencePieceTrainingOptions
    private let share: Double
    private let document: (Int) throws -> [UInt8]
    private var nextDocument = 0
    private var text: [UInt8] = []
    private var position = 0
    private var sentenceIndex: UInt64 = 0
    private let sentence: UnsafeMutableRawBufferPointer

    init(
        documentCount: Int, options: SentencePieceTrainingOptions, share: Double,
        document: @escaping (Int) throws -> [UInt8]
    ) {
        self.documentCount = documentCount
        self.options = options
        self.share = share
        self.document = document
        sentence = .allocate(byteCount: sentenceLength, alignment: 1)
    }

    deinit { sentence.deallocate() }

    func next(_ start: UnsafeMutablePointer<UnsafePointer<CChar>?>, _ length: UnsafeMutablePointer<Int>) -> Bool {
        while true {
            if position == text.count {
                guard nextDocument < documentCount else { return false }
                do {
                    text = try document(nextDocument)
                    try text.withUnsafeBytes { try validateUTF8($0, source: "document \(nextDocument)") }
                } catch {
                    self.error = error
                    return false
                }
                nextDocument += 1
                position = 0
                continue
            }
            let range = nextSentence()
            position = range.upperBound
            sentenceIndex += 1
            if share < 1, uniform(seed: options.seed, stream: 1, index: sentenceIndex) >= share { continue }
            text.withUnsafeBytes { sentence.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
            start.pointee = UnsafeRawPointer(sentence.baseAddress!).assumingMemoryBound(to: CChar.self)
            length.pointee = range.count
            return true
        }
    }

    /// The next line (or block of lines), at most `sentenceLength` bytes, cut where a word or at least a scalar ends.
    private func nextSentence() -> Range<Int> {
        let limit = min(text.count, position + sentenceLength)
        let newline = UInt8(ascii: "\n")
        if options.newlines == .symbol {
            if let end = text[position..<limit].firstIndex(of: newline) { return position..<end + 1 }
        }
        if limit == text.count { return position..<limit }
        if options.newlines == .learned, let end = text[position..<limit].lastIndex(of: newline) {
            return position..<end + 1
        }
        if let space = text[position..<limit].lastIndex(of: UInt8(ascii: " ")), space > position {
            return position..<space
        }
        var end = limit
        while text[end] & 0xC0 == 0x80 { end -= 1 }
        return position..<end
    }
}
