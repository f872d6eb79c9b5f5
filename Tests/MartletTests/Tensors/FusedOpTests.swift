import Martlet
import Testing

/// Fused ops against the same functions written with elementary ones.
@Suite struct FusedOpTests {
    private func numbers(_ shape: [Int], _ dtype: DType, _ seed: UInt64, std: Double = 1) -> Tensor {
        Tensor.randn(shape, std: std, dtype: .float64, generator: Generator(seed: seed)).to(dtype)
    }

    // MARK: linear cross-entropy

    /// Chunks of 64 rows: a vocabulary of 131,072 or more.
    @Test(arguments: [
        (rows: 5, classes: 11, width: 3), (rows: 130, classes: 200_000, width: 4),
        (rows: 64, classes: 131_072, width: 2),
        (rows: 65, classes: 131_072, width: 2), (rows: 0, classes: 5, width: 2),
    ])
    func linearCrossEntropy(_ size: (rows: Int, classes: Int, width: Int)) {
        let large = size.classes > 1000
        let dtype: DType = large ? .float32 : .float64
        let x = numbers([size.rows, size.width], dtype, 1).requiringGrad()
        let w = numbers([size.classes, size.width], dtype, 2).requiringGrad()
        let targets = Tensor.randint(0, size.classes, [size.rows], generator: Generator(seed: 3))
        if size.rows > 3 { targets[2] = Tensor(-100) }
        for (smoothing, zLoss, scale) in large
            ? [(0.1, 1e-4, 0.5)] : [(0, 0, 1), (0.1, 0, 1), (0, 0.01, 0.5), (0.2, 0.1, 2)]
        {
            let (loss, entropy) = x.linearCrossEntropy(
                weight: w, targets: targets, labelSmoothing: smoothing, zLoss: zLoss, logitScale: scale)
            let logits = x.linear(w)
            let expected = logits.crossEntropy(targets, labelSmoothing: smoothing, zLoss: zLoss, logitScale: scale)
            let plain = noGrad { logits.crossEntropy(targets, labelSmoothing: smoothing, logitScale: scale) }
            let rtol = large ? 1e-5 : 1e-12
            #expect(loss.allClose(expected, rtol: rtol, equalNaN: true))
            #expect(entropy.allClose(plain, rtol: rtol, equalNaN: true))
            #expect(!entropy.requiresGrad)
            let found = grad(of: loss * 3, wrt: [x, w])
            let wanted = grad(of: expected * 3, wrt: [x, w])
            let atol = large ? 1e-7 : 1e-13
            #expect(found[0].allClose(wanted[0], rtol: large ? 1e-4 : 1e-11, atol: atol))
            #expect(found[1].allClose(wanted[1], rtol: large ? 1e-4 : 1e-11, atol: atol))
        }
    }

    @Test func linearCrossEntropyInHalfPrecision() {
        let x = numbers([2, 20, 16], .bfloat16, 1).requiringGrad()
        let w = numbers([50, 16], .bfloat16, 2, std: 0.3).requiringGrad()
        let targets = Tensor.randint(0, 50, [2, 20], generator: Generator(seed: 3))
        let loss = x.linearCrossEntropy(weight: w, targets: targets, zLoss: 1e-3).loss
        let (xd, wd) = (x.detach().double().requiringGrad(), w.detach().double().requiringGrad())
        let expected = xd.linearCrossEntropy(weight: wd, targets: targets, zLoss: 1e-3).loss
        #expect(loss.dtype == .float32 && loss.double().allClose(expected, rtol: 1e-3))
        let found = grad(of: loss, wrt: [x, w])
        let wanted = grad(of: expected, wrt: [xd, wd])
        for i in 0..<2 {
            #expect(found[i].dtype == .bfloat16)
            #expect(difference(found[i], wanted[i], rtol: 0.02, atol: 0.02 * wanted[i].abs().max().item()) == nil)
        }
    }

    @Test func divisorsOfMicroBatches() {
        let x = numbers([6, 4], .float64, 1).requiringGrad()
        let w = numbers([7, 4], .float64, 2).requiringGrad()
        let targets = Tensor([1, 2, -100, 3, 4, -100])
        let whole = x.linearCrossEntropy(weight: w, targets: targets, zLoss: 0.01).loss
        let parts = [0..<3, 3..<6].map { rows in
            x[rows].linearCrossEntropy(weight: w, targets: targets[rows], zLoss: 0.01, divisor: 4).loss
        }
        #expect(whole.allClose(parts[0] + parts[1], rtol: 1e-12))
        let a = grad(of: whole, wrt: [x, w])
        let b = grad(of: parts[0] + parts[1], wrt: [x, w])
        #expect(a[0].allClose(b[0], rtol: 1e-12) && a[1].allClose(b[1], rtol: 1e-12))
    }

    // MARK: attention

    /// Written with the T x S matrix.
    private func attention(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, bias: Tensor?, causal: Bool, window: Int?, keyStart: Tensor?
    ) -> Tensor {
        let (t, s) = (q.size(1), k.size(1))
        let repeats = q.size(2) / k.size(2)
        let (k, v) = (k.repeatInterleave(repeats, dim: 2), v.repeatInterleave(repeats, dim: 2))
        var scores = Tensor.einsum("bthd,bshd->bhts", q, k) / Double(q.size(3)).squareRoot()
        if let bias { scores = scores + bias }
        let rows = Tensor.arange(t).unsqueeze(1) + (s - t)
        let columns = Tensor.arange(s).unsqueeze(0)
        var hidden = Tensor.zeros([q.size(0), 1, t, s], dtype: .bool)
        if causal { hidden = hidden.logicalOr(columns .> rows) }
        if let window { hidden = hidden.logicalOr((rows - columns) .>= Double(window)) }
        if let keyStart { hidden = hidden.logicalOr(columns .< keyStart.reshape([-1, 1, 1, 1])) }
        let weights = scores.maskedFill(hidden, -1e300).softmax(dim: -1).maskedFill(
            hidden.all(dim: -1, keepDim: true), 0)
        return Tensor.einsum("bhts,bshd->bthd", weights, v)
    }

    @Test func attentionOfManyShapes() {
        var random = Random(seed: 1)
        for i in 0..<40 {
            let groups = [1, 2, 3][random.below(3)]
            let heads = groups * [1, 2, 4][random.below(3)]
            let (b, d) = (1 + random.below(3), [1, 3, 8, 16, 33, 64][random.below(6)])
            let s = [1, 2, 7, 31, 64, 65, 130][random.below(7)]
            let t = random.below(2) == 0 ? s : 1 + random.below(s)
            let causal = random.below(2) == 0
            let window = random.below(3) == 0 ? 1 + random.below(s) : nil
            let keyStart =
                random.below(3) == 0 ? Tensor.randint(0, s + 1, [b], generator: Generator(seed: UInt64(i))) : nil
            let biasShape = [[1, 1, 1, s], [b, 1, t, s], [1, heads, t, s], [heads, 1, s]][random.below(4)]
            let q = numbers([b, t, heads, d], .float64, 1).requiringGrad()
            let k = numbers([b, s, groups, d], .float64, 2).requiringGrad()
            let v = numbers([b, s, groups, d], .float64, 3).requiringGrad()
            let bias = random.below(3) == 0 ? numbers(biasShape, .float64, 4).requiringGrad() : nil
            let g = numbers([b, t, heads, d], .float64, 5)
            let y = Tensor.scaledDotProductAttention(
                q, k, v, bias: bias, causal: causal, window: window, keyStart: keyStart)
            let z = attention(q, k, v, bias: bias, causal: causal, window: window, keyStart: keyStart)
            let label = "\(i): \(q.shape) \(k.shape), causal \(causal), window \(window ?? 0), \(biasShape)"
            #expect(difference(y, z, rtol: 1e-11, atol: 1e-12) == nil, "\(label)")
            let inputs = [q, k, v] + (bias.map { [$0] } ?? [])
            let found = grad(of: y, wrt: inputs, gradient: g)
            let wanted = grad(of: z, wrt: inputs, gradient: g)
            for (j, (a, b)) in zip(found, wanted).enumerated() {
                #expect(difference(a, b, rtol: 1e-10, atol: 1e-11) == nil, "\(label): input \(j)")
            }
            for dtype in [DType.float32, .bfloat16] {
                let low = [q, k, v].map { $0.detach().to(dtype).requiringGrad() }
                let lowBias = bias?.detach().to(.float32)
                let high = low.map { $0.detach().double().requiringGrad() }
                let a = Tensor.scaledDotProductAttention(
                    low[0], low[1], low[2], bias: lowBias, causal: causal, window: window, keyStart: keyStart)
                let b = attention(
                    high[0], high[1], high[2], bias: lowBias?.double(), causal: causal, window: window,
                    keyStart: keyStart)
                let tolerance = dtype == .float32 ? 2e-5 : 3e-2
                #expect(difference(a, b, rtol: tolerance, atol: tolerance, scaled: true) == nil, "\(label) in \(dtype)")
                let ga = grad(of: a, wrt: low, gradient: g.to(dtype))
                let gb = grad(of: b, wrt: high, gradient: g.to(dtype).double())
                for j in 0..<3 {
                    #expect(
                        difference(ga[j], gb[j], rtol: 2 * tolerance, atol: 2 * tolerance, scaled: true) == nil,
                        "\(label): input \(j) in \(dtype)")
                }
            }
        }
    }

    @Test func attentionOfSlices() {
        // Queries, keys and values out of one product, as a transformer makes them.
        let qkv = numbers([2, 9, 3 * 4 * 8], .float64, 1).requiringGrad()
        func run(_ copy: Bool) -> Tensor {
            let parts = qkv.reshape([2, 9, 3, 4, 8]).unbind(2).map { copy ? $0.contiguous() : $0 }
            return grad(
                of: Tensor.scaledDotProductAttention(parts[0], parts[1], parts[2], causal: true).square().sum(),
                wrt: qkv)
        }
        #expect(run(false).equal(run(true)))
    }

    // MARK: rows of many widths

    @Test(arguments: [1, 2, 7, 8, 15, 16, 33, 64, 127, 1000, 4099]) func rows(_ width: Int) {
        let x = numbers([5, width], .float64, UInt64(width)) * 3
        for dtype in [DType.float32, .bfloat16, .float16] {
            let low = x.to(dtype)
            let high = low.double()
            let unit = dtype == .float32 ? 3e-6 : dtype == .bfloat16 ? 8e-3 : 1e-3
            let weight = numbers([width], dtype, 3)
            func check(_ f: (Tensor) -> Tensor, _ what: String) {
                let found = difference(f(low), f(high), rtol: unit, atol: unit, scaled: true)
                #expect(found == nil, "\(what) of \(width) in \(dtype)")
                let (a, b) = (low.detach().requiringGrad(), high.detach().requiringGrad())
                let g = numbers([5, width], dtype, 7)
                let ga = grad(of: f(a), wrt: a, gradient: g)
                let gb = grad(of: f(b), wrt: b, gradient: g.double())
                let gradient = difference(ga, gb, rtol: 4 * unit, atol: 4 * unit, scaled: true)
                #expect(gradient == nil, "gradient of \(what) of \(width) in \(dtype)")
            }
            check({ $0.softmax(dim: -1) }, "softmax")
            check({ $0.logSoftmax(dim: -1) }, "logSoftmax")
            check({ $0.rmsNorm(weight: weight.to($0.dtype)) }, "rmsNorm")
            if width > 2 {
                check({ $0.layerNorm(weight: weight.to($0.dtype), bias: weight.to($0.dtype)) }, "layerNorm")
            }
        }
    }

    @Test func softmaxOfExtremes() {
        let x = Tensor([[1e4, 0, -1e4], [-.infinity, 0, 0], [-.infinity, -.infinity, -.infinity]], dtype: .float64)
        let y = x.softmax(dim: 1)
        #expect(y[0].toArray(Double.self) == [1, 0, 0])
        #expect(y[1].toArray(Double.self) == [0, 0.5, 0.5])
        #expect(x.logSoftmax(dim: 1)[0].toArray(Double.self) == [0, -1e4, -2e4])
        #expect(x.logSumExp(dim: 1).toArray(Double.self)[2] == -.infinity)
    }

    @Test func crossEntropyOfHugeLogits() {
        let x = Tensor([[1e30, 0], [0, 1e30]], dtype: .float64).requiringGrad()
        let loss = x.crossEntropy(Tensor([0, 0]), reduction: .none)
        #expect(loss.toArray(Double.self) == [0, 1e30])
        #expect(grad(of: loss.sum(), wrt: x).toArray(Double.self) == [0, 0, -1, 1])
        // A product with the scale that is rounded for the largest logit only would be far from it here.
        for dtype in [DType.float64, .float32] {
            let y = (Tensor([[1.1, 1.1, 0.3], [-0.7, -1.9, -0.7]]) * 1e25).to(dtype).requiringGrad()
            let losses = y.crossEntropy(Tensor([0, 2]), logitScale: 0.3, reduction: .none)
            #expect(losses.toArray(Double.self).allSatisfy { abs($0 - 0.6931471805599453) < 1e-6 }, "\(dtype)")
            let expected = Tensor([[-0.15, 0.15, 0], [0.15, 0, -0.15]] as [[Double]])
            #expect(difference(grad(of: losses.sum(), wrt: y), expected, rtol: 1e-6) == nil, "\(dtype)")
        }
    }

    /// Rows are read in pieces: the largest logit may come late, and a whole piece may be left out by -infinity.
    @Test(arguments: [DType.float64, .float32, .bfloat16]) func crossEntropyOfLongRows(_ dtype: DType) {
        let classes = 2_345
        let logits = numbers([6, classes], dtype, 31, std: 3)
        logits[1] = logits[1].sort(dim: 0).values
        logits[2] = logits[2].sort(dim: 0, descending: true).values
        logits[3][1_500] = Tensor(200)
        logits[4] = Tensor.cat([Tensor.full([1_100], -.infinity, dtype: dtype), logits[4][1_100..<classes]], dim: 0)
        logits[5] = Tensor.cat([logits[5][0..<700], Tensor.full([classes - 700], -.infinity, dtype: dtype)], dim: 0)
        let targets = Tensor([0, classes - 1, 512, 1_500, 1_100, 511])
        for (scale, smoothing, zLoss) in [(1.0, 0.0, 0.0), (0.3, 0, 0.01), (1, 0.1, 0), (-0.2, 0.1, 0.001)] {
            // -infinity has no mean, and with a negative factor it would be the largest.
            let rows = smoothing == 0 && scale > 0 ? 6 : 4
            let (x, t) = (logits[0..<rows].detach().requiringGrad(), targets[0..<rows])
            let loss = x.crossEntropy(
                t, labelSmoothing: smoothing, zLoss: zLoss, logitScale: scale, reduction: .none)
            let exact = x.detach().double().requiringGrad()
            let y = exact * scale
            let lse = y.logSumExp(dim: 1)
            let own = lse - y.gather(1, t.unsqueeze(1)).squeeze(1)
            // Without smoothing nothing may come of rows' means, which are infinite.
            let smooth = smoothing == 0 ? own : own * (1 - smoothing) + (lse - y.mean(dim: 1)) * smoothing
            let expected = smooth + lse.square() * zLoss
            let tolerance = dtype == .float64 ? 1e-12 : 2e-6
            #expect(difference(loss, expected, rtol: tolerance, atol: tolerance) == nil, "\(dtype), \(scale)")
            let found = grad(of: loss.sum(), wrt: x)
            let wanted = grad(of: expected.sum(), wrt: exact)
            let (rtol, atol) = dtype == .bfloat16 ? (0.004, 1e-6) : (tolerance, tolerance / 10)
            #expect(difference(found, wanted, rtol: rtol, atol: atol) == nil, "\(dtype), \(scale)")
        }
    }

    @Test func allTargetsIgnored() {
        let x = numbers([2, 3], .float32, 1).requiringGrad()
        let loss = x.crossEntropy(Tensor([-100, -100]))
        #expect(loss.item() == 0)
        #expect(grad(of: loss, wrt: x).toArray() == [0, 0, 0, 0, 0, 0])
    }

    /// bfloat16, with its own loop for an even number of pairs, gives what float32 gives after rounding; with dimensions
    /// that do not rotate, odd numbers of pairs, views of heads, and backwards.
    @Test(arguments: [false, true]) func ropeOfHalves(_ interleaved: Bool) {
        for (rotary, dim) in [(2, 2), (6, 6), (14, 20), (64, 64), (96, 128), (128, 128)] {
            let tables = RotaryTables(length: 40, rotary: rotary)
            let all = Tensor.randn([2, 9, 5, dim], generator: Generator(seed: UInt64(rotary))).to(.bfloat16)
            for x in [all, all.narrow(2, start: 1, length: 3), all.permute([0, 2, 1, 3])] {
                let leaves = (x.detach().requiringGrad(), x.float().detach().requiringGrad())
                let found = leaves.0.rope(tables, start: 7, interleaved: interleaved)
                let expected = leaves.1.rope(tables, start: 7, interleaved: interleaved)
                #expect(found.dtype == .bfloat16)
                #expect(found.equal(expected.to(.bfloat16)), "\(rotary) of \(dim)")
                let g = noGrad { x * 0.5 }
                found.backward(gradient: g)
                expected.backward(gradient: g.float())
                #expect(leaves.0.grad!.equal(leaves.1.grad!.to(.bfloat16)), "gradient, \(rotary) of \(dim)")
            }
        }
    }
}
