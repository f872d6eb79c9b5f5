extension JSONValue {
    /// Reads one JSON value (RFC 8259) and nothing after it.
    ///
    /// Refused besides what the grammar forbids: an object with two members of one name, text that is not UTF-8,
    /// unpaired surrogates, numbers beyond Double's range, and nesting deeper than `depthLimit`.
    ///
    /// - Parameter source: what is read (a file's name), for error messages.
    /// - Throws: `MartletError.format` with the byte offset and what was expected there.
    public static func parse(
        _ bytes: UnsafeRawBufferPointer, source: String = "JSON text", depthLimit: Int = 128
    ) throws -> JSONValue {
        var parser = JSONParser(bytes: bytes, source: source, depthLimit: depthLimit)
        return try parser.document()
    }

    /// Reads one JSON value from UTF-8 bytes, as `parse` of a buffer does.
    public static func parse(_ bytes: [UInt8], source: String = "JSON text", depthLimit: Int = 128) throws -> JSONValue
    {
        try bytes.withUnsafeBytes { try parse($0, source: source, depthLimit: depthLimit) }
    }

    /// Reads one JSON value from a string.
    public static func parse(_ text: String, source: String = "JSON text", depthLimit: Int = 128) throws -> JSONValue {
        try parse(Array(text.utf8), source: source, depthLimit: depthLimit)
    }

    /// Reads one JSON value from a file.
    public static func load(_ path: String) throws -> JSONValue {
        let file = try MappedFile(path)
        return try parse(file.bytes, source: path)
    }
}

private struct JSONParser {
    let bytes: UnsafeRawBufferPointer
    let source: String
    let depthLimit: Int
    var position = 0
    var depth = 0

    init(bytes: UnsafeRawBufferPointer, source: String, depthLimit: Int) {
        self.bytes = bytes
        self.source = source
        self.depthLimit = depthLimit
    }

    mutating func document() throws -> JSONValue {
        skipSpace()
        let value = try self.value()
        skipSpace()
        if position < bytes.count { throw expected("the end of the text") }
        return value
    }

    private func error(_ message: String, at offset: Int) -> MartletError {
        MartletError(.format, "\(source): not valid JSON at byte \(offset): \(message)")
    }

    private func expected(_ what: String) -> MartletError {
        let found: String
        if position >= bytes.count {
            found = "the end of the text"
        } else if case let byte = bytes[position], (0x20..<0x7f).contains(byte) {
            found = "'\(Character(Unicode.Scalar(byte)))'"
        } else {
            found = "byte 0x" + String(bytes[position], radix: 16)
        }
        return error("expected \(what), found \(found)", at: position)
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0a, 0x0d, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func take(_ byte: UInt8, _ what: String) throws {
        if current != byte { throw expected(what) }
        position += 1
    }

    private mutating func value() throws -> JSONValue {
        switch current {
        case UInt8(ascii: "{"): return .object(try object())
        case UInt8(ascii: "["): return .array(try array())
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"): return try number()
        case .some(let byte) where isDigit(byte): return try number()
        default: throw expected("a value")
        }
    }

    private mutating func word(_ text: StaticString, _ value: JSONValue) throws -> JSONValue {
        for i in 0..<text.utf8CodeUnitCount { try take(text.utf8Start[i], "'\(text)'") }
        return value
    }

    private mutating func enter() throws {
        depth += 1
        if depth > depthLimit { throw error("nested more than \(depthLimit) deep", at: position) }
        position += 1
        skipSpace()
    }

    private mutating func object() throws -> JSONObject {
        try enter()
        defer { depth -= 1 }
        var object = JSONObject()
        if current == UInt8(ascii: "}") {
            position += 1
            return object
        }
        while true {
            let start = position
            if current != UInt8(ascii: "\"") { throw expected("a member's name in quotes") }
            let key = try string()
            skipSpace()
            try take(UInt8(ascii: ":"), "':'")
            skipSpace()
            let value = try self.value()
            if !object.appendNew(key, value) { throw error("the object has two members named \"\(key)\"", at: start) }
            skipSpace()
            if current == UInt8(ascii: "}") {
                position += 1
                return object
            }
            try take(UInt8(ascii: ","), "',' or '}'")
            skipSpace()
        }
    }

    private mutating func array() throws -> [JSONValue] {
        try enter()
        defer { depth -= 1 }
        var values: [JSONValue] = []
        if current == UInt8(ascii: "]") {
            position += 1
            return values
        }
        while true {
            values.append(try value())
            skipSpace()
            if current == UInt8(ascii: "]") {
                position += 1
                return values
            }
            try take(UInt8(ascii: ","), "',' or ']'")
            skipSpace()
        }
    }

    // MARK: strings

    private mutating func string() throws -> String {
        let start = position
        position += 1
        let first = position
        // Most strings have no escape and are taken as they are.
        while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
        if current == UInt8(ascii: "\"") {
            defer { position += 1 }
            return try text(UnsafeRawBufferPointer(rebasing: bytes[first..<position]), start)
        }
        var unescaped = Array(bytes[first..<position])
        while let byte = current {
            if byte == UInt8(ascii: "\"") {
                position += 1
                return try unescaped.withUnsafeBytes { try text($0, start) }
            }
            if byte < 0x20 { throw expected("an escape in place of a control character") }
            position += 1
            if byte == UInt8(ascii: "\\") {
                try escape(&unescaped)
            } else {
                unescaped.append(byte)
            }
        }
        throw error("the string that starts here does not end", at: start)
    }

    private func text(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw error("the string that starts here is not UTF-8", at: start)
        }
        return text
    }

    private mutating func escape(_ out: inout [UInt8]) throws {
        let start = position - 1
        guard let byte = current else { throw expected("an escape sequence") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(byte)
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "f"): out.append(0x0c)
        case UInt8(ascii: "n"): out.append(0x0a)
        case UInt8(ascii: "r"): out.append(0x0d)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if (0xd800..<0xdc00).contains(code) {
                guard current == UInt8(ascii: "\\"), position + 1 < bytes.count,
                    bytes[position + 1] == UInt8(ascii: "u")
                else { throw error("a high surrogate with no low one after it", at: start) }
                position += 2
                let low = try hexadecimal()
                if !(0xdc00..<0xe000).contains(low) {
                    throw error("a high surrogate with no low one after it", at: start)
                }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else {
                throw error("a low surrogate with no high one before it", at: start)
            }
            out.append(contentsOf: UTF8.encode(scalar)!)
        default:
            position -= 1
            throw expected("one of \"\\/bfnrtu after the backslash")
        }
    }

    private mutating func hexadecimal() throws -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw expected("four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }

    // MARK: numbers

    private mutating func digits() throws {
        guard let first = current, isDigit(first) else { throw expected("a digit") }
        while let byte = current, isDigit(byte) { position += 1 }
    }

    private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private mutating func number() throws -> JSONValue {
        let start = position
        if current == UInt8(ascii: "-") { position += 1 }
        if current == UInt8(ascii: "0") {
            position += 1
            if let byte = current, isDigit(byte) { throw error("a number with a leading zero", at: start) }
        } else {
            try digits()
        }
        var isInteger = true
        if current == UInt8(ascii: ".") {
            isInteger = false
            position += 1
            try digits()
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            isInteger = false
            position += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        let text = String(decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
        if isInteger, let value = Int64(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else { throw error("the number is out of range", at: start) }
        return .double(value)
    }
}
