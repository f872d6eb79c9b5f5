import Martlet
import Testing

/// Conversions by short names, other names of views, and reading as nested arrays.
@Suite struct ConversionTests {
    @Test func shortNames() {
        let x = Tensor([1.5, -2, 300])
        let types: [(Tensor, DType)] = [
            (x.half(), .float16), (x.bfloat16(), .bfloat16), (x.float(), .float32), (x.double(), .float64),
            (x.long(), .int64), (x.int(), .int32), (x.short(), .int16), (x.bool(), .bool),
        ]
        for (y, type) in types { #expect(y.dtype == type) }
        #expect(Tensor([3, 255]).byte().dtype == .uint8)
        #expect(x.int().toArray(Int32.self) == [1, -2, 300])
        #expect(x.float() === x)
    }

    /// To the nearest, ties to even, denormals kept, NaN quiet: the processor's own instruction does not keep denormals.
    @Test func roundingToBFloat16() {
        var random = Random(seed: 5)
        let special: [UInt32] = [0x7f80_0000, 0xff80_0000, 0x7f80_0001, 0xffff_ffff, 0x7f7f_ffff, 0, 1 << 31]
        var bits: [UInt32] = []
        // Blocks of 32 and 16 with no denormal, one, and nothing else; ties, and values next to them.
        for block in 0..<24 {
            for i in 0..<32 {
                let any = UInt32(truncatingIfNeeded: random.next())
                let normal = any & 0x7f80_0000 == 0 ? any | 0x0080_0000 : any
                let denormal = any & 0x807f_ffff
                switch block % 6 {
                case 0: bits.append(normal)
                case 1: bits.append(i == block ? denormal : normal)
                case 2: bits.append(denormal)
                case 3: bits.append(normal & 0xffff_0000 | 0x8000)
                case 4: bits.append(normal & 0xffff_0000 | (i % 2 == 0 ? 0x7fff : 0x8001))
                default: bits.append(special[i % 7])
                }
            }
        }
        bits += [0x007f_ffff, 0x0000_8000, 0x3f80_8000]
        let x = Tensor(bits.map { Float(bitPattern: $0) })
        let found = x.to(.bfloat16).to(.float32).toArray(Float.self).map(\.bitPattern)
        for (i, u) in bits.enumerated() {
            let isNaN = u & 0x7fff_ffff > 0x7f80_0000
            let expected = (isNaN ? (u >> 16) | 0x40 : (u &+ 0x7fff &+ ((u >> 16) & 1)) >> 16) << 16
            #expect(found[i] == expected, "\(String(u, radix: 16)) at \(i)")
        }
    }

    /// Rows that are computed in float32 and rounded where they are written.
    @Test func denormalResultsOfRows() {
        let weight = (Tensor.randn([96], generator: Generator(seed: 6)) * 1e-39).to(.bfloat16)
        let x = Tensor.randn([3, 96], generator: Generator(seed: 7)).to(.bfloat16)
        let exact = x.float().rmsNorm(weight: weight.float())
        #expect(exact.abs().max().item() > 0 && exact.abs().max().item() < 0x1p-126)
        #expect(x.rmsNorm(weight: weight).equal(exact.to(.bfloat16)))
    }

    @Test func nestedArrays() {
        let x = Tensor.arange(12).reshape([2, 3, 2])
        #expect(x.toArray3D(Int.self) == [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]])
        #expect(x[1].T.toArray2D(Int.self) == [[6, 8, 10], [7, 9, 11]])
        #expect(x[0].toArray2D() == [[0, 1], [2, 3], [4, 5]])
        #expect(Tensor.zeros([2, 0]).toArray2D() == [[], []])
        #expect(Tensor.zeros([0, 2, 3]).toArray3D() == [])
        #expect(Tensor([[1.0, 2], [3, 4]]).toArray2D(Double.self) == [[1, 2], [3, 4]])
        let nested = [[[1, 2], [3, 4], [5, 6]]]
        #expect(Tensor(nested).dtype == .int64 && Tensor(nested).toArray3D(Int.self) == nested)
        #expect(Tensor([[[1.5], [2]], [[3], [4]]]).toArray3D() == [[[1.5], [2]], [[3], [4]]])
    }

    @Test func viewsByOtherNames() {
        let x = Tensor.arange(6).reshape([2, 3])
        #expect(x.viewAs(Tensor.zeros([3, 2])).sharesStorage(with: x))
        #expect(x.T.reshapeAs(Tensor.zeros([6])).toArray(Int.self) == [0, 3, 1, 4, 2, 5])
        #expect(x[0].broadcastTo([2, 3]).toArray(Int.self) == [0, 1, 2, 0, 1, 2])
        #expect(x[0].expandAs(x).sharesStorage(with: x))
        let grids = Tensor.meshgrid([Tensor.arange(2), Tensor.arange(3)], indexing: .xy)
        #expect(grids.map(\.shape) == [[3, 2], [3, 2]])
    }

    @Test func logspace() {
        let x = Tensor.logspace(0, 3, 4, dtype: .float64).toArray(Double.self)
        for (a, b) in zip(x, [1.0, 10, 100, 1000]) { #expect(abs(a - b) <= 1e-12 * b) }
        #expect(Tensor.logspace(-1, 1, 3, base: 2).toArray() == [0.5, 1, 2])
        #expect(Tensor.logspace(0, 1, 0).shape == [0])
    }

    @Test func distancesInPartsAreThoseOfTheWhole() {
        // More differences than fit in one part.
        let x = Tensor.randn([70, 64], dtype: .float64, generator: Generator(seed: 1))
        let y = Tensor.randn([600, 64], dtype: .float64, generator: Generator(seed: 2))
        let expected = (x.unsqueeze(1) - y.unsqueeze(0)).norm(dims: [-1])
        #expect(x.cdist(y).allClose(expected, rtol: 1e-14))
        #expect(x.cdist(y, p: 1).allClose((x.unsqueeze(1) - y.unsqueeze(0)).abs().sum(dim: -1), rtol: 1e-14))
        for (a, b) in [([0, 3], [2, 3]), ([2, 0], [3, 0]), ([2, 3], [0, 3])] {
            let d = Tensor.ones(a).requiringGrad().cdist(Tensor.ones(b))
            #expect(d.shape == [a[0], b[0]] && d.sum().item() == 0)
            d.sum().backward()
        }
    }
}
