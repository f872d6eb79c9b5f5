import Martlet

extension OpCases {
    func elementwise() -> [OpCase] {
        let shape = [4096, 2048]
        let n = 4096 * 2048
        let name = text(shape)
        let other: DType = type == .float32 ? .bfloat16 : .float32
        // Of several sizes, because what fits in a cache moves faster than what does not.
        var cases = [1 << 20, 1 << 23, 1 << 25, 1 << 27].map { count in
            OpCase(op: "copy", shape: "\(count)", bytes: 2 * e * count) {
                let (from, to) = (random([count]), random([count]))
                return { to.copyInPlace(from) }
            }
        }
        cases += [
            plain("add", name, [shape, shape], bytes: 3 * e * n) { $0[0] + $0[1] },
            plain("add number", name, [shape], bytes: 2 * e * n) { $0[0] + 1.0 },
            plain("add row", name, [shape, [2048]], bytes: 2 * e * n) { $0[0] + $0[1] },
            plain("add column", name, [shape, [4096, 1]], bytes: 2 * e * n) { $0[0] + $0[1] },
            plain("add transposed", "2048x2048", [[2048, 2048], [2048, 2048]], bytes: 3 * e * 2048 * 2048) {
                $0[0].T + $0[1]
            },
            // Every second number of whole rows: all their cache lines are read.
            plain("add strided", name, [[4096, 4096], shape], bytes: 4 * e * n) {
                $0[0][TensorIndex.ellipsis, TensorIndex.slice(step: 2)] + $0[1]
            },
            plain("contiguous of transposed", "4096x4096", [[4096, 4096]], bytes: 2 * e * 4096 * 4096) {
                $0[0].T.contiguous()
            },
            plain("contiguous of permuted", "8x512x8x64", [[8, 512, 8, 64]], bytes: 2 * e * 2_097_152) {
                $0[0].permute([0, 2, 1, 3]).contiguous()
            },
            plain("convert", name, [shape], bytes: n * (e + other.byteSize)) { $0[0].to(other) },
            OpCase(op: "masked fill", shape: name, bytes: n * (2 * e + 1)) {
                let x = random(shape)
                let mask = Tensor.randn(shape, generator: generator) .> 0
                return { Bench.keep(x.maskedFill(mask, 0)) }
            },
        ]
        let functions: [(String, (Tensor) -> Tensor)] = [
            ("exp", { $0.exp() }), ("silu", { $0.silu() }), ("gelu", { $0.gelu() }), ("tanh", { $0.tanh() }),
        ]
        for (op, function) in functions {
            cases.append(plain(op, name, [shape], bytes: 2 * e * n) { function($0[0]) })
        }
        cases.append(trained("silu", name, [shape], bytes: 5 * e * n) { $0[0].silu() })
        cases.append(trained("add row", name, [shape, [2048]], bytes: 3 * e * n) { $0[0] + $0[1] })
        return cases
    }

    func reductions() -> [OpCase] {
        let shape = [64, 512, 512]
        let n = 64 * 512 * 512
        let name = text(shape)
        var cases = [
            plain("sum", name, [shape], bytes: e * n) { $0[0].sum() },
            plain("norm", name, [shape], bytes: e * n) { $0[0].norm() },
        ]
        for axis in 0..<3 {
            cases.append(plain("sum axis \(axis)", name, [shape], bytes: e * n) { $0[0].sum(dim: axis) })
        }
        for axis in 0..<3 {
            cases.append(plain("amax axis \(axis)", name, [shape], bytes: e * n) { $0[0].amax(dims: [axis]) })
        }
        let matrix = [4096, 8192]
        for axis in 0..<2 {
            cases.append(
                plain("argmax axis \(axis)", text(matrix), [matrix], bytes: e * 4096 * 8192) { $0[0].argmax(dim: axis) }
            )
        }
        cases.append(
            plain("variance axis 1", text(matrix), [matrix], bytes: e * 4096 * 8192) { $0[0].variance(dim: 1) })
        for axis in 0..<2 {
            cases.append(
                plain("cumsum axis \(axis)", "4096x2048", [[4096, 2048]], bytes: 2 * e * 4096 * 2048) {
                    $0[0].cumsum(dim: axis)
                })
        }
        return cases
    }
}
