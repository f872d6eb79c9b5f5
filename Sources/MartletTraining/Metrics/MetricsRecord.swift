import FoundationEssentials

/// A value in a record of metrics.
public enum MetricValue: Sendable, Equatable {
    case integer(Int)
    case number(Double)
    /// A float32, written with as many digits as it needs.
    case single(Float)
    case bool(Bool)
    case text(String)

    /// The value as a number; nil for text and booleans.
    public var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        case .single(let value): Double(value)
        case .text("NaN"): .nan
        case .text("Infinity"): .infinity
        case .text("-Infinity"): -.infinity
        case .bool, .text: nil
        }
    }
}

extension MetricValue: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringLiteral,
    ExpressibleByBooleanLiteral
{
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(stringLiteral value: String) { self = .text(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}

/// What is known about one step: a line of `metrics.jsonl`.
public struct MetricsRecord: Sendable, Equatable {
    public let step: Int
    /// Names and values in the order in which they are written.
    public let fields: [Field]

    public struct Field: Sendable, Equatable {
        public let name: String
        public let value: MetricValue
    }

    public init(step: Int, _ fields: KeyValuePairs<String, MetricValue>) {
        self.init(step: step, fields: fields.map { Field(name: $0.key, value: $0.value) })
    }

    public init(step: Int, fields: [Field]) {
        precondition(
            Set(fields.map(\.name)).union(["step"]).count == fields.count + 1,
            "[MetricsRecord] expected different names, none of them step, found \(fields.map(\.name))")
        self.step = step
        self.fields = fields
    }

    public subscript(name: String) -> MetricValue? { fields.first { $0.name == name }?.value }

    /// The record as a JSON object on one line, `step` first. JSON has no NaN and no infinity: they are written as the
    /// texts "NaN", "Infinity" and "-Infinity".
    public var json: String {
        var text = "{\"step\":\(step)"
        for field in fields { text += "," + Self.quoted(field.name) + ":" + Self.json(field.value) }
        return text + "}"
    }

    private static func json(_ value: MetricValue) -> String {
        switch value {
        case .integer(let value): return String(value)
        case .number(let value) where value.isFinite: return value.description
        case .single(let value) where value.isFinite: return value.description
        case .number(let value): return value.isNaN ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\""
        case .single(let value): return json(.number(Double(value)))
        case .bool(let value): return value ? "true" : "false"
        case .text(let text): return quoted(text)
        }
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case _ where scalar.value < 0x20:
                quoted += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    /// Reads a line; nil if it is no record. Fields come in the order of their names.
    init?(json line: some Sequence<UInt8>) {
        guard var values = try? JSONDecoder().decode([String: JSONValue].self, from: Data(line)),
            case .integer(let step)? = values.removeValue(forKey: "step")?.value
        else { return nil }
        self.step = step
        self.fields = values.sorted { $0.key < $1.key }.map { Field(name: $0.key, value: $0.value.value) }
    }

    private struct JSONValue: Decodable {
        let value: MetricValue

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let bool = try? container.decode(Bool.self) {
                value = .bool(bool)
            } else if let integer = try? container.decode(Int.self) {
                value = .integer(integer)
            } else if let number = try? container.decode(Double.self) {
                value = .number(number)
            } else {
                value = .text(try container.decode(String.self))
            }
        }
    }
}
