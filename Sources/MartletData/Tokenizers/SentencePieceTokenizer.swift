internal import CSentencePiece
internal import Synchronization

/// A SentencePiece model, unigram or BPE, read from the same `.model` files as every other user of SentencePiece.
///
/// Ids are the library's own, with two exceptions. Both concern only models that take text as it is (no normalisation,
/// no dummy prefix, every space kept) and fall back to bytes, as those that `train` makes.
/// - U+2581, by which SentencePiece marks spaces, is encoded as its three bytes, so that it does not come back as a
///   space.
/// - Texts above 64 KiB (unigram) or 4 KiB (BPE) are encoded in segments, cut where no piece of the vocabulary can lie
///   across, so that several threads can work on one text. Merges of BPE never cross such a place, and the likelihood
///   that a unigram model maximises is a sum over the segments, so the ids are those of the whole text. The library's
///   own sums over a long text are in single precision: given one of more than about 100 KB at once it misses the best
///   segmentation in places, in others in each version. The segments are short enough to be exact.
public final class SentencePieceTokenizer: Tokenizer, @unchecked Sendable {
    public let vocabularySize: Int
    public let eodID: Int32
    public let fingerprint: TokenizerFingerprint
    public let summary: String

    /// Whether decoding gives back every byte encoded, whatever the text.
    public let isLossless: Bool

    /// The id of unknown text. A model with byte fallback never produces it.
    public let unknownID: Int32
    /// The ids that the model names for the begin and end of a sentence and for padding; nil where it names none.
    public let beginID: Int32?
    public let endID: Int32?
    public let paddingID: Int32?

    /// What an id stands for.
    public enum PieceKind: Sendable {
        case text
        /// A string that is always one token.
        case userDefined
        /// No text; only a program puts it among the ids.
        case control
        case byte
        case unknown
        /// In the vocabulary, but no text is encoded to it.
        case unused
    }

    // Immutable once loaded: the library's encoding functions are const and keep no state.
    private let model: OpaquePointer
    private let serialized: [UInt8]
    private let file: SentencePieceModelFile
    /// What each id decodes to: `decoded[ends[id - 1]..<ends[id]]`.
    private let decoded: [UInt8]
    private let ends: [Int]
    private let spaceMarkIDs: [Int32]?
    private let segmentLength: Int?
    private let inseparable = Mutex<Set<UInt64>?>(nil)

    /// The names by which a control symbol is taken for the end of a document, first come first.
    public static let endOfDocumentNames = ["[eod]", "<|endoftext|>", "<eod>", "</s>", "<eos>"]

    /// Loads a model file.
    ///
    /// - Parameter endOfDocument: The piece that ends a document; by default a control symbol with one of the
    ///   `endOfDocumentNames`, else the end of sentence that the model names.
    /// - Throws: `FileSystemError`, `TokenizerError`.
    public convenience init(path: String, endOfDocument: String? = nil) throws {
        let file = try MappedFile(path: path)
        try self.init(model: [UInt8](file.bytes), source: path, endOfDocument: endOfDocument)
    }

    /// Loads a model from the bytes of a model file.
    ///
    /// - Parameter source: What errors call the model.
    public init(model bytes: [UInt8], source: String = "the model", endOfDocument: String? = nil) throws {
        file = try bytes.withUnsafeBytes { try SentencePieceModelFile($0, source: source) }
        fingerprint = bytes.withUnsafeBytes { TokenizerFingerprint(ofModel: $0) }
        serialized = bytes

        var handle: OpaquePointer?
        var message: UnsafeMutablePointer<CChar>?
        let failed = bytes.withUnsafeBytes { msp_load($0.baseAddress, $0.count, &handle, &message) }
        guard failed == 0, let handle else {
            throw TokenizerError.invalidModel(source: source, reason: takeMessage(message))
        }
        let loadedSize = Int(msp_vocabulary_size(handle))
        guard loadedSize == file.pieces.count else {
            msp_free(handle)
            throw TokenizerError.invalidModel(
                source: source, reason: "\(file.pieces.count) pieces, of which the library sees \(loadedSize)")
        }
        model = handle
        vocabularySize = file.pieces.count
        unknownID = msp_unknown_id(handle)
        func defined(_ id: Int32) -> Int32? { id >= 0 ? id : nil }
        beginID = defined(msp_begin_id(handle))
        endID = defined(msp_end_id(handle))
        paddingID = defined(msp_padding_id(handle))

        var decoded: [UInt8] = []
        var ends: [Int] = []
        for piece in file.pieces {
            switch piece.type {
            case .control: break
            case .unknown: decoded += file.unknownSurface
            case .byte: decoded.append(byte(named: String(decoding: piece.text, as: UTF8.self))!)
            case .normal, .userDefined, .unused: decoded += replacingSpaceMarks(piece.text)
            }
            ends.append(decoded.count)
        }
        self.decoded = decoded
        self.ends = ends

        let byteIDs = Self.byteIDs(file)
        isLossless = file.keepsTextAsIs && file.byteFallback && byteIDs != nil
        spaceMarkIDs = isLossless ? byteIDs.map { ids in spaceMark.map { ids[Int($0)] } } : nil
        segmentLength =
            switch file.modelType {
            case .unigram where isLossless: 64 << 10
            // The library merges short texts faster than long ones, by a factor of two and more.
            case .bpe where isLossless: 4 << 10
            default: nil
            }
        let kind =
            switch file.modelType {
            case .unigram: "unigram"
            case .bpe: "BPE"
            case .word: "word"
            case .character: "character"
            }
        summary = "SentencePiece \(kind), \(file.pieces.count) pieces"

        do {
            eodID = try Self.findEndOfDocument(
                endOfDocument, file: file, sentenceEnd: endID, source: source)
        } catch {
            // A throwing initialiser runs no deinit while a property is unset.
            msp_free(handle)
            throw error
        }
    }

    deinit { msp_free(model) }

    /// Writes the model as a `.model` file that any SentencePiece loads, whole or not at all.
    public func save(to path: String, overwrite: Bool = true) throws {
        let writer = try AtomicFileWriter(path: path, overwrite: overwrite)
        try writer.write(serialized)
        try writer.commit()
    }

    /// The content of the `.model` file.
    public var modelBytes: [UInt8] { serialized }

    /// The logarithm of a piece's probability (unigram) or minus its rank (BPE); nil outside the vocabulary.
    public func score(of id: Int32) -> Float? {
        ends.indices.contains(Int(id)) ? msp_score(model, id) : nil
    }

    /// What an id stands for; nil outside the vocabulary.
    public func kind(of id: Int32) -> PieceKind? {
        guard ends.indices.contains(Int(id)) else { return nil }
        return switch file.pieces[Int(id)].type {
        case .normal: .text
        case .userDefined: .userDefined
        case .control: .control
        case .byte: .byte
        case .unknown: .unknown
        case .unused: .unused
        }
    }

    public func piece(_ id: Int32) -> String? {
        guard ends.indices.contains(Int(id)) else { return nil }
        return String(decoding: file.pieces[Int(id)].text, as: UTF8.self)
    }

    public func id(ofPiece piece: String) -> Int32? {
        var piece = piece
        let id = piece.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { msp_piece_id(model, $0.baseAddress, $0.count) }
        }
        if id == unknownID, self.piece(id) != piece { return nil }
        return id
    }

    public func appendBytes(of id: Int32, to bytes: inout [UInt8], state: inout DecodingState) throws {
        guard ends.indices.contains(Int(id)) else {
            throw TokenizerError.idOutOfRange(id: id, vocabularySize: vocabularySize)
        }
        var start = id == 0 ? 0 : ends[Int(id) - 1]
        let end = ends[Int(id)]
        if start == end { return }
        let type = file.pieces[Int(id)].type
        if state.isAtStart, file.addsDummyPrefix || file.removesExtraWhitespaces, type != .byte, type != .unknown,
            decoded[start] == UInt8(ascii: " "), !file.treatsWhitespaceAsSuffix
        {
            start += 1
            // The prefix is one space; where extra spaces are removed, every space before the text goes.
            state.isAtStart = file.removesExtraWhitespaces && start == end
        } else {
            state.isAtStart = false
        }
        bytes.append(contentsOf: decoded[start..<end])
    }

    public func encode(utf8 bytes: UnsafeRawBufferPointer, threads: Int) throws -> [Int32] {
        if bytes.isEmpty { return [] }
        try validateUTF8(bytes, source: "the text to encode")
        guard let segmentLength, bytes.count > segmentLength else { return try encodeSegment(bytes) }
        let cuts = segments(of: bytes, length: segmentLength)
        if threads <= 1 {
            var ids: [Int32] = []
            for cut in cuts { ids += try encodeSegment(UnsafeRawBufferPointer(rebasing: bytes[cut])) }
            return ids
        }
        let text = SendableBytes(bytes)
        return try concurrentMap(count: cuts.count, threads: threads) {
            try self.encodeSegment(UnsafeRawBufferPointer(rebasing: text.bytes[cuts[$0]]))
        }.flatMap { $0 }
    }

    /// The pieces of a text by name.
    public func encodePieces(_ text: String) throws -> [String] {
        try encode(text).map { piece($0)! }
    }

    /// The library's own decoding, for comparison: bytes that are not UTF-8 come out as U+FFFD.
    package func libraryDecode(_ ids: [Int32]) throws -> String {
        for id in ids where !ends.indices.contains(Int(id)) {
            throw TokenizerError.idOutOfRange(id: id, vocabularySize: vocabularySize)
        }
        var text: UnsafeMutablePointer<CChar>?
        var length = 0
        var message: UnsafeMutablePointer<CChar>?
        guard msp_decode(model, ids, ids.count, &text, &length, &message) == 0 else {
            throw TokenizerError.encoding(reason: takeMessage(message))
        }
        defer { msp_release(text) }
        return String(decoding: UnsafeRawBufferPointer(start: text, count: length), as: UTF8.self)
    }

    // MARK: - Encoding

    private func encodeSegment(_ bytes: UnsafeRawBufferPointer) throws -> [Int32] {
        guard let spaceMarkIDs else { return try encodeWithLibrary(bytes) }
        var ids: [Int32] = []
        var start = 0
        while let mark = firstSpaceMark(in: bytes, from: start) {
            if mark > start { ids += try encodeWithLibrary(UnsafeRawBufferPointer(rebasing: bytes[start..<mark])) }
            ids += spaceMarkIDs
            start = mark + spaceMark.count
        }
        if start == 0 { return try encodeWithLibrary(bytes) }
        if start < bytes.count { ids += try encodeWithLibrary(UnsafeRawBufferPointer(rebasing: bytes[start...])) }
        return ids
    }

    private func encodeWithLibrary(_ bytes: UnsafeRawBufferPointer) throws -> [Int32] {
        var ids: UnsafeMutablePointer<Int32>?
        var count = 0
        var message: UnsafeMutablePointer<CChar>?
        let failed = bytes.withMemoryRebound(to: CChar.self) {
            msp_encode(model, $0.baseAddress, $0.count, &ids, &count, &message)
        }
        guard failed == 0 else { throw TokenizerError.encoding(reason: takeMessage(message)) }
        defer { msp_release(ids) }
        return [Int32](UnsafeBufferPointer(start: ids, count: count))
    }

    /// Cuts a text into ranges of about `length` bytes that are encoded apart.
    package func segments(of bytes: UnsafeRawBufferPointer, length: Int) -> [Range<Int>] {
        let inseparable = inseparablePairs()
        var ranges: [Range<Int>] = []
        var start = 0
        while bytes.count - start > length {
            guard let cut = separation(in: bytes, from: start + length, inseparable) else { break }
            ranges.append(start..<cut)
            start = cut
        }
        if start < bytes.count { ranges.append(start..<bytes.count) }
        return ranges
    }

    /// The first position, not before `position`, between two scalars that stand beside each other in no piece.
    private func separation(in bytes: UnsafeRawBufferPointer, from position: Int, _ inseparable: Set<UInt64>) -> Int? {
        var position = position
        while position < bytes.count, bytes[position] & 0xC0 == 0x80 { position += 1 }
        guard position < bytes.count else { return nil }
        var before = position - 1
        while bytes[before] & 0xC0 == 0x80 { before -= 1 }
        var previous = scalar(in: bytes, at: before).value
        while position < bytes.count {
            let (next, length) = scalar(in: bytes, at: position)
            if !inseparable.contains(UInt64(marked(previous)) << 32 | UInt64(marked(next))) { return position }
            previous = next
            position += length
        }
        return nil
    }

    /// Every pair of scalars that stand beside each other in some piece.
    private func inseparablePairs() -> Set<UInt64> {
        inseparable.withLock { cache in
            if let cache { return cache }
            var pairs = Set<UInt64>()
            for piece in file.pieces where piece.type == .normal || piece.type == .userDefined || piece.type == .unused
            {
                var previous: UInt32?
                for scalar in String(decoding: piece.text, as: UTF8.self).unicodeScalars {
                    if let previous { pairs.insert(UInt64(marked(previous)) << 32 | UInt64(marked(scalar.value))) }
                    previous = scalar.value
                }
            }
            cache = pairs
            return pairs
        }
    }

    // MARK: - Loading

    /// The ids of the 256 bytes, nil unless the model has them all.
    private static func byteIDs(_ file: SentencePieceModelFile) -> [Int32]? {
        var ids = [Int32?](repeating: nil, count: 256)
        for (id, piece) in file.pieces.enumerated() where piece.type == .byte {
            ids[Int(byte(named: String(decoding: piece.text, as: UTF8.self))!)] = Int32(id)
        }
        let found = ids.compactMap { $0 }
        return found.count == 256 ? found : nil
    }

    private static func findEndOfDocument(
        _ requested: String?, file: SentencePieceModelFile, sentenceEnd: Int32?, source: String
    ) throws -> Int32 {
        func id(of name: String, anyType: Bool) -> Int32? {
            let text = Array(name.utf8)
            return file.pieces.firstIndex { $0.text == text && (anyType || $0.type == .control) }.map { Int32($0) }
        }
        if let requested {
            guard let id = id(of: requested, anyType: true) else {
                throw TokenizerError.noEndOfDocument(source: source, tried: [requested])
            }
            return id
        }
        for name in endOfDocumentNames {
            if let id = id(of: name, anyType: false) { return id }
        }
        if let sentenceEnd { return sentenceEnd }
        throw TokenizerError.noEndOfDocument(source: source, tried: endOfDocumentNames)
    }
}

/// U+2581, the stand-in for a space inside pieces.
private let spaceMark: [UInt8] = [0xE2, 0x96, 0x81]

private struct SendableBytes: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }
}

private func replacingSpaceMarks(_ text: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var position = 0
    while position < text.count {
        if text[position...].starts(with: spaceMark) {
            result.append(UInt8(ascii: " "))
            position += spaceMark.count
        } else {
            result.append(text[position])
            position += 1
        }
    }
    return result
}

private func firstSpaceMark(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
    var position = start
    while position + spaceMark.count <= bytes.count {
        if bytes[position] == 0xE2, bytes[position + 1] == 0x96, bytes[position + 2] == 0x81 { return position }
        position += 1
    }
    return nil
}

/// The scalar that begins at `position` of well-formed UTF-8, and its length in bytes.
private func scalar(in bytes: UnsafeRawBufferPointer, at position: Int) -> (value: UInt32, length: Int) {
    let lead = UInt32(bytes[position])
    let length = scalarLength(lead: bytes[position])
    if length == 1 { return (lead, 1) }
    var value = lead & (0x7F >> UInt32(length))
    for offset in 1..<length { value = value << 6 | UInt32(bytes[position + offset] & 0x3F) }
    return (value, length)
}

private func marked(_ scalar: UInt32) -> UInt32 { scalar == 0x20 ? 0x2581 : scalar }

/// Takes over an error message of the C interface.
func takeMessage(_ message: UnsafeMutablePointer<CChar>?) -> String {
    guard let message else { return "the library gave no reason" }
    defer { msp_release(message) }
    return String(cString: message)
}
