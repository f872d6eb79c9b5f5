import Martlet
import Testing

struct DLPackTests {
    @Test(arguments: DType.allCases)
    func roundTripSharesMemory(_ dtype: DType) throws {
        let source = Tensor([0, 1, 1, 0, 1, 0], shape: [2, 3], dtype: .float64).to(dtype)
        let turned = try Tensor.fromDLPack(source.T.toDLPack())
        #expect(turned.shape == [3, 2] && turned.strides == [1, 3] && turned.dtype == dtype)
        #expect(turned.toArray(Double.self) == [0, 0, 1, 1, 1, 0])
        #expect(turned.dataPointer == source.dataPointer)
        source.fillInPlace(1)
        #expect(turned.toArray(Double.self) == [1, 1, 1, 1, 1, 1])
    }

    @Test func memoryLivesAsLongAsItsLastUser() throws {
        var source: Tensor? = Tensor.full([1000], 3)
        let taken = try Tensor.fromDLPack(source!.toDLPack())
        source = nil
        let other = Tensor.full([1000], 4)
        #expect(taken.sum().item() == 3000)
        #expect(other.sum().item() == 4000)
        #expect(try Tensor.fromDLPack(Tensor(2.5).toDLPack()).item() == 2.5)
        #expect(try Tensor.fromDLPack(Tensor.zeros([0, 3]).toDLPack()).shape == [0, 3])
        #expect(try Tensor.fromDLPack(Tensor([1.0, 2, 3]).flip([0]).toDLPack()).toArray() == [3, 2, 1])
    }
}
