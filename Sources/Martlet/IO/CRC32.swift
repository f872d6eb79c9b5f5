/// The CRC-32 of zip, gzip and PNG (polynomial 0xEDB88320), computed piece by piece.
package struct CRC32: Sendable {
    private var state: UInt32 = ~0

    package init() {}

    package var value: UInt32 { ~state }

    package static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var crc = CRC32()
        crc.update(bytes)
        return crc.value
    }

    /// tables[k * 256 + b]: what byte b contributes when k more bytes follow, so that eight bytes go in at once.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for i in 0..<256 {
            var c = UInt32(i)
            for _ in 0..<8 { c = c & 1 != 0 ? 0xedb8_8320 ^ (c >> 1) : c >> 1 }
            tables[i] = c
        }
        for k in 1..<8 {
            for i in 0..<256 {
                let c = tables[(k - 1) * 256 + i]
                tables[k * 256 + i] = tables[Int(c & 0xff)] ^ (c >> 8)
            }
        }
        return tables
    }()

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        CRC32.tables.withUnsafeBufferPointer { table in
            var c = state
            var i = 0
            while i + 8 <= bytes.count {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self)) ^ UInt64(c)
                c = 0
                for k in 0..<8 {
                    c ^= table[(7 - k) * 256 + Int(truncatingIfNeeded: (word >> UInt64(8 * k)) & 0xff)]
                }
                i += 8
            }
            while i < bytes.count {
                c = table[Int((c ^ UInt32(bytes[i])) & 0xff)] ^ (c >> 8)
                i += 1
            }
            state = c
        }
    }
}
