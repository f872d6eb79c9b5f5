import Foundation
import Martlet
import Testing

/// Philox 4x32-10 written from the paper (Salmon et al., SC 2011), to compare with.
private func philox(_ counter: [UInt32], key: (UInt32, UInt32)) -> [UInt32] {
    var c = counter
    var (k0, k1) = key
    for _ in 0..<10 {
        let p0 = UInt64(0xD251_1F53) * UInt64(c[0])
        let p1 = UInt64(0xCD9E_8D57) * UInt64(c[2])
        c = [
            UInt32(p1 >> 32) ^ c[1] ^ k0, UInt32(truncatingIfNeeded: p1), UInt32(p0 >> 32) ^ c[3] ^ k1,
            UInt32(truncatingIfNeeded: p0),
        ]
        k0 &+= 0x9E37_79B9
        k1 &+= 0xBB67_AE85
    }
    return c
}

private func words(seed: UInt64, offset: UInt64, blocks: Int) -> [UInt32] {
    (0..<UInt64(blocks)).flatMap { i in
        let at = offset &+ i
        return philox(
            [UInt32(truncatingIfNeeded: at), UInt32(at >> 32), 0, 0],
            key: (UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32)))
    }
}

@Suite struct RandomTests {
    @Test func knownAnswers() {
        #expect(philox([0, 0, 0, 0], key: (0, 0)) == [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])
        let ones = UInt32.max
        #expect(
            philox([ones, ones, ones, ones], key: (ones, ones)) == [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd])
        #expect(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], key: (0xa409_3822, 0x299f_31d0))
                == [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1])
    }

    @Test func uniformNumbersAreTheWords() {
        for (seed, offset) in [(0, 0), (0x299f_31d0_a409_3822, 0x85a3_08d3_243f_6a88), (7, UInt64(UInt32.max) - 1)]
            as [(UInt64, UInt64)]
        {
            let generator = Generator(seed: seed)
            generator.state = .init(seed: seed, offset: offset)
            let x = Tensor.rand([11], generator: generator)
            let expected = words(seed: seed, offset: offset, blocks: 3).map { Float($0 >> 8) * 0x1p-24 }
            #expect(x.toArray() == Array(expected[..<11]))
            #expect(generator.state.offset == offset &+ 3)
            let y = Tensor.rand([3], dtype: .float64, generator: generator)
            #expect(generator.state.offset == offset &+ 5)
            let w = words(seed: seed, offset: offset &+ 3, blocks: 2).map(UInt64.init)
            var expected64: [Double] = []
            for i in 0..<3 {
                let bits: UInt64 = (w[2 * i + 1] << 32 | w[2 * i]) >> 11
                expected64.append(Double(bits) * 0x1p-53)
            }
            #expect(y.toArray(Double.self) == expected64)
        }
        let generator = Generator(seed: 0)
        #expect(generator.uniform() == Double(0x6627_e8d5_e169_c58d as UInt64 >> 11) * 0x1p-53)
    }

    @Test func seedsDetermineEverything() {
        func draw(_ seed: UInt64) -> [Tensor] {
            let g = Generator(seed: seed)
            return [
                Tensor.rand([5], generator: g), Tensor.randn([5], generator: g),
                Tensor.randint(0, 100, [5], generator: g), Tensor.bernoulli(0.5, [20], generator: g),
                Tensor.randperm(10, generator: g), Tensor.ones([50]).dropout(0.5, generator: g),
                Tensor([1.0, 2, 3]).multinomial(5, replacement: true, generator: g),
            ]
        }
        for (a, b) in zip(draw(3), draw(3)) { #expect(a.equal(b)) }
        #expect(!draw(3)[0].equal(draw(4)[0]))
    }

    @Test func stateGoesOnWhereItWas() {
        let g = Generator(seed: 11)
        _ = Tensor.randn([7], generator: g)
        let state = g.state
        let a = Tensor.randn([100], generator: g)
        g.state = state
        #expect(a.equal(Tensor.randn([100], generator: g)))
        g.manualSeed(11)
        #expect(g.state == Generator(seed: 11).state)
    }

    /// The number of threads is the process's: changed in one of its own.
    @Test func anyNumberOfThreadsGivesTheSame() async {
        await #expect(processExitsWith: .success) {
            func everything() -> [Tensor] {
                let g = Generator(seed: 5)
                let n = 300_001
                let x = Tensor.randn([n], generator: g)
                let a = Tensor.randn([300, 257], generator: g)
                let b = Tensor.randn([257, 190], generator: g)
                return [
                    x, Tensor.rand([n], dtype: .float64, generator: g), Tensor.randint(-5, 1000, [n], generator: g),
                    Tensor.bernoulli(0.3, [n], generator: g), x.dropout(0.1, generator: g),
                    Tensor.randn([n], dtype: .bfloat16, generator: g), x.sum(), x.square().mean(), x.cumsum(dim: 0),
                    a.sum(dim: 0), a.sum(dim: 1), a.softmax(dim: -1), a.layerNorm(), a.matmul(b), x.exp(),
                    a.double().matmul(b.double()), a.logSumExp(dims: [0, 1]), x.sort().values, x.norm(),
                    Tensor.zeros([50, 190]).indexAdd(0, Tensor.randint(0, 50, [257], generator: g), b),
                ]
            }
            CPU.threadCount = 1
            let one = everything()
            for count in [2, 3, 7] {
                CPU.threadCount = count
                for (i, (a, b)) in zip(one, everything()).enumerated() {
                    #expect(a.equal(b), "\(i) with \(count) threads")
                }
            }
        }
    }

    @Test func uniform() {
        let x = Tensor.rand([200_000], low: -2, high: 3, dtype: .float64, generator: Generator(seed: 1))
        #expect(x.min().item() >= -2 && x.max().item() < 3)
        #expect(abs(x.mean().item() - 0.5) < 0.02)
        #expect(abs(x.variance().item() - 25.0 / 12) < 0.02)
        let y = Tensor.rand([100_000], generator: Generator(seed: 2))
        #expect(y.max().item() < 1)
    }

    @Test func normal() {
        for type in [DType.float32, .float64] {
            let x = Tensor.randn([200_000], mean: 1, std: 2, dtype: type, generator: Generator(seed: 1)).double()
            #expect(abs(x.mean().item() - 1) < 0.02)
            #expect(abs(x.std().item() - 2) < 0.02)
            let z = (x - 1) / 2
            #expect(abs((z * z * z).mean().item()) < 0.03)
            #expect(abs(z.square().square().mean().item() - 3) < 0.1)
            #expect(abs((z.abs() .< 1).to(.float64).mean().item() - 0.6827) < 0.005)
        }
    }

    @Test func integersAreEven() {
        let x = Tensor.randint(-3, 4, [70_000], generator: Generator(seed: 1))
        #expect(x.min().item() == -3 && x.max().item() == 3)
        for i in -3...3 { #expect(abs((x .== Double(i)).sum().item() - 10_000) < 400) }
        #expect(Tensor.randint(0, 200, [9], dtype: .uint8, generator: Generator(seed: 1)).dtype == .uint8)
    }

    @Test func bernoulliAndDropout() {
        let x = Tensor.bernoulli(0.25, [100_000], generator: Generator(seed: 3))
        #expect(abs(x.mean().item() - 0.25) < 0.01)
        #expect(Tensor.bernoulli(1, [9], generator: Generator(seed: 3)).toArray() == [Float](repeating: 1, count: 9))
        #expect(Tensor.bernoulli(0, [9], generator: Generator(seed: 3)).sum().item() == 0)
        let ones = Tensor.ones([100_000]).requiringGrad()
        let y = ones.dropout(0.2, generator: Generator(seed: 4))
        #expect(Set(y.toArray()) == [0, 1.25])
        #expect(abs(y.mean().item() - 1) < 0.01)
        y.sum().backward()
        #expect(ones.grad!.equal(y.detach()))
        #expect(ones.dropout(0.2, training: false) === ones)
        #expect(ones.dropout(1, generator: Generator(seed: 1)).sum().item() == 0)
    }

    @Test func permutations() {
        let p = Tensor.randperm(1000, generator: Generator(seed: 2))
        #expect(p.sort().values.equal(Tensor.arange(1000)))
        #expect(!p.equal(Tensor.arange(1000)))
        #expect(Tensor.randperm(0).count == 0)
        // Every order of three comes up as often as every other.
        let g = Generator(seed: 8)
        var counts: [[Int]: Int] = [:]
        for _ in 0..<6000 { counts[Tensor.randperm(3, generator: g).toArray(Int.self), default: 0] += 1 }
        #expect(counts.count == 6 && counts.values.allSatisfy { abs($0 - 1000) < 150 })
    }

    @Test func multinomial() {
        let g = Generator(seed: 6)
        let weights = Tensor([[1.0, 0, 3], [5, 5, 0]])
        let x = weights.multinomial(20_000, replacement: true, generator: g)
        #expect(x.shape == [2, 20_000] && x.dtype == .int64)
        #expect(abs((x[0] .== 2).to(.float32).mean().item() - 0.75) < 0.02)
        #expect((x[0] .== 1).any().item() == 0 && (x[1] .== 2).any().item() == 0)
        let y = Tensor([1.0, 2, 3, 4]).multinomial(4, generator: g)
        #expect(Set(y.toArray(Int.self)) == [0, 1, 2, 3])
        var first = [0, 0, 0]
        for _ in 0..<3000 { first[Tensor([1.0, 2, 3]).multinomial(1, generator: g)[0].item(Int.self)] += 1 }
        #expect(abs(first[2] - 1500) < 150 && abs(first[0] - 500) < 100)
    }

    @Test func generatorsAreSafeOnThreads() {
        let g = Generator(seed: 1)
        let box = Box([[Float]]())
        let lock = NSLock()
        DispatchQueue.concurrentPerform(iterations: 32) { _ in
            let x = Tensor.rand([16], generator: g).toArray()
            lock.withLock { box.value.append(x) }
        }
        #expect(g.state.offset == 128)
        #expect(Set(box.value).count == 32)
    }

    @Test func drawingInPlace() {
        func draws(_ write: (Tensor, Generator) -> Void, _ type: DType = .float32) -> Tensor {
            let x = Tensor.zeros([50, 2], dtype: type)
            write(x, Generator(seed: 5))
            return x
        }
        #expect(
            draws { $0.normalInPlace(mean: 1, std: 2, generator: $1) }.equal(
                Tensor.randn([50, 2], mean: 1, std: 2, generator: Generator(seed: 5))))
        #expect(
            draws { $0.uniformInPlace(low: -1, high: 3, generator: $1) }.equal(
                Tensor.rand([50, 2], low: -1, high: 3, generator: Generator(seed: 5))))
        #expect(
            draws({ $0.bernoulliInPlace(0.3, generator: $1) }, .int64).equal(
                Tensor.bernoulli(0.3, [50, 2], dtype: .int64, generator: Generator(seed: 5))))
        // Through a view only its elements are drawn.
        let whole = Tensor.zeros([4, 3])
        whole.T[1].uniformInPlace(low: 1, high: 2)
        #expect((whole .>= 1).toArray(Bool.self) == Array(repeating: [false, true, false], count: 4).flatMap { $0 })
    }
}
