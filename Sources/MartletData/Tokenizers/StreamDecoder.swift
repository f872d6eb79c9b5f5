/// Decodes tokens one at a time into text that is always whole: a scalar whose bytes are spread over several tokens
/// comes out with the last of them.
///
///     var decoder = StreamDecoder(tokenizer)
///     for id in generated { print(try decoder.feed(id), terminator: "") }
///     print(decoder.flush())
public struct StreamDecoder: Sendable {
    private let tokenizer: any Tokenizer
    private var state = DecodingState()
    private var pending: [UInt8] = []

    public init(_ tokenizer: any Tokenizer) {
        self.tokenizer = tokenizer
    }

    /// Bytes held back because they begin a scalar that is not whole yet: 0 to 3.
    public var pendingByteCount: Int { pending.count }

    /// The text that `id` completes, which may be empty. Bytes that can be part of no scalar become U+FFFD.
    ///
    /// - Throws: `TokenizerError.idOutOfRange`; the decoder is then as before the call.
    public mutating func feed(_ id: Int32) throws -> String {
        try tokenizer.appendBytes(of: id, to: &pending, state: &state)
        let whole = pending.count - incompleteSuffixLength(pending)
        defer { pending.removeSubrange(0..<whole) }
        return String(decoding: pending[0..<whole], as: UTF8.self)
    }

    /// What is held back: empty, or U+FFFD for a scalar that will not be completed. The decoder then stands at the
    /// start of a new text.
    public mutating func flush() -> String {
        defer {
            pending.removeAll()
            state = DecodingState()
        }
        return String(decoding: pending, as: UTF8.self)
    }
}

/// How many bytes at the end of `bytes` begin a scalar that more bytes could complete.
private func incompleteSuffixLength(_ bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
        let lead = bytes[bytes.count - length]
        if lead & 0xC0 == 0x80 { continue }
        if scalarLength(lead: lead) <= length { return 0 }
        if length > 1 {
            // A lead byte may forbid the byte after it: such a pair can no longer become a scalar.
            let second = bytes[bytes.count - length + 1]
            switch lead {
            case 0xE0 where second < 0xA0, 0xED where second > 0x9F, 0xF0 where second < 0x90, 0xF4 where second > 0x8F:
                return 0
            default: break
            }
        }
        return length
    }
    return 0
}
