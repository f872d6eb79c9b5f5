import Martlet

extension OpCases {
    /// On activations of the 34M model, some megabytes, and on tensors that no cache holds.
    func elementwise() -> [OpCase] {
        // Of several sizes, because what fits in a cache moves faster than what does not.
        let copies = [1 << 20, 1 << 23, 1 << 25, 1 << 27].map { count in
            OpCase(op: "copy", shape: "\(count)", bytes: 2 * e * count) {
                let (from, to) = (random([count]), random([count]))
                return { to.copyInPlace(from) }
            }
        }
        return copies
            + [(4096, 2048), (16384, 4096)].flatMap { broadcasts($0, $1) + conversions($0, $1) + functions($0, $1) }
            + [(2048, 4096), (8192, 8192)].flatMap { layouts($0, $1) }
            + [[8, 512, 8, 64], [64, 1024, 16, 64]].map { shape in
                plain("contiguous of permuted", text(shape), [shape], bytes: 2 * e * shape.reduce(1, *)) {
                    $0[0].permute([0, 2, 1, 3]).contiguous()
                }
            }
    }

    private func broadcasts(_ rows: Int, _ columns: Int) -> [OpCase] {
        let (shape, n) = ([rows, columns], rows * columns)
        let name = text(shape)
        return [
            plain("add", name, [shape, shape], bytes: 3 * e * n) { $0[0] + $0[1] },
            plain("add number", name, [shape], bytes: 2 * e * n) { $0[0] + 1.0 },
            plain("add row", name, [shape, [columns]], bytes: 2 * e * n) { $0[0] + $0[1] },
            // An addition, a copy of the gradient and its sum over the rows.
            trained("add row", name, [shape, [columns]], bytes: 5 * e * n) { $0[0] + $0[1] },
            plain("add column", name, [shape, [rows, 1]], bytes: 2 * e * n) { $0[0] + $0[1] },
            // Every second number of whole rows: all their cache lines are read.
            plain("add strided", name, [[rows, 2 * columns], shape], bytes: 4 * e * n) {
                $0[0][TensorIndex.ellipsis, TensorIndex.slice(step: 2)] + $0[1]
            },
        ]
    }

    private func conversions(_ rows: Int, _ columns: Int) -> [OpCase] {
        let (shape, n) = ([rows, columns], rows * columns)
        let other: DType = type == .float32 ? .bfloat16 : .float32
        return [
            plain("convert", text(shape), [shape], bytes: n * (e + other.byteSize)) { $0[0].to(other) },
            row("masked fill", text(shape), [shape], bytes: n * (2 * e + 1)) { shapes in
                let x = random(shapes[0])
                let mask = Tensor.randn(shapes[0], generator: generator) .> 0
                return { Bench.keep(x.maskedFill(mask, 0)) }
            },
        ]
    }

    private func functions(_ rows: Int, _ columns: Int) -> [OpCase] {
        let (shape, n) = ([rows, columns], rows * columns)
        let functions: [(String, (Tensor) -> Tensor)] = [
            ("exp", { $0.exp() }), ("silu", { $0.silu() }), ("gelu", { $0.gelu() }), ("tanh", { $0.tanh() }),
        ]
        return functions.map { op, function in
            plain(op, text(shape), [shape], bytes: 2 * e * n) { function($0[0]) }
        }
            + [trained("silu", text(shape), [shape], bytes: 5 * e * n) { $0[0].silu() }]
    }

    private func layouts(_ rows: Int, _ columns: Int) -> [OpCase] {
        let n = rows * columns
        return [
            plain(
                "add transposed", "\(columns)x\(rows)", [[rows, columns], [columns, rows]], bytes: 3 * e * n,
                splits: false
            ) { $0[0].T + $0[1] },
            plain(
                "contiguous of transposed", "\(columns)x\(rows)", [[rows, columns]], bytes: 2 * e * n, splits: false
            ) { $0[0].T.contiguous() },
        ]
    }

    func reductions() -> [OpCase] {
        var cases: [OpCase] = []
        for shape in [[64, 512, 512], [256, 512, 512]] {
            let (name, bytes) = (text(shape), e * shape.reduce(1, *))
            cases += [
                plain("sum", name, [shape], bytes: bytes, reads: true) { $0[0].sum() },
                plain("norm", name, [shape], bytes: bytes, reads: true) { $0[0].norm() },
            ]
            cases += (0..<3).map { axis in
                plain("sum axis \(axis)", name, [shape], bytes: bytes, reads: true) { $0[0].sum(dim: axis) }
            }
            cases += (0..<3).map { axis in
                plain("amax axis \(axis)", name, [shape], bytes: bytes, reads: true) { $0[0].amax(dims: [axis]) }
            }
        }
        for matrix in [[4096, 2048], [8192, 8192]] {
            let (name, n) = (text(matrix), matrix.reduce(1, *))
            for axis in 0..<2 {
                cases += [
                    plain("argmax axis \(axis)", name, [matrix], bytes: e * n, reads: true) { $0[0].argmax(dim: axis) },
                    plain("variance axis \(axis)", name, [matrix], bytes: e * n, reads: true) {
                        $0[0].variance(dim: axis)
                    },
                    plain("cumsum axis \(axis)", name, [matrix], bytes: 2 * e * n) { $0[0].cumsum(dim: axis) },
                ]
            }
        }
        return cases
    }
}
