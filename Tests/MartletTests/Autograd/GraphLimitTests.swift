import Foundation
import Martlet
import Testing

/// Runs `body` on a thread with a stack of 512 KiB.
func onSmallStack(_ body: @escaping @Sendable () -> Void) {
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
        body()
        done.signal()
    }
    thread.stackSize = 512 << 10
    thread.start()
    done.wait()
}

/// Deep graphs use no deep stack, neither for the backward pass nor for being freed. Each test has a process of its own:
/// an overflow would end all the others.
@Suite struct GraphLimitTests {
    @Test func chainsOf100000Operations() async {
        await #expect(processExitsWith: .success) {
            onSmallStack {
                let x = Tensor([1.0, 2]).requiringGrad()
                var y = x
                for i in 0..<100_000 { y = i % 2 == 0 ? y + 1 : y * 1 }
                y.sum().backward()
                #expect(x.grad!.toArray() == [1, 1])
                // Freed without a backward pass, with saved tensors that have histories.
                var z = x
                for _ in 0..<100_000 { z = z * x }
                z = x
            }
        }
    }

    @Test func chainsOfWritesAndSeveralOutputs() async {
        await #expect(processExitsWith: .success) {
            onSmallStack {
                let x = Tensor([1.0, 2]).requiringGrad()
                let y = x * 1
                for _ in 0..<20_000 {
                    y += x
                    y[0] += 1.0
                }
                y.sum().backward()
                #expect(x.grad!.toArray() == [20_001, 20_001])
                let dropped = x * 1
                for _ in 0..<20_000 { dropped[1] *= x[0] }

                final class Two: CustomFunction {
                    override func forward(_ x: [Tensor]) -> [Tensor] { [x[0] + x[1], x[1] * 1] }
                    override func backward(_ g: [Tensor]) -> [Tensor?] { [g[0], g[0] + g[1]] }
                }
                x.grad = nil
                var pair = [x, Tensor([0.0, 0])]
                for _ in 0..<20_000 { pair = Two().apply(pair) }
                pair[0].sum().backward()
                #expect(x.grad!.toArray() == [1, 1])
                pair = [x, x]
                for _ in 0..<20_000 { pair = Two().apply(pair) }
            }
        }
    }

    @Test func deepGraphsOfDerivatives() async {
        await #expect(processExitsWith: .success) {
            onSmallStack {
                let x = Tensor(1.0, dtype: .float64).requiringGrad()
                var y = x
                for _ in 0..<5_000 { y = y * x }
                let first = grad(of: y, wrt: x, createGraph: true)
                #expect(first.item() == 5001)
                #expect(grad(of: first, wrt: x).item() == 5001 * 5000)
            }
        }
    }

    @Test func graphsAreFreedByTheThreadThatLetsGo() async {
        await #expect(processExitsWith: .success) {
            let x = Tensor([1.0]).requiringGrad()
            var y: Tensor? = x
            for _ in 0..<50_000 { y = y! * x }
            let box = Box(y)
            y = nil
            onSmallStack { box.value = nil }
        }
    }
}

final class Box<T>: @unchecked Sendable {
    var value: T
    init(_ value: T) { self.value = value }
}
