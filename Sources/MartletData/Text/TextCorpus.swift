/// Where one document of a text file ends and the next begins.
public enum DocumentSeparator: Sendable, Equatable, CustomStringConvertible {
    /// A file is one document.
    case file
    /// A line with exactly this content, such as "<|endoftext|>", stands between documents and belongs to none.
    case line(String)
    /// At least this many blank lines stand between documents and belong to none.
    case blankLines(Int)
    /// Every line is a document, without its line end.
    case everyLine

    /// Reads the form that `description` gives: `file`, `line:TEXT`, `blank-lines:COUNT` or `every-line`.
    public init(parsing text: String) throws {
        if text == "file" {
            self = .file
        } else if text == "every-line" {
            self = .everyLine
        } else if text.hasPrefix("line:"), text.utf8.count > 5, !text.utf8.contains(0x0A) {
            self = .line(String(text.dropFirst(5)))
        } else if text.hasPrefix("blank-lines:"), let count = Int(text.dropFirst(12)), count >= 1 {
            self = .blankLines(count)
        } else {
            throw TextError.invalidSeparator(text)
        }
    }

    public var description: String {
        switch self {
        case .file: "file"
        case .line(let text): "line:\(text)"
        case .blankLines(let count): "blank-lines:\(count)"
        case .everyLine: "every-line"
        }
    }
}

extension DocumentSeparator: Codable {
    public init(from decoder: any Decoder) throws {
        try self.init(parsing: try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// How text files are read.
public struct TextReadingOptions: Sendable, Equatable, Codable {
    /// How text files (all but JSON lines) are divided into documents.
    public var separator = DocumentSeparator.file
    /// The field of a JSON line that holds the text.
    public var textField = "text"

    public init(separator: DocumentSeparator = .file, textField: String = "text") {
        self.separator = separator
        self.textField = textField
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        separator = try values.decodeIfPresent(DocumentSeparator.self, forKey: .separator) ?? .file
        textField = try values.decodeIfPresent(String.self, forKey: .textField) ?? "text"
    }
}

/// Text that cannot be used.
public enum TextError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No document has any text.
    case noText(sources: [String])
    /// A directory without text files.
    case noTextFiles(directory: String)
    case invalidJSONLine(source: String, line: Int, offset: Int, reason: String)
    case compressed(source: String, kind: String)
    case invalidSeparator(String)
    /// A file is not as it was when the corpus was opened.
    case changed(source: String)

    public var description: String {
        switch self {
        case .noText(let sources):
            "there is no text in " + (sources.isEmpty ? "an empty list of files" : sources.joined(separator: ", "))
        case .noTextFiles(let directory):
            "\(directory) holds no text files: expected names that end in "
                + TextCorpus.extensions.sorted().map { "." + $0 }.joined(separator: ", ")
        case .invalidJSONLine(let source, let line, let offset, let reason):
            "\(source): line \(line) (byte \(offset) of the file): \(reason)"
        case .compressed(let source, let kind):
            "\(source) is compressed (\(kind)): decompress it first"
        case .invalidSeparator(let text):
            "document separator \"\(text)\": expected \"file\", \"line:TEXT\", \"blank-lines:COUNT\" or \"every-line\""
        case .changed(let source):
            "\(source) has changed since it was first read"
        }
    }
}

/// The documents of text files, found and checked once and read when they are needed.
///
/// `.jsonl` and `.ndjson` files hold one JSON object a line with the text in a field; all other files are UTF-8 text. A
/// directory stands for all files in it and below it with one of the `extensions`, in the order of their names; symbolic
/// links are followed, and a directory that is reached by several ways is read once. Text is kept byte for byte (CRLF, tabs, spaces, normalisation form), except that a byte order mark at the start of a file is
/// not text. Documents with nothing but white space are left out.
public struct TextCorpus: Sendable {
    /// The names of files in directories that are taken for text end in these.
    public static let extensions: Set<String> = ["txt", "text", "md", "jsonl", "ndjson"]

    /// The documents' number.
    public var count: Int { entries.count }
    /// The bytes of UTF-8 of all documents.
    public let byteCount: Int
    /// How many documents had nothing but white space.
    public let blankDocumentCount: Int
    /// The files read, in order.
    public var paths: [String] { files.paths }

    private struct Entry {
        var file: Int32
        var start: Int
        var length: Int
        var byteCount: Int
    }

    private let files: CorpusFiles
    private let isJSON: [Bool]
    private let entries: [Entry]
    private let textField: [UInt8]

    /// Opens files and directories, checks that they are UTF-8 and finds their documents.
    ///
    /// - Throws: `FileSystemError`, `InvalidUTF8Error` (with file and offset), `TextError`.
    public init(paths: [String], options: TextReadingOptions = TextReadingOptions()) throws {
        let files = CorpusFiles(try paths.flatMap { isDirectory($0) ? try Self.textFiles(below: $0) : [$0] })
        textField = Array(options.textField.utf8)
        var entries: [Entry] = []
        var blank = 0
        var isJSON: [Bool] = []
        for index in files.paths.indices {
            let file = try files.file(index)
            try Self.refuseCompressed(file)
            try validateUTF8(file.bytes, source: file.path)
            let json = ["jsonl", "ndjson"].contains(Self.fileExtension(file.path))
            isJSON.append(json)
            var ranges: [(range: Range<Int>, byteCount: Int)] = []
            if json {
                ranges = try Self.jsonDocuments(file, field: textField, blank: &blank)
            } else {
                for range in documentRanges(of: file.bytes, separator: options.separator) {
                    if isBlank(file.bytes[range]) { blank += 1 } else { ranges.append((range, range.count)) }
                }
            }
            for (range, byteCount) in ranges {
                entries.append(
                    Entry(file: Int32(index), start: range.lowerBound, length: range.count, byteCount: byteCount))
            }
        }
        if entries.isEmpty { throw TextError.noText(sources: paths) }
        self.files = files
        self.isJSON = isJSON
        self.entries = entries
        blankDocumentCount = blank
        byteCount = entries.reduce(0) { $0 + $1.byteCount }
    }

    /// The UTF-8 of document `index`.
    public func document(_ index: Int) throws -> [UInt8] {
        let entry = entries[index]
        let file = try files.file(Int(entry.file))
        let bytes = UnsafeRawBufferPointer(rebasing: file.bytes[entry.start..<entry.start + entry.length])
        if !isJSON[Int(entry.file)] { return [UInt8](bytes) }
        var line = JSONLine(bytes)
        guard let text = try? line.text(field: textField), text.count == entry.byteCount else {
            throw TextError.changed(source: file.path)
        }
        return text
    }

    /// The bytes of UTF-8 of document `index`.
    public func byteCount(ofDocument index: Int) -> Int { entries[index].byteCount }

    /// Where document `index` stands, for messages: its file and, unless it begins the file, the byte offset.
    public func origin(ofDocument index: Int) -> String {
        let entry = entries[index]
        let path = files.paths[Int(entry.file)]
        return entry.start == 0 ? path : "\(path) at byte \(entry.start)"
    }

    // MARK: - Finding documents

    private static func textFiles(below directory: String) throws -> [String] {
        var found: [String] = []
        var pending = [directory]
        // A link to a directory above it would be followed without end.
        var seen = Set([directoryIdentity(directory)])
        while let next = pending.popLast() {
            var directories: [String] = []
            for name in try directoryEntries(next) where !name.hasPrefix(".") {
                let path = joinPath(next, name)
                if let identity = directoryIdentity(path) {
                    if seen.insert(identity).inserted { directories.append(path) }
                } else if extensions.contains(fileExtension(path)) {
                    found.append(path)
                }
            }
            pending.append(contentsOf: directories.reversed())
        }
        if found.isEmpty { throw TextError.noTextFiles(directory: directory) }
        return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private static func fileExtension(_ path: String) -> String {
        let name = Array(splitPath(path).name.utf8)
        guard let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > 0 else { return "" }
        return String(decoding: name[(dot + 1)...], as: UTF8.self).lowercased()
    }

    private static func refuseCompressed(_ file: MappedFile) throws {
        let signatures: [(String, [UInt8])] = [
            ("gzip", [0x1F, 0x8B]), ("Zstandard", [0x28, 0xB5, 0x2F, 0xFD]), ("xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0]),
            ("bzip2", Array("BZh".utf8)), ("zip", Array("PK\u{3}\u{4}".utf8)),
        ]
        for (kind, signature) in signatures where file.bytes.starts(with: signature) {
            // Text may begin with the letters of bzip2.
            if kind == "bzip2", firstInvalidUTF8Offset(in: file.bytes) == nil { continue }
            throw TextError.compressed(source: file.path, kind: kind)
        }
    }

    private static func jsonDocuments(
        _ file: MappedFile, field: [UInt8], blank: inout Int
    ) throws -> [(range: Range<Int>, byteCount: Int)] {
        var found: [(range: Range<Int>, byteCount: Int)] = []
        for (number, line) in LineRanges(file.bytes, from: textStart(file.bytes)).enumerated() {
            let range = content(of: line, in: file.bytes)
            let bytes = file.bytes[range]
            if isBlank(bytes) { continue }
            var object = JSONLine(UnsafeRawBufferPointer(rebasing: bytes))
            do {
                let text = try object.text(field: field)
                let isBlankText = text.withUnsafeBytes { isBlank($0[...]) }
                if isBlankText { blank += 1 } else { found.append((range, text.count)) }
            } catch let error as JSONLine.Malformed {
                throw TextError.invalidJSONLine(
                    source: file.path, line: number + 1, offset: range.lowerBound + error.offset, reason: error.reason)
            }
        }
        return found
    }
}

/// The files of a corpus, mapped when they are read: a process can map tens of thousands at most, and a corpus may have
/// more.
final class CorpusFiles: @unchecked Sendable {
    /// Files mapped at once, beside those that someone is reading.
    static let mappedAtMost = 1024

    let paths: [String]
    private let monitor = Monitor()
    private var mapped: [Int: MappedFile] = [:]
    /// The keys of `mapped` as a ring; `oldest` goes next.
    private var order: [Int] = []
    private var oldest = 0
    private var identities: [MappedFile.Identity?]
    /// What can be read only once.
    private var kept: [Int: MappedFile] = [:]

    init(_ paths: [String]) {
        self.paths = paths
        identities = Array(repeating: nil, count: paths.count)
    }

    /// - Throws: `FileSystemError`; `TextError.changed` where the file is not the one that was read first.
    func file(_ index: Int) throws -> MappedFile {
        if let file = monitor.locked({ mapped[index] ?? kept[index] }) { return file }
        let file = try MappedFile(path: paths[index])
        return try monitor.locked {
            guard let identity = file.identity else {
                if identities[index] != nil { throw TextError.changed(source: file.path) }
                kept[index] = file
                return file
            }
            if let first = identities[index], first != identity { throw TextError.changed(source: file.path) }
            identities[index] = identity
            // Another thread may have been faster.
            if let other = mapped[index] { return other }
            mapped[index] = file
            if order.count < Self.mappedAtMost {
                order.append(index)
            } else {
                mapped[order[oldest]] = nil
                order[oldest] = index
                oldest = (oldest + 1) % Self.mappedAtMost
            }
            return file
        }
    }
}

/// The ranges of the lines of a text, each with its line end.
struct LineRanges: Sequence, IteratorProtocol {
    private let bytes: UnsafeRawBufferPointer
    private var position: Int

    init(_ bytes: UnsafeRawBufferPointer, from start: Int = 0) {
        self.bytes = bytes
        position = start
    }

    mutating func next() -> Range<Int>? {
        guard position < bytes.count else { return nil }
        let end = bytes[position...].firstIndex(of: 0x0A).map { $0 + 1 } ?? bytes.count
        defer { position = end }
        return position..<end
    }
}

/// The ranges of the documents in a text, blank ones included.
func documentRanges(of bytes: UnsafeRawBufferPointer, separator: DocumentSeparator) -> [Range<Int>] {
    let start = textStart(bytes)
    switch separator {
    case .file:
        return [start..<bytes.count]
    case .everyLine:
        return LineRanges(bytes, from: start).map { content(of: $0, in: bytes) }
    case .line(let text):
        let marker = Array(text.utf8)
        var found: [Range<Int>] = []
        var documentStart = start
        for line in LineRanges(bytes, from: start) where bytes[content(of: line, in: bytes)].elementsEqual(marker) {
            found.append(documentStart..<line.lowerBound)
            documentStart = line.upperBound
        }
        found.append(documentStart..<bytes.count)
        return found
    case .blankLines(let needed):
        var found: [Range<Int>] = []
        var document: Range<Int>?
        var blankLines = 0
        for line in LineRanges(bytes, from: start) {
            if isBlank(bytes[line]) {
                blankLines += 1
                continue
            }
            if let current = document, blankLines >= needed {
                found.append(current)
                document = line
            } else {
                // Fewer blank lines than separate documents belong to the document.
                document = (document?.lowerBound ?? line.lowerBound)..<line.upperBound
            }
            blankLines = 0
        }
        if let document { found.append(document) }
        return found
    }
}

/// A line without its line end, "\n" or "\r\n".
private func content(of line: Range<Int>, in bytes: UnsafeRawBufferPointer) -> Range<Int> {
    var end = line.upperBound
    if end > line.lowerBound, bytes[end - 1] == 0x0A {
        end -= 1
        if end > line.lowerBound, bytes[end - 1] == 0x0D { end -= 1 }
    }
    return line.lowerBound..<end
}

private func isBlank(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
    bytes.allSatisfy { $0 == 0x20 || ($0 >= 0x09 && $0 <= 0x0D) }
}

/// The offset of the text: past a byte order mark.
private func textStart(_ bytes: UnsafeRawBufferPointer) -> Int {
    bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
}
