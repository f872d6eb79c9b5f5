import Martlet
import Testing

@Suite struct HookTests {
    @Test func tensorHooksReplaceGradients() {
        let x = Tensor([1.0, 2]).requiringGrad()
        let y = x * 2
        var seen: [Float] = []
        let handle = y.registerHook { g in
            seen = g.toArray()
            return g * 10
        }
        (y * 3).sum().backward()
        #expect(seen == [3, 3])
        #expect(x.grad!.toArray() == [60, 60])
        handle.remove()
        handle.remove()
    }

    @Test func hooksRunInOrderAndCanBeRemoved() {
        let x = Tensor([1.0]).requiringGrad()
        var order: [Int] = []
        let first = x.registerHook { _ in
            order.append(1)
            return nil
        }
        x.registerHook {
            order.append(2)
            return $0 + 1
        }
        x.sum().backward()
        #expect(order == [1, 2])
        #expect(x.grad!.toArray() == [2])
        first.remove()
        x.sum().backward()
        #expect(order == [1, 2, 2])
        let y = x * 1
        let handle = y.registerHook { _ in Tensor([100.0]) }
        handle.remove()
        x.grad = nil
        y.sum().backward()
        #expect(x.grad!.toArray() == [2])
    }

    @Test func leafHooksSeeTheWholeGradient() {
        let x = Tensor([1.0]).requiringGrad()
        var calls: [Float] = []
        x.registerHook {
            calls += $0.toArray()
            return nil
        }
        (x * 2 + x * 3 + x).sum().backward()
        #expect(calls == [6])
    }

    @Test func afterAccumulateHooksMayStep() {
        let x = Tensor([1.0, 2]).requiringGrad()
        let handle = x.registerAfterAccumulateHook { leaf in
            noGrad { leaf.addInPlace(leaf.grad!, alpha: -0.5) }
            leaf.grad = nil
        }
        (x * 2).sum().backward()
        #expect(x.toArray() == [0, 1])
        #expect(x.grad == nil)
        handle.remove()
        (x * 2).sum().backward()
        #expect(x.grad!.toArray() == [2, 2])
    }

    @Test func retainGrad() {
        let x = Tensor([1.0, 2]).requiringGrad()
        let y = x * 3
        let z = y * y
        #expect(y.grad == nil)
        y.retainGrad()
        y.retainGrad()
        z.sum().backward()
        #expect(y.grad!.toArray() == [6, 12])
        #expect(x.grad!.toArray() == [18, 36])
        #expect(z.grad == nil)
    }

    @Test func retainGradFollowsWritesInPlace() {
        let x = Tensor([1.0, 2]).requiringGrad()
        let y = x * 3
        y.retainGrad()
        y *= 2.0
        (y * 5).sum().backward()
        #expect(y.grad!.toArray() == [5, 5])
        #expect(x.grad!.toArray() == [30, 30])
    }

    @Test func savedTensorHooks() {
        let x = Tensor([1.0, 2], dtype: .float64).requiringGrad()
        final class Count: @unchecked Sendable {
            var packed = 0
            var unpacked = 0
        }
        let count = Count()
        let y = SavedTensorHooks.with(
            pack: { t in
                count.packed += 1
                return t.toArray(Double.self)
            },
            unpack: { values in
                count.unpacked += 1
                return Tensor(values as! [Double], dtype: .float64)
            },
            { (x.exp() * x.sin()).sum() })
        #expect(count.packed == 3)  // exp's output, both factors; the leaf itself is not packed
        let g = grad(of: y, wrt: x, createGraph: true)
        #expect(count.unpacked >= 3)
        let expected = noGrad { x.exp() * (x.sin() + x.cos()) }
        #expect(g.allClose(expected, rtol: 1e-12))
        // The history of what was packed goes on.
        let gg = grad(of: g.sum(), wrt: x)
        #expect(gg.allClose(noGrad { x.exp() * x.cos() * 2 }, rtol: 1e-12))
    }
}
