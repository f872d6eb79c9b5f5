import Martlet
import Testing

/// Subscripts beyond what the fixtures cover: Swift's ranges, sharing of memory, assignment.
@Suite struct IndexingTests {
    private let x = Tensor.arange(24).reshape([2, 3, 4])

    private func values(_ t: Tensor) -> [Int] { t.toArray(Int.self) }

    @Test func integersAndRanges() {
        #expect(x[1].shape == [3, 4])
        #expect(x[-1, -1, -1].item() == 23)
        #expect(values(x[0, 1]) == [4, 5, 6, 7])
        #expect(values(x[0, 1..<3, 0]) == [4, 8])
        #expect(values(x[0, 1...2, 0]) == [4, 8])
        #expect(values(x[0, 0, 2...]) == [2, 3])
        #expect(values(x[0, 0, ..<2]) == [0, 1])
        #expect(values(x[0, 0, ...2]) == [0, 1, 2])
        #expect(values(x[0, 0, (-2)...]) == [2, 3])
        #expect(values(x[0, 0, ..<(-1)]) == [0, 1, 2])
        #expect(values(x[0, 0, ...(-1)]) == [0, 1, 2, 3])
        #expect(values(x[0, 0, .slice(from: 1, step: 2)]) == [1, 3])
        #expect(values(x[0, 0, .slice(step: -1)]) == [3, 2, 1, 0])
        #expect(values(x[0, 0, .slice(from: -2, to: 0, step: -1)]) == [2, 1])
        #expect(values(x[0, 0, .slice(from: 100, to: -100, step: -3)]) == [3, 0])
        #expect(x[5..<9].shape == [0, 3, 4])
        #expect(x[.all, .all, 2..<2].shape == [2, 3, 0])
    }

    @Test func ellipsisAndNewAxes() {
        #expect(values(x[.ellipsis, 0]) == [0, 4, 8, 12, 16, 20])
        #expect(x[.ellipsis].shape == [2, 3, 4])
        #expect(x[0, .ellipsis, 1, 2].item() == 6)
        #expect(x[.newAxis, 0, .ellipsis, .newAxis].shape == [1, 3, 4, 1])
        #expect(x[.all, .newAxis, 1].shape == [2, 1, 4])
    }

    @Test func basicIndicesAreViews() {
        for view in [x[1], x[0, 1...], x[.all, .slice(step: -2)], x[.newAxis, .ellipsis, 2]] {
            #expect(view.sharesStorage(with: x))
        }
        #expect(!x[Tensor([0])].sharesStorage(with: x))
        let y = x.clone()
        let view = y[1, .slice(step: -1), 1..<3]
        view.fillInPlace(-1)
        #expect(values(y[1, 2]) == [20, -1, -1, 23])
        y[0, 0, 0] = Tensor(100)
        #expect(y[0][0][0].item() == 100)
    }

    @Test func tensorsAndLists() {
        #expect(values(x[[1, 0], 0, 0]) == [12, 0])
        #expect(x[[0, 1, 1]].shape == [3, 3, 4])
        #expect(x[Tensor([[0, 1], [1, 0]])].shape == [2, 2, 3, 4])
        #expect(values(x[Tensor([0, 1]), [2, 0], [3, -1]]) == [11, 15])
        #expect(x[Tensor([[0], [1]]), [2, 0, 1]].shape == [2, 3, 4])
        #expect(x[Tensor(1)].shape == [3, 4])
        #expect(x[Tensor([1], shape: [1]).to(.uint8)].shape == [1, 3, 4])
    }

    /// Where NumPy puts the dimensions of index tensors.
    @Test func orderOfDimensions() {
        let y = Tensor.arange(120).reshape([2, 3, 4, 5])
        // Adjacent: in their place. Apart: in front.
        #expect(y[.all, Tensor([0, 1, 2, 0, 1, 2]), Tensor([0, 1, 2, 3, 0, 1])].shape == [2, 6, 5])
        #expect(y[.all, [0, 1], .all, [0, 1]].shape == [2, 2, 4])
        #expect(y[[0, 1], .all, [0, 1]].shape == [2, 3, 5])
        #expect(y[.newAxis, [0, 1], .all, .newAxis].shape == [1, 2, 3, 1, 4, 5])
        #expect(y[[0, 1], .newAxis, [0, 1]].shape == [2, 1, 4, 5])
        #expect(
            values(y[.all, [0, 2], .all, [4, 0]][1, 0])
                == [y[0, 2, 0, 0], y[0, 2, 1, 0], y[0, 2, 2, 0], y[0, 2, 3, 0]].map { Int($0.item()) })
    }

    @Test func masks() {
        let mask = (x.remainder(5)) .== 0
        #expect(values(x[mask]) == [0, 5, 10, 15, 20])
        #expect(values(x[Tensor([false, true]), 0, 0]) == [12])
        #expect(x[.all, Tensor([true, false, true])].shape == [2, 2, 4])
        #expect(x[Tensor([[true, false, false], [false, false, true]])].shape == [2, 4])
        #expect(x[Tensor.zeros([2], dtype: .bool)].shape == [0, 3, 4])
        let y = x.clone()
        y[y .> 20] = Tensor(-1)
        #expect(values(y[1, 2]) == [20, -1, -1, -1])
        y[Tensor([true, false])] = Tensor([7, 7, 7, 7])
        #expect(values(y[0, 1]) == [7, 7, 7, 7])
    }

    @Test func assignment() {
        let y = Tensor.zeros([2, 3])
        y[0] = Tensor([1, 2, 3])
        y[.all, 2] = Tensor(9.0)
        y[1, ..<2] = Tensor([4.5, 5.5])
        #expect(y.toArray() == [1, 2, 9, 4.5, 5.5, 9])
        y[[0, 1], [0, 1]] = Tensor([-1.0, -2])
        #expect(y.toArray() == [-1, 2, 9, 4.5, -2, 9])
        y.T[[0, 2]] = Tensor([[7.0, 8], [9, 10]])
        #expect(y.toArray() == [7, 2, 9, 8, -2, 10])
        y[.slice(step: -1)] = y.clone()
        #expect(y.toArray() == [8, -2, 10, 7, 2, 9])
        y[0..<0] = Tensor(5.0)
        y.fill(.ellipsis, with: 0.5)
        #expect(y.toArray() == [Float](repeating: 0.5, count: 6))
        // Repeated indices: the last one counts; accumulated, all of them.
        y[[0, 0], [1, 1]] = Tensor([3.0, 4])
        #expect(y[0, 1].item() == 4)
        y.assign([.tensor(Tensor([0, 0, 1]))], Tensor([[1.0], [2], [3]]), accumulate: true)
        #expect(y.toArray() == [3.5, 7, 3.5, 3.5, 3.5, 3.5])
    }

    @Test func assignmentConverts() {
        let y = Tensor.zeros([3], dtype: .int32)
        y[0] = Tensor(2.9)
        y[1...] = Tensor([true, false])
        #expect(values(y) == [2, 1, 0])
    }

    @Test func compoundAssignment() {
        let y = Tensor.ones([2, 2])
        y[0] += 2.0
        y[.all, 1] *= Tensor([2.0, 3])
        y[1, 0] -= Tensor(5.0)
        #expect(y.toArray() == [3, 6, -4, 3])
    }

    @Test func indicesGatherScatterAgree() {
        let generator = Generator(seed: 4)
        let y = Tensor.randn([5, 7], generator: generator)
        let index = Tensor.randint(0, 7, [5, 4], generator: generator)
        let rows = Tensor.arange(5).unsqueeze(1)
        #expect(y.gather(1, index).equal(y[rows, index]))
        let source = Tensor.randn([5, 4], generator: generator)
        let z = y.clone()
        z.assign([.tensor(rows), .tensor(index)], source, accumulate: true)
        #expect(z.allClose(y.scatterAdd(1, index, source), rtol: 1e-6, atol: 1e-6))
    }
}
