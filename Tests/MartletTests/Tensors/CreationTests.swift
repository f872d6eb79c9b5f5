import Martlet
import Testing

@Suite struct CreationTests {
    @Test func fromSwiftValues() {
        #expect(Tensor([1.0, 2]).dtype == .float32)
        #expect(Tensor([1, 2]).dtype == .int64)
        #expect(Tensor([Float(1), 2]).dtype == .float32)
        #expect(Tensor([true, false]).dtype == .bool)
        #expect(Tensor([UInt8(200)]).toArray(Int.self) == [200])
        #expect(Tensor([[1, 2, 3], [4, 5, 6]]).shape == [2, 3])
        #expect(Tensor([1.5, 2], dtype: .float64).toArray(Double.self) == [1.5, 2])
        #expect(Tensor(2.5).item() == 2.5 && Tensor(7).item(Int.self) == 7)
        #expect(Tensor([1.0, 2, 3, 4], shape: [2, 2]).shape == [2, 2])
        #expect(Tensor([Double](), shape: [0, 3]).shape == [0, 3])
        #expect(Tensor([BFloat16(1.5)]).item() == 1.5)
        #expect(Tensor([Float16(0.1)]).item() == Double(Float16(0.1)))
    }

    @Test func ranges() {
        #expect(Tensor.arange(4).toArray(Int.self) == [0, 1, 2, 3])
        #expect(Tensor.arange(2, 9, step: 3).toArray(Int.self) == [2, 5, 8])
        #expect(Tensor.arange(5, 0, step: -2).toArray(Int.self) == [5, 3, 1])
        #expect(Tensor.arange(3, 3).count == 0 && Tensor.arange(3, 1).count == 0)
        #expect(Tensor.arange(0.0, 1, step: 0.25).toArray() == [0, 0.25, 0.5, 0.75])
        #expect(Tensor.arange(1 << 60, (1 << 60) + 3).toArray(Int.self) == [1 << 60, (1 << 60) + 1, (1 << 60) + 2])
        #expect(Tensor.linspace(0, 1, 5).toArray() == [0, 0.25, 0.5, 0.75, 1])
        #expect(Tensor.linspace(3, 3, 1).toArray() == [3])
    }

    @Test func filled() {
        #expect(Tensor.zeros([2, 2]).toArray() == [0, 0, 0, 0])
        #expect(Tensor.ones([2], dtype: .int8).toArray(Int.self) == [1, 1])
        #expect(Tensor.full([2], 7.5, dtype: .float64).toArray(Double.self) == [7.5, 7.5])
        #expect(Tensor.eye(2, 3).toArray() == [1, 0, 0, 0, 1, 0])
        let like = Tensor.ones(like: Tensor.zeros([2, 1], dtype: .int16))
        #expect(like.shape == [2, 1] && like.dtype == .int16)
        #expect(Tensor([2, 0]).oneHot(3).toArray(Int.self) == [0, 0, 1, 1, 0, 0])
    }

    @Test func conversions() {
        let x = Tensor([-1.7, 0, 0.5, 300], dtype: .float64)
        #expect(x.to(.int64).toArray(Int.self) == [-1, 0, 0, 300])
        #expect(x.to(.bool).toArray(Bool.self) == [true, false, true, true])
        #expect(x.to(.float32).to(.float64).allClose(x, rtol: 1e-7))
        #expect(x.to(.float64) === x)
        #expect(Tensor([1, 0, 2]).bool().toArray(Bool.self) == [true, false, true])
        #expect(Tensor([300, -1]).to(.uint8).toArray(Int.self) == [44, 255])
        // Rounds to nearest, ties to even.
        #expect(Tensor([1.00390625, 1.01171875]).to(.bfloat16).toArray() == [1, 1.015625])
        #expect(Tensor([65520.0, 65519]).to(.float16).toArray() == [.infinity, 65504])
        #expect(Tensor([5.9604645e-08, 2.9e-08]).to(.float16).toArray() == [5.9604645e-08, 0])
        for type in DType.allCases {
            let y = Tensor([1, 0, 3]).to(type)
            #expect(y.dtype == type)
            #expect(y.toArray(Double.self) == (type == .bool ? [1, 0, 1] : [1, 0, 3]))
            #expect(y.T.to(.float32).dtype == .float32)
        }
    }

    @Test func items() {
        for type in DType.allCases { #expect(Tensor.ones([1, 1], dtype: type).item() == 1) }
        #expect(Tensor([3, 1 << 62])[1].item(Int.self) == 1 << 62)
        #expect(Tensor([1.0, 2]).T[1].item(Float.self) == 2)
        var seen: [Float] = []
        Tensor([[1.0, 2], [3, 4]]).T.withUnsafeElements(of: Float.self) { seen = Array($0) }
        #expect(seen == [1, 3, 2, 4])
        let x = Tensor.zeros([2])
        x.withUnsafeMutableElements(of: Float.self) { $0[1] = 5 }
        #expect(x.toArray() == [0, 5] && x.version == 1)
    }

    @Test func comparing() {
        let x = Tensor([1.0, 2, .nan])
        #expect(!x.equal(x.clone()) && x.allClose(x, equalNaN: true) && !x.allClose(x))
        #expect(Tensor([1.0]).equal(Tensor([1.0])) && !Tensor([1.0]).equal(Tensor([1])))
        #expect(!Tensor([1.0, 1]).equal(Tensor([1.0])))
        #expect(Tensor([1.0, 2]).allClose(Tensor([1.000001, 2]), rtol: 1e-5))
        #expect(!Tensor([1.0, 2]).allClose(Tensor([1.001, 2])))
        #expect(Tensor([1.0, .infinity]).allClose(Tensor([1.0, .infinity])))
        #expect(Tensor([1.0, 2]).isClose(Tensor([1.0, 2.1])).toArray(Bool.self) == [true, false])
        // Whole numbers with fractions.
        #expect((Tensor([1, 2, 3]) .> 1.5).toArray(Bool.self) == [false, true, true])
        #expect((Tensor([1, 2]) .== Tensor([1.0, 2.5])).toArray(Bool.self) == [true, false])
        #expect((Tensor([true, false]) .== 1).toArray(Bool.self) == [true, false])
    }

    @Test func uniqueAndNonzero() {
        #expect(Tensor([3, 1, 3, 2, 1]).unique().toArray(Int.self) == [1, 2, 3])
        #expect(Tensor([[0, 1], [2, 0]]).nonzero().toArray(Int.self) == [0, 1, 1, 0])
    }

    @Test func bfloat16Values() {
        #expect(BFloat16(1.00390625).float == 1)
        #expect(BFloat16(Float.nan).float.isNaN && BFloat16(Float.infinity).float == .infinity)
        #expect(BFloat16(Float.greatestFiniteMagnitude).float == .infinity)
    }
}
