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
    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8, 9, 33, 200], [DType.float32, .bfloat16, .float16])
    func productsEqualThoseOfWidenedWeights(rows: Int, dtype: DType) {
        for (outputs, inputs) in [(1, 1), (7, 33), (64, 64), (130, 257), (600, 512), (70, 8250)] {
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

    // MARK: 4 bits

    @Test func groupsAreNear() {
        for dtype in [DType.float64, .float32, .bfloat16, .float16] {
            let weight = Tensor.randn([37, 192], dtype: .float64, generator: Generator(seed: 1)).to(dtype)
            let (values, scale) = weight.quantizedGroups()
            #expect(values.dtype == .uint8 && values.shape == [37, 96])
            #expect(scale.dtype == dtype && scale.shape == [37, 6])
            let wide = Tensor.dequantizedGroups(values, scale)
            #expect(wide.shape == [37, 192] && wide.dtype == dtype)
            let (a, b) = (weight.to(.float64), wide.to(.float64))
            // A step is at most an eighth of the group's largest magnitude, and few are cut off.
            let largest = a.reshape([37, 6, 32]).abs().amax(dims: [2], keepDim: true)
            let error = ((a - b).reshape([37, 6, 32]).abs() / largest).max().item()
            #expect(error <= 0.26, "\(dtype): \(error)")
            let relative = ((a - b).square().sum() / a.square().sum()).sqrt().item()
            #expect(relative < 0.09, "\(dtype): \(relative)")
            // What needs no rounding is kept: multiples of one number from -8 to 7.
            let exact = ((Tensor.arange(37 * 192) * 7).remainder(16) - 8).to(dtype).reshape([37, 192]) * 0.25
            let (v, s) = exact.quantizedGroups()
            #expect(Tensor.dequantizedGroups(v, s).equal(exact), "\(dtype)")
        }
        let (values, scale) = Tensor.zeros([2, 64]).quantizedGroups()
        #expect(Tensor.dequantizedGroups(values, scale).equal(Tensor.zeros([2, 64])))
    }

    /// The layout that `dequantizedGroups` promises, written out.
    @Test func placesInABlock() {
        let bytes = Tensor.arange(32).to(.uint8).reshape([1, 32]) * 7
        let wide = Tensor.dequantizedGroups(bytes, Tensor([[2, 0.5]] as [[Float]])).toArray()
        for i in 0..<32 {
            #expect(wide[i] == Float((i * 7) % 16 - 8) * 2)
            #expect(wide[32 + i] == Float((i * 7) / 16 - 8) * 0.5)
        }
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8, 9, 33, 47, 48, 200], [DType.float32, .bfloat16, .float16])
    func productsEqualThoseOfWidenedGroups(rows: Int, dtype: DType) {
        for (outputs, inputs) in [(1, 64), (7, 128), (64, 64), (130, 320), (600, 512), (70, 8256)] {
            let x = Tensor.randn([rows, inputs], generator: Generator(seed: 2)).to(dtype)
            let (values, scale) = Tensor.randn([outputs, inputs], generator: Generator(seed: 3)).to(dtype)
                .quantizedGroups()
            // The factors' product with a value is exact in float64 only.
            let wide = Tensor.dequantizedGroups(values, scale.to(.float64))
            let expected = x.to(.float64).matmul(wide.transpose(0, 1))
            let found = x.linear(int4: values, scale: scale).to(.float64)
            let error = (found - expected).abs().max().item() / (1e-9 + expected.abs().max().item())
            #expect(error < (dtype == .float32 ? 3e-6 : dtype == .float16 ? 1e-3 : 8e-3), "\(outputs) x \(inputs)")
            // A row has the bits that it has alone, unless there are so many that weights are unpacked for all of them.
            if rows > 47 { continue }
            let last = x.narrow(0, start: rows - 1, length: 1).linear(int4: values, scale: scale)
            #expect(found.narrow(0, start: rows - 1, length: 1).equal(last.to(.float64)))
        }
    }

    @Test func modulesInFourBits() throws {
        // One seed for all: the error that is allowed below depends on the weights.
        let seed = Generator(seed: 6)
        let model = Sequential(
            Linear(128, 64, generator: seed), ReLU(), Linear(64, 33, generator: seed), Linear(33, 5, generator: seed))
        let x = Tensor.randn([5, 128], generator: Generator(seed: 7))
        let before = noGrad { model(x) }
        model.quantizeWeights(.int4)
        #expect(model.weightQuantization == .int4)
        let layers = model.namedModules().compactMap { $0.module as? Linear }
        // 33 is no multiple of 64.
        #expect(layers.map(\.quantization) == [.int4, .int4, .int8])
        #expect(layers.map(\.inFeatures) == [128, 64, 33] && layers.map(\.outFeatures) == [64, 33, 5])
        #expect(layers[0].denseWeight.shape == [64, 128])
        let after = model(x)
        #expect((after - before).abs().max().item() < 0.2 * before.abs().max().item())
        #expect(!after.equal(before))
        let other = Sequential(Linear(128, 64), ReLU(), Linear(64, 33), Linear(33, 5))
        other.quantizeWeights(.int4)
        try other.load(model.stateDictionary())
        #expect(other(x).equal(after))
        let y = Tensor.randn([3, 128], generator: Generator(seed: 4)).requiringGrad()
        layers[0](y).sum().backward()
        let expected = layers[0].denseWeight.sum(dim: 0).expand([3, 128])
        #expect(y.grad!.allClose(expected, rtol: 1e-4, atol: 1e-5))
    }

    // MARK: 8 bits in modules

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
