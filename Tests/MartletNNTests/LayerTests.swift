import Martlet
import MartletNN
import Testing

@Suite struct LayerTests {
    let generator = Generator(seed: 11)

    @Test func linear() {
        let layer = Linear(
            weight: Parameter(Tensor([[1.0, 2], [3, 4], [5, 6]])), bias: Parameter(Tensor([1.0, 0, -1])))
        #expect(layer(Tensor([[1.0, 1], [0, 2]])).doubles == [4, 7, 10, 5, 8, 11])
        #expect(layer(Tensor.zeros([2, 5, 2])).shape == [2, 5, 3])
        let drawn = Linear(16, 9, generator: Generator(seed: 1))
        #expect(drawn.weight.shape == [9, 16] && drawn.bias?.shape == [9])
        #expect(drawn.parameters.flatMap(\.doubles).allSatisfy { abs($0) <= 0.25 })
    }

    @Test func embedding() {
        let table = Embedding(5, 3, paddingIndex: 2, generator: generator)
        #expect(table.weight.select(0, 2).doubles == [0, 0, 0])
        let y = table(Tensor([2, 4, 4], shape: [1, 3]))
        #expect(y.shape == [1, 3, 3])
        y.sum().backward()
        #expect(table.weight.grad!.doubles == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2])
        let x = Tensor.randn([2, 3], generator: generator)
        #expect(bits(table.attend(x)) == bits(x.matmul(table.weight.T)))
    }

    @Test func normalization() {
        let x = Tensor.randn([4, 6], mean: 3, std: 2, dtype: .float64, generator: generator)
        let centred = x - x.mean(dim: -1, keepDim: true)
        let expected = centred / (centred.square().mean(dim: -1, keepDim: true) + 1e-5).sqrt()
        #expect(relativeDifference(LayerNorm(6, dtype: .float64)(x).doubles, expected.doubles) < 1e-12)
        #expect(relativeDifference(LayerNorm(6, affine: false)(x).doubles, expected.doubles) < 1e-12)
        let rms = x / (x.square().mean(dim: -1, keepDim: true) + 1e-6).sqrt()
        #expect(relativeDifference(RMSNorm(6, dtype: .float64)(x).doubles, rms.doubles) < 1e-12)
        let offset = RMSNorm(6, weightOffset: 1, dtype: .float64)
        #expect(offset.weight!.doubles.allSatisfy { $0 == 0 })
        #expect(relativeDifference(offset(x).doubles, rms.doubles) < 1e-12)
        #expect(LayerNorm(6, bias: false).parameters.count == 1)
    }

    @Test func groupNormalization() {
        let x = Tensor.randn([2, 6, 3], mean: 3, std: 2, dtype: .float64, generator: generator)
        let layer = GroupNorm(2, 6, dtype: .float64)
        #expect(layer.parameters.map(\.shape) == [[6], [6]])
        let y = layer(x)
        #expect(y.shape == [2, 6, 3])
        let groups = y.reshape([2, 2, 9])
        #expect(groups.mean(dim: -1).doubles.allSatisfy { abs($0) < 1e-12 })
        #expect(groups.variance(dim: -1, correction: 0).doubles.allSatisfy { abs($0 - 1) < 1e-4 })
        #expect(bits(GroupNorm(2, 6, affine: false)(x)) == bits(x.groupNorm(2)))
        // One group is layer normalisation of the whole sample.
        let whole = x.reshape([2, 18]).layerNorm().reshape([2, 6, 3])
        #expect(relativeDifference(x.groupNorm(1).doubles, whole.doubles) < 1e-14)
        #expect(relativeDifference(x.to(.bfloat16).groupNorm(3).doubles, x.groupNorm(3).doubles) < 2e-2)
        #expect(GroupNorm(2, 6)(Tensor.zeros([0, 6, 3])).shape == [0, 6, 3])
    }

    @Test func distances() {
        let (a, b) = (Tensor([[3.0, 4], [1, 0]]), Tensor([[0.0, 4], [0, 2]]))
        #expect(CosineSimilarity()(a, b).doubles == [Double(Float(0.8)), 0])
        #expect(PairwiseDistance(eps: 0)(a, b).doubles == [3, Double(Float(5).squareRoot())])
        #expect(PairwiseDistance(p: 1, eps: 0, keepDim: true)(a, b).shape == [2, 1])
        #expect(a.normalize().doubles.map { Float($0) } == [0.6, 0.8, 1, 0])
    }

    @Test func dropout() {
        let layer = Dropout(0.25, generator: Generator(seed: 3))
        let x = Tensor.ones([10_000])
        let y = layer(x).doubles
        let zeros = y.count { $0 == 0 }
        #expect(abs(zeros - 2500) < 200)
        #expect(y.allSatisfy { $0 == 0 || abs($0 - 4.0 / 3) < 1e-6 })
        layer.eval()
        #expect(layer(x) === x)
        #expect(bits(Dropout(0.25, generator: Generator(seed: 3))(x)) == y.map(\.bitPattern))
    }

    @Test func activations() {
        let x = Tensor([-2, -0.5, 0, 1.5])
        let pairs: [(Module, Tensor)] = [
            (ReLU(), x.relu()), (LeakyReLU(0.1), x.leakyRelu(0.1)), (ELU(), x.elu()), (GELU(), x.gelu()),
            (GELU(.tanh), x.geluTanh()), (SiLU(), x.silu()), (Tanh(), x.tanh()), (Sigmoid(), x.sigmoid()),
            (Softplus(), x.softplus()), (Softmax(), x.softmax(dim: -1)), (LogSoftmax(), x.logSoftmax(dim: -1)),
            (Identity(), x), (Lambda { $0 * 2 }, x * 2), (LogSigmoid(), x.logSigmoid()), (SELU(), x.selu()),
            (CELU(0.5), x.celu(0.5)), (Mish(), x.mish()), (Hardswish(), x.hardswish()),
            (Hardsigmoid(), x.hardsigmoid()), (Hardtanh(min: -0.7), x.hardtanh(min: -0.7)), (ReLU6(), x.relu6()),
            (PReLU(), x.leakyRelu(0.25)), (GLU(), x.glu()), (Softsign(), x.softsign()),
            (Softmin(), x.softmin(dim: -1)), (Threshold(0.5, 20), x.threshold(0.5, 20)),
        ]
        for (module, expected) in pairs { #expect(bits(module(x)) == bits(expected), "\(module)") }
        #expect(Flatten()(Tensor.zeros([2, 3, 4])).shape == [2, 12])
    }

    @Test func sequential() {
        let model = Sequential(Linear(4, 8), ReLU(), Linear(8, 2))
        model.append(Tanh())
        #expect(model.count == 4)
        #expect(model.namedParameters().map(\.name) == ["0.weight", "0.bias", "2.weight", "2.bias"])
        let x = Tensor.randn([3, 4], generator: generator)
        #expect(bits(model(x)) == bits(model[2](model[0](x).relu()).tanh()))
    }

    @Test func feedForward() {
        let x = Tensor.randn([2, 3, 4], generator: generator)
        let plain = FeedForward(4, hidden: 16, activation: .relu, generator: generator)
        #expect(bits(plain(x)) == bits(plain.down(plain.up(x).relu())))
        let gated = GatedFeedForward(4, hidden: 16, generator: generator)
        let expected = gated.down(gated.gate(x).silu() * gated.up(x))
        #expect(relativeDifference(gated(x).doubles, expected.doubles) < 1e-6)
        #expect(gated.parameterCount == 3 * 64)
    }

    /// Attention with the whole matrix, by elementary operations.
    private func reference(_ layer: MultiHeadAttention, _ x: Tensor, _ context: Tensor? = nil) -> Tensor {
        let source = context ?? x
        let (h, g, d) = (layer.heads, layer.kvHeads, layer.headDimension)
        let (b, t, s) = (x.size(0), x.size(1), source.size(1))
        var q = layer.query(x).reshape([b, t, h, d])
        var k = layer.key(source).reshape([b, s, g, d])
        let v = layer.value(source).reshape([b, s, g, d])
        if let rotary = layer.rotary {
            q = rotary(q)
            k = rotary(k)
        }
        let keys = k.repeatInterleave(h / g, dim: 2).permute([0, 2, 3, 1])
        var scores = q.permute([0, 2, 1, 3]).matmul(keys) * (1 / Double(d).squareRoot())
        if layer.isCausal {
            scores = scores.maskedFill(Tensor.ones([t, s]).triu(1 + s - t) .!= 0, -.infinity)
        }
        let values = v.repeatInterleave(h / g, dim: 2).permute([0, 2, 1, 3])
        return layer.output(scores.softmax(dim: -1).matmul(values).permute([0, 2, 1, 3]).reshape([b, t, h * d]))
    }

    @Test func attention() {
        let x = Tensor.randn([2, 5, 12], dtype: .float64, generator: generator)
        let layers = [
            MultiHeadAttention(12, heads: 3, dtype: .float64, generator: generator),
            MultiHeadAttention(12, heads: 4, kvHeads: 1, headDimension: 8, causal: true, bias: false, dtype: .float64),
            MultiHeadAttention(
                12, heads: 4, kvHeads: 2, headDimension: 6, causal: true, rotary: RotaryEmbedding(4), dtype: .float64),
        ]
        for layer in layers {
            #expect(relativeDifference(layer(x).doubles, reference(layer, x).doubles) < 1e-12)
        }
        let cross = MultiHeadAttention(12, heads: 2, contextDimension: 7, dtype: .float64)
        let context = Tensor.randn([2, 9, 7], dtype: .float64, generator: generator)
        #expect(relativeDifference(cross(x, context: context).doubles, reference(cross, x, context).doubles) < 1e-12)
    }

    @Test func rotaryTablesGrow() {
        let short = RotaryEmbedding(4)
        let long = RotaryEmbedding(4, length: 64)
        let x = Tensor.randn([1, 20, 2, 4], generator: generator)
        #expect(bits(short(x.narrow(1, start: 0, length: 3))) == bits(long(x.narrow(1, start: 0, length: 3))))
        #expect(bits(short(x)) == bits(long(x)))
        let last = x.narrow(1, start: 19, length: 1)
        #expect(bits(short(last, start: 19)) == bits(long(x).narrow(1, start: 19, length: 1)))
        let positions = Tensor([50], shape: [1, 1])
        #expect(bits(short(last, start: 0, positions: positions)) == bits(long(last, start: 50)))
        #expect(short.parameters.isEmpty && short.namedBuffers().isEmpty)
    }

    @Test func aSmallNetworkLearns() {
        let generator = Generator(seed: 5)
        let model = Sequential(Linear(2, 16, generator: generator), Tanh(), Linear(16, 2, generator: generator))
        let x = Tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
        let y = Tensor([0, 1, 1, 0])
        let optimizer = AdamW(model, learningRate: 0.05)
        var first = 0.0
        var last = 0.0
        for step in 0..<200 {
            let loss = model(x).crossEntropy(y)
            loss.backward()
            optimizer.step()
            optimizer.zeroGrad()
            if step == 0 { first = loss.item() }
            last = loss.item()
        }
        #expect(first > 0.5 && last < 0.01)
    }
}
