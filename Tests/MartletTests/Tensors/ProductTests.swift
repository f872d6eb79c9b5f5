import Foundation
import Martlet
import Testing

/// Matrix products of every size and layout against float64.
@Suite struct ProductTests {
    static let sizes = [1, 2, 3, 5, 8, 13, 16, 17, 31, 33, 64, 65, 100, 129]

    private func numbers(_ shape: [Int], _ dtype: DType, _ seed: UInt64) -> Tensor {
        Tensor.randn(shape, dtype: .float64, generator: Generator(seed: seed)).to(dtype)
    }

    /// The sum of products, without any matrix kernel.
    private func plain(_ a: Tensor, _ b: Tensor) -> Tensor {
        (a.double().unsqueeze(-1) * b.double().unsqueeze(-3)).sum(dim: -2)
    }

    private func expectClose(_ found: Tensor, _ expected: Tensor, _ dtype: DType, _ k: Int, _ what: String) {
        let unit = dtype == .float64 ? 0x1p-52 : dtype == .float32 ? 0x1p-23 : dtype == .bfloat16 ? 0x1p-8 : 0x1p-11
        let rounding = dtype.isHalf ? unit : 0
        // Sums of k products of unit variance, each rounded in the accumulator's precision. In double, where products may be
        // rounded too, what has been summed up grows with the root of k, and with it each rounding. Of many errors the
        // largest is a larger one.
        let accumulator = dtype == .float64 ? 0x1p-52 : 0x1p-23
        let reach = found.count > 100_000 ? 32.0 : 16
        let found = difference(
            found, expected, rtol: 2 * unit + rounding,
            atol: accumulator * (reach * Double(k).squareRoot() + 8 + (dtype == .float64 ? Double(k) : 0)))
        #expect(found == nil, "\(what) in \(dtype)")
    }

    @Test(arguments: [DType.float64, .float32, .bfloat16, .float16]) func sizes(_ dtype: DType) {
        var random = Random(seed: 3)
        for i in 0..<60 {
            let (m, k, n) = (
                Self.sizes[random.below(Self.sizes.count)], Self.sizes[random.below(Self.sizes.count)],
                Self.sizes[random.below(Self.sizes.count)]
            )
            let transposedA = random.below(2) == 1
            let transposedB = random.below(2) == 1
            let a = transposedA ? numbers([k, m], dtype, UInt64(i)).T : numbers([m, k], dtype, UInt64(i))
            let b = transposedB ? numbers([n, k], dtype, UInt64(i + 99)).T : numbers([k, n], dtype, UInt64(i + 99))
            let c = a.matmul(b)
            #expect(c.dtype == dtype)
            expectClose(c, plain(a, b), dtype, k, "[\(m), \(k)] x [\(k), \(n)], \(transposedA) \(transposedB)")
        }
    }

    /// Few rows by a matrix whose columns lie along the sums, as in decoding: how many rows there are changes no bit of one.
    /// Long rows go by blocks of the sums, some columns at a time.
    @Test(arguments: [DType.float64, .float32, .bfloat16, .float16]) func fewRows(_ dtype: DType) {
        let sizes = [(5, 1), (32, 2), (33, 3), (129, 7), (1000, 100), (1024, 301), (2003, 131)]
        for (k, n) in sizes + (dtype.isHalf ? [(4100, 49), (8203, 101)] : []) {
            let a = numbers([8, k], dtype, 4)
            let b = numbers([n, k], dtype, 5).T
            let all = a.matmul(b)
            expectClose(all, plain(a, b), dtype, k, "[8, \(k)] x [\(k), \(n)]")
            for rows in 1...7 {
                let some = a.narrow(0, start: 0, length: rows).matmul(b)
                #expect(some.equal(all.narrow(0, start: 0, length: rows)), "\(rows) of 8 rows, \(k), \(n), \(dtype)")
            }
        }
    }

    /// On both sides of the size where oneDNN takes over, with gradients.
    @Test(arguments: [DType.float32, .bfloat16]) func gradients(_ dtype: DType) {
        for (m, k, n) in [
            (7, 5, 3), (32, 32, 32), (33, 32, 32), (64, 50, 70), (1, 300, 400), (300, 1, 200), (200, 300, 1),
        ] {
            let a = numbers([m, k], dtype, 1).requiringGrad()
            let b = numbers([k, n], dtype, 2).requiringGrad()
            let g = numbers([m, n], dtype, 3)
            let found = grad(of: a.matmul(b), wrt: [a, b], gradient: g)
            expectClose(found[0], plain(g, b.detach().T), dtype, n, "left of [\(m), \(k)] x [\(k), \(n)]")
            expectClose(found[1], plain(a.detach().T, g), dtype, m, "right of [\(m), \(k)] x [\(k), \(n)]")
        }
    }

    /// Those that pack a whole operand first: all layouts, sizes that are no multiples of a register tile's, sums in
    /// several blocks, results that are added to; operands packed past the caches.
    @Test(arguments: [DType.float64, .float32, .bfloat16]) func largeOnes(_ dtype: DType) {
        for (i, (m, k, n)) in [
            (113, 130, 97), (9, 5000, 41), (300, 64, 70), (57, 2051, 33), (61, 1030, 290), (15, 8300, 31),
            (10, 16_500, 9), (56, 700, 64), (30, 520, 4400),
        ].enumerated() {
            for layout in 0..<4 {
                let (transposedA, transposedB) = (layout & 1 == 1, layout & 2 == 2)
                let seed = UInt64(10 * i)
                let a = transposedA ? numbers([k, m], dtype, seed).T : numbers([m, k], dtype, seed)
                let b = transposedB ? numbers([n, k], dtype, seed + 1).T : numbers([k, n], dtype, seed + 1)
                let expected = a.double().matmul(b.double())
                let what = "[\(m), \(k)] x [\(k), \(n)], layout \(layout)"
                let c = a.matmul(b)
                expectClose(c, expected, dtype, k, what)
                if dtype == .float64 {
                    // A few elements by themselves: the float64 product is what the others are held against.
                    for (r, q) in [(0, 0), (m - 1, n - 1), (m / 2, n / 3)] {
                        let sum = (a[r] * b.T[q]).sum().item()
                        #expect(abs(c[r, q].item() - sum) < 1e-10, "\(what)")
                    }
                }
                // Two uses of one operand: the second product is added to the first one's gradient.
                let (x, y) = (a.clone().requiringGrad(), b.detach())
                let g = numbers([m, n], dtype, seed + 2)
                let found = grad(of: x.matmul(y) + x.matmul(y), wrt: x, gradient: g)
                let once = g.double().matmul(b.double().T)
                let unit = dtype == .bfloat16 ? 2e-2 : dtype == .float32 ? 1e-5 : 1e-12
                #expect(difference(found, once * 2, rtol: unit, atol: unit, scaled: true) == nil, "gradient of \(what)")
            }
        }
    }

    /// Whether bfloat16 products are ours here, not oneDNN's, which takes denormals for 0.
    static let ownsBFloat16: Bool = {
        let isa = ProcessInfo.processInfo.environment["MARTLET_ISA"] ?? "avx512bf16"
        let processor = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        return isa == "avx512bf16" && processor.contains("AuthenticAMD") && processor.contains("avx512_bf16")
    }()

    /// A product that is added to numbers below the smallest normal one keeps them, though a processor may take them for 0
    /// when it rounds to bfloat16.
    @Test(arguments: ownsBFloat16 ? [DType.float32, .bfloat16] : [.float32])
    func addedToDenormals(_ dtype: DType) {
        let x = numbers([130, 128], dtype, 1).requiringGrad()
        let g = (numbers([130, 128], dtype, 2).abs() + 1) * 0x1p-120
        let found = grad(of: x.matmul(Tensor.zeros([128, 128], dtype: dtype)) + x * 0x1p-10, wrt: x, gradient: g)
        #expect(found.equal(g * 0x1p-10) && found.abs().min().item() > 0)
    }

    @Test(arguments: [DType.float64, .float32, .bfloat16]) func batches(_ dtype: DType) {
        for (left, right) in [
            ([4, 3, 5], [4, 5, 2]), ([2, 1, 3, 5], [4, 5, 2]), ([5, 40, 33], [33, 50]), ([3, 5], [2, 2, 5, 4]),
            ([2, 40, 40], [2, 40, 40]), ([1, 7, 4], [6, 4, 3]), ([5], [3, 5, 2]), ([3, 2, 5], [5]),
        ] {
            let a = numbers(left, dtype, 1)
            let b = numbers(right, dtype, 2)
            let c = a.matmul(b)
            let x = a.rank == 1 ? a.unsqueeze(0) : a
            let y = b.rank == 1 ? b.unsqueeze(1) : b
            var expected = plain(x, y)
            if a.rank == 1 { expected = expected.squeeze(-2) }
            if b.rank == 1 { expected = expected.squeeze(-1) }
            expectClose(c, expected, dtype, left.last!, "\(left) x \(right)")
        }
        // Slices and steps of larger tensors.
        let whole = numbers([2, 40, 80], dtype, 5)
        let a = whole[.all, .slice(step: 2), 10..<50]
        let b = whole[.all, ..<40, .slice(from: 1, step: 2)].T
        expectClose(a.matmul(b), plain(a, b), dtype, 40, "slices")
    }

    @Test func integers() {
        let a = Tensor.randint(-50, 50, [9, 31], generator: Generator(seed: 1))
        let b = Tensor.randint(-50, 50, [31, 12], generator: Generator(seed: 2))
        let expected = (a.unsqueeze(2) * b.unsqueeze(0)).sum(dim: 1)
        #expect(a.matmul(b).equal(expected))
        for type in [DType.int32, .int16] {
            #expect(a.to(type).matmul(b.to(type)).dtype == type)
        }
        #expect(a.to(.int32).matmul(b.to(.int32)).to(.int64).equal(expected))
    }

    @Test func specialValues() {
        // 0 times infinity is NaN: nothing is skipped for being zero.
        let a = Tensor.zeros([40, 40])
        a[0, 0] = Tensor(.infinity)
        let c = a.matmul(Tensor.zeros([40, 40]))
        #expect(c[0, 0].item().isNaN && c[1, 1].item() == 0)
    }

    @Test func namesOfProducts() {
        let a = Tensor([[1.0, 2], [3, 4]])
        #expect(a.mm(a).toArray() == [7, 10, 15, 22])
        #expect(a.unsqueeze(0).bmm(a.unsqueeze(0)).toArray() == [7, 10, 15, 22])
        #expect(a[0].dot(a[1]).item() == 11)
        #expect(a[0].outer(a[1]).toArray() == [3, 4, 6, 8])
        #expect(Tensor.einsum("ij,jk->ik", a, a).toArray() == [7, 10, 15, 22])
        #expect(Tensor.einsum("ii", a).item() == 5)
        #expect(Tensor.einsum("ij->ji", a).toArray() == [1, 3, 2, 4])
    }
}
