/// A JSON value. Objects keep the order of their keys, and whole numbers stay integers.
///
/// ```swift
/// let config = try JSONValue.parse(bytes, source: "config.json")
/// let width = config["hidden_size"]?.intValue
/// let text = try JSONValue.object(["layers": 12, "tied": true]).serialized(pretty: true)
/// ```
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A number written without fraction and exponent that fits in 64 bits.
    case int(Int64)
    /// Any other number.
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }

    public var intValue: Int? { if case .int(let value) = self { Int(value) } else { nil } }

    /// The number, whether it was written as an integer or not.
    public var doubleValue: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    public var stringValue: String? { if case .string(let value) = self { value } else { nil } }

    public var arrayValue: [JSONValue]? { if case .array(let value) = self { value } else { nil } }

    public var objectValue: JSONObject? { if case .object(let value) = self { value } else { nil } }

    public var isNull: Bool { self == .null }

    /// The member of an object, nil when it has none of this name or when this is no object.
    public subscript(key: String) -> JSONValue? { objectValue?[key] }

    /// What kind of value this is, with its article, for error messages: "an integer".
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .int: "an integer"
        case .double: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// The members of a JSON object in the order they were written in, each name once.
///
/// Names are compared byte by byte, not by Unicode's canonical equivalence as Swift's strings are: a vocabulary may
/// well have both "é" and "e" with a combining accent.
public struct JSONObject: Sendable, Equatable {
    private struct Name: Hashable, Sendable {
        var text: String

        static func == (a: Name, b: Name) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

        func hash(into hasher: inout Hasher) {
            var text = text
            text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }

    public private(set) var members: [(key: String, value: JSONValue)] = []
    /// Positions by name; kept only for objects of more than a few members, where a search is slower.
    private var positions: [Name: Int] = [:]
    private static let searchLimit = 8

    public init() {}

    public var count: Int { members.count }
    public var keys: [String] { members.map(\.key) }

    /// Reading gives nil for a name that is absent; writing replaces, appends, or removes when nil is written.
    public subscript(key: String) -> JSONValue? {
        get { position(key).map { members[$0].value } }
        set {
            if let newValue {
                if let i = position(key) { members[i].value = newValue } else { append(key, newValue) }
            } else if let i = position(key) {
                members.remove(at: i)
                positions = [:]
                if members.count > JSONObject.searchLimit { indexAll() }
            }
        }
    }

    /// Appends a member; false when there is one of this name already.
    mutating func appendNew(_ key: String, _ value: JSONValue) -> Bool {
        if position(key) != nil { return false }
        append(key, value)
        return true
    }

    private mutating func append(_ key: String, _ value: JSONValue) {
        members.append((key, value))
        if members.count > JSONObject.searchLimit {
            if positions.isEmpty { indexAll() } else { positions[Name(text: key)] = members.count - 1 }
        }
    }

    private mutating func indexAll() {
        for (i, member) in members.enumerated() { positions[Name(text: member.key)] = i }
    }

    private func position(_ key: String) -> Int? {
        if members.count > JSONObject.searchLimit { return positions[Name(text: key)] }
        return members.firstIndex { $0.key.utf8.elementsEqual(key.utf8) }
    }

    public static func == (a: JSONObject, b: JSONObject) -> Bool {
        a.count == b.count
            && zip(a.members, b.members).allSatisfy { $0.key.utf8.elementsEqual($1.key.utf8) && $0.value == $1.value }
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        for (key, value) in elements { self[key] = value }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        var object = JSONObject()
        for (key, value) in elements { object[key] = value }
        self = .object(object)
    }
}

// MARK: - Writing

extension JSONValue {
    /// The value as UTF-8 text: on one line without spaces, or `pretty` with an indent of two.
    ///
    /// - Throws: `MartletError.format` for a number that is infinite or not a number, which JSON cannot express.
    public func serialized(pretty: Bool = false) throws -> [UInt8] {
        var out: [UInt8] = []
        try write(to: &out, pretty: pretty, indent: 0)
        return out
    }

    /// ``serialized(pretty:)`` as a string.
    public func text(pretty: Bool = false) throws -> String {
        String(decoding: try serialized(pretty: pretty), as: UTF8.self)
    }

    private func write(to out: inout [UInt8], pretty: Bool, indent: Int) throws {
        func newLine(_ indent: Int) {
            guard pretty else { return }
            out.append(UInt8(ascii: "\n"))
            out.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * indent))
        }
        switch self {
        case .null: out.append(contentsOf: "null".utf8)
        case .bool(let value): out.append(contentsOf: (value ? "true" : "false").utf8)
        case .int(let value): out.append(contentsOf: "\(value)".utf8)
        case .double(let value):
            if !value.isFinite { throw MartletError(.format, "JSON has no number \(value)") }
            out.append(contentsOf: "\(value)".utf8)
        case .string(let value): JSONValue.write(value, to: &out)
        case .array(let values):
            out.append(UInt8(ascii: "["))
            for (i, value) in values.enumerated() {
                if i > 0 { out.append(UInt8(ascii: ",")) }
                newLine(indent + 1)
                try value.write(to: &out, pretty: pretty, indent: indent + 1)
            }
            if !values.isEmpty { newLine(indent) }
            out.append(UInt8(ascii: "]"))
        case .object(let object):
            out.append(UInt8(ascii: "{"))
            for (i, member) in object.members.enumerated() {
                if i > 0 { out.append(UInt8(ascii: ",")) }
                newLine(indent + 1)
                JSONValue.write(member.key, to: &out)
                out.append(UInt8(ascii: ":"))
                if pretty { out.append(UInt8(ascii: " ")) }
                try member.value.write(to: &out, pretty: pretty, indent: indent + 1)
            }
            if object.count > 0 { newLine(indent) }
            out.append(UInt8(ascii: "}"))
        }
    }

    private static func write(_ text: String, to out: inout [UInt8]) {
        let digits = Array("0123456789abcdef".utf8)
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out.append(contentsOf: [UInt8(ascii: "\\"), byte])
            case 0x0a: out.append(contentsOf: "\\n".utf8)
            case 0x0d: out.append(contentsOf: "\\r".utf8)
            case 0x09: out.append(contentsOf: "\\t".utf8)
            case 0..<0x20:
                out.append(contentsOf: "\\u00".utf8)
                out.append(contentsOf: [digits[Int(byte >> 4)], digits[Int(byte & 15)]])
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}
