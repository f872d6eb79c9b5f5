/// The tokenizer that needs no model: ids 0 to 255 are the bytes of the text, id 256 is `[eod]`.
///
/// It encodes any bytes, UTF-8 or not, and is lossless.
public struct ByteTokenizer: Tokenizer {
    /// The name by which recipes ask for this tokenizer.
    public static let name = "bytes"

    public init() {}

    public var vocabularySize: Int { 257 }
    public var eodID: Int32 { 256 }
    public var summary: String { "bytes, 257 ids" }

    public var fingerprint: TokenizerFingerprint {
        Array("martlet byte tokenizer 1".utf8).withUnsafeBytes { TokenizerFingerprint(ofModel: $0) }
    }

    public func encode(utf8 bytes: UnsafeRawBufferPointer, threads: Int) throws -> [Int32] {
        bytes.map { Int32($0) }
    }

    public func appendBytes(of id: Int32, to bytes: inout [UInt8], state: inout DecodingState) throws {
        if let byte = UInt8(exactly: id) {
            bytes.append(byte)
            state.isAtStart = false
        } else if id != eodID {
            throw TokenizerError.idOutOfRange(id: id, vocabularySize: vocabularySize)
        }
    }

    public func piece(_ id: Int32) -> String? {
        if let byte = UInt8(exactly: id) { return byteName(byte) }
        return id == eodID ? "[eod]" : nil
    }

    public func id(ofPiece piece: String) -> Int32? {
        if piece == "[eod]" { return eodID }
        return byte(named: piece).map { Int32($0) }
    }
}

/// The name that SentencePiece gives the piece of a byte: `<0x0A>`.
func byteName(_ byte: UInt8) -> String {
    "<0x" + hexadecimal(CollectionOfOne(byte)).uppercased() + ">"
}

/// The byte whose piece is named `name`.
func byte(named name: String) -> UInt8? {
    let characters = Array(name.utf8)
    guard characters.count == 6, name.hasPrefix("<0x"), name.hasSuffix(">") else { return nil }
    guard let byte = UInt8(String(decoding: characters[3..<5], as: UTF8.self), radix: 16) else { return nil }
    return byteName(byte) == name ? byte : nil
}
