/// A value of a recipe file together with the place it was written at.
///
/// The tree keeps plain scalars as text: what `1e-4`, `no` or `12` means is decided by the key that is being read, so a
/// number is never mistaken for text, nor text for a boolean.
package struct ConfigNode: Sendable, Equatable {
    package enum Value: Sendable, Equatable {
        /// A scalar without quotes: null, a boolean, a number or text.
        case plain(String)
        /// A scalar in quotes: always text.
        case quoted(String)
        case list([ConfigNode])
        /// Entries in the order of the file. Keys are unique.
        case mapping([Entry])
    }

    package struct Entry: Sendable, Equatable {
        package var key: String
        package var value: ConfigNode
        /// Where the key stands.
        package var origin: Origin

        package init(key: String, value: ConfigNode, origin: Origin) {
            self.key = key
            self.value = value
            self.origin = origin
        }
    }

    /// Where a value comes from, for error messages.
    package enum Origin: Sendable, Equatable {
        /// A line of a file, counted from 1.
        case line(Int, file: String)
        /// An override, with its text: `optimizer.learningRate=1e-3`.
        case override(String)
        /// Made in code.
        case code

        var prefix: String {
            switch self {
            case .line(let line, let file): "\(file):\(line): "
            case .override(let text): "--set \(text): "
            case .code: ""
            }
        }
    }

    package var value: Value
    package var origin: Origin

    package init(_ value: Value, origin: Origin = .code) {
        self.value = value
        self.origin = origin
    }

    static let null = ConfigNode(.plain("null"))

    var isNull: Bool {
        guard case .plain(let text) = value else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// The same values, whatever their places and whatever the order of keys.
    func hasSameContent(as other: ConfigNode) -> Bool {
        switch (value, other.value) {
        case (.plain(let a), .plain(let b)): return a == b || (isNull && other.isNull)
        case (.quoted(let a), .quoted(let b)): return a == b
        case (.list(let a), .list(let b)):
            return a.count == b.count && zip(a, b).allSatisfy { $0.hasSameContent(as: $1) }
        case (.mapping(let a), .mapping(let b)):
            return a.count == b.count
                && a.allSatisfy { entry in
                    b.first { $0.key == entry.key }.map { $0.value.hasSameContent(as: entry.value) } ?? false
                }
        default: return false
        }
    }

    /// How an error message names what was found.
    var found: String {
        switch value {
        case .plain where isNull: return "nothing"
        case .plain(let text):
            switch ScalarText.meaning(of: text) {
            case .text: return "the text '\(ScalarText.shortened(text))'"
            case .bool, .integer, .number: return text
            }
        case .quoted(let text): return "the text \"\(ScalarText.shortened(text))\""
        case .list(let elements): return "a list of \(elements.count) element\(elements.count == 1 ? "" : "s")"
        case .mapping(let entries):
            if entries.isEmpty { return "an empty mapping" }
            let keys = entries.prefix(3).map(\.key).joined(separator: ", ") + (entries.count > 3 ? ", ..." : "")
            return "a mapping with the keys \(keys)"
        }
    }
}

/// The reading of plain scalars: YAML 1.2's core schema, and `_` between digits.
enum ScalarText {
    enum Meaning: Equatable {
        case bool(Bool)
        case integer(Int)
        case number(Double)
        case text
    }

    static func meaning(of text: String) -> Meaning {
        switch text {
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .number(.infinity)
        case "-.inf", "-.Inf", "-.INF": return .number(-.infinity)
        case ".nan", ".NaN", ".NAN": return .number(.nan)
        default: break
        }
        guard let digits = withoutSeparators(text), looksNumeric(digits) else { return .text }
        if let integer = Int(digits) { return .integer(integer) }
        guard let number = Double(digits) else { return .text }
        return .number(number)
    }

    /// `1_000_000` is `1000000`; nil where an underscore does not stand between two digits.
    private static func withoutSeparators(_ text: String) -> String? {
        guard text.utf8.contains(UInt8(ascii: "_")) else { return text }
        let bytes = Array(text.utf8)
        func isDigit(_ index: Int) -> Bool { bytes.indices.contains(index) && (48...57).contains(bytes[index]) }
        for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: "_") {
            guard isDigit(index - 1), isDigit(index + 1) else { return nil }
        }
        return text.filter { $0 != "_" }
    }

    /// Keeps `Double.init` from reading `inf`, `nan` and hexadecimal floats, which YAML takes as text.
    private static func looksNumeric(_ text: String) -> Bool {
        var sawDigit = false
        for byte in text.utf8 {
            switch byte {
            case 48...57: sawDigit = true
            case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"): continue
            default: return false
            }
        }
        return sawDigit
    }

    static func shortened(_ text: String) -> String {
        let line = text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\\n")
        return line.count <= 60 ? line : line.prefix(57) + "..."
    }

    /// The shortest text that reads back as the same number, in a form that YAML 1.1 readers take as a number, too.
    static func text(of number: Double) -> String {
        if number.isNaN { return ".nan" }
        if number.isInfinite { return number < 0 ? "-.inf" : ".inf" }
        let text = number.description
        guard let exponent = text.firstIndex(of: "e"), !text[..<exponent].contains(".") else { return text }
        return text[..<exponent] + ".0" + text[exponent...]
    }
}

// MARK: - Codable

extension ConfigNode: Codable {
    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    package init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: Key.self) {
            self.init(
                .mapping(
                    try container.allKeys.sorted { $0.stringValue < $1.stringValue }.map {
                        Entry(
                            key: $0.stringValue, value: try container.decode(ConfigNode.self, forKey: $0), origin: .code
                        )
                    }))
        } else if var container = try? decoder.unkeyedContainer() {
            var elements: [ConfigNode] = []
            while !container.isAtEnd { elements.append(try container.decode(ConfigNode.self)) }
            self.init(.list(elements))
        } else {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .null
            } else if let bool = try? container.decode(Bool.self) {
                self.init(.plain(bool ? "true" : "false"))
            } else if let integer = try? container.decode(Int.self) {
                self.init(.plain(String(integer)))
            } else if let number = try? container.decode(Double.self) {
                self.init(.plain(ScalarText.text(of: number)))
            } else {
                self.init(.quoted(try container.decode(String.self)))
            }
        }
    }

    package func encode(to encoder: any Encoder) throws {
        switch value {
        case .mapping(let entries):
            var container = encoder.container(keyedBy: Key.self)
            for entry in entries { try container.encode(entry.value, forKey: Key(stringValue: entry.key)) }
        case .list(let elements):
            var container = encoder.unkeyedContainer()
            for element in elements { try container.encode(element) }
        case .quoted(let text):
            var container = encoder.singleValueContainer()
            try container.encode(text)
        case .plain(let text):
            var container = encoder.singleValueContainer()
            if isNull { return try container.encodeNil() }
            switch ScalarText.meaning(of: text) {
            case .bool(let bool): try container.encode(bool)
            case .integer(let integer): try container.encode(integer)
            case .number(let number): try container.encode(number)
            case .text: try container.encode(text)
            }
        }
    }
}
