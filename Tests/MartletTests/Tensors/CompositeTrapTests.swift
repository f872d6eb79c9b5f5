import Martlet
import Testing

/// Mistakes in calls of the composed ops.
@Suite struct CompositeTrapTests {
    @Test func products() async {
        let mv = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).mv(Tensor.zeros([3, 1]))
        }
        expectMessage(mv, "[mv]", "[2, 3] x [3, 1]")
        let addmm = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([3, 3]).addmm(Tensor.zeros([2, 4]), Tensor.zeros([4, 3]))
        }
        expectMessage(addmm, "[addmm]", "[3, 3]", "[2, 3]")
        let fraction = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor([[1, 2], [3, 4]])
            _ = x.addmm(x, x, alpha: 0.5)
        }
        expectMessage(fraction, "[addmm]", "int64", "0.5")
        let tensordot = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).tensordot(Tensor.zeros([2, 3]), dims: ([1], [0]))
        }
        expectMessage(tensordot, "[tensordot]", "[2, 3] x [2, 3]", "3 != 2")
        let cross = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 4]).cross(Tensor.zeros([2, 4]))
        }
        expectMessage(cross, "[cross]", "size 3", "[2, 4]")
        let cdist = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).cdist(Tensor.zeros([2, 4]))
        }
        expectMessage(cdist, "[cdist]", "one length", "[2, 3] x [2, 4]")
    }

    @Test func statistics() async {
        let quantile = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([3]).quantile(1.5)
        }
        expectMessage(quantile, "[quantile]", "0...1", "1.5")
        let kth = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).kthValue(4)
        }
        expectMessage(kth, "[kthValue]", "k = 4", "1...3")
        let bincount = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor([1, -2]).bincount()
        }
        expectMessage(bincount, "[bincount]", "-2")
        let histc = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor([1.0, .infinity]).histc()
        }
        expectMessage(histc, "[histc]", "not finite")
        let sorted = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).searchsorted(Tensor.zeros([3, 1]))
        }
        expectMessage(sorted, "[searchsorted]", "[2, 3] x [3, 1]")
    }

    @Test func layersAndLosses() async {
        let glu = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).glu()
        }
        expectMessage(glu, "[glu]", "[2, 3]", "odd")
        let prelu = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).prelu(Tensor.zeros([2]))
        }
        expectMessage(prelu, "[prelu]", "of 3", "[2, 3] x [2]")
        let groups = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3, 4]).groupNorm(2)
        }
        expectMessage(groups, "[groupNorm]", "2 groups", "[2, 3, 4]")
        let variance = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2]).gaussianNLLLoss(Tensor.zeros([2]), variance: Tensor([1.0, -1]))
        }
        expectMessage(variance, "[gaussianNLLLoss]", "negative")
    }

    @Test func writesThatDoNotFit() async {
        let root = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            Tensor([1, 2]).sqrtInPlace()
        }
        expectMessage(root, "[sqrtInPlace]", "float32", "int64")
        let lerp = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            Tensor.zeros([3]).lerpInPlace(Tensor.zeros([2, 3]), 0.5)
        }
        expectMessage(lerp, "[lerpInPlace]", "[2, 3]", "[3]")
        let normal = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            Tensor([1, 2]).normalInPlace()
        }
        expectMessage(normal, "[normalInPlace]", "floating-point", "int64")
    }

    @Test func nestedArrays() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3, 4]).toArray2D()
        }
        expectMessage(result, "[toArray2D]", "[2, 3, 4]")
        let ragged = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor([[[1, 2], [3]]])
        }
        expectMessage(ragged, "[Tensor]", "row 1 of matrix 0 has 1 elements", "has 2")
    }
}
