/// Writes a token file document by document. The file appears with `finish`, whole; if it is not reached, nothing is
/// left.
public final class TokenFileWriter {
    public let path: String
    /// Tokens written so far, `[eod]` included.
    public private(set) var tokenCount = 0
    /// Bytes of UTF-8 of the documents written so far.
    public private(set) var textByteCount = 0
    /// Documents written so far.
    public var documentCount: Int { tokenStarts.count }

    private let file: AtomicFileWriter
    private let vocabularySize: Int
    private let eodID: Int32
    private let fingerprint: TokenizerFingerprint
    private let summary: String
    private let tokenSize: Int
    private var checksum = XXHash64()
    private var tokenStarts: [UInt64] = []
    private var byteStarts: [UInt64] = []

    /// - Parameter overwrite: Whether a file already at `path` may be replaced.
    /// - Throws: `FileSystemError`.
    public init(path: String, tokenizer: any Tokenizer, overwrite: Bool = true) throws {
        self.path = path
        vocabularySize = tokenizer.vocabularySize
        eodID = tokenizer.eodID
        fingerprint = tokenizer.fingerprint
        summary = tokenizer.summary
        tokenSize = TokenFileHeader.tokenSize(forVocabulary: tokenizer.vocabularySize)
        file = try AtomicFileWriter(path: path, overwrite: overwrite)
        try file.write([UInt8](repeating: 0, count: TokenFileHeader.size))
    }

    /// Appends a document; `[eod]` is added.
    ///
    /// - Parameter textByteCount: The bytes of UTF-8 of the document's text, by which bits per byte are counted.
    public func append(document tokens: [Int32], textByteCount: Int) throws {
        precondition(textByteCount >= 0, "[TokenFileWriter] textByteCount is negative: \(textByteCount)")
        if let id = tokens.first(where: { $0 < 0 || Int($0) >= vocabularySize }) {
            throw TokenFileError.tokenOutOfRange(path: path, id: id, vocabularySize: vocabularySize)
        }
        tokenStarts.append(UInt64(tokenCount))
        byteStarts.append(UInt64(self.textByteCount))
        try write(tokenSize == 2 ? tokens.map { UInt16($0).littleEndian } + [UInt16(eodID).littleEndian] : [])
        try write(tokenSize == 4 ? tokens.map { UInt32($0).littleEndian } + [UInt32(eodID).littleEndian] : [])
        tokenCount += tokens.count + 1
        self.textByteCount += textByteCount
    }

    private func write(_ values: [some FixedWidthInteger]) throws {
        try values.withUnsafeBytes {
            checksum.update($0)
            try file.write($0)
        }
    }

    /// Completes the file and puts it in its place.
    ///
    /// - Throws: `TextError.noText` where no document was written; `FileSystemError`.
    public func finish() throws {
        if tokenStarts.isEmpty { throw TextError.noText(sources: ["the documents for \(path)"]) }
        while file.count % 8 != 0 { try file.write([0]) }
        var indexChecksum = XXHash64()
        for numbers in [tokenStarts + [UInt64(tokenCount)], byteStarts + [UInt64(textByteCount)]] {
            try numbers.map { $0.littleEndian }.withUnsafeBytes {
                indexChecksum.update($0)
                try file.write($0)
            }
        }
        let header = TokenFileHeader(
            tokenSize: tokenSize, vocabularySize: vocabularySize, eodID: eodID, tokenCount: tokenCount,
            documentCount: tokenStarts.count, textByteCount: textByteCount, fingerprint: fingerprint,
            tokenChecksum: checksum.finalize(), indexChecksum: indexChecksum.finalize(), summary: summary)
        try file.overwrite(header.encoded(), at: 0)
        try file.commit()
    }
}
