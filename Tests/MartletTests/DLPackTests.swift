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

    /// Windows of a sequence as other libraries make them: rows overlap, so both strides of a matrix may be 1.
    @Test(arguments: [DType.float64, .float32, .bfloat16]) func productsOfOverlappingRows(_ dtype: DType) throws {
        for step in [1, 2] {
            let numbers = Tensor.randn([1, 800], dtype: .float64, generator: Generator(seed: 1)).to(dtype)
            let managed = numbers.toDLPack()
            // DLTensor's fields `shape` and `strides`.
            let shape = managed.load(fromByteOffset: 24, as: UnsafeMutablePointer<Int64>.self)
            let strides = managed.load(fromByteOffset: 32, as: UnsafeMutablePointer<Int64>.self)
            (shape[0], shape[1], strides[0], strides[1]) = (200, 300, Int64(step), 1)
            let windows = try Tensor.fromDLPack(managed)
            #expect(windows.shape == [200, 300] && windows[3].equal(numbers[0, (3 * step)..<(3 * step + 300)]))
            let copy = windows.clone()
            let right = Tensor.randn([300, 64], dtype: .float64, generator: Generator(seed: 2)).to(dtype)
            let left = Tensor.randn([64, 200], dtype: .float64, generator: Generator(seed: 3)).to(dtype)
            #expect(windows.matmul(right).equal(copy.matmul(right)), "step \(step)")
            #expect(left.matmul(windows).equal(left.matmul(copy)), "step \(step)")
            #expect(right.T.matmul(windows.T).equal(right.T.matmul(copy.T)), "step \(step)")
        }
    }
}
