import Martlet
import Testing

@Suite struct ViewTests {
    /// Random chains of views read as the same chains of copies.
    @Test(arguments: 0..<40) func chainsOfViews(_ seed: Int) {
        var random = Random(seed: UInt64(seed))
        let whole = Tensor.arange(2 * 3 * 4 * 5).reshape([2, 3, 4, 5])
        var view = whole
        var copy = whole.clone()
        for _ in 0..<12 {
            let d = view.rank == 0 ? 0 : random.below(view.rank)
            let step: (Tensor) -> Tensor
            switch random.below(9) {
            case 0 where view.rank > 1:
                let e = random.below(view.rank)
                step = { $0.transpose(d, e) }
            case 1 where view.rank > 0 && view.size(d) > 1:
                let start = random.below(view.size(d) - 1)
                let length = 1 + random.below(view.size(d) - start)
                step = { $0.narrow(d, start: start, length: length) }
            case 2 where view.rank > 0:
                step = { x in
                    var index: [TensorIndex] = Array(repeating: .all, count: x.rank)
                    index[d] = .slice(step: -1)
                    return x.at(index)
                }
            case 3 where view.rank > 1 && view.size(d) > 0:
                let i = random.below(view.size(d))
                step = { $0.select(d, i) }
            case 4 where view.rank < 6: step = { $0.unsqueeze(d) }
            case 5: step = { $0.squeeze() }
            case 6 where view.rank > 1:
                let e = d == view.rank - 1 ? d - 1 : d
                step = { $0.flatten(e, e + 1) }
            case 7 where view.rank > 1 && view.size(0) > 0 && view.size(1) > 0:
                step = { $0.diagonal() }
            case 8 where view.rank > 0 && view.size(d) % 2 == 0 && view.rank < 7:
                step = { $0.unflatten(d, [-1, 2]) }
            default: continue
            }
            view = step(view)
            copy = step(copy).clone()
            #expect(view.shape == copy.shape)
            #expect(view.toArray(Int.self) == copy.toArray(Int.self))
            #expect(view.contiguous().isContiguous)
        }
        // Any reshape reads in row-major order, whatever the layout.
        let flat = view.reshape([-1])
        #expect(flat.toArray(Int.self) == copy.toArray(Int.self))
    }

    @Test func sharing() {
        let x = Tensor.arange(12).reshape([3, 4])
        for view in [
            x.T, x.reshape([2, 6]), x.view([12]), x.narrow(0, start: 1, length: 2), x.unsqueeze(0), x.diagonal(),
            x.expand([2, 3, 4]), x.flatten(), x.detach(), x.split(2)[1], x.unbind()[2], x.moveDim(0, 1),
        ] {
            #expect(view.sharesStorage(with: x))
        }
        #expect(!x.T.reshape([12]).sharesStorage(with: x))
        #expect(!x.clone().sharesStorage(with: x))
        #expect(x.contiguous() === x && !x.T.contiguous().sharesStorage(with: x))
        x.T[0, 1] = Tensor(100)
        #expect(x[1, 0].item() == 100)
    }

    @Test func attributes() {
        let x = Tensor.zeros([2, 3, 4], dtype: .bfloat16)
        #expect(x.shape == [2, 3, 4] && x.rank == 3 && x.count == 24 && x.byteCount == 48)
        #expect(x.strides == [12, 4, 1] && x.isContiguous)
        #expect(x.transpose(0, 2).strides == [1, 4, 12] && !x.transpose(0, 2).isContiguous)
        #expect(x.size(-1) == 4 && x.size(0) == 2)
        #expect(Tensor(1.0).isScalar && Tensor(1.0).shape == [])
        #expect(x[0..<0].count == 0 && x[0..<0].isContiguous)
        #expect(x.expand([5, 2, 3, 4]).strides == [0, 12, 4, 1])
    }

    @Test func emptyTensors() {
        let x = Tensor.zeros([0, 3])
        #expect(x.sum().item() == 0 && x.prod().item() == 1)
        #expect(x.sum(dim: 0).toArray() == [0, 0, 0])
        #expect((x + 1).shape == [0, 3] && (x * Tensor.ones([1, 3])).shape == [0, 3])
        #expect(x.matmul(Tensor.ones([3, 2])).shape == [0, 2])
        #expect(x.T.matmul(x).toArray() == [Float](repeating: 0, count: 9))
        #expect(Tensor.cat([x, Tensor.ones([1, 3])]).shape == [1, 3])
        #expect(x.softmax(dim: 1).shape == [0, 3] && x.layerNorm().shape == [0, 3])
        #expect(x.reshape([3, 0, 2]).shape == [3, 0, 2])
        #expect(x.sort(dim: 0).values.shape == [0, 3] && x.nonzero().shape == [0, 2])
        #expect(x.any().item() == 0 && x.all().item() == 1)
        #expect(x.mean().item().isNaN)
        let y = Tensor.zeros([0, 3]).requiringGrad()
        (y * 2).sum().backward()
        #expect(y.grad!.shape == [0, 3])
    }

    @Test func movement() {
        let x = Tensor.arange(6).reshape([2, 3])
        #expect(x.flip([0]).toArray(Int.self) == [3, 4, 5, 0, 1, 2])
        #expect(x.roll(1).toArray(Int.self) == [5, 0, 1, 2, 3, 4])
        #expect(x.roll(-1, dim: 1).toArray(Int.self) == [1, 2, 0, 4, 5, 3])
        #expect(x.tile([2, 1, 2]).shape == [2, 2, 6])
        #expect(x.repeatInterleave(2, dim: 0).shape == [4, 3])
        #expect(Tensor([1, 2]).repeatInterleave([0, 3], dim: 0).toArray(Int.self) == [2, 2, 2])
        #expect(x.chunk(2, dim: 1).map(\.shape) == [[2, 2], [2, 1]])
        #expect(x.split([1, 0, 2], dim: 1).map(\.shape) == [[2, 1], [2, 0], [2, 2]])
        #expect(x.tril().toArray(Int.self) == [0, 0, 0, 3, 4, 0])
        #expect(Tensor.stack([x, x], dim: -1).shape == [2, 3, 2])
        #expect(x.unflatten(1, [3, -1]).shape == [2, 3, 1])
        #expect(x.moveDim(0, -1).shape == [3, 2])
    }
}

/// SplitMix64: random choices of tests that do not depend on the library under test.
struct Random {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1 }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }
    /// In -1 ..< 1.
    mutating func number() -> Double { Double(Int64(bitPattern: next()) >> 11) * 0x1p-52 }
    mutating func numbers(_ n: Int) -> [Double] { (0..<n).map { _ in number() } }
}
