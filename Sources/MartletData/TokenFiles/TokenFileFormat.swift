/// A token file cannot be used.
public enum TokenFileError: Error, Equatable, Sendable, CustomStringConvertible {
    case notATokenFile(path: String, found: String)
    case unsupportedVersion(path: String, found: Int)
    /// The file's length is not what its header says.
    case wrongSize(path: String, expected: Int, found: Int)
    case corrupted(path: String, reason: String)
    /// The file holds ids of another tokenizer than the one it is to be used with.
    case otherTokenizer(
        path: String, expected: TokenizerFingerprint, expectedSummary: String, found: TokenizerFingerprint,
        foundSummary: String)
    /// A token that the tokenizer does not have was to be written.
    case tokenOutOfRange(path: String, id: Int32, vocabularySize: Int)
    case outOfBounds(path: String, what: String, requested: Range<Int>, count: Int)

    public var description: String {
        switch self {
        case .notATokenFile(let path, let found):
            "\(path) is not a token file: expected it to begin with \"\(TokenFileHeader.magicText)\", found \(found); "
                + "token files are made from text with `martlet data prepare`"
        case .unsupportedVersion(let path, let found):
            "\(path) is a token file of version \(found); this program reads version \(TokenFileHeader.version)"
        case .wrongSize(let path, let expected, let found):
            "\(path) is \(found < expected ? "truncated" : "too long"): "
                + "expected \(expected) bytes by its header, found \(found); prepare it again"
        case .corrupted(let path, let reason):
            "\(path) is damaged: \(reason); prepare it again"
        case .otherTokenizer(let path, let expected, let expectedSummary, let found, let foundSummary):
            "\(path) was made with another tokenizer: expected \(expected.short) (\(expectedSummary)), found "
                + "\(found.short) (\(foundSummary)); prepare it again with this tokenizer, or use the other"
        case .tokenOutOfRange(let path, let id, let vocabularySize):
            "token \(id) cannot be written to \(path): the tokenizer's ids are 0..<\(vocabularySize)"
        case .outOfBounds(let path, let what, let requested, let count):
            "\(path) has \(count) \(what), but \(requested) were requested"
        }
    }
}

/// The first 256 bytes of a token file; all numbers are little-endian.
///
///     offset  bytes
///          0      8  "MRTLTOKS"
///          8      4  version, 1
///         12      4  bytes of a token, 2 or 4 (unsigned)
///         16      8  vocabulary size
///         24      8  id of [eod]
///         32      8  tokens, [eod] included
///         40      8  documents
///         48      8  bytes of UTF-8 of all documents
///         56      8  offset of the tokens, 256
///         64      8  offset of the index, a multiple of 8
///         72      8  length of the file
///         80     32  fingerprint of the tokenizer
///        112      8  XXH64 of the tokens
///        120      8  XXH64 of the index
///        128    120  the tokenizer in words, UTF-8, padded with zeros
///        248      8  XXH64 of the 248 bytes before
///
/// The tokens of the documents follow each other, each document closed by [eod]. The index has (documents + 1) 64-bit
/// numbers, the position of each document's first token and the number of tokens; then as many with the bytes of UTF-8
/// before each document and in all.
struct TokenFileHeader: Equatable {
    static let magicText = "MRTLTOKS"
    static let version = 1
    static let size = 256
    private static let summarySize = 120

    var tokenSize: Int
    var vocabularySize: Int
    var eodID: Int32
    var tokenCount: Int
    var documentCount: Int
    var textByteCount: Int
    var fingerprint: TokenizerFingerprint
    var tokenChecksum: UInt64
    var indexChecksum: UInt64
    var summary: String

    var indexOffset: Int { (Self.size + tokenCount * tokenSize + 7) / 8 * 8 }
    var fileSize: Int { indexOffset + 16 * (documentCount + 1) }

    /// The bytes of a token that can hold every id below `vocabularySize`.
    static func tokenSize(forVocabulary vocabularySize: Int) -> Int { vocabularySize <= 1 << 16 ? 2 : 4 }

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = Array(Self.magicText.utf8)
        func append<Value: FixedWidthInteger>(_ value: Value) {
            withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
        }
        append(UInt32(Self.version))
        append(UInt32(tokenSize))
        append(UInt64(vocabularySize))
        append(UInt64(eodID))
        append(UInt64(tokenCount))
        append(UInt64(documentCount))
        append(UInt64(textByteCount))
        append(UInt64(Self.size))
        append(UInt64(indexOffset))
        append(UInt64(fileSize))
        bytes += fingerprint.bytes
        append(tokenChecksum)
        append(indexChecksum)
        // The summary may be cut, but not inside a scalar.
        var words: [UInt8] = []
        for scalar in summary.unicodeScalars {
            let next = Array(UTF8.encode(scalar)!)
            if words.count + next.count > Self.summarySize { break }
            words += next
        }
        bytes += words + [UInt8](repeating: 0, count: Self.summarySize - words.count)
        append(bytes.withUnsafeBytes { XXHash64.hash($0) })
        return bytes
    }

    init(
        tokenSize: Int, vocabularySize: Int, eodID: Int32, tokenCount: Int, documentCount: Int, textByteCount: Int,
        fingerprint: TokenizerFingerprint, tokenChecksum: UInt64, indexChecksum: UInt64, summary: String
    ) {
        self.tokenSize = tokenSize
        self.vocabularySize = vocabularySize
        self.eodID = eodID
        self.tokenCount = tokenCount
        self.documentCount = documentCount
        self.textByteCount = textByteCount
        self.fingerprint = fingerprint
        self.tokenChecksum = tokenChecksum
        self.indexChecksum = indexChecksum
        self.summary = summary
    }

    /// Reads and checks the header of a file of `bytes`.
    init(_ bytes: UnsafeRawBufferPointer, path: String) throws {
        guard bytes.starts(with: Self.magicText.utf8) else {
            let found =
                bytes.isEmpty ? "an empty file" : "the bytes " + hexadecimal(bytes.prefix(Self.magicText.utf8.count))
            throw TokenFileError.notATokenFile(path: path, found: found)
        }
        guard bytes.count >= Self.size else {
            throw TokenFileError.wrongSize(path: path, expected: Self.size, found: bytes.count)
        }
        func word(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        func half(_ offset: Int) -> UInt32 {
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        }
        let foundVersion = Int(half(8))
        guard foundVersion == Self.version else {
            throw TokenFileError.unsupportedVersion(path: path, found: foundVersion)
        }
        func corrupted(_ reason: String) -> TokenFileError { .corrupted(path: path, reason: reason) }
        guard XXHash64.hash(UnsafeRawBufferPointer(rebasing: bytes[0..<248])) == word(248) else {
            throw corrupted("its header does not match its checksum")
        }
        // A header may carry a right checksum and still make no sense.
        let limit: UInt64 = 1 << 48
        for offset in stride(from: 16, through: 72, by: 8) where word(offset) >= limit {
            throw corrupted("its header has an impossible number at byte \(offset)")
        }
        tokenSize = Int(half(12))
        vocabularySize = Int(word(16))
        tokenCount = Int(word(32))
        documentCount = Int(word(40))
        textByteCount = Int(word(48))
        guard vocabularySize > 0, vocabularySize <= Int(Int32.max),
            tokenSize == Self.tokenSize(forVocabulary: vocabularySize)
        else {
            throw corrupted("tokens of \(tokenSize) bytes do not fit a vocabulary of \(vocabularySize)")
        }
        guard word(24) < UInt64(vocabularySize) else {
            throw corrupted("the id of [eod], \(word(24)), is outside the vocabulary of \(vocabularySize)")
        }
        eodID = Int32(word(24))
        guard documentCount > 0, tokenCount >= documentCount else {
            throw corrupted("\(tokenCount) tokens cannot be \(documentCount) documents")
        }
        fingerprint = TokenizerFingerprint(bytes: [UInt8](bytes[80..<112]))
        tokenChecksum = word(112)
        indexChecksum = word(120)
        summary = String(decoding: bytes[128..<248].prefix { $0 != 0 }, as: UTF8.self)
        guard word(56) == UInt64(Self.size), word(64) == UInt64(indexOffset), word(72) == UInt64(fileSize) else {
            throw corrupted("the offsets in its header do not fit its counts")
        }
        guard bytes.count == fileSize else {
            throw TokenFileError.wrongSize(path: path, expected: fileSize, found: bytes.count)
        }
    }
}
