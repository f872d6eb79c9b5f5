import Foundation
import MartletData
import Testing

@Suite struct TextCorpusTests {
    private func documents(_ text: String, _ separator: DocumentSeparator) throws -> [String] {
        let folder = TemporaryFolder()
        let corpus = try TextCorpus(
            paths: [folder.write("a.txt", text)], options: TextReadingOptions(separator: separator))
        return try (0..<corpus.count).map { String(decoding: try corpus.document($0), as: UTF8.self) }
    }

    @Test func separators() throws {
        #expect(try documents("one\n\ntwo\n", .file) == ["one\n\ntwo\n"])
        #expect(try documents("one\r\n\ntwo\nthree", .everyLine) == ["one", "two", "three"])
        let marked = "one\n<|endoftext|>\ntwo <|endoftext|>\r\n<|endoftext|>\r\n\n<|endoftext|>\nlast"
        #expect(try documents(marked, .line("<|endoftext|>")) == ["one\n", "two <|endoftext|>\r\n", "last"])
        let blank = "\n\na\nb\n\nc\n \t\r\n\nd\n\n\n\ne\n\n"
        #expect(try documents(blank, .blankLines(2)) == ["a\nb\n\nc\n", "d\n", "e\n"])
        #expect(try documents(blank, .blankLines(1)) == ["a\nb\n", "c\n", "d\n", "e\n"])
    }

    @Test func separatorsAreReadFromText() throws {
        for separator in [DocumentSeparator.file, .everyLine, .line("<|x|>"), .line("a:b"), .blankLines(3)] {
            #expect(try DocumentSeparator(parsing: separator.description) == separator)
        }
        for text in ["", "line:", "blank-lines:0", "blank-lines:x", "lines"] {
            #expect(throws: TextError.invalidSeparator(text)) { try DocumentSeparator(parsing: text) }
        }
        let json = #"{"separator": "line:<|endoftext|>"}"#
        let options = try JSONDecoder().decode(TextReadingOptions.self, from: Data(json.utf8))
        #expect(options == TextReadingOptions(separator: .line("<|endoftext|>")))
    }

    @Test func textIsKeptAsItIs() throws {
        let folder = TemporaryFolder()
        for (index, text) in difficultTexts.enumerated()
        where !text.utf8.allSatisfy({ $0 == 0x20 || ($0 >= 9 && $0 <= 13) }) {
            let corpus = try TextCorpus(paths: [folder.write("\(index).txt", text)])
            // A byte order mark at the start of a file is no text.
            let expected = text.unicodeScalars.first == "\u{FEFF}" ? Array(utf8(text)[3...]) : utf8(text)
            #expect(try corpus.document(0) == expected)
            #expect(corpus.byteCount == expected.count)
        }
    }

    @Test func jsonLines() throws {
        let folder = TemporaryFolder()
        let lines = [
            #"{"text": "plain"}"#,
            "",
            #"{"id": 1, "meta": {"a": [1, -2.5e+3, {"text": "inner"}], "b": null}, "#
                + #""text": "esc \"\\\/\b\f\n\r\t \u00e9 \ud83d\ude00", "x": true}"#,
            #"  {"text" : "CRLF line" , "n" : [ ] , "o" : { } }  "# + "\r",
            #"{"text": "   "}"#,
            #"{"text": "first", "text": "last"}"#,
        ]
        let corpus = try TextCorpus(paths: [folder.write("a.jsonl", lines.joined(separator: "\n"))])
        let texts = try (0..<corpus.count).map { String(decoding: try corpus.document($0), as: UTF8.self) }
        #expect(texts == ["plain", "esc \"\\/\u{8}\u{C}\n\r\t \u{E9} 😀", "CRLF line", "last"])
        #expect(corpus.blankDocumentCount == 1)
        #expect(corpus.byteCount == texts.reduce(0) { $0 + $1.utf8.count })
        let other = try TextCorpus(
            paths: [folder.write("b.jsonl", #"{"content": "x", "text": 1}"#)],
            options: TextReadingOptions(textField: "content"))
        #expect(try other.document(0) == utf8("x"))
    }

    @Test func jsonStringsEqualFoundations() throws {
        let folder = TemporaryFolder()
        for text in difficultTexts where !text.utf8.allSatisfy({ $0 == 0x20 || ($0 >= 9 && $0 <= 13) }) {
            let json = try JSONEncoder().encode(["text": text]) + Data("\n".utf8)
            let corpus = try TextCorpus(paths: [folder.write("a.jsonl", bytes: [UInt8](json))])
            #expect(try corpus.document(0) == utf8(text))
        }
    }

    @Test(arguments: [
        ("{\"text\": \"a\"", 12), ("{\"text\": 5}", 0), ("{\"text\": null}", 0), ("{\"other\": \"a\"}", 0), ("[1]", 0),
        ("{\"text\": \"a\" \"b\"}", 13), ("{\"text\": \"\\ud800\"}", 10), ("{\"text\": \"\\x\"}", 11),
        ("{\"text\": tru}", 12),
        ("{\"text\": \"a\"} x", 14), ("{\"a\": 01, \"text\": \"a\"}", 7), ("{\"text\": \"a\tb\"}", 11), ("nonsense", 0),
        ("{,}", 1),
    ])
    func badJSONLinesAreNamed(line: String, offset: Int) throws {
        let folder = TemporaryFolder()
        let path = folder.write("a.jsonl", "{\"text\": \"ok\"}\n" + line + "\n")
        do {
            _ = try TextCorpus(paths: [path])
            Issue.record("accepted \(line)")
        } catch TextError.invalidJSONLine(let source, let number, let found, _) {
            #expect(source == path && number == 2 && found == 15 + offset)
        }
    }

    @Test func deepJSONIsRefusedWithoutRecursion() throws {
        let folder = TemporaryFolder()
        let deep = "{\"a\": " + String(repeating: "[", count: 100_000) + "\n"
        #expect(throws: TextError.self) { try TextCorpus(paths: [folder.write("a.jsonl", deep)]) }
    }

    @Test func invalidUTF8IsRefusedWithFileAndOffset() throws {
        let folder = TemporaryFolder()
        let path = folder.write("latin1.txt", bytes: utf8("first line\nsecond caf") + [0xE9, 0x20, 0x61])
        let error = #expect(throws: InvalidUTF8Error.self) { try TextCorpus(paths: [path]) }
        #expect(error?.source == path && error?.offset == 21 && error?.line == 2)
        #expect(error.map { "\($0)".contains(path) && "\($0)".contains("byte 21") } == true)
        let utf16 = folder.write("utf16.txt", bytes: [0xFF, 0xFE, 0x61, 0x00])
        #expect(throws: InvalidUTF8Error.self) { try TextCorpus(paths: [utf16]) }
        let zipped = folder.write("text.gz", bytes: [0x1F, 0x8B, 8, 0, 1, 2])
        #expect(throws: TextError.compressed(source: zipped, kind: "gzip")) { try TextCorpus(paths: [zipped]) }
    }

    @Test func emptyTextAndMissingFilesAreRefused() throws {
        let folder = TemporaryFolder()
        #expect(throws: TextError.noText(sources: [])) { try TextCorpus(paths: []) }
        for text in ["", " \n\t\r\n", "\u{FEFF}"] {
            let path = folder.write("a.txt", text)
            #expect(throws: TextError.noText(sources: [path])) { try TextCorpus(paths: [path]) }
        }
        let missing = folder.file("missing.txt")
        let error = #expect(throws: FileSystemError.self) { try TextCorpus(paths: [missing]) }
        #expect(error?.path == missing && error?.code == ENOENT)
    }

    @Test func directoriesAreReadInOrder() throws {
        let folder = TemporaryFolder()
        folder.write("in/b.txt", "b")
        folder.write("in/a/z.md", "z")
        folder.write("in/a/c.jsonl", "{\"text\": \"c\"}")
        folder.write("in/skipped.bin", bytes: [0xFF])
        folder.write("in/.hidden.txt", "hidden")
        let corpus = try TextCorpus(paths: [folder.file("in")])
        #expect(
            try (0..<corpus.count).map { String(decoding: try corpus.document($0), as: UTF8.self) } == ["c", "z", "b"])
        folder.write("none/x.bin", "x")
        #expect(throws: TextError.noTextFiles(directory: folder.file("none"))) {
            try TextCorpus(paths: [folder.file("none")])
        }
    }

    /// A link to a directory above is not followed again, and two ways to one directory are one.
    @Test(.timeLimit(.minutes(1))) func linkedDirectoriesAreReadOnce() throws {
        let folder = TemporaryFolder()
        folder.write("in/a/one.txt", "one")
        folder.write("other/two.txt", "two")
        symlink(folder.file("in"), folder.file("in/a/loop"))
        symlink("..", folder.file("in/a/up"))
        symlink(folder.file("other"), folder.file("in/linked"))
        symlink(folder.file("other"), folder.file("in/linked-again"))
        let corpus = try TextCorpus(paths: [folder.file("in")])
        #expect(corpus.paths == [folder.file("in/a/one.txt"), folder.file("in/linked/two.txt")])
    }

    /// The system limits a process's mappings; text of any number of files is read through some of them.
    @Test func manyFilesAreNotAllMapped() throws {
        let folder = TemporaryFolder()
        let count = 1500
        for i in 0..<count { folder.write("in/\(i + 1000).\(i % 7 == 0 ? "jsonl" : "txt")", text(i)) }
        let corpus = try TextCorpus(paths: [folder.file("in")])
        #expect(corpus.count == count && corpus.paths.count == count)
        func mappings() throws -> Int {
            try String(contentsOfFile: "/proc/self/maps", encoding: .utf8).split(separator: "\n")
                .count { $0.contains(folder.path) }
        }
        for i in (0..<count).reversed() + [7, 1499, 0, 800] {
            #expect(try corpus.document(i) == utf8("document \(i)"))
        }
        #expect(try mappings() <= 1024)
        // Files that come and go are noticed.
        try FileManager.default.removeItem(atPath: corpus.paths[1400])
        folder.write("in/2401.txt", "another text")
        _ = try (0..<1100).map { try corpus.document($0) }
        #expect(throws: FileSystemError.self) { try corpus.document(1400) }
        #expect(throws: TextError.changed(source: folder.file("in/2401.txt"))) { try corpus.document(1401) }

        func text(_ i: Int) -> String { i % 7 == 0 ? "{\"text\": \"document \(i)\"}\n" : "document \(i)" }
    }
}
