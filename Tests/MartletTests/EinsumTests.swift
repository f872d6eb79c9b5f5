import Martlet
import Testing

struct EinsumTests {
    @Test func sizesOfOneBroadcast() {
        let a = Tensor([[1.0, 2, 3]])
        let b = Tensor([[1.0, 2, 3], [4, 5, 6]])
        #expect(Tensor.einsum("ij,ij->ij", a, b).toArray() == [1, 4, 9, 4, 10, 18])
        #expect(Tensor.einsum("ij,ij->i", a, b).toArray() == [14, 32])
        #expect(Tensor.einsum("ij,ij->j", a, b).toArray() == [5, 14, 27])
        #expect(Tensor.einsum("ij,ij->", a, b).item() == 46)
        #expect(Tensor.einsum("ij,ij->ij", a, a).shape == [1, 3])
        #expect(Tensor.einsum("ij,kj->ik", a, a).shape == [1, 1])
        #expect(Tensor.einsum("ii->i", Tensor([[7.0]])).toArray() == [7])
    }

    @Test func typesAndEmptyTensors() {
        let a = Tensor([[1, 2], [3, 4]])
        let product = Tensor.einsum("ij,jk", a, a)
        #expect(product.dtype == .int64 && product.toArray(Int.self) == [7, 10, 15, 22])
        let narrow = a.to(.int32)
        #expect(Tensor.einsum("ij->j", narrow).dtype == .int32)
        #expect(Tensor.einsum("ij,j->i", narrow, Tensor([0.5, 1])).toArray() == [2.5, 5.5])
        #expect(
            Tensor.einsum("ij,jk->ik", Tensor.zeros([2, 0]), Tensor.zeros([0, 3])).toArray() == [0, 0, 0, 0, 0, 0])
        #expect(Tensor.einsum("bij,bjk->bik", Tensor.zeros([2, 0, 3]), Tensor.zeros([2, 3, 4])).shape == [2, 0, 4])
        #expect(Tensor.einsum(",", Tensor(2.0), Tensor(3.0)).item() == 6)
        #expect(Tensor.einsum(" i j -> j i ", Tensor([[1.0, 2]])).shape == [2, 1])
    }

    @Test func ellipsesMayBeSummedAndBroadcast() {
        let x = Tensor.arange(12).reshape([2, 3, 2]).float()
        #expect(Tensor.einsum("...i->i", x).toArray() == [30, 36])
        #expect(Tensor.einsum("i...->...", x).toArray() == [6, 8, 10, 12, 14, 16])
        #expect(Tensor.einsum("...,...->...", x, Tensor([1.0, 10])).shape == [2, 3, 2])
        #expect(Tensor.einsum("...ij,jk", x, Tensor.ones([2, 4])).shape == [2, 3, 4])
        #expect(Tensor.einsum("a...b,b->a...", x, Tensor([1.0, 1])).toArray() == [1, 5, 9, 13, 17, 21])
    }

    @Test func manyOperandsAndDimensions() {
        let sizes = [2, 3, 2, 3, 2, 3]
        let a = Tensor.arange(216).reshape(sizes).double()
        let b = Tensor.arange(216).reshape(sizes).double()
        let all = Tensor.einsum("abcdef,abcdef->", a, b).item()
        #expect(all == (0..<216).reduce(0.0) { $0 + Double($1 * $1) })
        let chain = Tensor.einsum("ab,bc,cd,de->ae", Array(repeating: Tensor([[1.0, 1], [0, 1]]), count: 4))
        #expect(chain.toArray() == [1, 4, 0, 1])
    }

    @Test func gradientsFlow() {
        let a = Tensor([[1.0, 2], [3, 4]]).requiringGrad()
        let b = Tensor([1.0, 10]).requiringGrad()
        Tensor.einsum("ii,i->", a, b).backward()
        #expect(a.grad!.toArray() == [1, 0, 0, 10])
        #expect(b.grad!.toArray() == [1, 4])
    }

    @Test func mistakesAreNamed() async {
        func expectTrap(_ message: String, _ result: ExitTest.Result?) {
            let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
            #expect(text.contains("[einsum] \(message)"), "\(text.prefix(300))")
        }
        expectTrap(
            "\"ij,jk\": label j is 3 in operand 0, [2, 3], and 4 in operand 1, [4, 5]",
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Tensor.einsum("ij,jk", Tensor.zeros([2, 3]), Tensor.zeros([4, 5]))
            })
        expectTrap(
            "\"ij\": it has 1 operands, 2 were given",
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Tensor.einsum("ij", Tensor.zeros([2, 3]), Tensor.zeros([4, 5]))
            })
        expectTrap(
            "\"ij->ijj\": the output has the label j twice",
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Tensor.einsum("ij->ijj", Tensor.zeros([2, 3]))
            })
        expectTrap(
            "\"ij->k\": the output's label k is in no operand",
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Tensor.einsum("ij->k", Tensor.zeros([2, 3]))
            })
        expectTrap(
            "\"ijk\": operand 0 has 3 labels, but the shape [2, 3]",
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Tensor.einsum("ijk", Tensor.zeros([2, 3]))
            })
        expectTrap(
            "\"i1\": labels are letters, found '1'",
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Tensor.einsum("i1", Tensor.zeros([2, 3]))
            })
        expectTrap(
            "\"ii\": label i is both 2 and 3 in operand 0, [2, 3]",
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Tensor.einsum("ii", Tensor.zeros([2, 3]))
            })
    }
}
