import Martlet
import Testing

/// Records an issue with both numbers: of an expectation in another process nothing but the comment comes back.
private func expect(_ a: Int, _ relation: String, _ b: Int, line: Int = #line) {
    let holds = relation == "==" ? a == b : relation == "<=" ? a <= b : a >= b
    if !holds { Issue.record("line \(line): \(a) \(relation) \(b) does not hold: \(a - b)") }
}

/// What is held in memory and until when. Each test runs in a process of its own, where no other test allocates.
@Suite struct MemoryTests {
    @Test func droppedTensorsAreFreeOnTheNextLine() async {
        await #expect(processExitsWith: .success) {
            let start = Memory.statistics.live
            var a: Tensor? = Tensor.zeros([512, 512])
            expect(Memory.statistics.live, "==", start + 1 << 20)
            var view: Tensor? = a![0]
            a = nil
            expect(Memory.statistics.live, "==", start + 1 << 20)
            view = nil
            expect(Memory.statistics.live, "==", start)
            #expect(view == nil)
            var x: Tensor? = Tensor.ones([1 << 18]).requiringGrad()
            var h: Tensor? = x!.exp()
            var y: Tensor? = h!.sum()
            h = nil
            // Kept by the graph, until the pass that uses it.
            expect(Memory.statistics.live, "==", start + (2 << 20) + 4)
            y!.backward()
            expect(Memory.statistics.live, "==", start + (2 << 20) + 4)  // x and its gradient
            y = nil
            x = nil
            expect(Memory.statistics.live, "==", start)
        }
    }

    @Test func nothingGrowsOverAThousandSteps() async {
        await #expect(processExitsWith: .success) {
            let generator = Generator(seed: 1)
            let parameters = [[64, 32], [64], [32, 64], [32], [10, 32], [10]].map {
                Parameter(Tensor.randn($0, std: 0.2, generator: generator))
            }
            let data = Tensor.randn([16, 32], generator: generator)
            let targets = Tensor.randint(0, 10, [16], generator: generator)
            var losses: [Double] = []
            var early = Memory.statistics
            var late = early
            for step in 0..<1000 {
                let h = data.linear(parameters[0], parameters[1]).relu()
                let k = h.linear(parameters[2], parameters[3]).gelu().dropout(0.1, generator: generator)
                let loss = k.linear(parameters[4], parameters[5]).crossEntropy(targets)
                loss.backward()
                noGrad {
                    for p in parameters {
                        p.addInPlace(p.grad!, alpha: -0.05)
                        p.grad = nil
                    }
                }
                losses.append(loss.item())
                if step == 20 { early = Memory.statistics }
                if step == 999 { late = Memory.statistics }
            }
            #expect(losses.last! < 0.5 * losses[0])
            expect(late.live, "==", early.live)
            expect(late.peak, "==", early.peak)
            expect(late.systemAllocations, "==", early.systemAllocations)
        }
    }

    @Test func changingLengthsDoNotGrow() async {
        await #expect(processExitsWith: .success) {
            let w = Parameter(Tensor.randn([64, 64], generator: Generator(seed: 2)))
            func step(_ length: Int) {
                let x = Tensor.ones([length, 64])
                let h = x.linear(w).tanh()
                Tensor.cat([h, h]).square().mean().backward()
                w.grad = nil
            }
            var lengths = (1...400).map { $0 * 37 % 1000 + 1 }
            for length in lengths { step(length) }
            let first = Memory.statistics
            lengths.reverse()
            for _ in 0..<3 { for length in lengths { step(length + 13) } }
            let last = Memory.statistics
            expect(last.live, "==", first.live)
            expect(last.cached + last.live, "<=", 2 * (first.cached + first.live))
        }
    }

    /// A chain of exponentials of one size: what must be live at the worst moment is known.
    @Test func peakIsTheLiveSet() async {
        await #expect(processExitsWith: .success) {
            let size = 1 << 20
            let n = 10
            let x = Tensor.zeros([size / 4]).requiringGrad()
            let start = Memory.statistics.live
            func chain() -> Tensor {
                var y = x
                for _ in 0..<n { y = (y * 0.5).sigmoid() }
                return y.sum()
            }
            Memory.resetPeak()
            chain().backward()
            // The n outputs that sigmoid saved, and two gradients: the one that came and the one made of it.
            let peak = Memory.statistics.peak - start
            expect(peak, "<=", (n + 2) * size + size / 100)
            expect(peak, ">=", (n + 1) * size)
            expect(Memory.statistics.live, "==", start + size)
            // Without recording: what a line reads, makes in between, and makes.
            Memory.resetPeak()
            noGrad { _ = chain() }
            expect(Memory.statistics.peak - start - size, "<=", 3 * size + 4096)
        }
    }

    @Test func checkpointsSaveMemory() async {
        await #expect(processExitsWith: .success) {
            let size = 1 << 20
            let x = Tensor.zeros([size / 4]).requiringGrad()
            func segment(_ x: Tensor) -> Tensor {
                var y = x
                for _ in 0..<8 { y = (y * 0.5).sigmoid() }
                return y
            }
            let start = Memory.statistics.live
            func peak(_ run: (Tensor) -> Tensor) -> Int {
                Memory.resetPeak()
                var y = x
                for _ in 0..<4 { y = run(y) }
                y.sum().backward()
                x.grad = nil
                expect(Memory.statistics.live, "<=", start + 2 * size)
                return Memory.statistics.peak - start
            }
            let plain = peak(segment)
            let checkpointed = peak { input in checkpoint { segment(input) } }
            expect(plain, ">=", 32 * size)
            // The ends of the segments, one segment's values, and gradients.
            expect(checkpointed, "<=", (4 + 8 + 3) * size + 65536)
            expect(Memory.statistics.live, "==", start)
        }
    }

    @Test func abandonedGraphsAreFreed() async {
        await #expect(processExitsWith: .success) {
            let x = Tensor.ones([1 << 16]).requiringGrad()
            let start = Memory.statistics.live
            final class Double2: CustomFunction {
                override func forward(_ x: [Tensor]) -> [Tensor] {
                    save(x[0])
                    return [x[0] * 2]
                }
                override func backward(_ g: [Tensor]) -> [Tensor?] { [g[0] * 2] }
            }
            func build() {
                let h = x.exp()
                let a = Double2().apply([h])[0]
                a[0] = Tensor(3.0)
                let b = checkpoint { a.tanh() * a }
                let c = SavedTensorHooks.with(pack: { $0 }, unpack: { $0 as! Tensor }, { b.sigmoid() })
                c.registerHook { _ in nil }
                c.retainGrad()
                let first = grad(of: c.sum(), wrt: x, createGraph: true)
                _ = first.square().softmax(dim: 0).layerNorm()
                _ = x.reshape([256, 256]).linear(Tensor.ones([8, 256]).requiringGrad()).softmax(dim: 0)
            }
            for _ in 0..<3 { build() }
            expect(Memory.statistics.live, "==", start)
        }
    }
}
