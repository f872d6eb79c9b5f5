import Martlet
import Testing

/// Result types against PyTorch's.
@Suite struct PromotionTests {
    private let tables = OpFixtures.shared.promotion

    private func type(_ json: JSONValue) -> DType? { json.stringValue.flatMap { DType(name: $0) } }
    private var types: [DType] { tables["dtypes"]!.arrayValue!.map { type($0)! } }

    private func check(_ table: String, _ result: (DType, DType) -> DType) {
        for (i, row) in tables[table]!.arrayValue!.enumerated() {
            for (j, expected) in row.arrayValue!.enumerated() {
                #expect(result(types[i], types[j]) == type(expected), "\(table): \(types[i]) and \(types[j])")
            }
        }
    }

    @Test func tensors() {
        check("tensorTensor") { (Tensor.ones([2], dtype: $0) + Tensor.ones([2], dtype: $1)).dtype }
        check("tensorTensor") { DType.promote($0, $1) }
        check("tensorZeroDim") { (Tensor.ones([2], dtype: $0) + Tensor.ones([], dtype: $1)).dtype }
        check("tensorZeroDim") { (Tensor.ones([], dtype: $1) + Tensor.ones([2], dtype: $0)).dtype }
        check("zeroDimZeroDim") { (Tensor.ones([], dtype: $0) + Tensor.ones([], dtype: $1)).dtype }
        check("divide") { (Tensor.ones([2], dtype: $0) / Tensor.ones([2], dtype: $1)).dtype }
    }

    @Test func numbers() {
        for (table, shape) in [("tensorScalar", [2]), ("zeroDimScalar", [])] {
            for (kind, add) in [
                ("bool", { $0 + Tensor([true], shape: []) }), ("int", { $0 + 1 }), ("float", { $0 + 1.5 }),
            ] as [(String, (Tensor) -> Tensor)] {
                for (i, expected) in tables[table]![kind]!.arrayValue!.enumerated() {
                    let found = add(Tensor.ones(shape, dtype: types[i])).dtype
                    #expect(found == type(expected), "\(table): \(types[i]) and \(kind)")
                }
            }
        }
    }

    @Test func functions() {
        let functions: [String: (Tensor) -> Tensor] = [
            "neg": { -$0 }, "abs": { $0.abs() }, "sign": { $0.sign() }, "square": { $0.square() },
            "exp": { $0.exp() }, "log": { $0.log() }, "sqrt": { $0.sqrt() }, "reciprocal": { $0.reciprocal() },
            "sigmoid": { $0.sigmoid() }, "relu": { $0.relu() }, "floor": { $0.floor() }, "isNaN": { $0.isNaN() },
            "logicalNot": { $0.logicalNot() }, "bitwiseNot": { $0.bitwiseNot() }, "sum": { $0.sum() },
            "prod": { $0.prod() }, "mean": { $0.mean() }, "amax": { $0.amax() }, "any": { $0.any() },
            "all": { $0.all() }, "argmax": { $0.argmax() }, "cumsum": { $0.cumsum(dim: 0) },
            "logSumExp": { $0.logSumExp(dim: 0) }, "var": { $0.variance() }, "norm": { $0.norm() },
        ]
        let rows = tables["unary"]!.objectValue!
        #expect(Set(rows.keys) == Set(functions.keys))
        for (name, row) in rows.members {
            for (i, expected) in row.arrayValue!.enumerated() where !expected.isNull {
                // PyTorch keeps uint8 in any and all for the sake of old programs.
                if (name == "any" || name == "all") && types[i] == .uint8 { continue }
                let found = functions[name]!(Tensor.ones([3], dtype: types[i])).dtype
                #expect(found == type(expected), "\(name) of \(types[i])")
            }
        }
    }
}
