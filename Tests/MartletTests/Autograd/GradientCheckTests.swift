import Martlet
import Testing

/// Derivatives against finite differences, in float64: fused ops and compositions.
@Suite struct GradientCheckTests {
    struct Subject: Sendable, CustomTestStringConvertible {
        let name: String
        /// Shapes of the inputs, drawn from the normal distribution.
        let shapes: [[Int]]
        /// Whether the first derivative depends on the inputs smoothly.
        var second = true
        let function: @Sendable ([Tensor]) -> Tensor

        var testDescription: String { name }

        var inputs: [Tensor] {
            let generator = Generator(seed: 17)
            return shapes.map { Tensor.randn($0, dtype: .float64, generator: generator) }
        }
    }

    @Test(arguments: subjects) func first(_ subject: Subject) {
        #expect(gradientCheck(subject.inputs, subject.function) == nil)
    }

    @Test(arguments: subjects.filter(\.second)) func second(_ subject: Subject) {
        #expect(secondGradientCheck(subject.inputs, subject.function) == nil)
    }

    static let targets = Tensor([3, 0, -100, 1, 4, 4], shape: [2, 3])

    static let subjects: [Subject] = fused + attention + compositions

    static let fused: [Subject] = [
        Subject(name: "softmax", shapes: [[3, 4]]) { $0[0].softmax(dim: -1) },
        Subject(name: "softmax of the first dimension", shapes: [[3, 4]]) { $0[0].softmax(dim: 0) },
        Subject(name: "logSoftmax", shapes: [[2, 3, 4]]) { $0[0].logSoftmax(dim: 1) },
        Subject(name: "layerNorm", shapes: [[2, 3, 6], [6], [6]]) { $0[0].layerNorm(weight: $0[1], bias: $0[2]) },
        Subject(name: "layerNorm without weight", shapes: [[4, 5]]) { $0[0].layerNorm() },
        Subject(name: "rmsNorm", shapes: [[3, 6], [6]]) { $0[0].rmsNorm(weight: $0[1], weightOffset: 1) },
        Subject(name: "crossEntropy", shapes: [[2, 3, 5]]) {
            $0[0].crossEntropy(targets, labelSmoothing: 0.1, zLoss: 0.01, logitScale: 0.7)
        },
        Subject(name: "crossEntropy by element", shapes: [[2, 3, 5]]) {
            $0[0].crossEntropy(targets, zLoss: 0.05, reduction: .none)
        },
        Subject(name: "linearCrossEntropy", shapes: [[2, 3, 4], [5, 4]]) {
            $0[0].linearCrossEntropy(
                weight: $0[1], targets: targets, labelSmoothing: 0.1, zLoss: 0.01, logitScale: 0.5
            ).loss
        },
        Subject(name: "embedding", shapes: [[5, 3]]) {
            $0[0].embedding(Tensor([[0, 4, 4], [2, 0, 0]]), paddingIndex: 3).square()
        },
        Subject(name: "rope, halves", shapes: [[2, 3, 2, 6]]) {
            $0[0].rope(RotaryTables(length: 8, rotary: 4, dtype: .float64), start: 3).square()
        },
        Subject(name: "rope, pairs", shapes: [[2, 3, 2, 4]]) {
            $0[0].rope(
                RotaryTables(length: 9, rotary: 4, dtype: .float64), positions: Tensor([[0, 1, 2], [5, 6, 7]]),
                interleaved: true
            ).square()
        },
        Subject(name: "swiglu", shapes: [[3, 4], [3, 4]]) { $0[0].swiglu($0[1]) },
        Subject(name: "geglu", shapes: [[3, 4], [3, 4]]) { $0[0].geglu($0[1]) },
        Subject(name: "geglu by tanh", shapes: [[3, 4], [3, 4]]) { $0[0].gated(.geluTanh, $0[1]) },
        Subject(name: "reglu", shapes: [[3, 4], [3, 4]]) { $0[0].gated(.relu, $0[1]) },
        Subject(name: "glu", shapes: [[3, 4], [3, 4]]) { $0[0].gated(.sigmoid, $0[1]) },
        Subject(name: "halves of one matrix", shapes: [[3, 8]]) {
            let parts = $0[0].chunk(2, dim: -1)
            return parts[0].swiglu(parts[1])
        },
    ]

    static let attention: [Subject] = [
        Subject(name: "attention", shapes: [[2, 3, 2, 4], [2, 5, 2, 4], [2, 5, 2, 4]]) {
            Tensor.scaledDotProductAttention($0[0], $0[1], $0[2])
        },
        Subject(name: "attention, causal and multi-query", shapes: [[1, 4, 3, 4], [1, 4, 1, 4], [1, 4, 1, 4]]) {
            Tensor.scaledDotProductAttention($0[0], $0[1], $0[2], causal: true)
        },
        Subject(
            name: "attention, grouped, with bias", shapes: [[1, 2, 4, 2], [1, 3, 2, 2], [1, 3, 2, 2], [4, 1, 3]]
        ) {
            Tensor.scaledDotProductAttention($0[0], $0[1], $0[2], bias: $0[3], scale: 0.6)
        },
        Subject(name: "attention, window and padding", shapes: [[2, 4, 1, 3], [2, 6, 1, 3], [2, 6, 1, 3]]) {
            Tensor.scaledDotProductAttention(
                $0[0], $0[1], $0[2], causal: true, window: 3, keyStart: Tensor([0, 2]))
        },
    ]

    static let compositions: [Subject] = [
        Subject(name: "matmul of broadcast batches", shapes: [[2, 1, 3, 4], [3, 4, 2]]) { $0[0].matmul($0[1]) },
        Subject(name: "matrix and vector", shapes: [[3, 4], [4]]) { $0[0].matmul($0[1]) },
        Subject(name: "linear", shapes: [[2, 3, 4], [5, 4], [5]]) { $0[0].linear($0[1], $0[2]) },
        Subject(name: "einsum", shapes: [[2, 3], [3, 4], [4, 2]]) { Tensor.einsum("ij,jk,ki->ik", $0) },
        Subject(name: "einsum with a diagonal", shapes: [[3, 3, 2], [3, 2]]) { Tensor.einsum("iij,ij->j", $0) },
        Subject(name: "broadcast arithmetic", shapes: [[3, 1, 2], [4, 1]]) {
            ($0[0] + $0[1]) * $0[0] / ($0[1].square() + 1) - 3 / ($0[1].exp() + 1)
        },
        Subject(name: "power", shapes: [[5], [5]]) { ($0[0].square() + 0.3).pow($0[1]) },
        Subject(name: "prod", shapes: [[3, 4]]) { $0[0].prod(dim: 1) },
        Subject(name: "std and norm", shapes: [[3, 4]]) { $0[0].std(dim: 1) + $0[0].norm(3, dims: [1]) },
        Subject(name: "logSumExp", shapes: [[3, 4]]) { $0[0].logSumExp(dims: [0, 1]) },
        Subject(name: "scans", shapes: [[3, 4]]) {
            $0[0].cumsum(dim: 0).cumprod(dim: 1) + $0[0].logCumSumExp(dim: 1)
        },
        Subject(name: "extremes", shapes: [[3, 4]]) {
            ($0[0].amax(dims: [1]) * $0[0].min(dim: 1).values).square() + $0[0].cummax(dim: 1).values.sum(dim: 1).exp()
        },
        Subject(name: "sorting", shapes: [[3, 4]]) {
            $0[0].sort(dim: 1).values.exp() + $0[0].topk(4, dim: 1).values.square()
        },
        Subject(name: "indexing", shapes: [[4, 5]]) {
            let x = $0[0]
            return x[Tensor([2, 0, 2]), .slice(from: 4, to: 0, step: -2)].square() * x[1, 1...2].unsqueeze(0)
        },
        Subject(name: "gathering", shapes: [[3, 4], [2, 4]]) {
            let index = Tensor([[0, 2, 1, 0], [0, 1, 1, 2]])
            return $0[0].exp().gather(0, index) * $0[0].scatterAdd(0, index, $0[1].square()).sum(dim: 0)
        },
        Subject(name: "repeated places", shapes: [[4, 3], [3, 3], []]) {
            let rows = Tensor([1, 1, 3])
            let index = Tensor([[0, 1, 1], [0, 3, 1], [2, 3, 3]])
            return $0[0].exp().indexCopy(0, rows, $0[1].sin()) + $0[0].sin().scatter(0, index, $0[1].exp())
                * $0[0].scatter(0, index, $0[2]) + $0[0].indexAdd(0, rows, $0[1].square(), alpha: 0.5)
        },
        Subject(name: "joining", shapes: [[2, 3], [2, 2]]) {
            Tensor.cat([$0[0].exp(), $0[1] * $0[1]], dim: 1).roll(2, dim: 1).pad([(1, 0), (0, 1)], value: 2).square()
        },
        Subject(name: "padding modes", shapes: [[4, 3]]) {
            ($0[0].pad([(2, 1), (0, 2)], mode: .reflect) * $0[0].pad([(1, 2), (2, 0)], mode: .circular)).exp()
                + $0[0].pad([(3, 0), (1, 1)], mode: .replicate).square()
        },
        Subject(name: "selection", shapes: [[3, 4], [3, 4]]) {
            Tensor.where($0[0] .> 0.1, $0[0].exp(), $0[1].square()).maskedFill($0[1] .< -1, 0)
        },
        Subject(name: "writing in place", shapes: [[3, 4], [4]]) {
            let y = $0[0] * 2
            y[1] *= $0[1]
            y[.all, 1] = $0[1][0..<3].exp()
            y.T[2] += y[0, 0].clone() * $0[1][0]
            y /= ($0[1].square() + 1)
            y[Tensor([0, 2]), Tensor([3, 1])] = $0[1][1..<3].square()
            return y.tanhInPlace()
        },
        Subject(name: "dropout", shapes: [[4, 5]]) { $0[0].exp().dropout(0.4, generator: Generator(seed: 3)) },
        Subject(name: "a transformer block", shapes: [[1, 3, 8], [8], [40, 8], [8, 8], [8, 8]]) { inputs in
            let (x, scale, weightIn, weightOut, weightAttention) = (
                inputs[0], inputs[1], inputs[2], inputs[3], inputs[4]
            )
            let y = x.layerNorm(weight: scale)
            let parts = y.linear(weightIn).split([8, 8, 8, 8, 8], dim: -1)
            let tables = RotaryTables(length: 4, rotary: 4, dtype: .float64)
            let q = parts[0].reshape([1, 3, 2, 4]).rope(tables)
            let k = parts[1].reshape([1, 3, 2, 4]).rope(tables)
            let v = parts[2].reshape([1, 3, 2, 4])
            let a = Tensor.scaledDotProductAttention(q, k, v, causal: true).reshape([1, 3, 8])
            return x + parts[3].swiglu(parts[4]).linear(weightOut) + a.linear(weightAttention)
        },
    ]
}
