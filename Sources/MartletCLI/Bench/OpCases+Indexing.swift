import Martlet
import MartletModels
import MartletNN

extension OpCases {
    func indexing() -> [OpCase] {
        var cases: [OpCase] = []
        for half in [[4096, 1024], [16384, 2048]] {
            cases += (0..<2).map { axis in
                plain("cat axis \(axis)", "2 of \(text(half))", [half, half], bytes: 4 * e * half.reduce(1, *)) {
                    Tensor.cat($0, dim: axis)
                }
            }
        }
        for axis in 0..<2 {
            let shape = [4096, 8192]
            let picks = axis == 0 ? [512, 8192] : [4096, 512]
            let n = picks.reduce(1, *)
            cases.append(
                OpCase(op: "gather axis \(axis)", shape: "\(text(picks)) of \(text(shape))", bytes: n * (8 + 2 * e)) {
                    let (x, index) = (random(shape), indices(shape[axis], picks))
                    return { Bench.keep(x.gather(axis, index)) }
                })
            // To `lines` of the dimension that is not scattered along, of which a part has some.
            let scatterAdd = { (lines: Int) -> () -> Void in
                func part(_ shape: [Int]) -> [Int] { axis == 0 ? [shape[0], lines] : [lines, shape[1]] }
                let (x, index) = (random(part(shape)), indices(shape[axis], part(picks)))
                let source = random(part(picks))
                return { Bench.keep(x.scatterAdd(axis, index, source)) }
            }
            let lines = shape[1 - axis]
            cases.append(
                OpCase(
                    op: "scatter add axis \(axis)", shape: "\(text(picks)) to \(text(shape))",
                    bytes: 2 * e * 4096 * 8192 + n * (8 + e),
                    part: { (scatterAdd(lines / $0), Double(lines) / Double(lines / $0)) }
                ) { scatterAdd(lines) })
        }
        cases += [
            OpCase(op: "index select", shape: "4096 of 65536x512", bytes: 2 * e * 4096 * 512) {
                let (x, index) = (random([65536, 512]), indices(65536, [4096]))
                return { Bench.keep(x.indexSelect(0, index)) }
            },
            OpCase(op: "index add", shape: "4096 to 8192x512", bytes: e * (2 * 8192 + 4096) * 512) {
                let (x, index) = (random([8192, 512]), indices(8192, [4096]))
                let source = random([4096, 512])
                return { Bench.keep(x.indexAdd(0, index, source)) }
            },
        ]
        func sorted(_ op: String, _ shape: [Int], bytes: Int, _ body: @escaping (Tensor) -> Tensor) {
            cases.append(plain(op, text(shape), [shape], bytes: bytes) { body($0[0]) })
        }
        sorted("sort", [4096, 2048], bytes: 4096 * 2048 * (2 * e + 8)) { $0.sort(dim: 1).values }
        sorted("sort", [1 << 20], bytes: (1 << 20) * (2 * e + 8)) { $0.sort(dim: 0).values }
        sorted("topk 8", [4096, 2048], bytes: e * 4096 * 2048) { $0.topk(8).values }
        sorted("topk 50", [8, 262_144], bytes: e * 8 * 262_144) { $0.topk(50).values }
        return cases
    }

    /// Steps on the tensors of the PaLM of 34 million parameters. In bfloat16 the libraries do not do the same work:
    /// Martlet keeps float32 master weights.
    func optimizers() -> [OpCase] {
        guard type == .float32 else { return [] }
        let configuration = PaLMConfiguration(vocabularySize: 8192, width: 512, layers: 8, heads: 8, headDim: 64)
        let n = configuration.parameterCount
        func step(
            _ op: String, bytes: Int, _ make: @escaping (PaLM) -> Optimizer, _ step: @escaping (Optimizer) -> Void
        ) -> OpCase {
            OpCase(op: op, shape: "PaLM of \(n)", bytes: bytes) {
                let model = PaLM(configuration, generator: generator)
                for parameter in model.parameters {
                    parameter.grad = Tensor.randn(parameter.shape, std: 1e-4, generator: generator)
                }
                let optimizer = make(model)
                return { step(optimizer) }
            }
        }
        return [
            step("AdamW", bytes: 28 * n, { AdamW($0, learningRate: 1e-5) }, { $0.step() }),
            step(
                "clipping and AdamW", bytes: 32 * n, { AdamW($0, learningRate: 1e-5) }, { $0.step(clippingNorm: 0.5) }),
            step(
                "Adafactor", bytes: 12 * n,
                { Adafactor($0, learningRate: 1e-5, beta1: nil, factored: true, weightDecay: 0) }, { $0.step() }),
        ]
    }
}
