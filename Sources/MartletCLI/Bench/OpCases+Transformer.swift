import Martlet

extension OpCases {
    func transformer() -> [OpCase] {
        rows() + rope() + attention() + products() + losses() + embeddings()
    }

    private func rows() -> [OpCase] {
        var cases: [OpCase] = []
        func both(_ op: String, _ shapes: [[Int]], forward: Int, all: Int, _ body: @escaping ([Tensor]) -> Tensor) {
            let (name, n) = (text(shapes[0]), shapes[0].reduce(1, *))
            cases.append(plain(op, name, shapes, bytes: forward * e * n, body))
            cases.append(trained(op, name, shapes, bytes: all * e * n, body))
        }
        for (rows, width) in [(4096, 512), (16384, 4096)] {
            both("softmax", [[rows, width]], forward: 2, all: 5) { $0[0].softmax(dim: -1) }
            both("layer norm", [[rows, width], [width]], forward: 2, all: 5) {
                $0[0].layerNorm(weight: $0[1], eps: 1e-6)
            }
            both("RMS norm", [[rows, width], [width]], forward: 2, all: 5) { $0[0].rmsNorm(weight: $0[1], eps: 1e-6) }
        }
        for (rows, width) in [(4096, 2048), (16384, 4096)] {
            both("SwiGLU", [[rows, width], [rows, width]], forward: 3, all: 8) { $0[0].swiglu($0[1]) }
        }
        return cases
    }

    private func rope() -> [OpCase] {
        [[8, 512, 8, 64], [4, 4096, 32, 128]].flatMap { shape in
            let tables = RotaryTables(length: shape[1], rotary: shape[3])
            let n = shape.reduce(1, *)
            return [
                plain("RoPE", text(shape), [shape], bytes: 2 * e * n) { $0[0].rope(tables) },
                trained("RoPE", text(shape), [shape], bytes: 4 * e * n) { $0[0].rope(tables) },
            ]
        }
    }

    /// 4096 tokens each, 8 heads of 64.
    private func attention() -> [OpCase] {
        [128, 512, 1024, 2048, 4096].flatMap { length in
            [("MHA", 8), ("MQA", 1)].flatMap { kind, groups in
                let q = [4096 / length, length, 8, 64]
                let k = [4096 / length, length, groups, 64]
                // Two products of all pairs, half of them masked; the backward pass has five.
                let flops = 2.0 * 2 * 4096 * Double(length) * 8 * 64 / 2
                let body = { (x: [Tensor]) in Tensor.scaledDotProductAttention(x[0], x[1], x[2], causal: true) }
                return [
                    plain("attention \(kind)", text(q), [q, k, k], flops: flops, body),
                    trained("attention \(kind)", text(q), [q, k, k], flops: 3.5 * flops, body),
                ]
            }
        }
    }

    private func products() -> [OpCase] {
        var cases: [OpCase] = []
        for (rows, inputs, outputs) in [(4096, 512, 2048), (4096, 2048, 512), (2048, 2048, 2048)] {
            let shapes = [[rows, inputs], [outputs, inputs]]
            let flops = 2.0 * Double(rows * inputs * outputs)
            let name = "\(rows)x\(inputs)x\(outputs)"
            cases.append(plain("linear", name, shapes, flops: flops) { $0[0].linear($0[1]) })
            cases.append(trained("linear", name, shapes, flops: 3 * flops) { $0[0].linear($0[1]) })
        }
        // What decoding consists of: the weights are read once.
        for (rows, inputs, outputs) in [(1, 512, 2048), (1, 8192, 8192), (8, 8192, 8192)] {
            cases.append(
                plain(
                    "linear", "\(rows)x\(inputs)x\(outputs)", [[rows, inputs], [outputs, inputs]],
                    bytes: e * inputs * outputs, reads: true, splits: false
                ) { $0[0].linear($0[1]) })
        }
        return cases
    }

    private func losses() -> [OpCase] {
        var cases: [OpCase] = []
        for (rows, classes) in [(4096, 8192), (1024, 32768), (256, 131_072), (128, 262_144)] {
            cases.append(
                row(
                    "cross entropy, forward and backward", "\(rows)x\(classes)", [[rows, classes]],
                    bytes: 3 * e * rows * classes, fewest: 4
                ) { shapes in
                    let logits = Parameter(random(shapes[0]))
                    let targets = indices(classes, [shapes[0][0]])
                    return {
                        logits.crossEntropy(targets).backward()
                        logits.grad = nil
                    }
                })
        }
        for (rows, classes) in [(1024, 8192), (1024, 32768)] {
            cases.append(
                OpCase(
                    op: "linear and cross entropy, forward and backward", shape: "\(rows)x512x\(classes)",
                    flops: 6 * Double(rows * 512 * classes)
                ) {
                    let (x, weight) = (Parameter(random([rows, 512])), Parameter(random([classes, 512]) * 0.05))
                    let targets = indices(classes, [rows])
                    return {
                        x.linearCrossEntropy(weight: weight, targets: targets).loss.backward()
                        x.grad = nil
                        weight.grad = nil
                    }
                })
        }
        return cases
    }

    private func embeddings() -> [OpCase] {
        [(4096, 8192), (4096, 65536), (65536, 65536)].flatMap { tokens, vocabulary -> [OpCase] in
            let width = 512
            let name = "\(tokens) of \(vocabulary)x\(width)"
            let moved = 2 * e * tokens * width
            return [
                OpCase(op: "embedding", shape: name, bytes: moved) {
                    let (table, ids) = (random([vocabulary, width]), indices(vocabulary, [tokens]))
                    return { Bench.keep(table.embedding(ids)) }
                },
                OpCase(
                    op: "embedding, forward and backward", shape: name,
                    bytes: moved + e * (tokens + vocabulary) * width
                ) {
                    let (table, ids) = (Parameter(random([vocabulary, width])), indices(vocabulary, [tokens]))
                    let gradient = random([tokens, width])
                    return {
                        table.embedding(ids).backward(gradient: gradient)
                        table.grad = nil
                    }
                },
            ]
        }
    }
}
