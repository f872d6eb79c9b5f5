/// NumPy's array files: `.npy`.
///
/// All types of ``DType`` but bfloat16, which NumPy lacks; uint16 and uint32 are read as int32 and int64, and
/// big-endian and column-major (Fortran) arrays are understood.
public enum Npy {
    /// Loads the array of a file.
    ///
    /// - Parameter mapped: read the file in place instead of copying it; the tensor is then read-only. An array that
    ///   cannot be read in place (big-endian, unsigned) is copied all the same.
    /// - Throws: `MartletError.file` when the file cannot be read, `.format` when it is damaged or of an element type
    ///   that tensors do not have.
    public static func load(_ path: String, mapped: Bool = false) throws -> Tensor {
        let file = try MappedFile(path)
        return try decode(file.bytes, path, owner: mapped ? file : nil)
    }

    /// Writes a tensor, replacing the file as a whole once everything is written.
    ///
    /// - Throws: `MartletError.format` for bfloat16, `.file` or `.resources` when the file cannot be written.
    public static func save(_ tensor: Tensor, to path: String, sync: Bool = false) throws {
        let header = try makeHeader(tensor, path)
        let writer = try FileWriter(replacing: path)
        try writer.write(header)
        try tensor.withBytes { try writer.write($0) }
        try writer.commit(sync: sync)
    }

    private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

    /// The bytes before the elements: padded so that these start at a multiple of 64, as NumPy writes it.
    static func makeHeader(_ tensor: Tensor, _ path: String) throws -> [UInt8] {
        let type: String
        switch tensor.dtype {
        case .float64: type = "<f8"
        case .float32: type = "<f4"
        case .float16: type = "<f2"
        case .int64: type = "<i8"
        case .int32: type = "<i4"
        case .int16: type = "<i2"
        case .int8: type = "|i1"
        case .uint8: type = "|u1"
        case .bool: type = "|b1"
        case .bfloat16:
            throw MartletError(
                .format, "cannot write \(path): NumPy has no bfloat16; convert with to(.float32), or use safetensors")
        }
        let shape =
            tensor.rank == 1
            ? "(\(tensor.shape[0]),)" : "(" + tensor.shape.map(String.init).joined(separator: ", ") + ")"
        var text = Array("{'descr': '\(type)', 'fortran_order': False, 'shape': \(shape), }".utf8)
        let prefix = magic.count + 4
        text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 63 - (prefix + text.count) % 64))
        text.append(UInt8(ascii: "\n"))
        // The text of eight dimensions is far below the 65535 bytes of version 1.
        return magic + [1, 0, UInt8(text.count & 0xff), UInt8(text.count >> 8)] + text
    }

    /// The array in `bytes`, which `source` names for errors. With an `owner` it is read in place where possible.
    static func decode(_ bytes: UnsafeRawBufferPointer, _ source: String, owner: AnyObject?) throws -> Tensor {
        func damaged(_ message: String) -> MartletError {
            MartletError(.format, "\(source): not a valid .npy array: \(message)")
        }
        if bytes.count < 10 || !bytes.prefix(6).elementsEqual(magic) {
            throw damaged("it does not begin with \\x93NUMPY and a version")
        }
        let version = bytes[6]
        if !(1...3).contains(version) || bytes[7] != 0 {
            throw damaged("its version is \(version).\(bytes[7]); 1.0, 2.0 and 3.0 are known")
        }
        let lengthSize = version == 1 ? 2 : 4
        let textStart = 8 + lengthSize
        if bytes.count < textStart { throw damaged("it ends within its header") }
        let length =
            version == 1
            ? Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self)))
            : Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
        if length > bytes.count - textStart {
            throw damaged("its header takes \(length) bytes, \(bytes.count - textStart) are there")
        }
        let header: NpyHeader
        do throws(NpyHeader.Invalid) {
            header = try NpyHeader(UnsafeRawBufferPointer(rebasing: bytes[textStart..<(textStart + length)]))
        } catch {
            throw damaged(error.reason)
        }
        let element = try elementType(header.type, source)
        try checkRank(header.shape, source)
        let data = UnsafeRawBufferPointer(rebasing: bytes[(textStart + length)...])
        guard let expected = checkedByteCount(header.shape, element.size) else {
            throw damaged("the shape \(header.shape) is too large")
        }
        if expected != data.count {
            throw damaged("'\(header.type)' of shape \(header.shape) takes \(expected) bytes, \(data.count) are there")
        }
        let shape = header.isFortran ? header.shape.reversed() : header.shape
        let tensor = read(data, shape, element, owner: owner)
        if !header.isFortran || header.shape.count < 2 { return tensor }
        let dims = Dims(header.shape)
        var strides = tensor.strideDims
        for i in 0..<dims.count { strides[i] = tensor.strideDims[dims.count - 1 - i] }
        return Tensor(
            storage: tensor.storage, dims: dims, strides: strides, offset: 0, dtype: tensor.dtype,
            contiguous: Tensor.isContiguous(dims, strides))
    }

    private struct ElementType {
        /// What it is read as.
        var dtype: DType
        var size: Int
        /// An unsigned type that is read as a wider signed one.
        var isWidened = false
        var isBigEndian = false
    }

    private static func elementType(_ text: String, _ source: String) throws -> ElementType {
        let order = text.first
        var element: ElementType?
        switch text.dropFirst() {
        case "f8": element = ElementType(dtype: .float64, size: 8)
        case "f4": element = ElementType(dtype: .float32, size: 4)
        case "f2": element = ElementType(dtype: .float16, size: 2)
        case "i8": element = ElementType(dtype: .int64, size: 8)
        case "i4": element = ElementType(dtype: .int32, size: 4)
        case "i2": element = ElementType(dtype: .int16, size: 2)
        case "i1": element = ElementType(dtype: .int8, size: 1)
        case "u1": element = ElementType(dtype: .uint8, size: 1)
        case "b1": element = ElementType(dtype: .bool, size: 1)
        case "u2": element = ElementType(dtype: .int32, size: 2, isWidened: true)
        case "u4": element = ElementType(dtype: .int64, size: 4, isWidened: true)
        default: element = nil
        }
        guard var element, order == "<" || order == ">" || order == "|" || order == "=",
            element.size == 1 || order != "|"
        else {
            throw MartletError(
                .format,
                "\(source): the element type '\(text)' is not supported; floats of 2, 4, 8 bytes, integers and "
                    + "booleans are"
            )
        }
        element.isBigEndian = order == ">" && element.size > 1
        return element
    }

    private static func read(
        _ bytes: UnsafeRawBufferPointer, _ shape: [Int], _ element: ElementType, owner: AnyObject?
    ) -> Tensor {
        if element.isBigEndian {
            let swapped = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
            defer { swapped.deallocate() }
            for start in stride(from: 0, to: bytes.count, by: element.size) {
                for k in 0..<element.size { swapped[start + k] = bytes[start + element.size - 1 - k] }
            }
            var little = element
            little.isBigEndian = false
            return read(UnsafeRawBufferPointer(swapped), shape, little, owner: nil)
        }
        if element.isWidened { return Tensor.widening(bytes, shape, from: element.size) }
        if let owner { return Tensor.borrowing(bytes, shape, element.dtype, owner: owner) }
        return Tensor.copying(bytes, shape, element.dtype)
    }
}

/// The header of a `.npy` array: a Python dictionary of three known keys.
private struct NpyHeader {
    struct Invalid: Error {
        let reason: String
    }

    private(set) var type = ""
    private(set) var isFortran = false
    private(set) var shape: [Int] = []

    private let text: UnsafeRawBufferPointer
    private var position = 0

    init(_ text: UnsafeRawBufferPointer) throws(Invalid) {
        self.text = text
        var seen: Set<String> = []
        try expect("{")
        while !take("}") {
            let key = try string()
            if !seen.insert(key).inserted { throw Invalid(reason: "its header has '\(key)' twice") }
            try expect(":")
            switch key {
            case "descr":
                skipSpace()
                if position < text.count && text[position] == UInt8(ascii: "[") {
                    throw Invalid(reason: "it is a structured array (of records), which tensors are not")
                }
                type = try string()
            case "fortran_order":
                if takeWord("True") {
                    isFortran = true
                } else if !takeWord("False") {
                    throw Invalid(reason: "its header's fortran_order is neither True nor False")
                }
            case "shape": shape = try tuple()
            default: throw Invalid(reason: "its header has the unknown key '\(key)'")
            }
            if !take(",") {
                try expect("}")
                break
            }
        }
        skipSpace()
        if position < text.count { throw Invalid(reason: "its header has text after the dictionary") }
        for key in ["descr", "fortran_order", "shape"] where !seen.contains(key) {
            throw Invalid(reason: "its header has no '\(key)'")
        }
    }

    private mutating func skipSpace() {
        while position < text.count, [0x20, 0x0a, 0x0d, 0x09].contains(text[position]) { position += 1 }
    }

    private mutating func take(_ mark: Unicode.Scalar) -> Bool {
        skipSpace()
        if position < text.count && text[position] == UInt8(ascii: mark) {
            position += 1
            return true
        }
        return false
    }

    private mutating func expect(_ mark: Unicode.Scalar) throws(Invalid) {
        if !take(mark) { throw Invalid(reason: "its header lacks a '\(mark)' at byte \(position)") }
    }

    private mutating func takeWord(_ word: String) -> Bool {
        skipSpace()
        guard text[position...].starts(with: word.utf8) else { return false }
        position += word.utf8.count
        return true
    }

    private mutating func string() throws(Invalid) -> String {
        skipSpace()
        guard position < text.count, case let quote = text[position],
            quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"")
        else { throw Invalid(reason: "its header lacks a string at byte \(position)") }
        let start = position + 1
        position = start
        while position < text.count && text[position] != quote {
            if text[position] == UInt8(ascii: "\\") || text[position] < 0x20 {
                throw Invalid(reason: "its header has an escape in the string at byte \(start)")
            }
            position += 1
        }
        if position == text.count { throw Invalid(reason: "its header's string at byte \(start) does not end") }
        defer { position += 1 }
        return String(decoding: text[start..<position], as: UTF8.self)
    }

    private mutating func tuple() throws(Invalid) -> [Int] {
        var values: [Int] = []
        try expect("(")
        while !take(")") {
            skipSpace()
            let start = position
            while position < text.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(text[position]) {
                position += 1
            }
            guard let value = Int(String(decoding: text[start..<position], as: UTF8.self)) else {
                throw Invalid(reason: "its header's shape has no whole number at byte \(start)")
            }
            values.append(value)
            // Python 2 wrote long integers with this letter.
            _ = takeWord("L")
            if !take(",") {
                try expect(")")
                break
            }
        }
        return values
    }
}
