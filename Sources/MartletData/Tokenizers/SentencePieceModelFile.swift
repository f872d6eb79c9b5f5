/// The parts of a SentencePiece `.model` file that the library's interface does not tell: the types of the pieces and
/// how text is normalised. The file is a protocol buffer.
struct SentencePieceModelFile {
    enum ModelType: Int {
        case unigram = 1
        case bpe = 2
        case word = 3
        case character = 4
    }

    enum PieceType: Int {
        case normal = 1
        case unknown = 2
        case control = 3
        case userDefined = 4
        case unused = 5
        case byte = 6
    }

    struct Piece {
        var text: [UInt8] = []
        var type = PieceType.normal
    }

    var pieces: [Piece] = []
    var modelType = ModelType.unigram
    var byteFallback = false
    var unknownSurface = Array(" \u{2047} ".utf8)
    var hasNormalizationRules = false
    var hasDenormalizationRules = false
    var addsDummyPrefix = true
    var removesExtraWhitespaces = true
    var escapesWhitespaces = true
    var treatsWhitespaceAsSuffix = false

    /// Whether text goes into the model as it is, apart from spaces becoming U+2581.
    var keepsTextAsIs: Bool {
        !hasNormalizationRules && !hasDenormalizationRules && !addsDummyPrefix && !removesExtraWhitespaces
            && escapesWhitespaces
    }

    init(_ bytes: UnsafeRawBufferPointer, source: String) throws {
        func invalid(_ reason: String) -> TokenizerError { .invalidModel(source: source, reason: reason) }
        if bytes.isEmpty { throw invalid("the file is empty") }
        do {
            var reader = ProtocolBufferReader(bytes)
            while let field = try reader.next() {
                switch (field.number, field.value) {
                case (1, .bytes(let message)): pieces.append(try Self.piece(message))
                case (2, .bytes(let message)): try readTrainer(message)
                case (3, .bytes(let message)): try readNormalizer(message)
                case (5, .bytes(let message)): hasDenormalizationRules = try Self.hasRules(message)
                default: break
                }
            }
        } catch is ProtocolBufferReader.Malformed {
            throw invalid("it is damaged or another kind of file (\(bytes.count) bytes)")
        }
        if pieces.isEmpty { throw invalid("it has no pieces") }
        let unknown = pieces.count { $0.type == .unknown }
        if unknown != 1 { throw invalid("expected one unknown piece, found \(unknown)") }
        for (id, piece) in pieces.enumerated() {
            if piece.text.isEmpty { throw invalid("piece \(id) is empty") }
            if piece.type == .byte, byte(named: String(decoding: piece.text, as: UTF8.self)) == nil {
                throw invalid("piece \(id) is of type byte, but \(piece.text) names none")
            }
        }
    }

    private static func piece(_ message: UnsafeRawBufferPointer) throws -> Piece {
        var piece = Piece()
        var reader = ProtocolBufferReader(message)
        while let field = try reader.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let text)): piece.text = [UInt8](text)
            case (3, .integer(let type)):
                guard let type = Int(exactly: type).flatMap(PieceType.init(rawValue:)) else {
                    throw ProtocolBufferReader.Malformed()
                }
                piece.type = type
            default: break
            }
        }
        return piece
    }

    private mutating func readTrainer(_ message: UnsafeRawBufferPointer) throws {
        var reader = ProtocolBufferReader(message)
        while let field = try reader.next() {
            switch (field.number, field.value) {
            case (3, .integer(let type)):
                guard let type = Int(exactly: type).flatMap(ModelType.init(rawValue:)) else {
                    throw ProtocolBufferReader.Malformed()
                }
                modelType = type
            case (24, .integer(let flag)): treatsWhitespaceAsSuffix = flag != 0
            case (35, .integer(let flag)): byteFallback = flag != 0
            case (44, .bytes(let text)): unknownSurface = [UInt8](text)
            default: break
            }
        }
    }

    private mutating func readNormalizer(_ message: UnsafeRawBufferPointer) throws {
        hasNormalizationRules = try Self.hasRules(message)
        var reader = ProtocolBufferReader(message)
        while let field = try reader.next() {
            switch (field.number, field.value) {
            case (3, .integer(let flag)): addsDummyPrefix = flag != 0
            case (4, .integer(let flag)): removesExtraWhitespaces = flag != 0
            case (5, .integer(let flag)): escapesWhitespaces = flag != 0
            default: break
            }
        }
    }

    /// Whether a normaliser has a compiled table of replacements.
    private static func hasRules(_ message: UnsafeRawBufferPointer) throws -> Bool {
        var reader = ProtocolBufferReader(message)
        var found = false
        while let field = try reader.next() {
            if field.number == 2, case .bytes(let table) = field.value { found = !table.isEmpty }
        }
        return found
    }
}

/// Reads the fields of one protocol buffer message, never past its end.
struct ProtocolBufferReader {
    struct Malformed: Error {}

    enum Value {
        case integer(UInt64)
        case fixed64(UInt64)
        case fixed32(UInt32)
        case bytes(UnsafeRawBufferPointer)
    }

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// The next field, nil at the end.
    mutating func next() throws -> (number: Int, value: Value)? {
        if position == bytes.count { return nil }
        let key = try varint()
        guard key >> 3 > 0, key >> 3 < 1 << 29 else { throw Malformed() }
        let number = Int(key >> 3)
        switch key & 7 {
        case 0: return (number, .integer(try varint()))
        case 1:
            let range = try take(8)
            return (number, .fixed64(UInt64(littleEndian: range.loadUnaligned(as: UInt64.self))))
        case 2:
            guard let length = Int(exactly: try varint()) else { throw Malformed() }
            return (number, .bytes(try take(length)))
        case 5:
            let range = try take(4)
            return (number, .fixed32(UInt32(littleEndian: range.loadUnaligned(as: UInt32.self))))
        default: throw Malformed()
        }
    }

    private mutating func take(_ length: Int) throws -> UnsafeRawBufferPointer {
        guard length <= bytes.count - position else { throw Malformed() }
        defer { position += length }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + length])
    }

    private mutating func varint() throws -> UInt64 {
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard position < bytes.count else { throw Malformed() }
            let byte = bytes[position]
            position += 1
            if shift == 63 && byte > 1 { throw Malformed() }
            result |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return result }
        }
        throw Malformed()
    }
}
