/// Reads one text field out of a line of JSON, checking the whole line.
struct JSONLine {
    struct Malformed: Error {
        /// The offset in the line.
        let offset: Int
        let reason: String
    }

    private static let deepestNesting = 512

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// The UTF-8 of the string in the object's field `name`. Where the field is there more than once, the last counts.
    mutating func text(field name: [UInt8]) throws -> [UInt8] {
        skipSpace()
        guard peek() == UInt8(ascii: "{") else { throw malformed("expected a JSON object") }
        position += 1
        var found: [UInt8]?
        var otherType: String?
        skipSpace()
        if peek() == UInt8(ascii: "}") {
            position += 1
        } else {
            while true {
                skipSpace()
                guard peek() == UInt8(ascii: "\"") else { throw malformed("expected a field name in quotes") }
                let key = try string()
                skipSpace()
                try expect(":")
                skipSpace()
                if key == name {
                    if peek() == UInt8(ascii: "\"") {
                        found = try string()
                        otherType = nil
                    } else {
                        otherType = typeOfNextValue()
                        try skipValue()
                    }
                } else {
                    try skipValue()
                }
                skipSpace()
                if peek() == UInt8(ascii: ",") {
                    position += 1
                    continue
                }
                guard peek() == UInt8(ascii: "}") else { throw malformed("expected \",\" or \"}\"") }
                position += 1
                break
            }
        }
        skipSpace()
        if position < bytes.count { throw malformed("expected the end of the line after the object") }
        let shown = String(decoding: name, as: UTF8.self)
        if let otherType {
            throw Malformed(offset: 0, reason: "field \"\(shown)\" must be a string, found \(otherType)")
        }
        guard let found else { throw Malformed(offset: 0, reason: "the object has no field \"\(shown)\"") }
        return found
    }

    private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

    private func malformed(_ reason: String) -> Malformed {
        if position >= bytes.count {
            return Malformed(offset: position, reason: "\(reason), found the end of the line")
        }
        return Malformed(offset: position, reason: "\(reason), found byte 0x" + hexadecimal([bytes[position]]))
    }

    private mutating func skipSpace() {
        while let byte = peek(), byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A { position += 1 }
    }

    private mutating func expect(_ character: Unicode.Scalar) throws {
        guard peek() == UInt8(ascii: character) else { throw malformed("expected \"\(character)\"") }
        position += 1
    }

    private func typeOfNextValue() -> String {
        switch peek() {
        case UInt8(ascii: "{"): "an object"
        case UInt8(ascii: "["): "an array"
        case UInt8(ascii: "t"), UInt8(ascii: "f"): "a boolean"
        case UInt8(ascii: "n"): "null"
        default: "a number"
        }
    }

    /// Passes over one value, however deep, without recursion.
    private mutating func skipValue() throws {
        var closers: [UInt8] = []
        while true {
            skipSpace()
            switch peek() {
            case UInt8(ascii: "{"):
                position += 1
                skipSpace()
                if peek() == UInt8(ascii: "}") {
                    position += 1
                } else {
                    closers.append(UInt8(ascii: "}"))
                    if closers.count > Self.deepestNesting { throw malformed("nested too deep") }
                    try passKey()
                    continue
                }
            case UInt8(ascii: "["):
                position += 1
                skipSpace()
                if peek() == UInt8(ascii: "]") {
                    position += 1
                } else {
                    closers.append(UInt8(ascii: "]"))
                    if closers.count > Self.deepestNesting { throw malformed("nested too deep") }
                    continue
                }
            case UInt8(ascii: "\""): _ = try string()
            case UInt8(ascii: "t"): try literal("true")
            case UInt8(ascii: "f"): try literal("false")
            case UInt8(ascii: "n"): try literal("null")
            default: try number()
            }
            // A value has ended; so may the arrays and objects around it.
            while true {
                guard let closer = closers.last else { return }
                skipSpace()
                if peek() == UInt8(ascii: ",") {
                    position += 1
                    if closer == UInt8(ascii: "}") { try passKey() }
                    break
                }
                guard peek() == closer else {
                    throw malformed("expected \",\" or \"\(Unicode.Scalar(closer))\"")
                }
                position += 1
                closers.removeLast()
            }
        }
    }

    private mutating func passKey() throws {
        skipSpace()
        guard peek() == UInt8(ascii: "\"") else { throw malformed("expected a field name in quotes") }
        _ = try string()
        skipSpace()
        try expect(":")
    }

    private mutating func literal(_ text: String) throws {
        for byte in text.utf8 {
            guard peek() == byte else { throw malformed("expected \(text)") }
            position += 1
        }
    }

    private mutating func number() throws {
        func isDigit(_ byte: UInt8?) -> Bool { byte.map { $0 >= 0x30 && $0 <= 0x39 } ?? false }
        if peek() == UInt8(ascii: "-") { position += 1 }
        guard isDigit(peek()) else { throw malformed("expected a value") }
        if peek() == UInt8(ascii: "0") { position += 1 } else { while isDigit(peek()) { position += 1 } }
        if peek() == UInt8(ascii: ".") {
            position += 1
            guard isDigit(peek()) else { throw malformed("expected a digit") }
            while isDigit(peek()) { position += 1 }
        }
        if peek() == UInt8(ascii: "e") || peek() == UInt8(ascii: "E") {
            position += 1
            if peek() == UInt8(ascii: "+") || peek() == UInt8(ascii: "-") { position += 1 }
            guard isDigit(peek()) else { throw malformed("expected a digit") }
            while isDigit(peek()) { position += 1 }
        }
    }

    /// The string that begins here, its escapes resolved.
    private mutating func string() throws -> [UInt8] {
        position += 1
        var result: [UInt8] = []
        while true {
            let start = position
            while let byte = peek(), byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 {
                position += 1
            }
            result.append(contentsOf: bytes[start..<position])
            switch peek() {
            case UInt8(ascii: "\""):
                position += 1
                return result
            case UInt8(ascii: "\\"):
                position += 1
                try escape(into: &result)
            case nil: throw malformed("a string is not closed")
            default: throw malformed("a string has a control character that is not escaped")
            }
        }
    }

    private mutating func escape(into result: inout [UInt8]) throws {
        guard let kind = peek() else { throw malformed("expected an escape") }
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(kind)
        case UInt8(ascii: "b"): result.append(0x08)
        case UInt8(ascii: "f"): result.append(0x0C)
        case UInt8(ascii: "n"): result.append(0x0A)
        case UInt8(ascii: "r"): result.append(0x0D)
        case UInt8(ascii: "t"): result.append(0x09)
        case UInt8(ascii: "u"):
            let start = position
            position += 1
            var value = try fourDigits()
            if value & 0xFC00 == 0xD800, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
                bytes[position + 1] == UInt8(ascii: "u")
            {
                position += 2
                let low = try fourDigits()
                if low & 0xFC00 == 0xDC00 { value = 0x10000 + (value & 0x3FF) << 10 + (low & 0x3FF) }
            }
            guard let scalar = Unicode.Scalar(value) else {
                throw Malformed(offset: start - 1, reason: "half of a surrogate pair stands alone")
            }
            result.append(contentsOf: UTF8.encode(scalar)!)
            return
        default: throw malformed("expected an escape")
        }
        position += 1
    }

    private mutating func fourDigits() throws -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek(), let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw malformed("expected four hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }
}
