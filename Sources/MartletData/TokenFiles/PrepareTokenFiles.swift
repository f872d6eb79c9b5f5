/// Which part of a corpus is held out for validation.
public enum ValidationSplit: Sendable, Equatable {
    case none
    /// This share of the documents, chosen by the seed; at least one.
    case documents(fraction: Double)
    /// This share of the text, taken from its end. A document that lies across is cut where a line begins.
    case tail(fraction: Double)
}

/// How text becomes token files.
public struct PreparationOptions: Sendable, Equatable {
    public var validation = ValidationSplit.none
    /// Whether the training documents are written in an order drawn by the seed instead of the order of the corpus.
    public var shufflesDocuments = false
    public var seed: UInt64 = 0
    /// Threads that encode; nil takes one a processor. The files do not depend on it.
    public var threads: Int?
    /// Whether token files already there may be replaced.
    public var overwrites = true

    public init() {}
}

/// Text cannot be prepared in the way asked for.
public enum PreparationError: Error, Equatable, Sendable, CustomStringConvertible {
    case invalidOption(name: String, reason: String)
    case cannotSplit(reason: String)

    public var description: String {
        switch self {
        case .invalidOption(let name, let reason): "data preparation, \(name): \(reason)"
        case .cannotSplit(let reason): "the text cannot be split into training and validation: \(reason)"
        }
    }
}

/// What a preparation wrote.
public struct PreparationReport: Sendable, Equatable {
    public struct Part: Sendable, Equatable {
        public let path: String
        public let documentCount: Int
        /// Tokens, one `[eod]` a document included.
        public let tokenCount: Int
        /// Bytes of UTF-8.
        public let textByteCount: Int

        public var bytesPerToken: Double { Double(textByteCount) / Double(tokenCount) }
    }

    public let training: Part
    public let validation: Part?
}

/// Encodes a corpus into a token file for training and, by `options.validation`, one for validation.
///
/// The same corpus, tokenizer and options give the same files, whatever the number of threads.
///
/// - Parameters:
///   - progress: Called on the calling thread with the bytes of text done and in all.
/// - Throws: `PreparationError`, `FileSystemError`, `TokenizerError`; files already there are then as they were.
@discardableResult
public func prepareTokenFiles(
    corpus: TextCorpus, tokenizer: any Tokenizer, training trainingPath: String,
    validation validationPath: String? = nil,
    options: PreparationOptions = PreparationOptions(), progress: ((_ done: Int, _ total: Int) -> Void)? = nil
) throws -> PreparationReport {
    if let threads = options.threads, threads < 1 {
        throw PreparationError.invalidOption(name: "threads", reason: "expected at least 1, found \(threads)")
    }
    switch (options.validation, validationPath) {
    case (.none, .some(let path)):
        throw PreparationError.invalidOption(
            name: "validation", reason: "there is a file for it (\(path)) but no share of the text")
    case (.documents, nil), (.tail, nil):
        throw PreparationError.invalidOption(
            name: "validation", reason: "there is a share of the text for it but no file")
    case (_, .some(trainingPath)):
        throw PreparationError.invalidOption(
            name: "validation", reason: "its file is the one for training, \(trainingPath)")
    default: break
    }
    let plan = try PreparationPlan(corpus, options: options)

    // Both are created before any work, so that a place that cannot be written to is found at once.
    let trainingWriter = try TokenFileWriter(path: trainingPath, tokenizer: tokenizer, overwrite: options.overwrites)
    let validationWriter = try validationPath.map {
        try TokenFileWriter(path: $0, tokenizer: tokenizer, overwrite: options.overwrites)
    }
    let threads = options.threads ?? processorCount
    var done = 0
    for (documents, writer) in [(plan.training, trainingWriter), (plan.validation, validationWriter)] {
        guard let writer else { continue }
        try write(documents, of: corpus, tokenizer, to: writer, threads: threads) { bytes in
            done += bytes
            progress?(done, corpus.byteCount)
        }
    }
    try validationWriter?.finish()
    try trainingWriter.finish()
    return PreparationReport(training: part(trainingWriter), validation: validationWriter.map(part))
}

private func part(_ writer: TokenFileWriter) -> PreparationReport.Part {
    PreparationReport.Part(
        path: writer.path, documentCount: writer.documentCount, tokenCount: writer.tokenCount,
        textByteCount: writer.textByteCount)
}

/// A document, or the part of it that goes to one file.
private struct PlannedDocument: Sendable {
    var index: Int
    var range: Range<Int>
}

private struct PreparationPlan {
    var training: [PlannedDocument] = []
    var validation: [PlannedDocument] = []

    init(_ corpus: TextCorpus, options: PreparationOptions) throws {
        let all = (0..<corpus.count).map { PlannedDocument(index: $0, range: 0..<corpus.byteCount(ofDocument: $0)) }
        switch options.validation {
        case .none: training = all
        case .documents(let fraction):
            try Self.check(fraction)
            let count = max(1, Int((Double(all.count) * fraction).rounded()))
            guard count < all.count else {
                throw PreparationError.cannotSplit(
                    reason: "there are \(all.count) documents, of which \(count) would be for validation; "
                        + "a share of the tail needs no several documents")
            }
            let order = KeyedPermutation(count: all.count, seed: options.seed, stream: 1)
            let chosen = Set((0..<count).map { order[$0] })
            training = all.filter { !chosen.contains($0.index) }
            validation = all.filter { chosen.contains($0.index) }
        case .tail(let fraction):
            try Self.check(fraction)
            try splitTail(corpus, all, from: Int(Double(corpus.byteCount) * (1 - fraction)))
        }
        if options.shufflesDocuments, !training.isEmpty {
            let order = KeyedPermutation(count: training.count, seed: options.seed, stream: 2)
            training = (0..<training.count).map { [training] in training[order[$0]] }
        }
    }

    private static func check(_ fraction: Double) throws {
        guard fraction > 0, fraction < 1 else {
            throw PreparationError.invalidOption(
                name: "validation", reason: "expected a share between 0 and 1, found \(fraction)")
        }
    }

    /// Everything from byte `target` of the whole text on is for validation, up to where a line begins.
    private mutating func splitTail(_ corpus: TextCorpus, _ all: [PlannedDocument], from target: Int) throws {
        var start = 0
        for document in all {
            let end = start + document.range.count
            if end <= target {
                training.append(document)
            } else if start >= target {
                validation.append(document)
            } else {
                let cut = Self.cut(try corpus.document(document.index), at: target - start)
                if cut > 0 { training.append(PlannedDocument(index: document.index, range: 0..<cut)) }
                if cut < document.range.count {
                    validation.append(PlannedDocument(index: document.index, range: cut..<document.range.count))
                }
            }
            start = end
        }
        if training.isEmpty || validation.isEmpty {
            throw PreparationError.cannotSplit(
                reason: "of \(corpus.byteCount) bytes, one part would have none")
        }
    }

    /// The beginning of the line after `position`; where there is none, that of the line at `position`; in a text of
    /// one line, the scalar at `position`.
    private static func cut(_ text: [UInt8], at position: Int) -> Int {
        let newline = UInt8(ascii: "\n")
        if let end = text[position...].firstIndex(of: newline), end + 1 < text.count { return end + 1 }
        if let end = text[0..<position].lastIndex(of: newline) { return end + 1 }
        var cut = position
        while cut > 0, text[cut] & 0xC0 == 0x80 { cut -= 1 }
        return cut
    }
}

private func write(
    _ documents: [PlannedDocument], of corpus: TextCorpus, _ tokenizer: any Tokenizer, to writer: TokenFileWriter,
    threads: Int, progress: (Int) -> Void
) throws {
    // Documents are encoded in groups, so that short ones do not cost a hand-over each.
    let groupSize = 256 << 10
    var groups: [Range<Int>] = []
    var start = 0
    var bytes = 0
    for (index, document) in documents.enumerated() {
        bytes += document.range.count
        if bytes >= groupSize || index + 1 == documents.count {
            groups.append(start..<index + 1)
            start = index + 1
            bytes = 0
        }
    }
    // Where there are fewer groups than threads, the threads left over share the work on long documents.
    let threadsInGroup = max(1, threads / max(1, min(threads, groups.count)))
    let encoded = try OrderedPrefetcher<[(tokens: [Int32], byteCount: Int)]>(
        workers: threads > 1 && groups.count > 1 ? threads : 0, depth: 2 * threads
    ) { [groups] number in
        guard number < groups.count else { return nil }
        return try groups[number].map { position in
            let document = documents[position]
            let text = try corpus.document(document.index)
            let tokens = try text.withUnsafeBytes {
                try tokenizer.encode(
                    utf8: UnsafeRawBufferPointer(rebasing: $0[document.range]), threads: threadsInGroup)
            }
            return (tokens, document.range.count)
        }
    }
    while let group = try encoded.next() {
        var bytes = 0
        for document in group {
            try writer.append(document: document.tokens, textByteCount: document.byteCount)
            bytes += document.byteCount
        }
        progress(bytes)
    }
}
