/// Tensor files in the safetensors format, interchangeable with every other reader and writer of it.
///
/// ```swift
/// try SafeTensors.save(["weight": w, "bias": b], to: "model.safetensors", metadata: ["format": "pt"])
/// let model = try SafeTensors.load("model.safetensors")
/// let w = model["weight"]!
/// ```
///
/// Supported are all types of ``DType`` (F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL); U16 and U32 are read as
/// int32 and int64. Tensors of another type may be in a file: only reading those is an error.
public enum SafeTensors {
    /// The tensors of a file or of the shards of a model.
    public struct Contents: Sendable {
        /// The names in the order of the file.
        public let names: [String]
        public let tensors: [String: Tensor]
        /// The strings that the writer added.
        public let metadata: [String: String]

        public subscript(name: String) -> Tensor? { tensors[name] }
    }

    /// Loads every tensor of a file; of a sharded model, given by its `….safetensors.index.json` or by the folder that
    /// has it (or `model.safetensors`), of all shards.
    ///
    /// The tensors read the mapped file in place: loading takes no time and no memory of its own, what is never used is
    /// never read, and the tensors are read-only (`clone()` gives writable ones). Use ``SafeTensorsFile`` to take
    /// single ones out of a file.
    ///
    /// - Throws: `MartletError.file` when the file cannot be read, `.format` when it is damaged.
    public static func load(_ path: String) throws -> Contents {
        let files = try ShardedSafeTensors(path)
        var tensors: [String: Tensor] = [:]
        for name in files.names { tensors[name] = try files.tensor(name) }
        return Contents(names: files.names, tensors: tensors, metadata: files.metadata)
    }

    /// Writes tensors to a file, replacing it as a whole once everything is written.
    ///
    /// The tensors' memory is written as it is, without a copy of all; a tensor that is not contiguous is copied for as
    /// long as it is written.
    ///
    /// - Parameters:
    ///   - tensors: names and tensors; the file lists them in this order.
    ///   - metadata: strings to keep with them; other libraries expect `["format": "pt"]` in a model.
    ///   - sync: wait until the file is on the disk.
    /// - Throws: `MartletError.file` or `.resources` when it cannot be written, `.format` for a name that occurs twice.
    public static func save(
        _ tensors: [(String, Tensor)], to path: String, metadata: [String: String] = [:], sync: Bool = false
    ) throws {
        let (header, order) = try makeHeader(tensors, path, metadata)
        let writer = try FileWriter(replacing: path)
        try withUnsafeBytes(of: UInt64(header.count).littleEndian) { try writer.write($0) }
        try writer.write(header)
        for i in order { try tensors[i].1.withBytes { try writer.write($0) } }
        try writer.commit(sync: sync)
    }

    /// Writes tensors to a file in the order of their names, as the other `save` does.
    public static func save(
        _ tensors: [String: Tensor], to path: String, metadata: [String: String] = [:], sync: Bool = false
    ) throws {
        try save(
            tensors.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, to: path, metadata: metadata, sync: sync)
    }

    static let metadataKey = "__metadata__"
    /// What other readers accept.
    static let headerLimit = 100_000_000

    /// The header, padded, and the order in which the tensors' bytes follow it.
    private static func makeHeader(
        _ tensors: [(String, Tensor)], _ path: String, _ metadata: [String: String]
    ) throws -> ([UInt8], [Int]) {
        // Widest elements first, so that every tensor lies at a multiple of its element size and can be read in place.
        let order = tensors.indices.sorted {
            (-tensors[$0].1.dtype.byteSize, $0) < (-tensors[$1].1.dtype.byteSize, $1)
        }
        var offsets = [Int](repeating: 0, count: tensors.count)
        var end = 0
        for i in order {
            offsets[i] = end
            end += tensors[i].1.byteCount
        }
        var root = JSONObject()
        if !metadata.isEmpty {
            var object = JSONObject()
            for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { object[key] = .string(value) }
            root[metadataKey] = .object(object)
        }
        for (i, (name, tensor)) in tensors.enumerated() {
            if name == metadataKey { throw MartletError(.format, "\(path): a tensor may not be named \(name)") }
            let info: JSONObject = [
                "dtype": .string(typeName(tensor.dtype)),
                "shape": .array(tensor.shape.map { .int(Int64($0)) }),
                "data_offsets": [.int(Int64(offsets[i])), .int(Int64(offsets[i] + tensor.byteCount))],
            ]
            if !root.appendNew(name, .object(info)) {
                throw MartletError(.format, "\(path): two tensors are named \"\(name)\"")
            }
        }
        var header = try JSONValue.object(root).serialized()
        header.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (8 - header.count % 8) % 8))
        if header.count > headerLimit {
            throw MartletError(
                .format, "\(path): the header takes \(header.count) bytes, at most \(headerLimit) are allowed")
        }
        return (header, order)
    }

    private static func typeName(_ dtype: DType) -> String {
        switch dtype {
        case .float64: "F64"
        case .float32: "F32"
        case .float16: "F16"
        case .bfloat16: "BF16"
        case .int64: "I64"
        case .int32: "I32"
        case .int16: "I16"
        case .int8: "I8"
        case .uint8: "U8"
        case .bool: "BOOL"
        }
    }
}

/// One safetensors file, mapped: tensors are made of it one by one, by name.
///
/// Opening checks the whole header: that it is JSON of the right form, that every tensor's size is that of its shape,
/// and that the tensors fill the rest of the file without gap and overlap.
public final class SafeTensorsFile: Sendable {
    /// What the header says of a tensor.
    public struct Entry: Sendable {
        /// The element type as the format names it ("F32").
        public let typeName: String
        /// The type it is read as, nil when it cannot be read.
        public let dtype: DType?
        public let shape: [Int]
        /// Where its bytes are in the file.
        public let byteRange: Range<Int>
    }

    public let path: String
    /// The names in the order of the header.
    public let names: [String]
    /// The strings that the writer added.
    public let metadata: [String: String]
    private let file: MappedFile
    private let entries: [String: Entry]

    /// The element types of the format: what each is read as, and its size in bytes.
    private static let types: [String: (dtype: DType?, size: Int)] = [
        "F64": (.float64, 8), "F32": (.float32, 4), "F16": (.float16, 2), "BF16": (.bfloat16, 2),
        "I64": (.int64, 8), "I32": (.int32, 4), "I16": (.int16, 2), "I8": (.int8, 1), "U8": (.uint8, 1),
        "BOOL": (.bool, 1), "U16": (.int32, 2), "U32": (.int64, 4), "U64": (nil, 8), "C64": (nil, 8),
        "F8_E4M3": (nil, 1), "F8_E5M2": (nil, 1), "F8_E8M0": (nil, 1),
    ]

    /// Opens a file and checks its header.
    ///
    /// - Throws: `MartletError.file` when it cannot be read, `.format` when it is damaged.
    public init(_ path: String) throws {
        let file = try MappedFile(path)
        let bytes = file.bytes
        func damaged(_ message: String) -> MartletError {
            MartletError(.format, "\(path): not a valid safetensors file: \(message)")
        }
        if bytes.count < 8 { throw damaged("it has \(bytes.count) bytes, the header's length alone takes 8") }
        let announced = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        if announced > UInt64(SafeTensors.headerLimit) {
            throw damaged("the header's length is \(announced), at most \(SafeTensors.headerLimit) are allowed")
        }
        let dataStart = 8 + Int(announced)
        if dataStart > bytes.count {
            throw damaged("the header's length is \(announced), the file has \(bytes.count - 8) bytes after it")
        }
        let header = UnsafeRawBufferPointer(rebasing: bytes[8..<dataStart])
        if header.first != UInt8(ascii: "{") { throw damaged("the header does not begin with '{'") }
        guard let root = try JSONValue.parse(header, source: "\(path) (header)").objectValue else {
            throw damaged("the header is no JSON object")
        }

        var names: [String] = []
        var entries: [String: Entry] = [:]
        var metadata: [String: String] = [:]
        for (name, value) in root.members {
            if name == SafeTensors.metadataKey {
                guard let object = value.objectValue else { throw damaged("\(name) is \(value.kind), not an object") }
                for (key, value) in object.members {
                    guard let text = value.stringValue else {
                        throw damaged("\(name) has \(value.kind) named \"\(key)\", not a string")
                    }
                    metadata[key] = text
                }
                continue
            }
            let entry: Entry
            do throws(Invalid) {
                entry = try SafeTensorsFile.entry(value, dataStart: dataStart, fileEnd: bytes.count)
            } catch {
                throw damaged("tensor \"\(name)\": \(error.reason)")
            }
            names.append(name)
            if entries.updateValue(entry, forKey: name) != nil {
                throw damaged("two tensors are named \"\(name)\" but for the Unicode form of an accent")
            }
        }
        var end = dataStart
        let ordered = entries.sorted {
            ($0.value.byteRange.lowerBound, $0.value.byteRange.upperBound)
                < ($1.value.byteRange.lowerBound, $1.value.byteRange.upperBound)
        }
        for (name, entry) in ordered {
            let start = entry.byteRange.lowerBound
            if start != end {
                let what = start < end ? "overlaps the one before it" : "leaves a gap after the one before it"
                throw damaged("tensor \"\(name)\" \(what): it starts at byte \(start), the other ends at \(end)")
            }
            end = entry.byteRange.upperBound
        }
        if end != bytes.count {
            throw damaged("the tensors end at byte \(end), the file at \(bytes.count): it was cut off or added to")
        }
        self.path = path
        self.file = file
        self.names = names
        self.entries = entries
        self.metadata = metadata
    }

    private struct Invalid: Error {
        let reason: String
    }

    private static func entry(_ value: JSONValue, dataStart: Int, fileEnd: Int) throws(Invalid) -> Entry {
        guard let info = value.objectValue else { throw Invalid(reason: "its entry is \(value.kind), not an object") }
        guard let typeName = info["dtype"]?.stringValue else { throw Invalid(reason: "it has no dtype string") }
        guard let sizes = info["shape"]?.arrayValue else { throw Invalid(reason: "it has no shape array") }
        var shape: [Int] = []
        for size in sizes {
            guard let n = size.intValue, n >= 0 else {
                throw Invalid(reason: "its shape has a size that is no whole number")
            }
            shape.append(n)
        }
        guard let offsets = info["data_offsets"]?.arrayValue, offsets.count == 2, let start = offsets[0].intValue,
            let end = offsets[1].intValue
        else { throw Invalid(reason: "it has no data_offsets array of two whole numbers") }
        let available = fileEnd - dataStart
        if start < 0 || end < start || end > available {
            throw Invalid(
                reason: "its bytes \(start)..<\(end) are not within the \(available) of data: the file may be cut off")
        }
        let type = types[typeName]
        if let type {
            guard let expected = checkedByteCount(shape, type.size) else {
                throw Invalid(reason: "its shape \(shape) is too large")
            }
            if expected != end - start {
                throw Invalid(reason: "\(typeName) of shape \(shape) takes \(expected) bytes, it has \(end - start)")
            }
        }
        return Entry(
            typeName: typeName, dtype: type?.dtype, shape: shape, byteRange: (dataStart + start)..<(dataStart + end))
    }

    /// What the header says of a tensor, nil when there is none of this name.
    public func entry(_ name: String) -> Entry? { entries[name] }

    /// The tensor of a name, read-only and reading the file in place (a copy where the writer did not align it).
    ///
    /// - Throws: `MartletError.mismatch` when there is none, `.format` when it has a type or rank that tensors cannot
    ///   have.
    public func tensor(_ name: String) throws -> Tensor {
        guard let entry = entries[name] else {
            throw MartletError(.mismatch, "\(path) has no tensor \"\(name)\"\(nearest(name, names))")
        }
        guard let dtype = entry.dtype else {
            throw MartletError(
                .format, "\(path): tensor \"\(name)\" has the element type \(entry.typeName), which is not supported")
        }
        try checkRank(entry.shape, "\(path): tensor \"\(name)\"")
        let bytes = UnsafeRawBufferPointer(rebasing: file.bytes[entry.byteRange])
        switch entry.typeName {
        case "U16": return Tensor.widening(bytes, entry.shape, from: 2)
        case "U32": return Tensor.widening(bytes, entry.shape, from: 4)
        default: return Tensor.borrowing(bytes, entry.shape, dtype, owner: file)
        }
    }
}

/// ": it has x, y, z" for an error about a name that is missing.
func nearest(_ name: String, _ names: [String]) -> String {
    if names.isEmpty { return ": it has none" }
    let shown = names.prefix(6).map { "\"\($0)\"" }.joined(separator: ", ")
    return "; it has \(shown)" + (names.count > 6 ? " and \(names.count - 6) more" : "")
}
