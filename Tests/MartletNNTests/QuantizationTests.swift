import Martlet
import MartletNN
import Testing

@Suite struct QuantizationTests {
    @Test func rowsAreWithinHalfAStep() {
        for dtype in [DType.float64, .float32, .bfloat16] {
            let weight = Tensor.randn([37, 53], dtype: .float64, generator: Generator(seed: 1)).to(dtype)
            let (values, scale) = weight.quantizedRows()
            #expect(values.dtype == .int8 && scale.dtype == dtype && scale.shape == [37])
            let wide = weight.to(.float64)
            let error = (wide - values.to(.float64) * scale.to(.float64).unsqueeze(1)).abs()
            let step = scale.to(.float64).unsqueeze(1)
            // A factor rounded down in half precision may clip the largest by up to 127 * 2^-9 of a step more.
            #expect((error / step).max().item() <= (dtype == .bfloat16 ? 0.76 : 0.5 + 1e-6))
            #expect(values.to(.float64).abs().max().item() == 127)
        }
    }

    @Test func aRowOfZerosStaysZero() {
        let (values, scale) = Tensor.zeros([2, 3]).quantizedRows()
        let wide = Tensor.dequantizedRows(Tensor([[3, -2], [5, 0]]).to(.int8), Tensor([0.5, 2.0]))
        #expect(wide.dtype == .float32 && wide.toArray() == [1.5, -1, 10, 0])
        #expect(values.toArray(Int.self).allSatisfy { $0 == 0 })
        #expect(scale.isFinite().all().item() == 1)
    }

    /// Rows few and many, widths that are no multiple of a register, halves and singles.
    @Test(arguments: [1, 2, 3, 4, 5, 8, 9, 33, 200], [DType.float32, .bfloat16, .float16])
    func productsEqualThoseOfWidenedWeights(rows: Int, dtype: DType) {
        for (outputs, inputs) in [(1, 1), (7, 33), (64, 64), (130, 257), (600, 512)] {
            let x = Tensor.randn([rows, inputs], generator: Generator(seed: 2)).to(dtype)
            let (values, scale) = Tensor.randn([outputs, inputs], generator: Generator(seed: 3)).to(dtype)
                .quantizedRows()
            let expected = x.to(.float64).matmul(
                (values.to(.float64) * scale.to(.float64).unsqueeze(1)).transpose(0, 1))
            let found = x.linear(int8: values, scale: scale).to(.float64)
            let error = (found - expected).abs().max().item() / (1e-9 + expected.abs().max().item())
            #expect(error < (dtype == .float32 ? 3e-6 : dtype == .float16 ? 1e-3 : 8e-3), "\(outputs) x \(inputs)")
        }
    }

    @Test func theInputHasAGradient() {
        let x = Tensor.randn([3, 8], dtype: .float64, generator: Generator(seed: 4)).requiringGrad()
        let (values, scale) = Tensor.randn([5, 8], dtype: .float64, generator: Generator(seed: 5)).quantizedRows()
        x.linear(int8: values, scale: scale).sum().backward()
        let expected = (values.to(.float64) * scale.unsqueeze(1)).sum(dim: 0).expand([3, 8])
        #expect(x.grad!.allClose(expected, rtol: 1e-12))
        let y = Tensor.randn([3, 8], generator: Generator(seed: 4)).requiringGrad()
        y.linear(int8: values, scale: scale.to(.float32)).sum().backward()
        #expect(y.grad!.allClose(expected.to(.float32), rtol: 1e-5, atol: 1e-6))
    }

    @Test func modulesComputeWithInt8AndKeepTheirType() throws {
        let model = Sequential(Linear(16, 32, generator: Generator(seed: 6)), ReLU(), Linear(32, 4))
        let x = Tensor.randn([5, 16], generator: Generator(seed: 7))
        let before = noGrad { model(x) }
        let bytes = model.parameters.reduce(0) { $0 + $1.byteCount }
        model.quantizeWeights()
        #expect(model.hasQuantizedWeights)
        #expect(model.parameters.reduce(0) { $0 + $1.byteCount } < bytes / 3)
        let after = model(x)
        #expect(after.dtype == .float32)
        #expect((after - before).abs().max().item() < 0.02 * before.abs().max().item())
        // The state holds values and factors, and fits another quantised model only.
        let other = Sequential(Linear(16, 32), ReLU(), Linear(32, 4))
        #expect(throws: MartletError.self) { try other.load(model.stateDictionary()) }
        other.quantizeWeights()
        try other.load(model.stateDictionary())
        #expect(other(x).equal(after))
    }
}
