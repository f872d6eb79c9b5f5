import Foundation
import MartletTraining
import Testing

/// Reads TFRecords and protocol buffers independently of the writer.
private struct Wire {
    /// The data of each record; the checksums are computed bit by bit, without tables.
    static func records(_ file: [UInt8]) throws -> [[UInt8]] {
        var records: [[UInt8]] = []
        var rest = file[...]
        while !rest.isEmpty {
            let length = rest.prefix(8)
            let count = length.reversed().reduce(0) { $0 << 8 | Int($1) }
            try #require(rest.count >= count + 16)
            let start = rest.startIndex
            #expect(little(rest[(start + 8)..<(start + 12)]) == masked(length))
            let data = rest[(start + 12)..<(start + 12 + count)]
            #expect(little(rest[(start + 12 + count)..<(start + 16 + count)]) == masked(data))
            records.append(Array(data))
            rest = rest.dropFirst(count + 16)
        }
        return records
    }

    private static func little(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    private static func masked(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var crc: UInt32 = ~0
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
        }
        crc = ~crc
        return (crc >> 15 | crc << 17) &+ 0xA282_EAD8
    }

    enum Value: Equatable {
        case number(UInt64)
        case bytes([UInt8])

        var message: [(field: Int, value: Value)] {
            if case .bytes(let bytes) = self { return Wire.fields(bytes) }
            return []
        }
        var text: String? {
            if case .bytes(let bytes) = self { return String(decoding: bytes, as: UTF8.self) }
            return nil
        }
    }

    static func fields(_ bytes: [UInt8]) -> [(field: Int, value: Value)] {
        var fields: [(Int, Value)] = []
        var at = 0
        func varint() -> UInt64 {
            var value: UInt64 = 0
            var shift: UInt64 = 0
            while true {
                let byte = bytes[at]
                at += 1
                value |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return value }
                shift += 7
            }
        }
        func fixed(_ count: Int) -> UInt64 {
            defer { at += count }
            return bytes[at..<at + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        while at < bytes.count {
            let key = varint()
            switch key & 7 {
            case 0: fields.append((Int(key >> 3), .number(varint())))
            case 1: fields.append((Int(key >> 3), .number(fixed(8))))
            case 5: fields.append((Int(key >> 3), .number(fixed(4))))
            default:
                let count = Int(varint())
                fields.append((Int(key >> 3), .bytes(Array(bytes[at..<at + count]))))
                at += count
            }
        }
        return fields
    }
}

extension [(field: Int, value: Wire.Value)] {
    fileprivate subscript(field field: Int) -> Wire.Value? { first { $0.field == field }?.value }
}

@Suite struct TensorBoardTests {
    @Test func independentParse() throws {
        try withTemporaryFolder { folder in
            let writer = try TensorBoardWriter(folder: folder + "/events", now: { 1_700_000_000.25 })
            try writer.scalars(["loss/train": 2.5, "learning rate": 0.01], step: 300)
            try writer.text("Hello **wörld**", name: "samples", step: 301)
            try writer.synchronize()
            #expect(writer.path.hasPrefix(folder + "/events/events.out.tfevents.1700000000."))

            let events = try Wire.records(contents(writer.path)).map(Wire.fields)
            #expect(events.count == 3)
            for event in events { #expect(event[field: 1] == .number(1_700_000_000.25.bitPattern)) }
            #expect(events[0][field: 3]?.text == "brain.Event:2")
            #expect(events[1][field: 2] == .number(300))
            let values = try #require(events[1][field: 5]).message.map(\.value.message)
            #expect(values.map { $0[field: 1]?.text } == ["loss/train", "learning rate"])
            #expect(
                values.map { $0[field: 2] } == [
                    .number(UInt64(Float(2.5).bitPattern)), .number(UInt64(Float(0.01).bitPattern)),
                ])
            let sample = try #require(events[2][field: 5]?.message[field: 1]).message
            #expect(sample[field: 1]?.text == "samples")
            let tensor = try #require(sample[field: 8]).message
            #expect(tensor[field: 1] == .number(7))
            #expect(tensor[field: 8]?.text == "Hello **wörld**")
            #expect(sample[field: 9]?.message[field: 1]?.message[field: 1]?.text == "text")
        }
    }

    @Test func filesHaveNamesOfTheirOwn() throws {
        try withTemporaryFolder { folder in
            let first = try TensorBoardWriter(folder: folder, now: { 5 })
            let second = try TensorBoardWriter(folder: folder, resumingAfter: 10, now: { 5 })
            #expect(first.path != second.path)
            let start = try Wire.records(contents(second.path)).map(Wire.fields)[1]
            #expect(start[field: 2] == .number(11))
            #expect(start[field: 7]?.message[field: 1] == .number(1))
        }
    }
}
