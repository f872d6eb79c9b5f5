/// The tokens of a token file, mapped into memory: a file larger than memory can be opened, and only what is read is
/// loaded.
///
/// The documents follow each other, each closed by `[eod]`. Any number of threads may read at once.
public final class TokenDataset: Sendable {
    public let path: String
    public let vocabularySize: Int
    /// The id of `[eod]`.
    public let eodID: Int32
    /// All tokens, `[eod]` included.
    public let tokenCount: Int
    public let documentCount: Int
    /// The bytes of UTF-8 of all documents: what bits per byte are divided by.
    public let textByteCount: Int
    /// The tokenizer the file was made with.
    public let fingerprint: TokenizerFingerprint
    /// That tokenizer in words.
    public let tokenizerSummary: String

    /// The checksum of the tokens that the file was written with: two files with the same tokens have the same.
    public var checksum: UInt64 { header.tokenChecksum }

    private let file: MappedFile
    private let header: TokenFileHeader

    /// Opens a token file and checks its header and length; `verify` checks the rest.
    ///
    /// - Parameter tokenizer: The tokenizer it is to be used with; nil takes a file of any.
    /// - Throws: `FileSystemError`, `TokenFileError`.
    public init(path: String, tokenizer: (any Tokenizer)? = nil) throws {
        file = try MappedFile(path: path)
        header = try TokenFileHeader(file.bytes, path: path)
        self.path = path
        vocabularySize = header.vocabularySize
        eodID = header.eodID
        tokenCount = header.tokenCount
        documentCount = header.documentCount
        textByteCount = header.textByteCount
        fingerprint = header.fingerprint
        tokenizerSummary = header.summary
        if let tokenizer, tokenizer.fingerprint != header.fingerprint {
            throw TokenFileError.otherTokenizer(
                path: path, expected: tokenizer.fingerprint, expectedSummary: tokenizer.summary,
                found: header.fingerprint, foundSummary: header.summary)
        }
    }

    /// The tokens at positions `range`.
    ///
    /// - Throws: `TokenFileError.outOfBounds`; `.corrupted` where a token is outside the vocabulary.
    public func tokens(in range: Range<Int>) throws -> [Int32] {
        try [Int32](unsafeUninitializedCapacity: range.count) { buffer, count in
            try copyTokens(in: range, to: UnsafeMutableBufferPointer(rebasing: buffer[0..<range.count]))
            count = range.count
        }
    }

    /// Copies the tokens at positions `range` to `destination`, which must have room for exactly as many.
    public func copyTokens(in range: Range<Int>, to destination: UnsafeMutableBufferPointer<Int32>) throws {
        precondition(
            destination.count == range.count,
            "[TokenDataset] \(range.count) tokens do not fit a buffer of \(destination.count)")
        guard range.lowerBound >= 0, range.upperBound <= tokenCount else {
            throw TokenFileError.outOfBounds(path: path, what: "tokens", requested: range, count: tokenCount)
        }
        if range.isEmpty { return }
        let start = TokenFileHeader.size + range.lowerBound * header.tokenSize
        var largest: UInt32 = 0
        if header.tokenSize == 2 {
            for i in 0..<range.count {
                let value = UInt16(littleEndian: file.bytes.load(fromByteOffset: start + 2 * i, as: UInt16.self))
                largest = max(largest, UInt32(value))
                destination[i] = Int32(value)
            }
        } else {
            for i in 0..<range.count {
                let value = UInt32(littleEndian: file.bytes.load(fromByteOffset: start + 4 * i, as: UInt32.self))
                largest = max(largest, value)
                destination[i] = Int32(bitPattern: value)
            }
        }
        guard largest < UInt32(vocabularySize) else {
            throw TokenFileError.corrupted(
                path: path,
                reason: "among the tokens \(range) is \(largest), which is outside the vocabulary of \(vocabularySize)")
        }
    }

    /// The positions of the tokens of document `index`, its `[eod]` included.
    ///
    /// - Throws: `TokenFileError.outOfBounds`, `.corrupted`.
    public func tokenRange(ofDocument index: Int) throws -> Range<Int> {
        try checkDocument(index)
        return try indexed(index, part: 0, limit: tokenCount)
    }

    /// The tokens of document `index`, without `[eod]`.
    public func tokens(ofDocument index: Int) throws -> [Int32] {
        let range = try tokenRange(ofDocument: index)
        if range.isEmpty {
            throw TokenFileError.corrupted(path: path, reason: "document \(index) has no [eod]")
        }
        return try tokens(in: range.lowerBound..<range.upperBound - 1)
    }

    /// The bytes of UTF-8 of document `index`.
    public func textByteCount(ofDocument index: Int) throws -> Int {
        try checkDocument(index)
        return try indexed(index, part: 1, limit: textByteCount).count
    }

    /// Reads the whole file and checks every checksum and every number.
    ///
    /// - Throws: `TokenFileError.corrupted`.
    public func verify() throws {
        func corrupted(_ reason: String) -> TokenFileError { .corrupted(path: path, reason: reason) }
        let tokensEnd = TokenFileHeader.size + tokenCount * header.tokenSize
        let tokens = UnsafeRawBufferPointer(rebasing: file.bytes[TokenFileHeader.size..<tokensEnd])
        guard XXHash64.hash(tokens) == header.tokenChecksum else {
            throw corrupted("its tokens do not match their checksum")
        }
        guard file.bytes[tokensEnd..<header.indexOffset].allSatisfy({ $0 == 0 }) else {
            throw corrupted("the padding before its index is not zero")
        }
        let index = UnsafeRawBufferPointer(rebasing: file.bytes[header.indexOffset..<header.fileSize])
        guard XXHash64.hash(index) == header.indexChecksum else {
            throw corrupted("its document index does not match its checksum")
        }
        var position = 0
        var bytes = 0
        for document in 0..<documentCount {
            let range = try tokenRange(ofDocument: document)
            guard range.lowerBound == position, !range.isEmpty,
                try self.tokens(in: range.upperBound - 1..<range.upperBound) == [eodID]
            else { throw corrupted("document \(document) does not end with [eod] where the next begins") }
            position = range.upperBound
            bytes += try textByteCount(ofDocument: document)
        }
        guard position == tokenCount, bytes == textByteCount else {
            throw corrupted("its documents do not add up to what its header says")
        }
        let step = 1 << 20
        for start in stride(from: 0, to: tokenCount, by: step) {
            _ = try self.tokens(in: start..<min(start + step, tokenCount))
        }
    }

    private func checkDocument(_ index: Int) throws {
        guard index >= 0, index < documentCount else {
            throw TokenFileError.outOfBounds(
                path: path, what: "documents", requested: index..<index + 1, count: documentCount)
        }
    }

    private func indexed(_ document: Int, part: Int, limit: Int) throws -> Range<Int> {
        let offset = header.indexOffset + 8 * (part * (documentCount + 1) + document)
        let start = UInt64(littleEndian: file.bytes.load(fromByteOffset: offset, as: UInt64.self))
        let end = UInt64(littleEndian: file.bytes.load(fromByteOffset: offset + 8, as: UInt64.self))
        guard start <= end, end <= UInt64(limit) else {
            throw TokenFileError.corrupted(
                path: path, reason: "its index says that document \(document) is at \(start)..<\(end) of \(limit)")
        }
        return Int(start)..<Int(end)
    }
}
