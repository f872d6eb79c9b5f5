import Martlet
import Testing

/// Writing in place while operations are recorded.
@Suite struct InPlaceTests {
    private func leaf(_ values: [Double], _ shape: [Int]? = nil) -> Tensor {
        Tensor(values, shape: shape ?? [values.count], dtype: .float64).requiringGrad()
    }

    @Test func arithmeticInPlace() {
        let x = leaf([1, 2, 3])
        let w = leaf([4, 5, 6])
        let y = x * 1
        y += w
        y *= w
        y -= x
        y /= 2.0
        y.sum().backward()
        // ((x + w) w - x) / 2
        #expect(y.toArray(Double.self) == [9.5, 16.5, 25.5])
        #expect(x.grad!.toArray(Double.self) == [1.5, 2, 2.5])
        #expect(w.grad!.toArray(Double.self) == [4.5, 6, 7.5])
    }

    @Test func secondDerivativesThroughWrites() {
        let check = secondGradientCheck([Tensor([0.7, 1.3], dtype: .float64), Tensor([1.1, 0.6], dtype: .float64)]) {
            let y = $0[0].exp() + 0
            y *= $0[1]
            y /= ($0[0] + $0[1])
            y *= y
            y[0] *= $0[1][1]
            return y
        }
        #expect(check == nil)
    }

    @Test func aTensorWithItself() {
        let x = leaf([1, 2, 3])
        let y = x * 1
        y *= y
        y += y
        y -= y[0]
        y.sum().backward()
        #expect(y.toArray(Double.self) == [0, 6, 16])
        // d/dx Σ_i (2 x_i² - 2 x_0²)
        #expect(x.grad!.toArray(Double.self) == [-8, 8, 12])
    }

    @Test func writesThroughViewsReachTheWhole() {
        let x = leaf([1, 2, 3, 4], [2, 2])
        let w = leaf([10, 20])
        let y = x * 1
        y[0] += w
        #expect(y.toArray(Double.self) == [11, 22, 3, 4])
        (y * y).sum().backward()
        #expect(x.grad!.toArray(Double.self) == [22, 44, 6, 8])
        #expect(w.grad!.toArray(Double.self) == [22, 44])
    }

    @Test func assignmentCutsTheOldHistory() {
        let x = leaf([1, 2, 3, 4], [2, 2])
        let w = leaf([10, 20])
        let y = x * 1
        y[1] = w * 2
        y[0, 1] = Tensor(7.0)
        y.fill(0, 0, with: 5)
        #expect(y.toArray(Double.self) == [5, 7, 20, 40])
        (y * y).sum().backward()
        #expect(x.grad!.toArray(Double.self) == [0, 0, 0, 0])
        #expect(w.grad!.toArray(Double.self) == [80, 160])
    }

    @Test func viewsMadeBeforeAWriteSeeIt() {
        let x = leaf([1, 2, 3, 4], [2, 2])
        let y = x * 1
        let row = y[1]
        let column = y.T[0]
        y *= 3.0
        #expect(row.toArray(Double.self) == [9, 12])
        (row.sum() + column.sum()).backward()
        #expect(x.grad!.toArray(Double.self) == [3, 0, 6, 3])
    }

    @Test func writesThroughOneViewReachAnother() {
        let x = leaf([1, 2, 3, 4], [2, 2])
        let w = leaf([5, 6])
        let y = x * 1
        let row = y[0]
        let column = y[.all, 1]
        row.copyInPlace(w)
        #expect(column.toArray(Double.self) == [6, 4])
        (column * column).sum().backward()
        #expect(x.grad!.toArray(Double.self) == [0, 0, 0, 8])
        #expect(w.grad!.toArray(Double.self) == [0, 12])
    }

    @Test func viewsOfViews() {
        let x = leaf((0..<12).map(Double.init), [3, 4])
        let w = leaf([1, 2])
        let y = x * 2
        let inner = y[1...].T[1..<3]
        #expect(inner.shape == [2, 2])
        inner[1] *= w
        #expect(y[1, 2].item() == 12 && y[2, 2].item() == 40)
        y.sum().backward()
        var expected = [Double](repeating: 2, count: 12)
        expected[10] = 4
        #expect(x.grad!.toArray(Double.self) == expected)
        #expect(w.grad!.toArray(Double.self) == [12, 20])
    }

    @Test func stepsBackwardsAndDiagonals() {
        let x = leaf((0..<9).map(Double.init), [3, 3])
        let w = leaf([1, 2, 3])
        let y = x * 1
        y.diagonal() += w
        y[.slice(step: -1), 0] = w
        #expect(y.toArray(Double.self) == [3, 1, 2, 2, 6, 5, 1, 7, 11])
        (y * Tensor((1...9).map(Double.init), shape: [3, 3], dtype: .float64)).sum().backward()
        #expect(x.grad!.toArray(Double.self) == [0, 2, 3, 0, 5, 6, 0, 8, 9])
        #expect(w.grad!.toArray(Double.self) == [7, 9, 10])
    }

    @Test func plainTensorsTakeOverHistory() {
        let w = leaf([1, 2])
        let buffer = Tensor.zeros([3, 2], dtype: .float64)
        for i in 0..<3 { buffer[i] = w * Double(i + 1) }
        #expect(buffer.requiresGrad && !buffer.isLeaf)
        (buffer * buffer).sum().backward()
        #expect(w.grad!.toArray(Double.self) == [28, 56])
    }

    @Test func functionsInPlace() {
        let x = leaf([-1, 0.5, 2])
        for (write, function) in [
            ({ $0.reluInPlace() }, { $0.relu() }), ({ $0.sigmoidInPlace() }, { $0.sigmoid() }),
            ({ $0.tanhInPlace() }, { $0.tanh() }), ({ $0.expInPlace() }, { $0.exp() }),
            ({ $0.negInPlace() }, { -$0 }), ({ $0.clampInPlace(min: -0.7, max: 1) }, { $0.clamp(min: -0.7, max: 1) }),
            ({ $0.maskedFillInPlace($0 .> 1, 3) }, { $0.maskedFill($0 .> 1, 3) }), ({ $0.zeroInPlace() }, { $0 * 0 }),
        ] as [((Tensor) -> Tensor, (Tensor) -> Tensor)] {
            let y = x * 2
            _ = write(y)
            let z = function(x * 2)
            #expect(y.equal(z))
            #expect(
                grad(of: (y * y + y).sum(), wrt: x).allClose(grad(of: (z * z + z).sum(), wrt: x), rtol: 1e-14))
        }
    }

    @Test func advancedAssignment() {
        let x = leaf((0..<12).map(Double.init), [3, 4])
        let w = leaf([10, 20, 30])
        let y = x * 1
        y[Tensor([0, 2, 0]), Tensor([1, 3, 2])] = w
        y[y .== 5] = Tensor(50.0)
        y.assign([.tensor(Tensor([1, 1])), .at(0)], w[0..<2], accumulate: true)
        #expect(y.toArray(Double.self) == [0, 10, 30, 3, 34, 50, 6, 7, 8, 9, 10, 20])
        y.sum().backward()
        #expect(x.grad!.toArray(Double.self) == [1, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0])
        #expect(w.grad!.toArray(Double.self) == [2, 2, 1])
    }

    @Test func leavesAreWrittenWithoutRecordingOnly() async {
        let x = leaf([1, 2])
        noGrad {
            x -= 0.5
            x[0] *= Tensor(4.0)
        }
        #expect(x.toArray(Double.self) == [2, 1.5])
        #expect(x.isLeaf && x.requiresGrad)
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let p = Parameter(Tensor([1.0, 2]))
            p.name = "layers.0.weight"
            p += 1.0
        }
        expectMessage(result, "[addInPlace]", "leaf", "noGrad", "layers.0.weight")
        let view = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let p = Tensor([1.0, 2]).requiringGrad()
            p[0] = Tensor(5.0)
        }
        expectMessage(view, "[copyInPlace]", "leaf")
    }

    @Test func overwrittenSavedTensorsAreFound() async {
        let input = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor([1.0, 2]).requiringGrad()
            let h = x * 2
            let y = h.sin()
            h += 1.0
            y.sum().backward()
        }
        expectMessage(input, "[backward]", "`sin`", "`addInPlace`", "version 0", "version 1", "[2]", "clone()")
        let output = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor([1.0, 2]).requiringGrad()
            let y = x.exp()
            y *= 2.0
            y.sum().backward()
        }
        expectMessage(output, "`exp`", "`mulInPlace`")
        let throughView = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor([1.0, 2]).requiringGrad()
            let h = x * 2
            let y = h * h
            h[0] = Tensor(3.0)
            y.sum().backward()
        }
        expectMessage(throughView, "`mul`", "`copyInPlace`")
        let parameter = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let p = Parameter(Tensor([1.0, 2]))
            p.name = "weight"
            let y = p * p
            noGrad { p -= 0.1 }
            y.sum().backward()
        }
        expectMessage(parameter, "`mul`", "`addInPlace`", "(weight)")
    }

    @Test func valuesNotSavedMayBeOverwritten() {
        let x = leaf([1, 2])
        let h = x * 2
        let y = h + 3
        h.zeroInPlace()
        y.sum().backward()
        #expect(x.grad!.toArray(Double.self) == [2, 2])
    }

    @Test func versionsCountWritesOfTheMemory() {
        let x = Tensor.zeros([2, 2])
        let row = x[0]
        #expect(x.version == 0)
        row += 1.0
        x[1] = row
        #expect(x.version == 2 && row.version == 2)
        #expect(x.clone().version == 0)
    }

    @Test func expandedTensorsAreNotWritten() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor.zeros([2, 1]).expand([2, 3])
            x += 1.0
        }
        expectMessage(result, "[addInPlace]", "[2, 3]", "share memory")
    }

    @Test func viewsMadeWithoutRecordingAreNotWrittenWithIt() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor.zeros([2, 3])
            let row = noGrad { x[0] }
            row += Tensor([1.0, 2, 3]).requiringGrad()
            print(x)
        }
        expectMessage(result, "[addInPlace]", "[3]", "under noGrad", "clone()")
        // Nobody else sees this memory.
        let w = leaf([1, 2])
        let fresh = noGrad { Tensor.zeros([2, 3], dtype: .float64).T }
        fresh += w
        fresh.square().sum().backward()
        #expect(w.grad!.toArray(Double.self) == [6, 12])
        let base = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let w = Tensor([1.0, 2]).requiringGrad()
            let x = Tensor.zeros([2, 3]).T.detach()
            x[0] = w
        }
        expectMessage(base, "[view]", "not contiguous", "[1, 3]")
    }

    @Test func copiesBetweenOverlappingViews() {
        let x = Tensor([0.0, 1, 2, 3, 4])
        x[1...] = x[..<4]
        #expect(x.toArray() == [0, 0, 1, 2, 3])
        x.copyInPlace(x[.slice(step: -1)])
        #expect(x.toArray() == [3, 2, 1, 0, 0])
        x[0..<4] += x[1...]
        #expect(x.toArray() == [5, 3, 1, 0, 0])
    }

    @Test func divisionInPlace() {
        let x = leaf([1, 2, 3])
        let w = leaf([2, 4, 8])
        let y = x * 1
        y.divInPlace(w).divInPlace(2)
        #expect(y.toArray(Double.self) == [0.25, 0.25, 0.1875])
        y.sum().backward()
        #expect(x.grad!.toArray(Double.self) == [0.25, 0.125, 0.0625])
        #expect(w.grad!.toArray(Double.self) == [-0.125, -0.0625, -0.0234375])
    }

    @Test func rootsAndPowersInPlace() {
        let x = leaf([1, 4, 9])
        let y = x * 1
        y.sqrtInPlace()
        #expect(y.toArray(Double.self) == [1, 2, 3])
        y.powInPlace(3)
        #expect(y.toArray(Double.self) == [1, 8, 27])
        y.sum().backward()
        // d x^1.5 = 1.5 sqrt(x)
        #expect(x.grad!.toArray(Double.self) == [1.5, 3, 4.5])
        #expect(Tensor([1, 2, 3]).powInPlace(2).toArray(Int.self) == [1, 4, 9])
        let check = secondGradientCheck([Tensor([0.7, 1.3], dtype: .float64), Tensor([1.1, 0.6], dtype: .float64)]) {
            let y = $0[0].exp() + 0
            y.powInPlace($0[1]).powInPlace(1.5).sqrtInPlace()
            return y
        }
        #expect(check == nil)
    }

    @Test func interpolationInPlace() {
        let check = secondGradientCheck([Tensor([0.7, 1.3], dtype: .float64), Tensor([1.1, 0.6], dtype: .float64)]) {
            let y = $0[0].exp() + 0
            y.lerpInPlace($0[1], 0.3)
            y.lerpInPlace($0[0], $0[1])
            return y
        }
        #expect(check == nil)
        let x = Tensor([[1.0, 2], [3, 4]])
        x[0].lerpInPlace(x[1], 0.5)
        #expect(x.toArray() == [2, 3, 3, 4])
    }

    @Test func rowsInPlace() {
        let check = secondGradientCheck([
            Tensor([0.7, 1.3, 0.2], dtype: .float64), Tensor([1.1, 0.6, 2, 0.4], dtype: .float64),
        ]) {
            let y = $0[0].exp() + 0
            y.indexAddInPlace(0, Tensor([2, 0, 2, 2]), $0[1].square(), alpha: 0.5)
            y *= y
            y.indexCopyInPlace(0, Tensor([1, 1]), $0[1].narrow(0, start: 1, length: 2).square())
            return y * y
        }
        #expect(check == nil)
        let x = Tensor.zeros([3, 2])
        x.indexAddInPlace(0, Tensor([2, 0, 2]), Tensor([[1.0, 2], [3, 4], [5, 6]]))
        #expect(x.toArray() == [3, 4, 0, 0, 6, 8])
        x.indexCopyInPlace(1, Tensor([1]), Tensor([[7.0], [8], [9]]))
        #expect(x.toArray() == [3, 7, 0, 8, 6, 9])
    }

    @Test func drawingInPlaceEndsTheHistory() {
        let x = leaf([1, 2, 3, 4])
        for draw: (Tensor) -> Void in [
            { $0.normalInPlace(generator: Generator(seed: 1)) }, { $0.uniformInPlace(generator: Generator(seed: 1)) },
            { $0.bernoulliInPlace(generator: Generator(seed: 1)) },
        ] {
            x.grad = nil
            let y = x * 2
            draw(y[..<2])
            (y * y).sum().backward()
            #expect(x.grad!.toArray(Double.self) == [0, 0, 24, 32])
        }
    }

    // MARK: outputs that are computed again

    private func gated() -> (gate: Tensor, up: Tensor, w: Tensor) {
        let generator = Generator(seed: 1)
        func numbers(_ shape: [Int]) -> Tensor { Tensor.randn(shape, dtype: .float64, generator: generator) }
        return (numbers([3, 8]).requiringGrad(), numbers([3, 8]).requiringGrad(), numbers([5, 8]).requiringGrad())
    }

    @Test func unrecordedWritesToAGatedOutputCount() {
        let (gate, up, w) = gated()
        for write in [
            { (h: Tensor) in noGrad { _ = h.mulInPlace(2) } },
            { h in noGrad { _ = h.narrow(1, start: 0, length: 3).fillInPlace(0) } },
            { h in h.detach().withUnsafeMutableElements(of: Double.self) { $0[1] = 7 } },
        ] {
            let h = gate.swiglu(up)
            write(h)
            let found = grad(of: h.linear(w).sum(), wrt: w)
            #expect(found.allClose(h.detach().sum(dim: 0).expand([5, 8]), rtol: 1e-12))
        }
    }

    @Test func aGatedOutputOutlivesItsNode() {
        let (gate, up, w) = gated()
        let h = gate.swiglu(up)
        let (a, b) = (h.linear(w).sum(), (h.linear(w) * 2).sum())
        a.backward()
        #expect(grad(of: b, wrt: w).allClose(w.grad! * 2, rtol: 1e-12))
    }

    @Test func operandsThatNoGradientNeedsMayChange() {
        let generator = Generator(seed: 1)
        let x = Tensor.randn([3, 4], generator: generator)
        let w = Tensor.randn([5, 4], generator: generator).requiringGrad()
        let y = x.linear(w)
        noGrad { _ = w.clampInPlace(min: -0.01, max: 0.01) }
        y.sum().backward()
        #expect(w.grad!.allClose(x.sum(dim: 0).expand([5, 4])))
        let v = Tensor.randn([4, 2], generator: generator).requiringGrad()
        let z = x.matmul(v)
        noGrad { _ = v.zeroInPlace() }
        z.sum().backward()
        #expect(v.grad!.allClose(x.sum(dim: 0).unsqueeze(1).expand([4, 2])))
    }
}
