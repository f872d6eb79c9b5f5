internal import CMartletKernels

/// A zip file, mapped, as far as `.npz` needs it: members that are stored or deflated, with ZIP64 sizes.
///
/// Opening checks the whole directory; reading a member checks its own header, its size and its CRC-32.
final class ZipArchive: Sendable {
    struct Member: Sendable {
        var name: String
        var method: Int
        var crc: UInt32
        var compressedCount: Int
        var byteCount: Int
        var headerStart: Int
    }

    let path: String
    let members: [Member]
    private let file: MappedFile
    private let directoryStart: Int

    init(_ path: String) throws {
        self.path = path
        file = try MappedFile(path)
        let directory = try ZipArchive.findDirectory(file.bytes, path)
        members = try ZipArchive.readDirectory(file.bytes, directory, path)
        directoryStart = directory.range.lowerBound
    }

    private static func damaged(_ path: String, _ message: String) -> MartletError {
        MartletError(.format, "\(path): not a valid zip file: \(message)")
    }

    // MARK: directory

    private struct Directory {
        var range: Range<Int>
        var count: UInt64
    }

    private static func findDirectory(_ bytes: UnsafeRawBufferPointer, _ path: String) throws -> Directory {
        // The end record is the last thing in the file, before a comment of at most 65535 bytes.
        let recordSize = 22
        guard bytes.count >= recordSize else { throw damaged(path, "it has only \(bytes.count) bytes") }
        var end = bytes.count - recordSize
        let lowest = max(0, end - 0xffff)
        while !(bytes.u32(end) == 0x0605_4b50 && end + recordSize + Int(bytes.u16(end + 20)) == bytes.count) {
            if end == lowest { throw damaged(path, "it has no end record: it is no zip file, or was cut off") }
            end -= 1
        }
        var disk = UInt64(bytes.u16(end + 4)) | UInt64(bytes.u16(end + 6))
        var count = UInt64(bytes.u16(end + 10))
        var size = UInt64(bytes.u32(end + 12))
        var start = UInt64(bytes.u32(end + 16))
        var limit = end
        if count == 0xffff || size == 0xffff_ffff || start == 0xffff_ffff, end >= 20, bytes.u32(end - 20) == 0x0706_4b50
        {
            guard let record = Int(exactly: bytes.u64(end - 12)), record >= 0, record <= end - 20 - 56,
                bytes.u32(record) == 0x0606_4b50
            else { throw damaged(path, "its ZIP64 end record is not where its locator says") }
            disk = UInt64(bytes.u32(record + 16)) | UInt64(bytes.u32(record + 20))
            count = bytes.u64(record + 32)
            size = bytes.u64(record + 40)
            start = bytes.u64(record + 48)
            limit = record
        }
        if disk != 0 { throw damaged(path, "it is one part of several") }
        if size > UInt64(limit) || start > UInt64(limit) - size {
            throw damaged(path, "its directory of \(size) bytes at \(start) does not fit in the file of \(bytes.count)")
        }
        return Directory(range: Int(start)..<Int(start + size), count: count)
    }

    private static func readDirectory(
        _ bytes: UnsafeRawBufferPointer, _ directory: Directory, _ path: String
    ) throws -> [Member] {
        var members: [Member] = []
        var position = directory.range.lowerBound
        let end = directory.range.upperBound
        while position < end {
            guard end - position >= 46, bytes.u32(position) == 0x0201_4b50 else {
                throw damaged(path, "its directory is damaged at byte \(position)")
            }
            let nameCount = Int(bytes.u16(position + 28))
            let extraCount = Int(bytes.u16(position + 30))
            let commentCount = Int(bytes.u16(position + 32))
            let nameStart = position + 46
            let next = nameStart + nameCount + extraCount + commentCount
            if next > end { throw damaged(path, "its directory is damaged at byte \(position)") }
            guard let name = String(validating: bytes[nameStart..<(nameStart + nameCount)], as: UTF8.self) else {
                throw damaged(path, "a member's name is not UTF-8")
            }
            if bytes.u16(position + 8) & 1 != 0 { throw damaged(path, "\(name) is encrypted") }
            var sizes = [
                UInt64(bytes.u32(position + 24)), UInt64(bytes.u32(position + 20)), UInt64(bytes.u32(position + 42)),
            ]
            try readZip64(bytes, nameStart + nameCount, extraCount, &sizes, name, path)
            if sizes.contains(where: { $0 > UInt64(Int.max) }) {
                throw damaged(path, "the sizes of \(name) are too large")
            }
            members.append(
                Member(
                    name: name, method: Int(bytes.u16(position + 10)), crc: bytes.u32(position + 16),
                    compressedCount: Int(sizes[1]), byteCount: Int(sizes[0]), headerStart: Int(sizes[2])))
            position = next
        }
        if UInt64(members.count) != directory.count {
            throw damaged(path, "its directory has \(members.count) members, \(directory.count) are announced")
        }
        return members
    }

    /// Replaces sizes (of the data, compressed, and the header's position) that do not fit 32 bits by those of the
    /// ZIP64 field, which has only these.
    private static func readZip64(
        _ bytes: UnsafeRawBufferPointer, _ start: Int, _ count: Int, _ sizes: inout [UInt64], _ name: String,
        _ path: String
    ) throws {
        if !sizes.contains(0xffff_ffff) { return }
        var position = start
        while position + 4 <= start + count {
            let size = Int(bytes.u16(position + 2))
            if position + 4 + size > start + count { break }
            if bytes.u16(position) == 1 {
                var field = position + 4
                for i in 0..<3 where sizes[i] == 0xffff_ffff {
                    if field + 8 > position + 4 + size {
                        throw damaged(path, "the ZIP64 field of \(name) is too short")
                    }
                    sizes[i] = bytes.u64(field)
                    field += 8
                }
                return
            }
            position += 4 + size
        }
        throw damaged(path, "the ZIP64 field of \(name) is missing")
    }

    // MARK: members

    /// Calls `body` with the content of a member.
    ///
    /// - Throws: `MartletError.format` when it is damaged, `.resources` when there is no memory for it.
    func withContent<R>(_ member: Member, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
        func damaged(_ message: String) -> MartletError {
            MartletError(.format, "\(path): member \(member.name) is damaged: \(message)")
        }
        let bytes = file.bytes
        let header = member.headerStart
        guard header <= directoryStart - 30, bytes.u32(header) == 0x0403_4b50 else {
            throw damaged("it has no header at byte \(header)")
        }
        let start = header + 30 + Int(bytes.u16(header + 26)) + Int(bytes.u16(header + 28))
        if start > directoryStart || member.compressedCount > directoryStart - start {
            throw damaged(
                "its \(member.compressedCount) bytes at \(start) do not fit before the directory at \(directoryStart)")
        }
        let packed = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + member.compressedCount)])
        func check(_ content: UnsafeRawBufferPointer) throws {
            let found = CRC32.of(content)
            if found != member.crc {
                throw damaged("its CRC-32 is \(String(found, radix: 16)), \(String(member.crc, radix: 16)) was written")
            }
        }
        switch member.method {
        case 0:
            if member.byteCount != member.compressedCount {
                throw damaged("it is stored in \(member.compressedCount) bytes but announced as \(member.byteCount)")
            }
            try check(packed)
            return try body(packed)
        case 8:
            // DEFLATE gives at most 1032 bytes for one: a larger announcement is a lie that would only claim memory.
            if member.byteCount / 1032 > member.compressedCount {
                throw damaged("\(member.compressedCount) bytes cannot hold the \(member.byteCount) announced")
            }
            guard let memory = mk_alloc(max(member.byteCount, 1)) else {
                throw MartletError(.resources, "\(path): no memory for the \(member.byteCount) bytes of \(member.name)")
            }
            defer { mk_free(memory, max(member.byteCount, 1)) }
            let content = UnsafeMutableRawBufferPointer(start: memory, count: member.byteCount)
            do throws(Inflate.Failure) {
                try Inflate.inflate(packed, into: content)
            } catch {
                throw damaged(error.reason)
            }
            try check(UnsafeRawBufferPointer(content))
            return try body(UnsafeRawBufferPointer(content))
        default:
            throw MartletError(
                .format,
                "\(path): member \(member.name) is compressed by method \(member.method); stored and deflated are "
                    + "supported"
            )
        }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func u16(_ i: Int) -> UInt16 { UInt16(littleEndian: loadUnaligned(fromByteOffset: i, as: UInt16.self)) }
    fileprivate func u32(_ i: Int) -> UInt32 { UInt32(littleEndian: loadUnaligned(fromByteOffset: i, as: UInt32.self)) }
    fileprivate func u64(_ i: Int) -> UInt64 { UInt64(littleEndian: loadUnaligned(fromByteOffset: i, as: UInt64.self)) }
}

/// Writes a zip file of stored members.
final class ZipWriter {
    private let writer: FileWriter
    private var directory: [UInt8] = []
    private var count = 0

    init(_ writer: FileWriter) { self.writer = writer }

    /// Appends a member that consists of these parts.
    func add(_ name: String, _ parts: [UnsafeRawBufferPointer]) throws {
        var crc = CRC32()
        for part in parts { crc.update(part) }
        let size = parts.reduce(0) { $0 + $1.count }
        let start = writer.position
        let isLarge = size >= 0xffff_ffff
        let needsField = isLarge || start >= 0xffff_ffff
        let name = Array(name.utf8)
        if name.count > 0xffff {
            throw MartletError(.format, "\(writer.path): a member's name is longer than 65535 bytes")
        }

        // Version 4.5 where ZIP64 is used, else 2.0; flag 11: the name is UTF-8; the date is zip's first, 1980-01-01,
        // so that equal tensors make equal files.
        var common: [UInt8] = []
        common.append16(needsField ? 45 : 20)
        common.append16(0x0800)
        common.append16(0)
        common.append16(0)
        common.append16(0x0021)
        common.append32(crc.value)
        common.append32(isLarge ? 0xffff_ffff : UInt32(size))
        common.append32(isLarge ? 0xffff_ffff : UInt32(size))
        common.append16(UInt16(name.count))

        var header: [UInt8] = []
        header.append32(0x0403_4b50)
        header += common
        header.append16(isLarge ? 20 : 0)
        header += name
        if isLarge {
            header.append16(1)
            header.append16(16)
            header.append64(UInt64(size))
            header.append64(UInt64(size))
        }
        try writer.write(header)
        for part in parts { try writer.write(part) }

        var field: [UInt8] = []
        if isLarge {
            field.append64(UInt64(size))
            field.append64(UInt64(size))
        }
        if start >= 0xffff_ffff { field.append64(UInt64(start)) }
        directory.append32(0x0201_4b50)
        directory.append16(needsField ? 45 : 20)
        directory += common
        directory.append16(field.isEmpty ? 0 : UInt16(field.count + 4))
        directory.append16(0)
        directory.append16(0)
        directory.append16(0)
        directory.append32(0)
        directory.append32(start >= 0xffff_ffff ? 0xffff_ffff : UInt32(start))
        directory += name
        if !field.isEmpty {
            directory.append16(1)
            directory.append16(UInt16(field.count))
            directory += field
        }
        count += 1
    }

    /// Appends the directory.
    func finish() throws {
        let start = writer.position
        let size = directory.count
        var end = directory
        if count >= 0xffff || start >= 0xffff_ffff || size >= 0xffff_ffff {
            end.append32(0x0606_4b50)
            end.append64(44)
            end.append16(45)
            end.append16(45)
            end.append32(0)
            end.append32(0)
            end.append64(UInt64(count))
            end.append64(UInt64(count))
            end.append64(UInt64(size))
            end.append64(UInt64(start))
            end.append32(0x0706_4b50)
            end.append32(0)
            end.append64(UInt64(start + size))
            end.append32(1)
        }
        end.append32(0x0605_4b50)
        end.append16(0)
        end.append16(0)
        end.append16(UInt16(min(count, 0xffff)))
        end.append16(UInt16(min(count, 0xffff)))
        end.append32(UInt32(min(size, 0xffff_ffff)))
        end.append32(UInt32(min(start, 0xffff_ffff)))
        end.append16(0)
        try writer.write(end)
    }
}

extension [UInt8] {
    fileprivate mutating func append16(_ value: UInt16) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
    fileprivate mutating func append32(_ value: UInt32) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
    fileprivate mutating func append64(_ value: UInt64) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}
