import Foundation
import Martlet
import Testing

/// Kernels that go over tensors in tiles, groups and segments, beside plain loops over every element: shapes that no
/// tile divides, every layout, and NaN where it has to be found.
@Suite struct LargeKernelTests {
    private let types: [DType] = [.float32, .float64, .bfloat16, .float16]

    /// [rows, columns] of the type, and the values that it holds after rounding.
    private func matrix(_ rows: Int, _ columns: Int, _ dtype: DType, seed: UInt64, shift: Double = 0) -> (
        Tensor, [Double]
    ) {
        let x = (Tensor.randn([rows, columns], dtype: .float64, generator: Generator(seed: seed)) + shift).to(dtype)
        return (x, x.toArray(Double.self))
    }

    private func same(_ a: Double, _ b: Double) -> Bool { a == b || (a.isNaN && b.isNaN) }

    /// The largest difference, relative to values above 1.
    private func difference(_ a: [Double], _ b: [Double]) -> Double {
        zip(a, b).map { abs($0 - $1) / Swift.max(1, abs($1)) }.max() ?? 0
    }

    private func resolution(_ dtype: DType) -> Double {
        switch dtype {
        case .float64: 1e-13
        case .float32: 1e-6
        case .float16: 1e-3
        default: 8e-3
        }
    }

    // MARK: copies

    @Test(arguments: [DType.uint8, .int16, .bfloat16, .int32, .float32, .int64, .float64])
    func transposedCopies(_ dtype: DType) {
        for (rows, columns) in [(67, 131), (33, 64), (200, 96), (64, 1), (5, 1000), (130, 129)] {
            let x = Tensor.randint(0, 200, [rows, columns], generator: Generator(seed: UInt64(rows))).to(dtype)
            let values = x.toArray(Int64.self)
            let turned = x.transpose(0, 1).contiguous().toArray(Int64.self)
            let expected = (0..<columns * rows).map { values[$0 % rows * columns + $0 / rows] }
            #expect(turned == expected, "\(dtype) \(rows) x \(columns)")
            // The same into the middle of something larger, which aligns nothing.
            let target = Tensor.zeros([columns + 3, rows + 5], dtype: dtype)
            _ = target.narrow(0, start: 1, length: columns).narrow(1, start: 3, length: rows).copyInPlace(
                x.transpose(0, 1))
            let inside = target.narrow(0, start: 1, length: columns).narrow(1, start: 3, length: rows)
            #expect(inside.toArray(Int64.self) == expected)
            let (all, moved) = (target.to(.float64).sum().item(), x.to(.float64).sum().item())
            #expect(all == moved)
        }
    }

    @Test(arguments: [DType.uint8, .int16, .bfloat16, .int32, .float32, .int64, .float64])
    func everySecondElement(_ dtype: DType) {
        for (rows, columns) in [(3, 1), (2, 7), (5, 16), (4, 63), (2, 64), (3, 131), (70, 33)] {
            for first in [0, 1] {
                let x = Tensor.randint(0, 200, [rows, 2 * columns], generator: Generator(seed: UInt64(columns))).to(
                    dtype)
                let values = x.toArray(Int64.self)
                let picked = x[TensorIndex.ellipsis, TensorIndex.slice(from: first, step: 2)].contiguous()
                let expected = (0..<rows * columns).map { values[2 * $0 + first] }
                #expect(picked.toArray(Int64.self) == expected, "\(dtype) \(rows) x \(columns) from \(first)")
            }
        }
    }

    /// Outputs of this size are written past the caches.
    @Test(arguments: [DType.bfloat16, .float32, .float64])
    func transposedCopiesBeyondTheCaches(_ dtype: DType) {
        let (rows, columns) = (4100, dtype == .bfloat16 ? 4160 : 2112)
        let x = Tensor.arange(rows * columns).remainder(251).to(dtype).reshape([rows, columns])
        let turned = x.transpose(0, 1).contiguous()
        #expect(turned.isContiguous)
        let (a, b) = (x.toArray(Float.self), turned.toArray(Float.self))
        var wrong = 0
        for r in 0..<rows { for c in 0..<columns where a[r * columns + c] != b[c * rows + r] { wrong += 1 } }
        #expect(wrong == 0)
    }

    @Test func elementwiseWithATransposedOperand() {
        for dtype in types {
            let (x, a) = matrix(150, 203, dtype, seed: 1)
            let (y, b) = matrix(203, 150, dtype, seed: 2)
            let sum = (x + y.transpose(0, 1)).toArray(Double.self)
            let expected: [Double] = (0..<150 * 203).map { i in
                let (row, column) = (i / 203, i % 203)
                return a[i] + b[column * 150 + row]
            }
            #expect(difference(sum, expected) <= resolution(dtype), "\(dtype)")
        }
    }

    // MARK: extremes

    @Test func extremesAcrossAndAlongLines() {
        for dtype in types {
            for (rows, columns) in [(8, 700), (37, 1030), (300, 20), (1, 64), (700, 5000)] {
                let (clean, _) = matrix(rows, columns, dtype, seed: UInt64(columns))
                let x = clean.clone()
                // NaN in the first row of a group, inside one and in the last; several in one line.
                for (r, c) in [(0, 3), (rows / 2, 17), (rows - 1, 19), (rows / 3, 19)] {
                    _ = x.select(0, r).select(0, c).fillInPlace(.nan)
                }
                // Ties: the first one counts.
                if rows > 20 { _ = x.select(0, 11).copyInPlace(x.select(0, 12)) }
                let v = x.toArray(Double.self)
                for (dim, lines, length) in [(0, columns, rows), (1, rows, columns)] {
                    func at(_ line: Int, _ i: Int) -> Double {
                        dim == 0 ? v[i * columns + line] : v[line * columns + i]
                    }
                    let (largest, smallest) = (x.amax(dims: [dim]), x.amin(dims: [dim]))
                    let (high, low) = (largest.toArray(Double.self), smallest.toArray(Double.self))
                    let (first, last) = (x.argmax(dim: dim).toArray(Int64.self), x.argmin(dim: dim).toArray(Int64.self))
                    for line in 0..<lines {
                        var (best, least) = (0, 0)
                        for i in 1..<Swift.max(length, 1) where i < length {
                            let (y, b, s) = (at(line, i), at(line, best), at(line, least))
                            if y > b || (y.isNaN && !b.isNaN) { best = i }
                            if y < s || (y.isNaN && !s.isNaN) { least = i }
                        }
                        #expect(same(high[line], at(line, best)) && same(low[line], at(line, least)))
                        #expect(first[line] == Int64(best) && last[line] == Int64(least), "\(dtype) \(dim) \(line)")
                    }
                }
            }
        }
    }

    // MARK: sums

    @Test func sumsOfColumnsAreThoseOfConvertedColumns() {
        for (rows, columns) in [(8, 512), (77, 1500), (3, 40), (600, 70)] {
            let (x, v) = matrix(rows, columns, .bfloat16, seed: UInt64(rows))
            let sums = x.sum(dims: [0], dtype: .float32).toArray(Double.self)
            let expected = (0..<columns).map { c in (0..<rows).reduce(0) { $0 + v[$1 * columns + c] } }
            #expect(difference(sums, expected) < 1e-5)
            #expect(sums == x.to(.float32).sum(dims: [0]).toArray(Double.self))
        }
    }

    @Test func runningSums() {
        for dtype in types {
            for (rows, columns) in [(7, 1003), (70, 33), (2000, 65), (1, 8), (3, 7)] {
                let (x, v) = matrix(rows, columns, dtype, seed: UInt64(rows + columns))
                for (dim, reverse) in [(0, false), (0, true), (1, false), (1, true)] {
                    var expected = v
                    let (lines, length) = dim == 0 ? (columns, rows) : (rows, columns)
                    for line in 0..<lines {
                        var sum = 0.0
                        for step in 0..<length {
                            let i = reverse ? length - 1 - step : step
                            let at = dim == 0 ? i * columns + line : line * columns + i
                            sum += v[at]
                            expected[at] = sum
                        }
                    }
                    let sums = x.cumsum(dim: dim, reverse: reverse).toArray(Double.self)
                    #expect(difference(sums, expected) <= resolution(dtype), "\(dtype) \(rows) x \(columns) \(dim)")
                    // The same of a layout that is read element by element.
                    let other = x.transpose(0, 1).contiguous().transpose(0, 1).cumsum(dim: dim, reverse: reverse)
                    #expect(difference(other.toArray(Double.self), expected) <= resolution(dtype))
                }
            }
        }
        // A line that is cut into segments, and NaN and infinity on the way.
        let long = Tensor.ones([300_000])
        let sums = long.cumsum(dim: 0)
        #expect(sums.narrow(0, start: 299_998, length: 2).toArray() == [299_999, 300_000])
        let odd = Tensor([1, .infinity, 2, -.infinity, 3, 4, 5, 6, 7, 8] as [Float]).cumsum(dim: 0).toArray()
        #expect(odd[1] == .infinity && odd[2] == .infinity && odd[3].isNaN && odd[9].isNaN)
    }

    // MARK: moments

    @Test func varianceAndMean() {
        for dtype in types {
            for (rows, columns, shift) in [
                (7, 1003, 0.0), (2100, 33, 3), (300, 600, -20), (1, 200_001, 100), (65, 2, 0),
            ] {
                let (x, v) = matrix(rows, columns, dtype, seed: UInt64(rows), shift: shift)
                for layout in [x, x.transpose(0, 1).contiguous().transpose(0, 1)] {
                    for (dim, lines, length) in [(0, columns, rows), (1, rows, columns)] where length > 1 {
                        let (variance, mean) = layout.varMean(dims: [dim])
                        var (means, variances) = ([Double](), [Double]())
                        for line in 0..<lines {
                            let values = (0..<length).map { dim == 0 ? v[$0 * columns + line] : v[line * columns + $0] }
                            let m = values.reduce(0, +) / Double(length)
                            means.append(m)
                            variances.append(values.reduce(0) { $0 + ($1 - m) * ($1 - m) } / Double(length - 1))
                        }
                        let place = "\(dtype) \(rows) x \(columns), dim \(dim)"
                        #expect(difference(mean.toArray(Double.self), means) <= resolution(dtype), "\(place)")
                        #expect(
                            difference(variance.toArray(Double.self), variances) <= 4 * resolution(dtype), "\(place)")
                    }
                }
            }
        }
        // Later blocks are measured from the mean of those before: one that drifts, one that lies far from zero, and one whose
        // first element is like no other.
        let noise = Tensor.randn([5000, 40], generator: Generator(seed: 6))
        let first = Tensor.arange(5000).reshape([5000, 1]) .== 0
        for x in [
            noise + Tensor.arange(5000).to(.float32).reshape([5000, 1]), noise + 10_000,
            noise.maskedFill(first.expand([5000, 40]), 1e6),
        ] {
            let expected = x.to(.float64).varMean(dims: [0])
            for (layout, dim) in [(x, 0), (x.T.contiguous(), 1)] {
                let found = layout.varMean(dims: [dim])
                let names = [(found.variance, expected.variance, 1e-5), (found.mean, expected.mean, 1e-6)]
                for (a, b, most) in names {
                    let relative = ((a.to(.float64) - b) / b).abs().max().item()
                    #expect(relative <= most, "dim \(dim)")
                }
            }
        }
        let all = Tensor.randn([30, 40, 50], dtype: .float64, generator: Generator(seed: 5))
        let v = all.permute([2, 0, 1]).variance(dims: [0, 2], correction: 0).toArray(Double.self)
        let centered = all - all.mean(dims: [1, 2], keepDim: true)
        #expect(difference(v, centered.square().mean(dims: [1, 2]).toArray(Double.self)) < 1e-13)
        for rows in [0, 1] {
            let undefined = Tensor.zeros([rows, 3]).variance(dim: 0).isNaN().all().item()
            #expect(undefined == 1)
        }
        #expect(Tensor([1, .nan, 3] as [Float]).variance().item().isNaN)
        // An infinite mean stays one over many blocks, along lines and across them.
        for dim in [0, 1] {
            let x = Tensor.zeros([3000, 3000])
            _ = x.select(1 - dim, 5).select(0, 2).fillInPlace(.infinity)
            let (variance, mean) = x.varMean(dims: [dim])
            let (v, m) = (variance.toArray(), mean.toArray())
            #expect(m[5] == .infinity && v[5].isNaN && m[4] == 0 && v[4] == 0, "\(dim)")
        }
    }

    // MARK: selection

    @Test func largestAndSmallest() {
        for dtype in types + [.int64, .int8] {
            for (n, k) in [(5, 5), (64, 1), (1000, 8), (3000, 32), (3000, 33), (2500, 700)] {
                var x = (Tensor.randn([3, n], dtype: .float64, generator: Generator(seed: UInt64(n))) * 20).to(dtype)
                if dtype.isFloatingPoint {
                    x = x.clone()
                    _ = x.select(0, 1).select(0, n / 2).fillInPlace(.nan)
                }
                let v = x.toArray(Double.self)
                for largest in [true, false] {
                    let (values, indices) = x.topk(k, dim: 1, largest: largest)
                    let (got, at) = (values.toArray(Double.self), indices.toArray(Int64.self))
                    for row in 0..<3 {
                        let line = Array(v[row * n..<(row + 1) * n])
                        // NaN is the largest, and at equal values the earlier position comes first.
                        func key(_ i: Int) -> Double { line[i].isNaN ? .infinity : line[i] }
                        let order = (0..<n).sorted {
                            key($0) == key($1) ? $0 < $1 : largest ? key($0) > key($1) : key($0) < key($1)
                        }
                        let expected = order.prefix(k)
                        #expect(at[row * k..<(row + 1) * k].map(Int.init) == Array(expected), "\(dtype) \(n) \(k)")
                        let right = zip(got[row * k..<(row + 1) * k], expected).allSatisfy { same($0, line[$1]) }
                        #expect(right)
                    }
                }
            }
        }
    }

    @Test func gatheringMostOfALine() {
        for dtype in types {
            let (x, v) = matrix(40, 900, dtype, seed: 3)
            let index = Tensor.randint(-900, 900, [40, 700], generator: Generator(seed: 4))
            let at = index.toArray(Int64.self)
            let expected: [Double] = (0..<40 * 700).map { i in v[i / 700 * 900 + Int((at[i] + 900) % 900)] }
            let got = x.gather(1, index).toArray(Double.self)
            #expect(got == expected, "\(dtype)")
        }
    }

    // MARK: activations

    /// Half precision has a cheaper formula of its own.
    @Test func geluOfHalfPrecision() {
        for dtype in [DType.bfloat16, .float16] {
            let x = Tensor.arange(-1200, 1200).to(.float64) / 100
            let rounded = x.to(dtype)
            let got = rounded.gelu().toArray(Double.self)
            let expected = rounded.toArray(Double.self).map { $0 * 0.5 * erfc(-$0 / 2.0.squareRoot()) }
            for (a, b) in zip(got, expected) { #expect(abs(a - b) <= resolution(dtype) * abs(b) + 2e-6) }
            let edges = Tensor([-1e4, 1e4, 0, -0.0] as [Float]).to(dtype).gelu().toArray()
            #expect(edges == [0, Tensor([1e4]).to(dtype).toArray()[0], 0, 0])
        }
    }
}
