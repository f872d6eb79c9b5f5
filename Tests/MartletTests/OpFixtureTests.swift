import Foundation
import Martlet
import Testing

/// Every op against PyTorch's values: forward, backward, twice backward and forward-mode derivatives.
@Suite struct OpFixtureTests {
    static let ops = OpFixtures.shared.byOp.keys.sorted()

    @Test func everyOpOfTheFixturesIsCovered() {
        let missing = Self.ops.filter { OpTable.all[$0] == nil }
        #expect(missing.isEmpty)
        #expect(OpFixtures.shared.cases.count > 800)
    }

    /// What has tests of its own instead: it makes tensors, draws at random, writes in place, converts or reads, or is
    /// another name of an op that has fixtures.
    static let withoutFixtures: Set<String> = [
        "addInPlace", "allClose", "arange", "bernoulli", "bernoulliInPlace", "bfloat16", "broadcastTo", "byte",
        "clampInPlace", "contiguous", "copyInPlace", "dequantizedGroups", "dequantizedRows", "divInPlace", "double",
        "dropout", "empty",
        "equal", "expInPlace", "expandAs", "eye", "fill", "fillInPlace", "float", "full", "gainsTogether", "half",
        "indexAddInPlace",
        "indexCopyInPlace", "lerpInPlace", "linearTogether", "linspace", "logspace", "long", "manualSeed",
        "maskedFillInPlace",
        "mulInPlace", "multinomial", "negInPlace", "normalInPlace", "ones", "powInPlace", "quantizedGroups",
        "quantizedRows", "rand",
        "randint", "randn", "randperm", "reluInPlace", "reshapeAs", "short", "sigmoidInPlace", "slice", "sqrtInPlace",
        "subInPlace", "tanhInPlace", "toArray2D", "toArray3D", "uniform", "uniformInPlace", "view", "viewAs",
        "zeroInPlace", "zeros",
    ]

    /// An op without fixtures and without a test of its own fails here.
    @Test func everyOpHasFixturesOrATest() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path(percentEncoded: false)
        func sources(_ folder: String) throws -> [(path: String, text: String)] {
            let names = try #require(FileManager.default.enumerator(atPath: root + folder))
            return try names.compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") }.map {
                ($0, try String(contentsOfFile: root + folder + "/" + $0, encoding: .utf8))
            }
        }
        let ops = try sources("Sources/Martlet/Ops").flatMap { file in
            file.text.matches(of: /public (?:static )?func `?([a-zA-Z]\w*)/).map { String($0.1) }
        }
        let tests = try sources("Tests")
        func calls(_ text: String) -> Set<String> {
            Set(text.matches(of: /\.([a-zA-Z]\w*)(?:\(| \{)/).map { String($0.1) })
        }
        let table = calls(tests.filter { $0.path.contains("OpTable") }.map(\.text).joined())
        let others = calls(tests.filter { !$0.path.contains("OpTable") }.map(\.text).joined())
        #expect(Set(ops).count > 250)
        #expect(Set(ops).subtracting(table).subtracting(Self.withoutFixtures).sorted() == [])
        #expect(Self.withoutFixtures.subtracting(others).sorted() == [])
        #expect(Self.withoutFixtures.subtracting(ops).sorted() == [])
    }

    @Test(arguments: ops) func float64(_ op: String) throws {
        let function = try #require(OpTable.all[op])
        for test in OpFixtures.shared.byOp[op]! {
            for isScattered in [false, true] {
                OpCheck(test, function, isScattered: isScattered).run()
            }
        }
    }

    @Test(arguments: ops) func forwardMode(_ op: String) throws {
        let function = try #require(OpTable.all[op])
        for test in OpFixtures.shared.byOp[op]! where test.hasSecond {
            OpCheck(test, function, isScattered: false).runForwardMode()
        }
    }

    @Test(arguments: [DType.float32, .bfloat16, .float16]) func lowerPrecision(_ dtype: DType) throws {
        for test in OpFixtures.shared.cases {
            guard let function = OpTable.all[test.op], test.op != "cast" else { continue }
            // Values there leave the type's range.
            if [".farFromZero", ".large", ".tails", ".huge"].contains(where: test.name.hasSuffix) { continue }
            let types = Set(test.inputs.map(\.dtype).filter(\.isFloatingPoint))
            if types != [.float64] { continue }
            for isScattered in [false, true] {
                OpCheck(test, function, isScattered: isScattered).runRounded(to: dtype)
            }
        }
    }
}

/// One case of the fixtures.
private struct OpCheck {
    let test: OpFixtures.Case
    let function: OpFunction
    let isScattered: Bool
    let fixtures = OpFixtures.shared

    init(_ test: OpFixtures.Case, _ function: @escaping OpFunction, isScattered: Bool) {
        self.test = test
        self.function = function
        self.isScattered = isScattered
    }

    private var label: String { test.name + (isScattered ? " (scattered inputs)" : "") }

    private func load(_ part: String) -> Tensor {
        let x = fixtures.tensor("\(test.name)/\(part)")
        return isScattered ? scattered(x) : x
    }

    private func expectEqual(_ actual: Tensor, _ expected: Tensor, _ what: String, exact: Bool = false) {
        let found = difference(actual, expected, rtol: exact ? 0 : 1e-10, atol: exact ? 0 : 1e-11)
        #expect(found == nil, "\(label): \(what)")
    }

    func run() {
        let inputs = test.inputs.indices.map { i in
            let x = load("in\(i)")
            return test.inputs[i].hasGrad ? x.requiringGrad() : x
        }
        let outputs = function(inputs, test.arguments)
        guard outputs.count == test.outputs.count else {
            Issue.record("\(label): \(outputs.count) outputs, expected \(test.outputs.count)")
            return
        }
        for (j, y) in outputs.enumerated() {
            #expect(y.dtype == test.outputs[j].dtype, "\(label): dtype of output \(j)")
            #expect(y.shape == test.outputs[j].shape, "\(label): shape of output \(j)")
            expectEqual(y, fixtures.tensor("\(test.name)/out\(j)"), "output \(j)", exact: test.isExact)
        }
        for (i, x) in inputs.enumerated() {
            expectEqual(x, fixtures.tensor("\(test.name)/in\(i)"), "input \(i) after the op", exact: true)
        }
        if !test.hasBackward { return }
        let wanted = test.inputs.indices.filter { test.inputs[$0].hasGrad }
        let given = test.outputs.indices.filter { test.outputs[$0].hasGrad }
        for j in given where !outputs[j].requiresGrad {
            Issue.record("\(label): output \(j) does not require gradients")
            return
        }
        // First without recording: the fused derivative; then recorded.
        let plain = grad(
            of: given.map { outputs[$0] }, wrt: wanted.map { inputs[$0] }, gradients: given.map { load("gout\($0)") },
            retainGraph: true)
        for (slot, i) in wanted.enumerated() {
            expectEqual(plain[slot], fixtures.tensor("\(test.name)/gin\(i)"), "gradient of input \(i)")
        }
        if !test.hasSecond { return }
        let upstream = given.map { load("gout\($0)").requiringGrad() }
        let first = grad(
            of: given.map { outputs[$0] }, wrt: wanted.map { inputs[$0] }, gradients: upstream, createGraph: true)
        var total: Tensor?
        for (slot, i) in wanted.enumerated() {
            expectEqual(first[slot], fixtures.tensor("\(test.name)/gin\(i)"), "recorded gradient of input \(i)")
            let part = (first[slot] * load("v\(i)")).sum()
            total = total.map { $0 + part } ?? part
        }
        let targets = wanted.map { inputs[$0] } + upstream
        let names = wanted.map { "ggin\($0)" } + given.map { "ggout\($0)" }
        let second: [Tensor?] =
            total!.requiresGrad ? gradIfUsed(of: [total!], wrt: targets) : targets.map { _ in nil }
        for (slot, name) in names.enumerated() {
            let expected = fixtures.tensors["\(test.name)/\(name)"] ?? Tensor.zeros(like: targets[slot])
            expectEqual(second[slot] ?? Tensor.zeros(like: targets[slot]), expected, name)
        }
    }

    func runForwardMode() {
        let wanted = test.inputs.indices.filter { test.inputs[$0].hasGrad }
        let inputs = test.inputs.indices.map { load("in\($0)") }
        let (outputs, tangents) = jvp(
            { points in
                var all = inputs
                for (slot, i) in wanted.enumerated() { all[i] = points[slot] }
                return function(all, test.arguments)
            }, wanted.map { inputs[$0] }, tangents: wanted.map { load("v\($0)") })
        for j in test.outputs.indices where test.outputs[j].hasGrad {
            expectEqual(outputs[j], fixtures.tensor("\(test.name)/out\(j)"), "output \(j)", exact: test.isExact)
            let expected =
                fixtures.tensors["\(test.name)/ggout\(j)"] ?? Tensor.zeros(test.outputs[j].shape, dtype: .float64)
            expectEqual(tangents[j], expected, "tangent of output \(j)")
        }
    }

    /// Inputs are rounded to `dtype` first; what they give in float64, which ``run()`` checks, is the reference.
    func runRounded(to dtype: DType) {
        func rounded(_ part: String) -> Tensor {
            let x = load(part)
            return x.dtype == .float64 ? x.to(dtype) : x
        }
        let given = test.outputs.indices.filter { test.outputs[$0].hasGrad }
        let wanted = test.inputs.indices.filter { test.inputs[$0].hasGrad }
        func evaluate(_ convert: (Tensor) -> Tensor) -> (outputs: [Tensor], gradients: [Tensor]) {
            let inputs = test.inputs.indices.map { i in
                let x = convert(rounded("in\(i)"))
                return test.inputs[i].hasGrad ? x.requiringGrad() : x
            }
            let outputs = function(inputs, test.arguments)
            if wanted.isEmpty { return (outputs, []) }
            return (
                outputs,
                grad(
                    of: given.map { outputs[$0] }, wrt: wanted.map { inputs[$0] },
                    gradients: given.map { convert(rounded("gout\($0)")) })
            )
        }
        let reference = evaluate { $0.dtype == dtype ? $0.to(.float64) : $0 }
        let actual = evaluate { $0 }
        // Losses and what they sum up are kept in float32.
        let types = ["crossEntropy", "linearCrossEntropy"].contains(test.op) ? [dtype.accumulator] : [dtype]
        let tolerance = dtype == .float32 ? 2e-5 : dtype == .bfloat16 ? 4e-2 : 1e-2
        // What is beyond the type's range is infinite in it.
        func limited(_ x: Tensor) -> Tensor { x.dtype == .float64 ? x.to(dtype).to(.float64) : x }
        for (j, (y, exact)) in zip(actual.outputs, reference.outputs).enumerated() {
            let expected = limited(exact)
            if expected.dtype == .float64 {
                #expect(types.contains(y.dtype), "\(label) in \(dtype): output \(j) is \(y.dtype)")
            } else {
                #expect(y.dtype == expected.dtype, "\(label) in \(dtype): dtype of output \(j)")
            }
            let found = difference(y, expected, rtol: tolerance, atol: tolerance, scaled: true)
            #expect(found == nil, "\(label) in \(dtype): output \(j)")
        }
        for (slot, i) in wanted.enumerated() {
            #expect(actual.gradients[slot].dtype == dtype, "\(label) in \(dtype): dtype of gradient \(i)")
            let found = difference(
                actual.gradients[slot], limited(reference.gradients[slot]), rtol: 2 * tolerance, atol: 2 * tolerance,
                scaled: true)
            #expect(found == nil, "\(label) in \(dtype): gradient of input \(i)")
        }
    }
}
