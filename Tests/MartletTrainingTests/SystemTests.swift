import Foundation
import MartletTraining
import Testing

@Suite struct FormatTests {
    @Test func bytes() {
        let expected = [
            (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (1536, "1.54 kB"), (99_960, "100 kB"), (999_600, "1.00 MB"),
            (24_684_096_000, "24.7 GB"),
        ]
        for (count, text) in expected { #expect(Format.bytes(count) == text) }
        #expect(Format.count(8.63e9) == "8.63B")
        #expect(Format.count(12_345) == "12.3k")
        #expect(Format.flops(2.05e11) == "205 GFLOP/s")
    }

    @Test func durations() {
        let expected: [(Double, String)] = [
            (0, "0s"), (59.4, "59s"), (59.6, "1m 00s"), (245, "4m 05s"), (7620, "2h 07m"), (273_600, "3d 04h"),
            (.infinity, "?"), (.nan, "?"), (-5, "0s"),
        ]
        for (seconds, text) in expected { #expect(Format.duration(seconds) == text) }
    }

    @Test func numbers() {
        #expect(Format.fixed(3.14159, 2) == "3.14")
        #expect(Format.fixed(-0.004, 2) == "0.00")
        #expect(Format.fixed(-1.005, 1) == "-1.0")
        #expect(Format.fixed(2.5, 0) == "3")
        #expect(Format.fixed(.nan, 3) == "NaN")
        #expect(Format.fixed(-.infinity, 3) == "-inf")
        #expect(Format.significant(3e-4, 3) == "3.00e-4")
        #expect(Format.significant(0.01, 3) == "0.0100")
        #expect(Format.significant(0, 3) == "0")
        #expect(Format.significant(9.999e-7, 3) == "1.00e-6")
        #expect(Format.significant(-123.4, 3) == "-123")
        #expect(Format.significant(1.5e12, 3) == "1.50e12")
    }
}

@Suite struct ModelFLOPsTests {
    /// TFLOP a token of training, of the paper's table 22.
    @Test func palmTable22() {
        let expected = [
            (8_631_877_632, 32, 16, 0.0550), (62_495_129_600, 64, 32, 0.388), (540_354_281_472, 118, 48, 3.28),
        ]
        for (parameters, layers, heads, teraFLOP) in expected {
            let flops = ModelFLOPs(
                parameters: parameters, layers: layers, heads: heads, headDim: 256, sequenceLength: 2048)
            #expect(abs(flops.perToken / 1e12 / teraFLOP - 1) < 0.002)
        }
    }

    /// PaLM 540B: 238.3K tokens a second on 6144 chips of 275 TFLOP/s are 46.2 % (table 3).
    @Test func palmUtilisation() {
        let flops = ModelFLOPs(
            parameters: 540_350_000_000, layers: 118, heads: 48, headDim: 256, sequenceLength: 2048)
        let peak = PeakFLOPs(given: 6144 * 275e12)
        #expect(abs(flops.utilisation(tokensPerSecond: 238_300, peak: peak) - 0.4623) < 0.0005)
    }

    @Test func measuredPeakIsTheBestRate() {
        var sizes: [Int] = []
        let peak = PeakFLOPs.measure(sizes: [8, 16], seconds: 0.01) { size in
            sizes.append(size)
            Thread.sleep(forTimeInterval: 0.002)
        }
        #expect(Set(sizes) == [8, 16])
        #expect(peak.source == .measured(size: 16))
        #expect(peak.perSecond > 0 && peak.perSecond <= 2 * 16 * 16 * 16 / 0.002)
        #expect(peak.description.contains("16x16 matrix product measured here"))
        #expect(PeakFLOPs(given: 2e11).description == "200 GFLOP/s (given)")
    }
}

@Suite struct StepPlanTests {
    @Test func stepsFitIntoTheTime() {
        #expect(StepPlan.steps(minutes: 5, stepSeconds: 1) == 300)
        #expect(StepPlan.steps(minutes: 0.001, stepSeconds: 1) == 1)
        // 10 steps and an evaluation of 2 s take 12 s.
        #expect(StepPlan.steps(minutes: 1, stepSeconds: 1, evaluationSeconds: 2, evaluationEvery: 10) == 50)
        #expect(
            StepPlan.steps(
                minutes: 1, stepSeconds: 1, evaluationSeconds: 2, evaluationEvery: 10, checkpointSeconds: 5,
                checkpointEvery: 25)
                == 40)
    }
}

@Suite struct ProcessMemoryTests {
    @Test func countsThisProcess() throws {
        let resident = try #require(ProcessMemory.resident)
        let peak = try #require(ProcessMemory.peakResident)
        #expect(resident > 1 << 20 && peak >= resident / 2)
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 20, alignment: 4096)
        for offset in stride(from: 0, to: block.count, by: 4096) { block[offset] = 1 }
        #expect(try #require(ProcessMemory.resident) > 64 << 20)
        block.deallocate()
    }
}

@Suite(.serialized) struct SignalWatcherTests {
    /// Sends this process a signal and waits for a thread that takes it: those that run tests may block signals.
    private func send(_ signal: Int32, until condition: () -> Bool) {
        kill(getpid(), signal)
        // A signal that is still on its way when the watcher stops would end the process.
        func isPending() -> Bool {
            var pending = sigset_t()
            sigpending(&pending)
            return sigismember(&pending, signal) == 1
        }
        for _ in 0..<500 where isPending() || !condition() { Thread.sleep(forTimeInterval: 0.01) }
    }

    @Test func notesTheFirstSignal() {
        let watcher = SignalWatcher()
        #expect(watcher.signal == nil && !watcher.shouldStop && watcher.exitStatus == nil)
        send(SIGTERM) { watcher.shouldStop }
        #expect(watcher.signal == "SIGTERM" && watcher.shouldStop && watcher.exitStatus == 143)
        send(SIGTERM) { watcher.shouldStop }
        #expect(watcher.signal == "SIGTERM")
        watcher.stop()
    }

    @Test func beginsAfresh() {
        let watcher = SignalWatcher()
        #expect(!watcher.shouldStop)
        send(SIGINT) { watcher.shouldStop }
        #expect(watcher.signal == "SIGINT" && watcher.exitStatus == 130)
    }
}
