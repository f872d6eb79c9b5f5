/// TensorFlow's `Event` message, as far as scalars and texts need it. Numbers of fields are those of event.proto,
/// summary.proto and tensor.proto.
enum TensorBoardEvent {
    static func version(time: Double) -> [UInt8] {
        event(time: time, step: 0) { $0.string(3, "brain.Event:2") }
    }

    /// Says that a run (re)starts: events of this step and later in earlier files are void.
    static func start(time: Double, step: Int) -> [UInt8] {
        event(time: time, step: step) { event in
            event.message(7) { sessionLog in sessionLog.varint(1, 1) }
        }
    }

    static func scalars(_ values: [(String, Double)], time: Double, step: Int) -> [UInt8] {
        event(time: time, step: step) { event in
            event.message(5) { summary in
                for (name, value) in values {
                    summary.message(1) { entry in
                        entry.string(1, name)
                        entry.float(2, Float(value))
                    }
                }
            }
        }
    }

    static func text(_ text: String, name: String, time: Double, step: Int) -> [UInt8] {
        event(time: time, step: step) { event in
            event.message(5) { summary in
                summary.message(1) { entry in
                    entry.string(1, name)
                    entry.message(8) { tensor in
                        tensor.varint(1, 7)  // DT_STRING
                        tensor.message(2) { shape in shape.message(2) { dimension in dimension.varint(1, 1) } }
                        tensor.string(8, text)
                    }
                    entry.message(9) { metadata in
                        metadata.message(1) { plugin in plugin.string(1, "text") }
                        metadata.varint(4, 2)  // DATA_CLASS_TENSOR
                    }
                }
            }
        }
    }

    private static func event(time: Double, step: Int, _ body: (inout ProtobufEncoder) -> Void) -> [UInt8] {
        var encoder = ProtobufEncoder()
        encoder.double(1, time)
        if step != 0 { encoder.varint(2, UInt64(bitPattern: Int64(step))) }
        body(&encoder)
        return encoder.bytes
    }
}

/// The wire format of protocol buffers.
struct ProtobufEncoder {
    private(set) var bytes: [UInt8] = []

    private mutating func raw(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }

    private mutating func key(_ field: UInt64, wireType: UInt64) { raw(field << 3 | wireType) }

    mutating func varint(_ field: UInt64, _ value: UInt64) {
        key(field, wireType: 0)
        raw(value)
    }

    mutating func double(_ field: UInt64, _ value: Double) {
        key(field, wireType: 1)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func float(_ field: UInt64, _ value: Float) {
        key(field, wireType: 5)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func string(_ field: UInt64, _ value: String) {
        key(field, wireType: 2)
        raw(UInt64(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    mutating func message(_ field: UInt64, _ body: (inout ProtobufEncoder) -> Void) {
        var inner = ProtobufEncoder()
        body(&inner)
        key(field, wireType: 2)
        raw(UInt64(inner.bytes.count))
        bytes.append(contentsOf: inner.bytes)
    }
}
