private import Synchronization

#if canImport(Glibc)
internal import Glibc
#endif

/// How tensors are printed.
public struct PrintOptions: Sendable {
    /// Digits after the decimal point.
    public var precision: Int
    /// Tensors of more elements are summarised: the middle of long dimensions is left out.
    public var threshold: Int
    /// Elements shown at each end of a dimension that is summarised.
    public var edgeItems: Int
    /// Characters in a line.
    public var lineWidth: Int
    /// Whether numbers are written as 1.0000e+05; nil decides by the numbers' range.
    public var scientific: Bool?

    public init(
        precision: Int = 4, threshold: Int = 1000, edgeItems: Int = 3, lineWidth: Int = 80, scientific: Bool? = nil
    ) {
        self.precision = precision
        self.threshold = threshold
        self.edgeItems = edgeItems
        self.lineWidth = lineWidth
        self.scientific = scientific
    }

    /// What `print(tensor)` uses, on all threads.
    public static var standard: PrintOptions {
        get { standardOptions.withLock { $0 } }
        set { standardOptions.withLock { $0 = newValue } }
    }
}

private let standardOptions = Mutex(PrintOptions())

extension Tensor: CustomStringConvertible {
    /// The elements in nested brackets, and the dtype when it is not the usual one (float32, int64, bool).
    ///
    /// ```swift
    /// print(Tensor([[1, 2.5], [3, -4]]))
    /// // tensor([[ 1.0000,  2.5000],
    /// //         [ 3.0000, -4.0000]])
    /// ```
    public var description: String { formatted(.standard) }

    /// ``description`` with other options.
    public func formatted(_ options: PrintOptions) -> String {
        var printer = TensorPrinter(self, options)
        let text = printer.text()
        return self is Parameter ? "parameter " + text : text
    }
}

/// Prints one tensor. Only the elements that are shown are read, so a large tensor prints as quickly as a small one.
private struct TensorPrinter {
    let tensor: Tensor
    let options: PrintOptions
    let isSummary: Bool
    /// The texts of the elements shown, in order.
    private var cells: [String] = []
    private var next = 0
    private var width = 0

    private static let prefix = "tensor("

    init(_ tensor: Tensor, _ options: PrintOptions) {
        self.tensor = tensor
        self.options = options
        isSummary = tensor.count > options.threshold
    }

    mutating func text() -> String {
        let prefix = tensor is Parameter ? "parameter " + TensorPrinter.prefix : TensorPrinter.prefix
        var suffixes: [String] = []
        var body = "[]"
        if tensor.count == 0 {
            if tensor.rank != 1 { suffixes.append("shape=\(tensor.dims.text)") }
            if tensor.dtype != .float32 { suffixes.append("dtype=\(tensor.dtype)") }
        } else {
            makeCells()
            body = tensor.rank == 0 ? cells[0] : self.body(0, indent: prefix.count)
            if ![.float32, .int64, .bool].contains(tensor.dtype) { suffixes.append("dtype=\(tensor.dtype)") }
        }
        if let function = tensor.gradientFunction {
            suffixes.append("gradFn=<\(function)>")
        } else if tensor.requiresGrad {
            suffixes.append("requiresGrad=true")
        }

        var out = TensorPrinter.prefix + body
        let lastLine = out.utf8.lastIndex(of: UInt8(ascii: "\n")).map { out[$0...].dropFirst() } ?? out[...]
        var column =
            lastLine.count + 2 + (lastLine.startIndex == out.startIndex ? prefix.count - TensorPrinter.prefix.count : 0)
        for suffix in suffixes {
            if column + suffix.count + 2 > options.lineWidth {
                out += ",\n" + String(repeating: " ", count: prefix.count) + suffix
                column = prefix.count + suffix.count
            } else {
                out += ", " + suffix
                column += suffix.count + 2
            }
        }
        return out + ")"
    }

    // MARK: elements

    /// The indices of a dimension that are shown, with where the gap is when some are not.
    private func shown(_ d: Int) -> (indices: [Int], gap: Int?) {
        let size = tensor.dims[d]
        let edge = max(options.edgeItems, 1)
        if !isSummary || size <= 2 * edge { return (Array(0..<size), nil) }
        return (Array(0..<edge) + Array((size - edge)..<size), edge)
    }

    private func positions() -> [Int] {
        var positions = [tensor.offset]
        for d in 0..<tensor.rank {
            let indices = shown(d).indices
            let stride = tensor.strideDims[d]
            positions = positions.flatMap { start in indices.map { start + $0 * stride } }
        }
        return positions
    }

    private mutating func makeCells() {
        let positions = self.positions()
        switch tensor.dtype {
        case .float64, .float32, .float16, .bfloat16:
            let values = positions.map { tensor.element(at: $0) }
            let format = NumberFormat(values, options)
            cells = values.map { format.text($0) }
        case .bool: cells = positions.map { tensor.element(at: $0) != 0 ? "true" : "false" }
        case .int64:
            // Not by way of Double, which lacks the digits.
            cells = positions.map { "\(tensor.storage.pointer.load(fromByteOffset: $0 * 8, as: Int64.self))" }
        default: cells = positions.map { "\(Int(tensor.element(at: $0)))" }
        }
        width = cells.reduce(0) { max($0, $1.utf8.count) }
    }

    private mutating func cell() -> String {
        defer { next += 1 }
        return String(repeating: " ", count: width - cells[next].utf8.count) + cells[next]
    }

    // MARK: layout

    private mutating func body(_ d: Int, indent: Int) -> String {
        let (indices, gap) = shown(d)
        if d == tensor.rank - 1 { return row(indices.count, gap, indent: indent) }
        var parts: [String] = []
        for i in indices.indices {
            if i == gap { parts.append("...") }
            parts.append(body(d + 1, indent: indent + 1))
        }
        // One empty line for each dimension beyond the second sets the blocks apart.
        let newLines = String(repeating: "\n", count: tensor.rank - 1 - d)
        return "[" + parts.joined(separator: "," + newLines + String(repeating: " ", count: indent + 1)) + "]"
    }

    private mutating func row(_ count: Int, _ gap: Int?, indent: Int) -> String {
        var parts: [String] = []
        for i in 0..<count {
            if i == gap { parts.append(" ...") }
            parts.append(cell())
        }
        let perLine = max(1, (options.lineWidth - indent) / (width + 2))
        var lines: [String] = []
        for start in stride(from: 0, to: parts.count, by: perLine) {
            lines.append(parts[start..<min(start + perLine, parts.count)].joined(separator: ", "))
        }
        return "[" + lines.joined(separator: ",\n" + String(repeating: " ", count: indent + 1)) + "]"
    }
}

/// One way of writing all numbers of a tensor, chosen by their range.
private struct NumberFormat {
    let precision: Int
    let isWhole: Bool
    let isScientific: Bool

    init(_ values: [Double], _ options: PrintOptions) {
        precision = max(options.precision, 0)
        let sizes = values.lazy.filter { $0.isFinite && $0 != 0 }.map(\.magnitude)
        var smallest = Double.infinity
        var largest = 0.0
        var isWhole = true
        for size in sizes {
            smallest = min(smallest, size)
            largest = max(largest, size)
            if size != size.rounded() { isWhole = false }
        }
        self.isWhole = isWhole
        let isWide = largest > 0 && (largest / smallest > 1000 || largest > 1e8 || (!isWhole && smallest < 1e-4))
        isScientific = options.scientific ?? isWide
    }

    func text(_ value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        if isScientific { return NumberFormat.print("%.*e", precision, value) }
        if isWhole { return NumberFormat.print("%.*f", 0, value) + "." }
        return NumberFormat.print("%.*f", precision, value)
    }

    private static func print(_ format: String, _ precision: Int, _ value: Double) -> String {
        withVaList([Int32(clamping: precision), value]) { arguments in
            // Beyond 1e300 an exact number has more than three hundred digits.
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: 400 + precision) { buffer in
                let count = Int(vsnprintf(buffer.baseAddress!, buffer.count, format, arguments))
                // A program may have set a locale with another decimal point.
                return String(
                    decoding: buffer[..<min(count, buffer.count - 1)].map {
                        UInt8(bitPattern: $0) == UInt8(ascii: ",") ? UInt8(ascii: ".") : UInt8(bitPattern: $0)
                    }, as: UTF8.self)
            }
        }
    }
}
