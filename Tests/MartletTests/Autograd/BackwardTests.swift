import Foundation
import Martlet
import Testing

@Suite struct BackwardTests {
    @Test func gradientsOfLeavesAddUp() {
        let x = Tensor([1.0, 2, 3]).requiringGrad()
        (x * x).sum().backward()
        #expect(x.grad!.toArray() == [2, 4, 6])
        (x * 3).sum().backward()
        #expect(x.grad!.toArray() == [5, 7, 9])
        x.grad = nil
        x.sum().backward()
        #expect(x.grad!.toArray() == [1, 1, 1])
    }

    @Test func oneLeafUsedManyTimes() {
        let x = Tensor(3.0).requiringGrad()
        let y = x * x + x
        (y * y + y * x).backward()
        // y = x² + x; d(y² + x y)/dx = 2 y y' + y + x y'
        #expect(x.grad!.item() == 201)
    }

    @Test func gradientsTakeTheTypeOfTheirLeaf() {
        let x = Tensor([1.0, 2], dtype: .bfloat16).requiringGrad()
        (x.to(.float32) * Tensor([0.5, 4])).sum().backward()
        #expect(x.grad!.dtype == .bfloat16)
        #expect(x.grad!.toArray() == [0.5, 4])
    }

    @Test func upstreamGradient() {
        let x = Tensor([1.0, 2]).requiringGrad()
        (x * x).backward(gradient: Tensor([10.0, 1]))
        #expect(x.grad!.toArray() == [20, 4])
    }

    @Test func severalRoots() {
        let x = Tensor([1.0, 2]).requiringGrad()
        let y = x * 2
        backward([y.sum(), (y * y).sum(), x.sum()])
        #expect(x.grad!.toArray() == [11, 19])
    }

    @Test func aLeafIsItsOwnRoot() {
        let x = Tensor(2.0).requiringGrad()
        x.backward()
        #expect(x.grad!.item() == 1)
    }

    @Test func retainedGraphsRunAgain() {
        let x = Tensor([1.0, 2]).requiringGrad()
        let y = (x.exp() * x).sum()
        y.backward(retainGraph: true)
        let first = x.grad!.clone()
        y.backward()
        #expect(x.grad!.allClose(first * 2))
    }

    @Test func secondPassIsRefused() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor([1.0, 2]).requiringGrad()
            let y = (x * x).sum()
            y.backward()
            y.backward()
        }
        expectMessage(result, "[backward]", "already freed", "retainGraph: true")
    }

    @Test func gradLeavesNothingBehind() {
        let x = Tensor([1.0, 2]).requiringGrad()
        let w = Tensor([3.0, 5]).requiringGrad()
        let g = grad(of: (x * w).sum(), wrt: x)
        #expect(g.toArray() == [3, 5])
        #expect(x.grad == nil && w.grad == nil)
    }

    @Test func gradOfInnerTensors() {
        let x = Tensor([1.0, 2]).requiringGrad()
        let h = x * 3
        let y = (h * h).sum()
        let found = grad(of: y, wrt: [h, x])
        #expect(found[0].toArray() == [6, 12])
        #expect(found[1].toArray() == [18, 36])
        let unused = Tensor(1.0).requiringGrad()
        #expect(gradIfUsed(of: [(x * 1).sum()], wrt: [unused])[0] == nil)
        #expect(grad(of: (x * 1).sum(), wrt: unused).item() == 0)
    }

    @Test func detachAndNoGradStopGradients() {
        let x = Tensor([1.0, 2]).requiringGrad()
        let y = x * 2
        let d = y.detach()
        #expect(!d.requiresGrad && d.sharesStorage(with: y))
        (d * x).sum().backward()
        #expect(x.grad!.toArray() == [2, 4])
        let z = noGrad { x * 2 }
        #expect(!z.requiresGrad && z.isLeaf)
        #expect((x * 2).requiresGrad)
    }

    @Test func gradModesNest() {
        #expect(isGradEnabled)
        noGrad {
            #expect(!isGradEnabled)
            withGrad {
                #expect(isGradEnabled)
                noGrad { #expect(!isGradEnabled) }
                #expect(isGradEnabled)
            }
            noGrad {}
            #expect(!isGradEnabled)
        }
        #expect(isGradEnabled)
        struct Failure: Error {}
        try? noGrad { throw Failure() }
        #expect(isGradEnabled)
    }

    @Test func integersHaveNoGradients() async {
        let x = Tensor([1.0, 2]).requiringGrad()
        #expect(!(x.argmax()).requiresGrad)
        #expect(!(x .> 1).requiresGrad)
        #expect(!x.to(.int64).requiresGrad)
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            Tensor([1, 2]).requiresGrad = true
        }
        expectMessage(result, "[requiresGrad]", "floating-point", "int64")
    }

    @Test func severalOutputsOfOneOperation() {
        final class Two: CustomFunction {
            override func forward(_ x: [Tensor]) -> [Tensor] { [x[0] * 2, x[0] * 3] }
            override func backward(_ g: [Tensor]) -> [Tensor?] { [g[0] * 2 + g[1] * 3] }
        }
        let x = Tensor([1.0, 2]).requiringGrad()
        let outputs = Two().apply([x])
        // Only the second output is used.
        (outputs[1] * 5).sum().backward()
        #expect(x.grad!.toArray() == [15, 15])
        x.grad = nil
        let again = Two().apply([x])
        again[0].registerHook { $0 * 100 }
        again[1].retainGrad()
        (again[1] * 7).sum().backward()
        #expect(x.grad!.toArray() == [21, 21])
        #expect(again[1].grad!.toArray() == [7, 7])
    }

    @Test func passesInsidePasses() {
        // A function whose derivative is itself computed by differentiation, of a graph that the outer pass is in.
        final class Inner: CustomFunction {
            override func forward(_ x: [Tensor]) -> [Tensor] {
                save(x[0])
                return [x[0].exp()]
            }
            override func backward(_ g: [Tensor]) -> [Tensor?] {
                let x = saved[0]
                return [withGrad { grad(of: x.exp(), wrt: x, gradient: g[0]) }]
            }
        }
        let x = Tensor([0.5, 1.5], dtype: .float64).requiringGrad()
        let h = x.square()
        let y = Inner().apply([h])[0] + h * 2
        y.sum().backward()
        let expected = noGrad { (x.square().exp() + 2) * x * 2 }
        #expect(x.grad!.allClose(expected, rtol: 1e-12))
        // A hook that starts a pass of its own.
        let w = Tensor(2.0).requiringGrad()
        x.grad = nil
        let z = x.square()
        z.registerHook { _ in
            withGrad { (w * w).backward() }
            return nil
        }
        (z * z).sum().backward()
        #expect(w.grad!.item() == 4)
        #expect(x.grad!.allClose(noGrad { x * x * x * 4 }, rtol: 1e-12))
    }

    @Test func threadsShareLeaves() {
        let w = Tensor([1.0, 2, 3], dtype: .float64).requiringGrad()
        // Whole numbers: sums are exact in any order.
        DispatchQueue.concurrentPerform(iterations: 16) { i in
            for _ in 0..<50 {
                let x = w * Double(i)
                (x * 2 + w).sum().backward()
                #expect(grad(of: (w * w).sum(), wrt: w).toArray(Double.self) == [2, 4, 6])
            }
        }
        let total = 50 * (0..<16).reduce(0) { $0 + 2 * $1 + 1 }
        #expect(w.grad!.toArray(Double.self) == [Double](repeating: Double(total), count: 3))
    }

    @Test func recordingIsByThread() {
        noGrad {
            let done = DispatchSemaphore(value: 0)
            Thread {
                #expect(isGradEnabled)
                done.signal()
            }.start()
            done.wait()
        }
    }

    @Test func parametersKeepTheirGradientsThroughSetData() {
        let p = Parameter(Tensor([1.0, 2]))
        (p * p).sum().backward()
        p.setData(Tensor([5.0, 6]))
        #expect(p.grad!.toArray() == [2, 4])
        p.setData(Tensor([5.0, 6], dtype: .bfloat16))
        #expect(p.grad == nil)
        (p.to(.float32) * 2).sum().backward()
        #expect(p.grad!.dtype == .bfloat16)
    }
}
