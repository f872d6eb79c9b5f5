/// Decompression of DEFLATE data (RFC 1951), as in zip files.
enum Inflate {
    /// What is wrong with the compressed data.
    struct Failure: Error {
        let reason: String
    }

    /// Decompresses all of `input`, which must give exactly as many bytes as `output` has.
    static func inflate(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) throws(Failure) {
        var state = Inflater(bits: BitReader(bytes: input), output: output)
        try state.run()
    }
}

private struct BitReader {
    let bytes: UnsafeRawBufferPointer
    var next = 0
    var bits: UInt64 = 0
    var count = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    @inline(__always) mutating func refill() {
        while count <= 56 && next < bytes.count {
            bits |= UInt64(bytes[next]) << UInt64(count)
            next += 1
            count += 8
        }
    }

    @inline(__always) mutating func drop(_ n: Int) throws(Inflate.Failure) {
        if n > count { throw Inflate.Failure(reason: "the compressed data ends early") }
        bits >>= UInt64(n)
        count -= n
    }

    @inline(__always) mutating func take(_ n: Int) throws(Inflate.Failure) -> Int {
        if count < n { refill() }
        let value = Int(truncatingIfNeeded: bits & (1 << UInt64(n) - 1))
        try drop(n)
        return value
    }

    /// Goes to the next whole byte; returns its position.
    mutating func align() -> Int {
        next -= count / 8
        bits = 0
        count = 0
        return next
    }
}

/// A canonical Huffman code: short codes by a table, the rest by counting.
private struct HuffmanCode {
    private static let fastBits = 10
    /// symbol << 4 | length by the next ten bits; 0 where the code is longer.
    private var fast: [UInt16]
    private var counts = [Int](repeating: 0, count: 16)
    private var symbols: [UInt16]

    /// - Parameter lengths: the length of each symbol's code, 0 for those that do not occur.
    /// - Parameter allowIncomplete: a single code may leave the rest of the tree empty.
    init(_ lengths: ArraySlice<UInt8>, allowIncomplete: Bool) throws(Inflate.Failure) {
        for length in lengths { counts[Int(length)] += 1 }
        counts[0] = 0
        var left = 1
        for length in 1...15 {
            left = left << 1 - counts[length]
            if left < 0 { throw Inflate.Failure(reason: "a Huffman code has too many symbols") }
        }
        let used = counts.reduce(0, +)
        if left > 0 && !(allowIncomplete && used <= 1) {
            throw Inflate.Failure(reason: "a Huffman code is incomplete")
        }
        var starts = [Int](repeating: 0, count: 17)
        var codes = [Int](repeating: 0, count: 17)
        for length in 1...15 {
            starts[length + 1] = starts[length] + counts[length]
            codes[length + 1] = (codes[length] + counts[length]) << 1
        }
        symbols = [UInt16](repeating: 0, count: used)
        fast = [UInt16](repeating: 0, count: 1 << HuffmanCode.fastBits)
        for (symbol, length) in lengths.enumerated() where length > 0 {
            let length = Int(length)
            symbols[starts[length]] = UInt16(symbol)
            starts[length] += 1
            let code = codes[length]
            codes[length] += 1
            if length <= HuffmanCode.fastBits {
                // Codes come most significant bit first in a stream that is read least significant bit first.
                var reversed = 0
                for i in 0..<length where code & (1 << i) != 0 { reversed |= 1 << (length - 1 - i) }
                var slot = reversed
                while slot < fast.count {
                    fast[slot] = UInt16(symbol << 4 | length)
                    slot += 1 << length
                }
            }
        }
    }

    @inline(__always) func decode(_ reader: inout BitReader) throws(Inflate.Failure) -> Int {
        if reader.count < 15 { reader.refill() }
        let entry = Int(fast[Int(truncatingIfNeeded: reader.bits & 1023)])
        if entry != 0 {
            try reader.drop(entry & 15)
            return entry >> 4
        }
        return try decodeLong(&reader)
    }

    private func decodeLong(_ reader: inout BitReader) throws(Inflate.Failure) -> Int {
        var code = 0
        var first = 0
        var index = 0
        for length in 1...15 {
            code |= Int(truncatingIfNeeded: (reader.bits >> UInt64(length - 1)) & 1)
            let n = counts[length]
            if code - n < first {
                try reader.drop(length)
                return Int(symbols[index + code - first])
            }
            index += n
            first = (first + n) << 1
            code <<= 1
        }
        throw Inflate.Failure(reason: "a bit sequence is no code")
    }
}

private struct Inflater {
    var bits: BitReader
    let output: UnsafeMutableRawBufferPointer
    var written = 0

    private static let lengthBases = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ]
    private static let lengthBits = [
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
    ]
    private static let distanceBases = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
        6145,
        8193, 12289, 16385, 24577,
    ]
    private static let distanceBits = [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
    ]
    /// The order in which the lengths of the length code come.
    private static let lengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

    init(bits: BitReader, output: UnsafeMutableRawBufferPointer) {
        self.bits = bits
        self.output = output
    }

    mutating func run() throws(Inflate.Failure) {
        var isLast = false
        while !isLast {
            isLast = try bits.take(1) == 1
            switch try bits.take(2) {
            case 0: try stored()
            case 1:
                let (literals, distances) = try fixedCodes()
                try compressed(literals, distances)
            case 2:
                let (literals, distances) = try dynamicCodes()
                try compressed(literals, distances)
            default: throw Inflate.Failure(reason: "a block has the unknown type 3")
            }
        }
        if written != output.count {
            throw Inflate.Failure(reason: "the data is \(written) bytes, \(output.count) were announced")
        }
        let end = bits.align()
        if end != bits.bytes.count {
            throw Inflate.Failure(reason: "\(bits.bytes.count - end) bytes follow the compressed data")
        }
    }

    private func tooLong() -> Inflate.Failure {
        Inflate.Failure(reason: "the data is longer than the \(output.count) bytes announced")
    }

    private mutating func stored() throws(Inflate.Failure) {
        let start = bits.align()
        let bytes = bits.bytes
        if start + 4 > bytes.count { throw Inflate.Failure(reason: "the compressed data ends early") }
        let count = Int(bytes[start]) | Int(bytes[start + 1]) << 8
        let check = Int(bytes[start + 2]) | Int(bytes[start + 3]) << 8
        if count ^ check != 0xffff { throw Inflate.Failure(reason: "a stored block's length does not match its check") }
        if start + 4 + count > bytes.count { throw Inflate.Failure(reason: "the compressed data ends early") }
        if written + count > output.count { throw tooLong() }
        if count > 0 {
            (output.baseAddress! + written).copyMemory(from: bytes.baseAddress! + start + 4, byteCount: count)
        }
        written += count
        bits.next = start + 4 + count
    }

    private func fixedCodes() throws(Inflate.Failure) -> (HuffmanCode, HuffmanCode) {
        var lengths = [UInt8](repeating: 8, count: 288)
        for i in 144..<256 { lengths[i] = 9 }
        for i in 256..<280 { lengths[i] = 7 }
        // Thirty-two codes of five bits, of which two mean nothing.
        let distances = [UInt8](repeating: 5, count: 32)
        return (
            try HuffmanCode(lengths[...], allowIncomplete: false),
            try HuffmanCode(distances[...], allowIncomplete: false)
        )
    }

    private mutating func dynamicCodes() throws(Inflate.Failure) -> (HuffmanCode, HuffmanCode) {
        let literalCount = try bits.take(5) + 257
        let distanceCount = try bits.take(5) + 1
        let lengthCount = try bits.take(4) + 4
        if literalCount > 286 || distanceCount > 30 {
            throw Inflate.Failure(reason: "a block announces \(literalCount) literals and \(distanceCount) distances")
        }
        var codeLengths = [UInt8](repeating: 0, count: 19)
        for i in 0..<lengthCount { codeLengths[Inflater.lengthOrder[i]] = UInt8(try bits.take(3)) }
        let lengthCode = try HuffmanCode(codeLengths[...], allowIncomplete: false)

        var lengths: [UInt8] = []
        let total = literalCount + distanceCount
        while lengths.count < total {
            let symbol = try lengthCode.decode(&bits)
            var value: UInt8 = 0
            var count = 1
            switch symbol {
            case 0..<16: value = UInt8(symbol)
            case 16:
                guard let last = lengths.last else { throw Inflate.Failure(reason: "a code length repeats none") }
                value = last
                count = 3 + (try bits.take(2))
            case 17: count = 3 + (try bits.take(3))
            default: count = 11 + (try bits.take(7))
            }
            if lengths.count + count > total { throw Inflate.Failure(reason: "a block has too many code lengths") }
            for _ in 0..<count { lengths.append(value) }
        }
        if lengths[256] == 0 { throw Inflate.Failure(reason: "a block has no code for its end") }
        return (
            try HuffmanCode(lengths[..<literalCount], allowIncomplete: true),
            try HuffmanCode(lengths[literalCount...], allowIncomplete: true)
        )
    }

    private mutating func compressed(_ literals: HuffmanCode, _ distances: HuffmanCode) throws(Inflate.Failure) {
        let limit = output.count
        while true {
            let symbol = try literals.decode(&bits)
            if symbol < 256 {
                if written == limit { throw tooLong() }
                output[written] = UInt8(symbol)
                written += 1
                continue
            }
            if symbol == 256 { return }
            if symbol > 285 { throw Inflate.Failure(reason: "a length has the unknown code \(symbol)") }
            let length = Inflater.lengthBases[symbol - 257] + (try bits.take(Inflater.lengthBits[symbol - 257]))
            let code = try distances.decode(&bits)
            if code > 29 { throw Inflate.Failure(reason: "a distance has the unknown code \(code)") }
            let distance = Inflater.distanceBases[code] + (try bits.take(Inflater.distanceBits[code]))
            if distance > written { throw Inflate.Failure(reason: "a copy reaches before the start of the data") }
            if written + length > limit { throw tooLong() }
            // Source and target may overlap: a run repeats what it has just written.
            for i in written..<(written + length) { output[i] = output[i - distance] }
            written += length
        }
    }
}
