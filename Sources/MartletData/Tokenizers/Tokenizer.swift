/// What names a tokenizer's content: two tokenizers with equal fingerprints give equal ids.
public struct TokenizerFingerprint: Hashable, Sendable, CustomStringConvertible {
    /// 32 bytes: the SHA-256 of the model.
    public let bytes: [UInt8]

    public init(bytes: [UInt8]) {
        precondition(bytes.count == 32, "[TokenizerFingerprint] needs 32 bytes, found \(bytes.count)")
        self.bytes = bytes
    }

    /// The fingerprint of a tokenizer whose model is `model`.
    public init(ofModel model: UnsafeRawBufferPointer) {
        bytes = SHA256.hash(model)
    }

    /// 64 hexadecimal digits.
    public var description: String { hexadecimal(bytes) }

    /// The first 12 hexadecimal digits, enough to tell tokenizers apart in messages.
    public var short: String { hexadecimal(bytes[0..<6]) }
}

/// Where a decoding stands between two tokens.
public struct DecodingState: Sendable {
    /// Whether nothing but control symbols was decoded so far: some tokenizers drop a space there.
    public var isAtStart = true

    public init() {}
}

/// Turns text into token ids and back.
///
/// Text is a sequence of UTF-8 bytes; graphemes play no part, so canonically equivalent strings with different scalars
/// have different ids, and decoding gives back exactly the bytes encoded (where the tokenizer is lossless).
public protocol Tokenizer: Sendable {
    /// The number of ids: every id is in `0..<vocabularySize`.
    var vocabularySize: Int { get }

    /// The id of `[eod]`, which ends a document. It is never the id of any text.
    var eodID: Int32 { get }

    /// Names the model, so that a token file made with another one can be refused.
    var fingerprint: TokenizerFingerprint { get }

    /// One line for people, such as "SentencePiece unigram, 8192 pieces".
    var summary: String { get }

    /// The ids of UTF-8 text, without `[eod]`.
    ///
    /// - Parameter threads: How many threads may work on one long text. The ids do not depend on it.
    /// - Throws: `InvalidUTF8Error` where the bytes are not UTF-8 and the tokenizer needs that; `TokenizerError`.
    func encode(utf8 bytes: UnsafeRawBufferPointer, threads: Int) throws -> [Int32]

    /// Appends the bytes that `id` stands for; control symbols stand for none.
    ///
    /// - Throws: `TokenizerError.idOutOfRange`.
    func appendBytes(of id: Int32, to bytes: inout [UInt8], state: inout DecodingState) throws

    /// The name of an id in the vocabulary, for people; nil outside it.
    func piece(_ id: Int32) -> String?

    /// The id of the vocabulary's entry with this name; nil where there is none.
    func id(ofPiece piece: String) -> Int32?
}

extension Tokenizer {
    /// The ids of a text, without `[eod]`.
    public func encode(_ text: String) throws -> [Int32] {
        var text = text
        return try text.withUTF8 { try encode(utf8: UnsafeRawBufferPointer($0), threads: 1) }
    }

    /// The ids of UTF-8 text, without `[eod]`.
    public func encode(bytes: [UInt8], threads: Int = 1) throws -> [Int32] {
        try bytes.withUnsafeBytes { try encode(utf8: $0, threads: threads) }
    }

    /// The bytes that `ids` stand for.
    public func decodeBytes(_ ids: some Sequence<Int32>) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var state = DecodingState()
        for id in ids { try appendBytes(of: id, to: &bytes, state: &state) }
        return bytes
    }

    /// The text that `ids` stand for; bytes that are not UTF-8 (a model may generate such) become U+FFFD.
    public func decode(_ ids: some Sequence<Int32>) throws -> String {
        String(decoding: try decodeBytes(ids), as: UTF8.self)
    }
}

/// A tokenizer could not be loaded, trained or used.
public enum TokenizerError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A model that is no SentencePiece model, or a damaged one.
    case invalidModel(source: String, reason: String)
    /// A model without a symbol that can end a document.
    case noEndOfDocument(source: String, tried: [String])
    case training(reason: String)
    case encoding(reason: String)
    case idOutOfRange(id: Int32, vocabularySize: Int)
    case invalidOption(name: String, reason: String)

    public var description: String {
        switch self {
        case .invalidModel(let source, let reason):
            "\(source) is not a usable SentencePiece model: \(reason)"
        case .noEndOfDocument(let source, let tried):
            "\(source) has no symbol that ends a document: expected a control symbol named "
                + tried.map { "\"\($0)\"" }.joined(separator: ", ")
                + ", or the model's own end-of-sentence symbol; name one of its pieces when loading it"
        case .training(let reason):
            "the tokenizer could not be trained: \(reason)"
        case .encoding(let reason):
            "the text could not be encoded: \(reason)"
        case .idOutOfRange(let id, let vocabularySize):
            "token id \(id) is outside the tokenizer's vocabulary, 0..<\(vocabularySize): "
                + "the ids come from another tokenizer or model"
        case .invalidOption(let name, let reason):
            "tokenizer option \(name): \(reason)"
        }
    }
}

/// Loads the tokenizer that a recipe or a command line names: "bytes" for the byte tokenizer, else the path of a
/// SentencePiece model file.
public func loadTokenizer(_ name: String) throws -> any Tokenizer {
    name == ByteTokenizer.name ? ByteTokenizer() : try SentencePieceTokenizer(path: name)
}
