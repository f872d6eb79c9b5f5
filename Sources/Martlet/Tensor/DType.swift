internal import CMartletKernels

/// The element type of a tensor, known at run time.
public enum DType: Int32, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    case float64 = 0
    case float32 = 1
    case float16 = 2
    case bfloat16 = 3
    case int64 = 4
    case int32 = 5
    case int16 = 6
    case int8 = 7
    case uint8 = 8
    case bool = 9

    /// Bytes of one element.
    public var byteSize: Int {
        switch self {
        case .float64, .int64: 8
        case .float32, .int32: 4
        case .float16, .bfloat16, .int16: 2
        case .int8, .uint8, .bool: 1
        }
    }

    public var isFloatingPoint: Bool { rawValue <= 3 }
    public var isInteger: Bool { rawValue >= 4 && rawValue <= 8 }
    /// float16 or bfloat16: computed in float32, stored in two bytes.
    public var isHalf: Bool { self == .float16 || self == .bfloat16 }
    /// The type that sums and statistics of this type are kept in: float64 for float64, float32 for other floats.
    public var accumulator: DType { self == .float64 ? .float64 : isFloatingPoint ? .float32 : .int64 }

    /// The whole numbers that an integer type (or bool) holds.
    var wholeRange: ClosedRange<Int> {
        switch self {
        case .int64: Int.min...Int.max
        case .int32: Int(Int32.min)...Int(Int32.max)
        case .int16: Int(Int16.min)...Int(Int16.max)
        case .int8: Int(Int8.min)...Int(Int8.max)
        case .uint8: 0...255
        case .bool: 0...1
        case .float64, .float32, .float16, .bfloat16: trap("DType", "\(self) is not a type of whole numbers")
        }
    }

    /// The largest finite number of a floating-point type.
    var greatestFinite: Double {
        switch self {
        case .float64: .greatestFiniteMagnitude
        case .float32: Double(Float.greatestFiniteMagnitude)
        case .float16: 65504
        case .bfloat16: 0x1.fep127
        default: trap("DType", "\(self) is not a floating-point type")
        }
    }

    public var description: String {
        switch self {
        case .float64: "float64"
        case .float32: "float32"
        case .float16: "float16"
        case .bfloat16: "bfloat16"
        case .int64: "int64"
        case .int32: "int32"
        case .int16: "int16"
        case .int8: "int8"
        case .uint8: "uint8"
        case .bool: "bool"
        }
    }

    /// The type with this name ("float32", or short "f32", "bf16", ...), or nil.
    public init?(name: String) {
        switch name.lowercased() {
        case "float64", "f64", "double": self = .float64
        case "float32", "f32", "float": self = .float32
        case "float16", "f16", "half": self = .float16
        case "bfloat16", "bf16": self = .bfloat16
        case "int64", "i64", "long": self = .int64
        case "int32", "i32", "int": self = .int32
        case "int16", "i16", "short": self = .int16
        case "int8", "i8": self = .int8
        case "uint8", "u8", "byte": self = .uint8
        case "bool": self = .bool
        default: return nil
        }
    }

    /// The type two operands of these types are converted to: PyTorch's promotion table.
    public static func promote(_ a: DType, _ b: DType) -> DType {
        if a == b { return a }
        if a.isFloatingPoint && b.isFloatingPoint {
            if a == .float64 || b == .float64 { return .float64 }
            return .float32  // float32 with a half, or the two halves with each other
        }
        if a.isFloatingPoint { return a }
        if b.isFloatingPoint { return b }
        if a == .bool { return b }
        if b == .bool { return a }
        // uint8 fits in no int8: the next wider signed type holds both.
        if a == .uint8 { return b == .int8 ? .int16 : b }
        if b == .uint8 { return a == .int8 ? .int16 : a }
        return a.rawValue < b.rawValue ? a : b
    }

    /// 0 for bool, 1 for integers, 2 for floating point: a scalar or 0-dimensional tensor changes the type of a
    /// dimensioned one only when it is of a higher category.
    var category: Int { self == .bool ? 0 : isInteger ? 1 : 2 }
}

/// A Swift type whose values tensors can be made of and read back as.
public protocol TensorScalar: Sendable {
    static var dtype: DType { get }
}

extension Double: TensorScalar { public static var dtype: DType { .float64 } }
extension Float: TensorScalar { public static var dtype: DType { .float32 } }
#if !((os(macOS) || targetEnvironment(macCatalyst)) && arch(x86_64))
extension Float16: TensorScalar { public static var dtype: DType { .float16 } }
#endif
extension Int: TensorScalar { public static var dtype: DType { .int64 } }
extension Int64: TensorScalar { public static var dtype: DType { .int64 } }
extension Int32: TensorScalar { public static var dtype: DType { .int32 } }
extension Int16: TensorScalar { public static var dtype: DType { .int16 } }
extension Int8: TensorScalar { public static var dtype: DType { .int8 } }
extension UInt8: TensorScalar { public static var dtype: DType { .uint8 } }
extension Bool: TensorScalar { public static var dtype: DType { .bool } }

/// A bfloat16 number: the upper half of a float32.
public struct BFloat16: TensorScalar, Hashable {
    public static var dtype: DType { .bfloat16 }
    public var bitPattern: UInt16
    public init(bitPattern: UInt16) { self.bitPattern = bitPattern }
    /// Rounds to nearest, ties to even.
    public init(_ value: Float) {
        let bits = value.bitPattern
        bitPattern =
            value.isNaN
            ? UInt16(truncatingIfNeeded: bits >> 16) | 0x40
            : UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ ((bits >> 16) & 1)) >> 16)
    }
    public var float: Float { Float(bitPattern: UInt32(bitPattern) << 16) }
}

/// Where a tensor's elements live.
public enum Device: Sendable, Hashable, CustomStringConvertible {
    case cpu

    public var description: String {
        switch self {
        case .cpu: "cpu"
        }
    }
}
