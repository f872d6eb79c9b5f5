/// Bytes that were to be UTF-8 text are not.
public struct InvalidUTF8Error: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file, or what else the bytes came from.
    public let source: String
    /// The offset in bytes, from the start of the source, of the first sequence that is not UTF-8.
    public let offset: Int
    /// The line of the offset, from 1.
    public let line: Int
    /// Up to four bytes found at the offset.
    public let found: [UInt8]

    public var description: String {
        let bytes = found.map { "0x" + hexadecimal(CollectionOfOne($0)).uppercased() }.joined(separator: " ")
        var message =
            "\(source): invalid UTF-8 at byte \(offset) (line \(line)): found \(bytes); the text must be UTF-8"
        if offset == 0, found.starts(with: [0xFF, 0xFE]) || found.starts(with: [0xFE, 0xFF]) {
            message += " and this looks like UTF-16: convert it with iconv -f UTF-16 -t UTF-8"
        } else if offset == 1, found.first == 0x8B {
            message += " and this looks like a gzip file: decompress it first"
        } else {
            message += "; if it is in another encoding, convert it, for example with iconv -f LATIN1 -t UTF-8"
        }
        return message
    }
}

/// The offset of the first byte at which `bytes` stop being well-formed UTF-8, or nil where all of them are.
///
/// Surrogates, overlong forms, values above U+10FFFF and sequences cut off by the end are not well-formed.
public func firstInvalidUTF8Offset(in bytes: UnsafeRawBufferPointer) -> Int? {
    let count = bytes.count
    var position = 0
    while position < count {
        while position + 8 <= count,
            bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
        {
            position += 8
        }
        if position >= count { break }
        let lead = bytes[position]
        if lead < 0x80 {
            position += 1
            continue
        }
        let length = scalarLength(lead: lead)
        if length == 0 || position + length > count { return position }
        let second = bytes[position + 1]
        let allowed: ClosedRange<UInt8> =
            switch lead {
            case 0xE0: 0xA0...0xBF
            case 0xED: 0x80...0x9F
            case 0xF0: 0x90...0xBF
            case 0xF4: 0x80...0x8F
            default: 0x80...0xBF
            }
        if !allowed.contains(second) { return position }
        for next in 2..<max(length, 2) where bytes[position + next] & 0xC0 != 0x80 { return position }
        position += length
    }
    return nil
}

/// Throws `InvalidUTF8Error` unless `bytes` are well-formed UTF-8.
public func validateUTF8(_ bytes: UnsafeRawBufferPointer, source: String) throws {
    guard let offset = firstInvalidUTF8Offset(in: bytes) else { return }
    let line = 1 + bytes[0..<offset].reduce(into: 0) { if $1 == 0x0A { $0 += 1 } }
    throw InvalidUTF8Error(
        source: source, offset: offset, line: line, found: [UInt8](bytes[offset..<min(offset + 4, bytes.count)]))
}

/// The bytes of the scalar that begins with `lead`, 0 where no scalar begins with it.
@inline(__always)
func scalarLength(lead: UInt8) -> Int {
    switch lead {
    case 0x00...0x7F: 1
    case 0xC2...0xDF: 2
    case 0xE0...0xEF: 3
    case 0xF0...0xF4: 4
    default: 0
    }
}
