import Foundation
import Martlet
import Testing

/// What the profiler says a computation did.
@Suite struct ProfilerTests {
    private typealias Event = Profile.Event

    private func event(
        _ profile: Profile, _ name: String, _ location: SourceLocation = #_sourceLocation
    ) throws -> Event {
        let found = profile.events.filter { $0.name == name }
        #expect(found.count == 1, "\(name) in \(profile.events.map(\.name))", sourceLocation: location)
        return try #require(found.first, sourceLocation: location)
    }

    /// A layer, its derivative and the ranges around them.
    private func step(_ x: Tensor, _ weight: Tensor) -> Tensor {
        let y = Profiler.range("forward") { ModulePath.with("layer") { x.linear(weight).relu() } }
        y.sum().backward()
        return y
    }

    private let x = Tensor.randn([64, 48], generator: Generator(seed: 1))
    private let weight = Tensor.randn([80, 48], generator: Generator(seed: 2)).requiringGrad()

    @Test func opsHaveTheirNamesAndOperands() throws {
        let profile = Profiler.record { _ = step(x, weight) }
        let linear = try event(profile, "linear")
        #expect(linear.inputs.map(\.shape) == [[64, 48], [80, 48]])
        #expect(linear.inputs.allSatisfy { $0.dtype == .float32 })
        #expect(linear.output?.description == "float32[64, 80]")
        #expect(linear.category == .op && linear.phase == .forward && linear.modulePath == "layer")
        #expect(linear.flops == 2 * 64 * 48 * 80)
        #expect(linear.bytesAllocated >= 64 * 80 * 4)
        #expect(try event(profile, "relu").inputs.map(\.shape) == [[64, 80]])
        #expect(try event(profile, "forward").category == .range)
        #expect(try event(profile, "layer").category == .module)
    }

    @Test func derivativesBelongToTheModuleOfTheirOp() throws {
        let profile = Profiler.record { _ = step(x, weight) }
        let backward = try event(profile, "backward")
        #expect(backward.category == .range && backward.phase == .backward)
        let linear = try event(profile, "linear backward")
        #expect(linear.phase == .backward && linear.modulePath == "layer" && linear.inputs.map(\.shape) == [[64, 80]])
        // x requires no gradient.
        #expect(linear.flops == 2 * 64 * 48 * 80)
        let product = try event(profile, "matmul")
        #expect(product.phase == .backward && product.modulePath == "layer")
        #expect(product.depth == linear.depth + 1)
    }

    @Test func timesAndBytesAddUp() throws {
        let profile = Profiler.record { for _ in 0..<3 { _ = step(x, weight) } }
        for outer in profile.events {
            let inside = profile.events.filter {
                $0.depth == outer.depth + 1 && $0.start >= outer.start
                    && $0.start + $0.duration <= outer.start + outer.duration + 1e-12
            }
            let time = inside.reduce(0) { $0 + $1.duration }
            #expect(abs(outer.duration - time - outer.selfDuration) < 1e-12)
            #expect(outer.selfDuration > -1e-12)
            #expect(outer.bytesAllocated - inside.reduce(0) { $0 + $1.bytesAllocated } == outer.selfBytesAllocated)
            #expect(outer.start >= 0 && outer.start + outer.duration <= profile.duration)
        }
        let total = profile.events.reduce(0) { $0 + $1.selfDuration }
        let outermost = profile.events.filter { $0.depth == 0 }.reduce(0) { $0 + $1.duration }
        #expect(abs(total - outermost) < 1e-9 && total <= profile.duration)
        let rows = profile.rows()
        #expect(rows.first { $0.name == "linear" }?.calls == 3)
        #expect(rows.map(\.total) == rows.map(\.total).sorted(by: >))
        let modules = profile.rows(groupedBy: .module)
        #expect(abs(modules.reduce(0) { $0 + $1.selfTime } - total) < 1e-9)
        #expect(modules.first { $0.name == "layer" }?.calls == 3)
    }

    @Test func unnamedKernelsInPlaceWritesAndSeveralKernels() throws {
        let a = Tensor.ones([2, 3])
        let profile = Profiler.record {
            _ = (a .> 0).count
            noGrad { a.addInPlace(1) }
            _ = Tensor.cat([a, a, a], dim: 0)
            _ = a.reshape([3, 2])
        }
        #expect(profile.events.map(\.name) == ["gt", "addInPlace", "cat"])
        #expect(profile.events[2].inputs.map(\.shape) == [[2, 3], [2, 3], [2, 3]])
    }

    @Test func nestedRecordingsAndOtherThreads() throws {
        var inner: [Profile] = []
        let outer = Profiler.record {
            _ = x.exp()
            inner.append(Profiler.record { _ = x.log() })
            #expect(Profiler.isRecording)
        }
        #expect(outer.events.map(\.name) == ["exp", "log"])
        #expect(inner.map { $0.events.map(\.name) } == [["log"]])
        #expect(!Profiler.isRecording)
        struct Stop: Error {}
        #expect(throws: Stop.self) { _ = try Profiler.record { throw Stop() } }
        #expect(!Profiler.isRecording)
    }

    @Test func everyThread() throws {
        // Shapes that no other test uses tell our ops from theirs.
        Profiler.start(allThreads: true)
        let done = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            _ = Tensor.ones([7, 1, 9, 1, 11]).exp()
            done.signal()
        }
        done.wait()
        let profile = Profiler.stop()
        let mine = profile.events.filter { $0.name == "exp" && $0.inputs.map(\.shape) == [[7, 1, 9, 1, 11]] }
        #expect(mine.count == 1)
        #expect(mine.first.map { $0.thread != profile.thread } == true)
    }

    @Test func resultsAreTheSame() throws {
        let plain = step(x, weight)
        let gradient = try #require(weight.grad)
        weight.grad = nil
        var profiled: Tensor?
        _ = Profiler.record { profiled = step(x, weight) }
        #expect(try #require(profiled).equal(plain))
        #expect(try #require(weight.grad).equal(gradient))
    }

    @Test func tables() throws {
        let profile = Profiler.record { for _ in 0..<2 { _ = step(x, weight) } }
        let lines = profile.table(sortedBy: .selfTime).split(separator: "\n")
        #expect(lines[1].hasPrefix("name"))
        for name in ["linear", "linear backward", "relu", "forward", "backward"] {
            #expect(lines.contains { $0.hasPrefix(name + "  ") }, "\(name)")
        }
        #expect(!lines.contains { $0.hasPrefix("layer ") })
        #expect(profile.table(limit: 1).split(separator: "\n").count == 4)
        #expect(profile.table(groupedBy: .shapes).contains("float32[64, 48] float32[80, 48]"))
        #expect(profile.table(groupedBy: .module).contains("layer"))
    }

    @Test func chromeTrace() throws {
        let profile = Profiler.record { _ = step(x, weight) }
        let folder = TemporaryFolder()
        try profile.write(to: folder.file("trace.json"))
        let trace = try JSONValue.parse(readBytes(folder.file("trace.json")), source: "trace.json")
        let events = try #require(trace["traceEvents"]?.arrayValue)
        let complete = events.filter { $0["ph"]?.stringValue == "X" }
        #expect(complete.count == profile.events.count)
        let linear = try #require(complete.first { $0["name"]?.stringValue == "linear" })
        #expect(linear["args"]?["shapes"] == [[64, 48], [80, 48]])
        #expect(linear["args"]?["dtypes"] == ["float32", "float32"])
        #expect(linear["args"]?["module"] == "layer" && linear["args"]?["phase"] == "forward")
        #expect((linear["dur"]?.doubleValue ?? 0) > 0)
        let live = events.filter { $0["ph"]?.stringValue == "C" }
        #expect(live.contains { ($0["args"]?["bytes"]?.intValue ?? 0) >= 64 * 80 * 4 })
        #expect(throws: MartletError.self) { try profile.write(to: folder.file("missing/trace.json")) }
    }

    @Test func stopWithoutStart() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Profiler.stop()
        }
        expectMessage(result, "[Profiler]", "stop() without start()")
    }
}
