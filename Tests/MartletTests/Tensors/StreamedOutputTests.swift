import Martlet
import Testing

/// Outputs of 32 MiB and more are written past the caches. They have to be, bit for bit, what the same ops give for parts
/// of the operands, which are written through the caches; rows of odd length put every row at another place in a line.
@Suite struct StreamedOutputTests {
    private static let columns = 4099
    private static let types: [DType] = [.float32, .bfloat16, .float64]

    private func rows(_ dtype: DType) -> Int { (34 << 20) / dtype.byteSize / Self.columns + 1 }

    private func matrix(_ dtype: DType, seed: UInt64, columns: Int = columns) -> Tensor {
        numbers([rows(dtype), columns], dtype, seed)
    }

    /// All bits of a float64 are random, so that sums in another order differ.
    private func numbers(_ shape: [Int], _ dtype: DType, _ seed: UInt64) -> Tensor {
        Tensor.randn(shape, dtype: dtype == .float64 ? .float64 : .float32, generator: Generator(seed: seed)).to(dtype)
    }

    /// Calls `op` with all rows of the operands and with some hundred at a time.
    private func expectParts(
        _ name: String, _ operands: [Tensor], _ op: ([Tensor]) -> Tensor,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let all = op(operands)
        let (count, step) = (all.shape[0], 313)
        #expect(all.count * all.dtype.byteSize >= 32 << 20, "\(name)", sourceLocation: sourceLocation)
        for first in stride(from: 0, to: count, by: step) {
            let length = min(step, count - first)
            let part = op(operands.map { $0.shape[0] == count ? $0.narrow(0, start: first, length: length) : $0 })
            #expect(
                all.narrow(0, start: first, length: length).equal(part), "\(name), \(all.dtype), rows from \(first)",
                sourceLocation: sourceLocation)
        }
    }

    /// The same with some columns at a time.
    private func expectColumns(
        _ name: String, _ operands: [Tensor], step: Int = 700, _ op: ([Tensor]) -> Tensor,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let (all, count) = (op(operands), operands[0].shape[1])
        for first in stride(from: 0, to: count, by: step) {
            let length = min(step, count - first)
            let part = op(operands.map { $0.narrow(1, start: first, length: length) })
            #expect(
                all.narrow(1, start: first, length: length).equal(part), "\(name), \(all.dtype), columns from \(first)",
                sourceLocation: sourceLocation)
        }
    }

    @Test(arguments: types)
    func elementwise(_ dtype: DType) {
        let (x, y) = (matrix(dtype, seed: 1), matrix(dtype, seed: 2))
        let row = numbers([1, Self.columns], dtype, 3)
        let column = numbers([rows(dtype), 1], dtype, 4)
        let wide = matrix(dtype, seed: 5, columns: 2 * Self.columns)
        let mask = x .> y
        expectParts("add", [x, y]) { $0[0] + $0[1] }
        expectParts("add number", [x]) { $0[0] + 1.5 }
        expectParts("add row", [x, row]) { $0[0] + $0[1] }
        expectParts("add column", [x, column]) { $0[0] * $0[1] }
        expectParts("strided", [x, wide]) { $0[0] - $0[1][TensorIndex.ellipsis, TensorIndex.slice(step: 2)] }
        expectParts("exp", [x]) { $0[0].exp() }
        expectParts("gelu", [x]) { $0[0].gelu() }
        expectParts("number less", [x]) { 1.5 - $0[0] }
        expectParts("number of another precision", [x]) { $0[0] * 0.1 }
        expectParts("larger", [x, y]) { $0[0].maximum($0[1]) }
        expectParts("floor", [x]) { $0[0].floor() }
        expectParts("ReLU", [x]) { $0[0].relu() }
        expectParts("gradient of ReLU", [x]) { gradient($0, 0) { $0[0].relu() } }
        expectParts("masked fill", [x, mask]) { $0[0].maskedFill($0[1], -1) }
        expectParts("chosen", [x, y, mask]) { Tensor.where($0[2], $0[0], $0[1]) }
        expectParts("mixed types", [x, y.to(.float32)]) { $0[0] + $0[1] }
        expectParts("to float64", [x]) { $0[0].to(.float64) }
        // Twice as many rows, so that the narrower type is large enough as well.
        let tall = Tensor.cat([x, y], dim: 0)
        expectParts("to another type", [tall]) { $0[0].to(dtype == .float32 ? .bfloat16 : .float32) }
        expectParts("transposed", [x, y.T.contiguous().T]) { $0[0] + $0[1] }
    }

    @Test func inPlace() {
        let x = matrix(.float32, seed: 6)
        let expected = x + 1
        x.addInPlace(1)
        #expect(x.equal(expected))
    }

    @Test(arguments: types)
    func copies(_ dtype: DType) {
        let x = matrix(dtype, seed: 7)
        expectParts("rows of something wider", [matrix(dtype, seed: 8, columns: Self.columns + 7)]) {
            $0[0].narrow(1, start: 3, length: Self.columns).contiguous()
        }
        // One element further, so that nothing is aligned; what lies around it stays.
        let target = Tensor.full([x.count + 2], 7, dtype: dtype)
        target.narrow(0, start: 1, length: x.count).copyInPlace(x.reshape([x.count]))
        #expect(target.narrow(0, start: 1, length: x.count).equal(x.reshape([x.count])))
        #expect(target[0].item() == 7 && target[x.count + 1].item() == 7)
        #expect(x.T.contiguous().T.equal(x))
        // Heads before positions and back.
        let heads = x.narrow(1, start: 0, length: 4096).contiguous().reshape([rows(dtype), 64, 64])
        let turned = heads.permute([1, 0, 2]).contiguous()
        for head in [0, 1, 31, 63] { #expect(turned.select(0, head).equal(heads.select(1, head))) }
        let joined = Tensor.cat([x, x.narrow(1, start: 0, length: 5)], dim: 1)
        #expect(joined.narrow(1, start: 0, length: Self.columns).equal(x))
        #expect(joined.narrow(1, start: Self.columns, length: 5).equal(x.narrow(1, start: 0, length: 5)))
    }

    @Test(arguments: types)
    func runningSums(_ dtype: DType) {
        let x = matrix(dtype, seed: 9)
        for reverse in [false, true] {
            expectParts("along rows", [x]) { $0[0].cumsum(dim: 1, reverse: reverse) }
            expectColumns("across rows", [x]) { $0[0].cumsum(dim: 0, reverse: reverse) }
        }
    }

    /// The gradient of `op` by its first operand.
    private func gradient(_ operands: [Tensor], _ by: Int, _ op: ([Tensor]) -> Tensor) -> Tensor {
        var leaves = operands
        leaves[by] = operands[by].detach().requiringGrad()
        let out = op(leaves)
        // No two rows have the same gradient, and it is the same for a part as for all.
        let weight = noGrad { operands[0] * 0.5 + 0.25 }
        return grad(of: (out * weight).sum(), wrt: [leaves[by]])[0]
    }

    @Test(arguments: types)
    func rowsOfFusedOps(_ dtype: DType) {
        let (x, y) = (matrix(dtype, seed: 10), matrix(dtype, seed: 11))
        let weight = numbers([Self.columns], dtype, 12)
        let bias = numbers([Self.columns], dtype, 13)
        let ops: [(String, [Tensor], ([Tensor]) -> Tensor)] = [
            ("softmax", [x], { $0[0].softmax(dim: -1) }),
            ("log-softmax", [x], { $0[0].logSoftmax(dim: -1) }),
            ("layer norm", [x, weight, bias], { $0[0].layerNorm(weight: $0[1], bias: $0[2]) }),
            ("layer norm without weight", [x], { $0[0].layerNorm() }),
            ("RMS norm", [x, weight], { $0[0].rmsNorm(weight: $0[1]) }),
            ("SwiGLU", [x, y], { $0[0].swiglu($0[1]) }),
        ]
        for (name, operands, op) in ops {
            expectParts(name, operands, op)
            expectParts("gradient of \(name)", operands) { gradient($0, 0, op) }
        }
        expectParts("gradient of SwiGLU's other operand", [x, y]) { gradient($0, 1) { $0[0].swiglu($0[1]) } }
    }

    /// Rows that begin and end with cache lines are written from registers.
    @Test(arguments: types)
    func wholeLines(_ dtype: DType) {
        let x = matrix(dtype, seed: 20, columns: 4096)
        let (weight, bias) = (numbers([4096], dtype, 21), numbers([4096], dtype, 22))
        let ops: [(String, ([Tensor]) -> Tensor)] = [
            ("softmax", { $0[0].softmax(dim: -1) }),
            ("layer norm", { $0[0].layerNorm(weight: $0[1], bias: $0[2]) }),
            ("layer norm with weight", { $0[0].layerNorm(weight: $0[1]) }),
            ("layer norm without weight", { $0[0].layerNorm() }),
            ("RMS norm", { $0[0].rmsNorm(weight: $0[1]) }),
        ]
        for (name, op) in ops {
            expectParts(name, [x, weight, bias], op)
            expectParts("gradient of \(name)", [x, weight, bias]) { gradient($0, 0, op) }
        }
        expectParts("add row", [x, numbers([1, 4096], dtype, 23)]) { $0[0] + $0[1] }
        #expect(x.T.contiguous().T.equal(x))
        #expect((x.T + x.T.contiguous()).equal(x.T.contiguous() * 2))
        for reverse in [false, true] {
            expectColumns("running sums", [x], step: 1000) { $0[0].cumsum(dim: 0, reverse: reverse) }
        }
        let heads = numbers([(34 << 20) / dtype.byteSize / (64 * 8 * 128) + 1, 64, 8, 128], dtype, 24)
        let tables = RotaryTables(length: 64, rotary: 128)
        expectParts("RoPE", [heads]) { $0[0].rope(tables) }
        expectParts("gradient of RoPE", [heads]) { gradient($0, 0) { $0[0].rope(tables) } }
    }

    @Test(arguments: types)
    func rope(_ dtype: DType) {
        let tables = RotaryTables(length: 512, rotary: 48)
        let batch = (34 << 20) / dtype.byteSize / (512 * 8 * 72) + 1
        let x = numbers([batch, 512, 8, 72], dtype, 14)
        for interleaved in [false, true] {
            expectParts("RoPE", [x]) { $0[0].rope(tables, interleaved: interleaved) }
            expectParts("gradient of RoPE", [x]) { gradient($0, 0) { $0[0].rope(tables, interleaved: interleaved) } }
        }
    }

    /// Gradients of the mean over all rows and of the mean over a part differ by the number of rows, a power of two here.
    @Test(arguments: types)
    func crossEntropy(_ dtype: DType) {
        let classes = dtype == .bfloat16 ? 9001 : 5003
        let logits = numbers([2048, classes], dtype, 15)
        let targets = Tensor.randint(0, classes, [2048], generator: Generator(seed: 16))
        targets[5] = Tensor(-100)
        func gradient(_ first: Int, _ length: Int) -> Tensor {
            let leaf = logits.narrow(0, start: first, length: length).contiguous().requiringGrad()
            let entropy = leaf.crossEntropy(targets.narrow(0, start: first, length: length), reduction: .sum)
            return grad(of: entropy, wrt: [leaf])[0]
        }
        let all = gradient(0, 2048)
        #expect(all.count * dtype.byteSize >= 32 << 20)
        for first in stride(from: 0, to: 2048, by: 256) {
            let part = gradient(first, 256)
            #expect(all.narrow(0, start: first, length: 256).equal(part), "\(dtype), rows from \(first)")
        }
    }

    @Test(arguments: types)
    func embedding(_ dtype: DType) {
        let width = dtype == .bfloat16 ? 1023 : 519
        let count = (34 << 20) / dtype.byteSize / width + 1
        let table = numbers([count, width], dtype, 17)
        let ids = Tensor.randint(0, count, [count], generator: Generator(seed: 18))
        expectParts("embedding", [ids]) { table.embedding($0[0]) }
        // The gradient of every row: that of each of its positions, added in order.
        let leaf = table.requiringGrad()
        let g = numbers([count, width], dtype, 19)
        leaf.embedding(ids).backward(gradient: g)
        let found = leaf.grad!
        #expect(found.count * dtype.byteSize >= 32 << 20)
        let exact: DType = dtype == .bfloat16 ? .float32 : dtype
        let sums = Tensor.zeros([count, width], dtype: exact).indexAdd(0, ids, g.to(exact))
        #expect(found.equal(sums.to(dtype)))
    }

    /// Many elements meet in one place, and some indices count from the end.
    @Test(arguments: types)
    func scatter(_ dtype: DType) {
        let x = matrix(dtype, seed: 25)
        let ops: [(String, (Tensor, Int, Tensor, Tensor) -> Tensor)] = [
            ("scatter", { $0.scatter($1, $2, $3) }),
            ("scatter add", { $0.scatterAdd($1, $2, $3) }),
            ("scatter add of a number", { x, dim, index, _ in x.scatterAdd(dim, index, Tensor(1.5)) }),
            ("scatter amax", { $0.scatterReduce($1, $2, $3, .amax) }),
            ("scatter prod", { $0.scatterReduce($1, $2, $3, .prod) }),
        ]
        let (height, width) = (x.shape[0], x.shape[1])
        let along = Tensor.randint(-width, width, [height, 300], generator: Generator(seed: 26))
        let across = Tensor.randint(-height, height, [300, width], generator: Generator(seed: 27))
        let (beside, below) = (numbers([height, 300], dtype, 28), numbers([300, width], dtype, 29))
        for (name, op) in ops {
            expectParts("\(name) along rows", [x, along, beside]) { op($0[0], 1, $0[1], $0[2]) }
            expectColumns("\(name) across rows", [x, across, below]) { op($0[0], 0, $0[1], $0[2]) }
        }
        // Columns that nothing is added to are copied too, and so is a tensor that lies transposed.
        let some = x.scatterAdd(0, across.narrow(1, start: 0, length: 70), below.narrow(1, start: 0, length: 70))
        #expect(some.narrow(1, start: 70, length: width - 70).equal(x.narrow(1, start: 70, length: width - 70)))
        #expect(x.T.scatterAdd(1, across.T, below.T).T.equal(x.scatterAdd(0, across, below)))
    }
}
