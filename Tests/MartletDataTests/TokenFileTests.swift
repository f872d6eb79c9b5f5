import Foundation
import MartletData
import Testing

@Suite struct TokenFileTests {
    private func write(_ documents: [[Int32]], to path: String, _ tokenizer: any Tokenizer = ByteTokenizer()) throws {
        let writer = try TokenFileWriter(path: path, tokenizer: tokenizer)
        for document in documents { try writer.append(document: document, textByteCount: document.count) }
        try writer.finish()
    }

    @Test func writtenTokensAreRead() throws {
        let folder = TemporaryFolder()
        let documents: [[Int32]] = [[1, 2, 3], [], [255], Array(repeating: 7, count: 1000)]
        try write(documents, to: folder.file("a.tokens"))
        #expect(folder.names == ["a.tokens"])
        let dataset = try TokenDataset(path: folder.file("a.tokens"), tokenizer: ByteTokenizer())
        #expect(dataset.documentCount == 4 && dataset.tokenCount == 1008 && dataset.textByteCount == 1004)
        #expect(dataset.vocabularySize == 257 && dataset.eodID == 256)
        #expect(dataset.fingerprint == ByteTokenizer().fingerprint)
        #expect(dataset.tokenizerSummary == ByteTokenizer().summary)
        for (index, document) in documents.enumerated() {
            #expect(try dataset.tokens(ofDocument: index) == document)
            #expect(try dataset.textByteCount(ofDocument: index) == document.count)
        }
        #expect(try dataset.tokens(in: 2..<6) == [3, 256, 256, 255])
        #expect(try dataset.tokenRange(ofDocument: 2) == 5..<7)
        #expect(try dataset.tokens(in: 5..<5) == [])
        try dataset.verify()
        #expect(throws: TokenFileError.self) { try dataset.tokens(in: 1000..<1009) }
        #expect(throws: TokenFileError.self) { try dataset.tokens(ofDocument: 4) }
        #expect(throws: TokenFileError.self) { try dataset.tokens(ofDocument: -1) }
    }

    private struct WideTokenizer: Tokenizer {
        let vocabularySize = 70_000
        let eodID: Int32 = 69_999
        let summary = String(repeating: "wide é ", count: 40)
        var fingerprint: TokenizerFingerprint { TokenizerFingerprint(bytes: [UInt8](repeating: 3, count: 32)) }
        func encode(utf8 bytes: UnsafeRawBufferPointer, threads: Int) throws -> [Int32] { bytes.map { Int32($0) } }
        func appendBytes(of id: Int32, to bytes: inout [UInt8], state: inout DecodingState) throws {}
        func piece(_ id: Int32) -> String? { nil }
        func id(ofPiece piece: String) -> Int32? { nil }
    }

    @Test func largeVocabulariesTakeFourBytes() throws {
        let folder = TemporaryFolder()
        try write([[65_536, 0, 69_998], [1]], to: folder.file("a.tokens"), WideTokenizer())
        let dataset = try TokenDataset(path: folder.file("a.tokens"), tokenizer: WideTokenizer())
        #expect(try dataset.tokens(in: 0..<6) == [65_536, 0, 69_998, 69_999, 1, 69_999])
        #expect(
            WideTokenizer().summary.hasPrefix(dataset.tokenizerSummary) && dataset.tokenizerSummary.utf8.count > 100)
        try dataset.verify()
    }

    @Test func anotherTokenizerIsRefused() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.tokens")
        try write([[1]], to: path)
        let unigram = try SentencePieceTokenizer(path: fixture("unigram.model"))
        do {
            _ = try TokenDataset(path: path, tokenizer: unigram)
            Issue.record("opened with another tokenizer")
        } catch let error as TokenFileError {
            guard case .otherTokenizer(path, unigram.fingerprint, _, ByteTokenizer().fingerprint, _) = error else {
                Issue.record("\(error)")
                return
            }
            #expect("\(error)".contains(path) && "\(error)".contains("unigram"))
        }
    }

    @Test func badDocumentsAndEmptyFilesAreNotWritten() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.tokens")
        do {
            let writer = try TokenFileWriter(path: path, tokenizer: ByteTokenizer())
            for id in [Int32(257), -1] {
                #expect(throws: TokenFileError.tokenOutOfRange(path: path, id: id, vocabularySize: 257)) {
                    try writer.append(document: [1, id], textByteCount: 2)
                }
            }
            #expect(throws: TextError.self) { try writer.finish() }
        }
        #expect(folder.names == [])
        #expect(throws: FileSystemError.self) {
            try TokenFileWriter(path: folder.file("no/such/a.tokens"), tokenizer: ByteTokenizer())
        }
        folder.write("old.tokens", "kept")
        #expect(throws: FileSystemError.self) {
            try TokenFileWriter(path: folder.file("old.tokens"), tokenizer: ByteTokenizer(), overwrite: false)
        }
        do {
            let writer = try TokenFileWriter(path: folder.file("old.tokens"), tokenizer: ByteTokenizer())
            try writer.append(document: [1], textByteCount: 1)
        }
        #expect(folder.names == ["old.tokens"] && folder.bytes("old.tokens") == utf8("kept"))
    }

    /// A pipe stands for devices too: a file renamed to its name would take its place.
    @Test func onlyFilesAreReplaced() throws {
        let folder = TemporaryFolder()
        let pipe = folder.file("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        let tokenizer = try SentencePieceTokenizer(path: fixture("unigram.model"))
        for overwrite in [true, false] {
            let error = #expect(throws: FileSystemError.self) {
                try TokenFileWriter(path: pipe, tokenizer: ByteTokenizer(), overwrite: overwrite)
            }
            #expect(error?.path == pipe && error?.description.contains("no regular file") == true)
            #expect(throws: FileSystemError.self) { try tokenizer.save(to: pipe, overwrite: overwrite) }
        }
        #expect(throws: FileSystemError.self) { try TokenFileWriter(path: folder.path, tokenizer: ByteTokenizer()) }
        var status = stat()
        #expect(stat(pipe, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
        #expect(folder.names == ["pipe"])
        // A link is replaced by the file, as ever.
        folder.write("old", "kept")
        symlink(folder.file("old"), folder.file("link"))
        try write([[1]], to: folder.file("link"))
        #expect(folder.bytes("old") == utf8("kept"))
        try TokenDataset(path: folder.file("link")).verify()
    }

    @Test func progressIsShown() {
        var time = 0.0
        var shown = ""
        func progress(isTerminal: Bool) -> PreparationProgress {
            (time, shown) = (0, "")
            return PreparationProgress(isTerminal: isTerminal, now: { time }, output: { shown += $0 })
        }
        let live = progress(isTerminal: true)
        for (t, done) in [(0.0, 100_000), (0.05, 200_000), (2.0, 500_000), (2.01, 2_000_000)] {
            time = t
            live.update(done, 2_000_000)
        }
        live.finish()
        live.finish()
        #expect(
            shown == "\rencoded 0.1 of 2.0 MB  5 %\u{1B}[K\rencoded 0.5 of 2.0 MB  25 %  0.3 MB/s  6s left\u{1B}[K"
                + "\rencoded 2.0 of 2.0 MB  100 %  1.0 MB/s\u{1B}[K\n")
        let plain = progress(isTerminal: false)
        for (t, done) in [(1.0, 100_000), (10.0, 500_000), (12.0, 600_000), (20.0, 1_000_000), (21.0, 2_000_000)] {
            time = t
            plain.update(done, 2_000_000)
        }
        plain.finish()
        #expect(
            shown
                == "encoded 0.5 of 2.0 MB  25 %  0.1 MB/s  30s left\nencoded 1.0 of 2.0 MB  50 %  0.1 MB/s  20s left\n")
    }

    @Test func aFullDiskIsReportedAndLeavesNothing() async {
        // In a process of its own: a limit on the size of files fails writes as a full disk does.
        await #expect(processExitsWith: .success) {
            let folder = TemporaryFolder()
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: 2 << 20, rlim_max: 2 << 20)
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
            let writer = try TokenFileWriter(path: folder.file("a.tokens"), tokenizer: ByteTokenizer())
            let document = [Int32](repeating: 5, count: 1 << 20)
            let error = #expect(throws: FileSystemError.self) {
                for _ in 0..<4 { try writer.append(document: document, textByteCount: document.count) }
                try writer.finish()
            }
            #expect(error?.code == EFBIG)
            #expect(folder.names == [])
        }
    }

    @Test func everyTruncationAndEveryFlippedBitIsFound() throws {
        let folder = TemporaryFolder()
        try write([[1, 2, 3], [4], [5, 6, 7, 8]], to: folder.file("a.tokens"))
        let good = folder.bytes("a.tokens")
        let path = folder.file("bad.tokens")
        for length in 0..<good.count {
            folder.write("bad.tokens", bytes: Array(good[0..<length]))
            #expect(throws: TokenFileError.self, "length \(length)") { try TokenDataset(path: path) }
        }
        folder.write("bad.tokens", bytes: good + [0])
        #expect(throws: TokenFileError.self) { try TokenDataset(path: path) }
        for byte in 0..<good.count {
            var bytes = good
            bytes[byte] ^= 1 << UInt8(byte % 8)
            folder.write("bad.tokens", bytes: bytes)
            #expect(throws: TokenFileError.self, "byte \(byte)") { try TokenDataset(path: path).verify() }
        }
        #expect(throws: TokenFileError.self) { try TokenDataset(path: folder.write("text.txt", "just some text")) }
        #expect(throws: FileSystemError.self) { try TokenDataset(path: folder.file("missing")) }
    }

    @Test func damagedFilesNeverCrash() throws {
        let folder = TemporaryFolder()
        var generator = TestGenerator(17)
        let documents = (0..<20).map { _ in
            (0..<Int.random(in: 0...40, using: &generator)).map { _ in Int32.random(in: 0...255, using: &generator) }
        }
        try write(documents, to: folder.file("a.tokens"))
        let good = folder.bytes("a.tokens")
        var opened = 0
        for round in 0..<3000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                // Half of the damage goes to the header, where it can mislead most.
                let range = Bool.random(using: &generator) ? 0..<256 : 0..<bytes.count
                bytes[Int.random(in: range, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) {
                // A header that is wrong but has the right checksum.
                let checksum = bytes[0..<248].withUnsafeBytes { XXHash64.hash($0) }
                for i in 0..<8 { bytes[248 + i] = UInt8(truncatingIfNeeded: checksum >> UInt64(8 * i)) }
            }
            if round % 3 == 0 { bytes.removeLast(Int.random(in: 0...bytes.count, using: &generator)) }
            let path = folder.write("bad.tokens", bytes: bytes)
            guard let dataset = try? TokenDataset(path: path) else { continue }
            opened += 1
            for document in 0..<min(dataset.documentCount, 30) {
                _ = try? dataset.tokens(ofDocument: document)
                _ = try? dataset.textByteCount(ofDocument: document)
            }
            _ = try? dataset.tokens(in: 0..<dataset.tokenCount)
            _ = try? dataset.verify()
        }
        #expect(opened > 100)
    }

    @Test func preparationWritesTheDocuments() throws {
        let folder = TemporaryFolder()
        let texts = trainingTexts(count: 300, seed: 2)
        let paths = texts.enumerated().map { folder.write(String(format: "in/%04d.txt", $0), $1) }
        let corpus = try TextCorpus(paths: [folder.file("in")])
        #expect(corpus.paths == paths)
        let tokenizer = try SentencePieceTokenizer(path: fixture("unigram.model"))
        var progress: [Int] = []
        let report = try prepareTokenFiles(
            corpus: corpus, tokenizer: tokenizer, training: folder.file("a.tokens"),
            progress: { done, total in
                progress.append(done)
                #expect(total == corpus.byteCount)
            })
        #expect(progress.last == corpus.byteCount && progress == progress.sorted())
        let dataset = try TokenDataset(path: folder.file("a.tokens"), tokenizer: tokenizer)
        try dataset.verify()
        #expect(report.training.documentCount == 300 && report.training.tokenCount == dataset.tokenCount)
        #expect(dataset.textByteCount == corpus.byteCount && report.training.textByteCount == corpus.byteCount)
        for (index, text) in texts.enumerated() {
            let tokens = try dataset.tokens(ofDocument: index)
            #expect(tokens == (try tokenizer.encode(text)))
            #expect(try tokenizer.decodeBytes(tokens) == utf8(text))
        }
    }

    @Test func filesDoNotDependOnTheNumberOfThreads() throws {
        let folder = TemporaryFolder()
        let text = trainingTexts(count: 20_000, seed: 3).joined(separator: "\u{1}\n")
        folder.write("in.txt", text)
        let corpus = try TextCorpus(
            paths: [folder.file("in.txt")], options: TextReadingOptions(separator: .line("\u{1}")))
        let tokenizer = try SentencePieceTokenizer(path: fixture("bpe.model"))
        var contents: [[UInt8]] = []
        for threads in [1, 2, 5] {
            var options = PreparationOptions()
            options.threads = threads
            options.shufflesDocuments = true
            options.validation = .documents(fraction: 0.1)
            options.seed = 4
            let report = try prepareTokenFiles(
                corpus: corpus, tokenizer: tokenizer, training: folder.file("t.tokens"),
                validation: folder.file("v.tokens"), options: options)
            contents.append(folder.bytes("t.tokens") + folder.bytes("v.tokens"))
            let parts = [report.training, try #require(report.validation)]
            #expect(parts.reduce(0) { $0 + $1.textByteCount } == corpus.byteCount)
            #expect(parts[1].documentCount == Int((Double(corpus.count) * 0.1).rounded()))
        }
        #expect(contents[0] == contents[1] && contents[0] == contents[2])
    }

    @Test func splitsKeepEveryDocumentOnce() throws {
        let folder = TemporaryFolder()
        let texts = (0..<100).map { "document number \($0)\nwith two lines" }
        folder.write(
            "in.jsonl",
            texts.map { "{\"text\": \"\($0.replacingOccurrences(of: "\n", with: "\\n"))\"}" }.joined(separator: "\n"))
        let corpus = try TextCorpus(paths: [folder.file("in.jsonl")])
        func prepare(_ options: PreparationOptions) throws -> (training: [String], validation: [String]) {
            let tokenizer = ByteTokenizer()
            try prepareTokenFiles(
                corpus: corpus, tokenizer: tokenizer, training: folder.file("t.tokens"),
                validation: folder.file("v.tokens"), options: options)
            func read(_ name: String) throws -> [String] {
                let dataset = try TokenDataset(path: folder.file(name), tokenizer: tokenizer)
                try dataset.verify()
                return try (0..<dataset.documentCount).map { try tokenizer.decode(dataset.tokens(ofDocument: $0)) }
            }
            return (try read("t.tokens"), try read("v.tokens"))
        }
        var options = PreparationOptions()
        options.validation = .documents(fraction: 0.2)
        let plain = try prepare(options)
        #expect(plain.validation.count == 20)
        #expect(Set(plain.training + plain.validation) == Set(texts))
        #expect(plain.training == texts.filter { plain.training.contains($0) })
        options.seed = 1
        #expect(try prepare(options).validation != plain.validation)
        options.seed = 0
        options.shufflesDocuments = true
        let shuffled = try prepare(options)
        #expect(shuffled.validation == plain.validation)
        #expect(shuffled.training != plain.training && Set(shuffled.training) == Set(plain.training))

        options.shufflesDocuments = false
        options.validation = .tail(fraction: 0.105)
        let tail = try prepare(options)
        #expect((tail.training + tail.validation).joined() == texts.joined())
        let share = Double(tail.validation.joined().utf8.count) / Double(corpus.byteCount)
        #expect(abs(share - 0.105) < 0.02)

        for fraction in [0, 1, -0.1, 2, Double.nan] {
            options.validation = .documents(fraction: fraction)
            #expect(throws: PreparationError.self) { try prepare(options) }
        }
        options.validation = .none
        #expect(throws: PreparationError.self) { try prepare(options) }
    }

    @Test func tailOfOneDocumentIsCutWhereALineBegins() throws {
        let folder = TemporaryFolder()
        let lines = (0..<1000).map { "line \($0) été\n" }.joined()
        let corpus = try TextCorpus(paths: [folder.write("in.txt", lines)])
        var options = PreparationOptions()
        options.validation = .tail(fraction: 0.1)
        let report = try prepareTokenFiles(
            corpus: corpus, tokenizer: ByteTokenizer(), training: folder.file("t.tokens"),
            validation: folder.file("v.tokens"), options: options)
        #expect(report.training.textByteCount + report.validation!.textByteCount == lines.utf8.count)
        let validation = try TokenDataset(path: folder.file("v.tokens"))
        let text = try ByteTokenizer().decode(validation.tokens(ofDocument: 0))
        #expect(text.hasPrefix("line ") && lines.hasSuffix(text))
        options.validation = .documents(fraction: 0.1)
        #expect(throws: PreparationError.self) {
            try prepareTokenFiles(
                corpus: corpus, tokenizer: ByteTokenizer(), training: folder.file("t.tokens"),
                validation: folder.file("v.tokens"), options: options)
        }
        // One line, no place but between scalars.
        let one = try TextCorpus(paths: [folder.write("one.txt", String(repeating: "é", count: 50))])
        options.validation = .tail(fraction: 0.5)
        options.shufflesDocuments = true
        let halves = try prepareTokenFiles(
            corpus: one, tokenizer: ByteTokenizer(), training: folder.file("t.tokens"),
            validation: folder.file("v.tokens"), options: options)
        #expect(halves.training.textByteCount == 50 && halves.validation?.textByteCount == 50)
    }
}
