import Foundation
import FoundationXML
import MartletTraining
import Testing

@Suite struct MetricsTests {
    @Test func recordsAreJSONLines() {
        let record = MetricsRecord(
            step: 3,
            [
                "loss": .single(2.1), "lr": 1e-5, "nan": .number(.nan), "inf": .single(-.infinity), "tokens": 4096,
                "ok": true,
                "note": "a \"b\"\\\n\u{1}é",
            ])
        #expect(
            record.json
                == "{\"step\":3,\"loss\":2.1,\"lr\":1e-05,\"nan\":\"NaN\",\"inf\":\"-Infinity\",\"tokens\":4096,"
                + "\"ok\":true,\"note\":\"a \\\"b\\\"\\\\\\n\\u0001é\"}")
        #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(record.json.utf8)) }
        #expect(record["inf"]?.double == -.infinity)
        #expect(record["tokens"]?.double == 4096)
        #expect(record["note"]?.double == nil)
        #expect(record["none"] == nil)
    }

    @Test func whatIsWrittenIsRead() throws {
        try withTemporaryFolder { folder in
            let writer = try MetricsWriter(path: folder + "/run/metrics.jsonl")
            for step in 1...3 { try writer.write(MetricsRecord(step: step, ["loss": .number(1 / Double(step))])) }
            // Every record is in the file at once.
            let records = try MetricsFile.read(writer.path)
            #expect(records.map(\.step) == [1, 2, 3])
            #expect(records.map { $0["loss"]?.double } == [1, 0.5, 1 / 3.0])
            try writer.synchronize()
        }
    }

    private func write(_ steps: ClosedRange<Int>, to writer: MetricsWriter) throws {
        for step in steps {
            try writer.write(MetricsRecord(step: step, ["loss": .single(1 / Float(step))]))
            if step % 5 == 0 {
                try writer.write(MetricsRecord(step: step, ["validationLoss": .single(2 / Float(step))]))
            }
        }
    }

    @Test(arguments: [0, 1, 4, 5, 6, 10])
    func aResumedRunsFileEqualsAnUninterruptedOne(_ checkpoint: Int) throws {
        try withTemporaryFolder { folder in
            let whole = try MetricsWriter(path: folder + "/whole.jsonl")
            try write(1...12, to: whole)
            do {
                let killed = try MetricsWriter(path: folder + "/resumed.jsonl")
                try write(1...10, to: killed)
            }
            // Torn in the middle of a line.
            let handle = try #require(FileHandle(forWritingAtPath: folder + "/resumed.jsonl"))
            try handle.seekToEnd()
            try handle.write(contentsOf: Data("{\"step\":11,\"lo".utf8))
            try handle.close()
            let resumed = try MetricsWriter(path: folder + "/resumed.jsonl", resumingAfter: checkpoint)
            try write((checkpoint + 1)...12, to: resumed)
            #expect(try contents(folder + "/resumed.jsonl") == contents(folder + "/whole.jsonl"))
        }
    }

    @Test func resumingAfterGoingBackKeepsTheEarlierCourse() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/m.jsonl"
            let writer = try MetricsWriter(path: path)
            // Steps 1...9, a spike, back to 4, on to 8.
            try write(1...9, to: writer)
            try writer.write(MetricsRecord(step: 9, ["event": "spike"]))
            try write(5...8, to: writer)
            let before = try MetricsFile.read(path).count
            _ = try MetricsWriter(path: path, resumingAfter: 7)
            #expect(try MetricsFile.read(path).count == before - 1)
            _ = try MetricsWriter(path: path, resumingAfter: 3)
            #expect(try MetricsFile.read(path).map(\.step) == [1, 2, 3])
        }
    }

    @Test func aMissingFileIsMade() throws {
        try withTemporaryFolder { folder in
            let writer = try MetricsWriter(path: folder + "/new.jsonl", resumingAfter: 100)
            try writer.write(MetricsRecord(step: 101, [:]))
            #expect(try text(folder + "/new.jsonl") == "{\"step\":101}\n")
        }
    }

    @Test func damagedLinesAreNamed() throws {
        try withTemporaryFolder { folder in
            try store("{\"step\":1}\n{\"step\":\n{\"step\":9}\n", at: folder + "/m.jsonl")
            do {
                _ = try MetricsFile.read(folder + "/m.jsonl")
                Issue.record("expected an error")
            } catch {
                #expect("\(error)".hasPrefix("\(folder)/m.jsonl:2: expected a JSON object with a whole number 'step'"))
            }
            #expect(throws: MetricsError.self) { try MetricsWriter(path: folder + "/m.jsonl", resumingAfter: 1) }
            #expect(try text(folder + "/m.jsonl").count == 31)
        }
    }
}

@Suite struct SpikeDetectorTests {
    @Test func findsJumpsAndNothingElse() throws {
        var detector = SpikeDetector(threshold: 6, window: 50)
        for step in 0..<500 {
            // Falls with some noise.
            let loss = 3 + 5 / (1 + Double(step) / 20) + 0.05 * sin(Double(step) * 12.9898)
            let isSpike = detector.isSpike(loss)
            #expect(!isSpike, "step \(step)")
        }
        let verdicts = [3.3, 6, .nan, .infinity, 3.2].map { detector.isSpike($0) }
        #expect(verdicts == [false, true, true, true, false])
        let copy = try JSONDecoder().decode(SpikeDetector.self, from: try JSONEncoder().encode(detector))
        #expect(copy == detector)
    }

    @Test func needsAFullWindow() {
        var detector = SpikeDetector(threshold: 3, window: 10)
        let losses = [Double](repeating: 1, count: 9) + [100, 1000]
        let verdicts = losses.map { detector.isSpike($0) }
        #expect(verdicts == [Bool](repeating: false, count: 10) + [true])
    }
}

@Suite struct ProgressLineTests {
    private let report = ProgressReport(
        step: 120, totalSteps: 2000, loss: 3.41234, learningRate: 0.01, tokensPerSecond: 12_345, utilisation: 0.414,
        memory: 1_200_000_000, secondsLeft: 245)

    /// What a progress line prints.
    private final class Terminal {
        var text = ""
        var time = 0.0

        func line(isTerminal: Bool, width: Int = 80) -> ProgressLine {
            ProgressLine(
                printEverySteps: 10, isTerminal: isTerminal, width: { width }, now: { self.time },
                output: { self.text += $0 })
        }
    }

    @Test func text() {
        #expect(
            report.text == "step 120/2000  loss 3.412  lr 0.0100  12.3k tok/s  MFU 41 %  1.20 GB  4m 05s left")
        #expect(
            ProgressReport(step: 5, totalSteps: nil, loss: .nan, tokensPerSecond: 10).text
                == "step 5  loss NaN  10 tok/s")
    }

    @Test func narrowTerminalsGetLess() {
        #expect(report.fitted(toWidth: 120).hasPrefix("█░░"))
        #expect(report.fitted(toWidth: 40) == "step 120/2000  loss 3.412  4m 05s left")
        for width in 0...130 { #expect(report.fitted(toWidth: width).count <= width) }
    }

    @Test func linesElsewhereThanOnATerminal() {
        let terminal = Terminal()
        let line = terminal.line(isTerminal: false)
        for step in 1...25 { line.update(ProgressReport(step: step, totalSteps: 25, loss: 1, tokensPerSecond: 1)) }
        line.message("saved")
        line.finish()
        let lines = terminal.text.split(separator: "\n").map { $0.split(separator: "  ")[0] }
        #expect(lines == ["step 1/25", "step 10/25", "step 20/25", "step 25/25", "saved"])
        #expect(!terminal.text.contains("\r") && !terminal.text.contains("\u{1B}"))
    }

    @Test func aLiveLineOnATerminal() {
        let terminal = Terminal()
        let line = terminal.line(isTerminal: true)
        for step in 1...100 {
            terminal.time += 0.01
            line.update(ProgressReport(step: step, totalSteps: 1000, loss: 1, tokensPerSecond: 1))
        }
        let updates = terminal.text.split(separator: "\r").count
        #expect((9...11).contains(updates))
        #expect(!terminal.text.contains("\n"))
        terminal.text = ""
        line.message("saved")
        #expect(terminal.text.hasPrefix("\r\u{1B}[Ksaved\n\r"))
        terminal.text = ""
        line.finish()
        // The last step is shown although its update came too soon after the one before.
        #expect(terminal.text.contains("step 100/1000"))
        #expect(terminal.text.hasSuffix("\n"))
    }
}

@Suite struct LossPlotTests {
    private func records(_ count: Int) -> [MetricsRecord] {
        (1...count).flatMap { step -> [MetricsRecord] in
            let loss = 2 + 5 / (1 + Double(step) / 50) + 0.1 * sin(Double(step) * 12.9898)
            let training = MetricsRecord(step: step, ["loss": .number(loss)])
            guard step % max(1, count / 20) == 0 else { return [training] }
            return [training, MetricsRecord(step: step, ["validationLoss": .number(loss + 0.2)])]
        }
    }

    private func isXML(_ svg: String) -> Bool {
        let parser = XMLParser(data: Data(svg.utf8))
        return parser.parse()
    }

    @Test(arguments: [1, 2, 7, 150, 20_000])
    func drawsAnyNumberOfSteps(_ count: Int) {
        let svg = LossPlot(title: "a <b> & \"c\"", records: records(count)).svg()
        #expect(isXML(svg))
        #expect(svg.contains(">training: "))
        #expect(svg.contains(">validation: "))
        #expect(!svg.contains("nan") && !svg.contains("inf"))
        #expect(svg.utf8.count < 100_000)
    }

    @Test func nothingAndNonsense() {
        #expect(LossPlot(title: "empty", records: []).svg().contains("nothing measured yet"))
        let svg = LossPlot(
            title: "NaN",
            records: [
                MetricsRecord(step: 1, ["loss": .number(.nan)]), MetricsRecord(step: 2, ["loss": .number(.infinity)]),
            ]
        ).svg()
        #expect(isXML(svg))
        #expect(!svg.contains("nan"))
    }

    @Test func theLastCourseIsDrawn() {
        let records = [1, 2, 3, 4, 2, 3].enumerated().map { MetricsRecord(step: $1, ["loss": .integer($0)]) }
        let plot = LossPlot(title: "t", records: records)
        #expect(plot.series[0].points.map(\.step) == [1, 2, 3])
        #expect(plot.series[0].points.map(\.value) == [0, 4, 5])
    }

    @Test func ticksAreRound() {
        let points = [(step: 1, value: 1.13), (step: 2500, value: 7.94)]
        let svg = LossPlot(title: "t", series: [.init(name: "training", style: .dots, points: points)]).svg()
        for label in [">1<", ">5<", ">8<", ">500<", ">2500<"] { #expect(svg.contains(label), "\(label)") }
    }
}
