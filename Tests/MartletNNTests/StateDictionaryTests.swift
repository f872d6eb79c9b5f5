import Martlet
import MartletNN
import Testing

@Suite struct StateDictionaryTests {
    @Test func roundTrip() throws {
        let a = Perceptron(1)
        let b = Perceptron(2)
        #expect(a.stateDictionary().map(\.0) == ["hidden.weight", "hidden.bias", "output.weight"])
        let report = try b.load(a.stateDictionary())
        #expect(report.isComplete && report.description == "all names match")
        for (p, q) in zip(a.parameters, b.parameters) {
            #expect(bits(p) == bits(q))
            #expect(!p.sharesStorage(with: q))
        }
    }

    @Test func roundTripThroughAFile() throws {
        let a = Zoo()
        let b = Zoo()
        a.runningMean = Tensor([1.0, 2, 3, 4])
        a.mask = Tensor.ones([2])
        try withTemporaryFile { path in
            try a.save(to: path)
            try b.load(from: path)
        }
        let x = Tensor([1, 2, 3], shape: [1, 3])
        #expect(bits(a.eval()(x)) == bits(b.eval()(x)))
        #expect(b.runningMean.doubles == [1, 2, 3, 4])
        #expect(b.head.weight === b.embedding.weight)
        #expect(b.layers[0].up.weight.requiresGrad)
    }

    @Test func stateSharesMemory() {
        let model = Perceptron()
        let state = model.stateDictionary()
        #expect(state.allSatisfy { !$0.1.requiresGrad })
        noGrad { _ = model.hidden.weight.fillInPlace(7) }
        #expect(state[0].1.doubles.allSatisfy { $0 == 7 })
    }

    @Test func buffersAreSavedUnlessTheyAreNot() {
        let zoo = Zoo()
        zoo.mask = Tensor.ones([2])
        let names = zoo.stateDictionary().map(\.0)
        #expect(names.contains("runningMean"))
        #expect(!names.contains("mask") && !names.contains("tables.cos") && !names.contains("head.weight"))
    }

    @Test func dtypesOfTheModuleAreKept() throws {
        let a = Perceptron(1)
        let b = Perceptron(2).to(.bfloat16)
        try b.load(a.stateDictionary())
        #expect(b.hidden.weight.dtype == .bfloat16)
        #expect(bits(b.hidden.weight) == bits(a.hidden.weight.to(.bfloat16)))
    }

    @Test func strictLoadingListsEverythingAndLoadsNothing() throws {
        let model = Perceptron()
        let before = bits(model.output.weight)
        let error = message {
            try model.load([
                ("hidden.weight", Tensor.zeros([8, 5])), ("output.weight", Tensor.zeros([3, 8])),
                ("outptu.weight", Tensor.zeros([1])), ("hidden.extra", Tensor.zeros([1])),
            ])
        }
        #expect(error.contains("Perceptron"))
        #expect(error.contains("hidden.weight: the shape [8, 4] is expected, the state has [8, 5]"))
        #expect(error.contains("missing: hidden.bias"))
        #expect(error.contains("unexpected: outptu.weight, hidden.extra"))
        #expect(bits(model.output.weight) == before)
    }

    @Test func looseLoadingReports() throws {
        let model = Perceptron()
        let report = try model.load(
            [("output.weight", Tensor.zeros([3, 8])), ("other", Tensor.zeros([1]))], strict: false)
        #expect(report == LoadReport(missing: ["hidden.weight", "hidden.bias"], unexpected: ["other"]))
        #expect(model.output.weight.doubles.allSatisfy { $0 == 0 })
        #expect(
            message { _ = try model.load([("output.weight", Tensor.zeros([3, 9]))], strict: false) }
                .contains("the state has [3, 9]"))
    }

    @Test func otherMismatches() {
        let model = Perceptron()
        let state = model.stateDictionary()
        #expect(message { try model.load(state + [state[0]]) }.contains("hidden.weight is given twice"))
        let integers = state.map { ($0.0, $0.1.to(.int32)) }
        #expect(message { try model.load(integers) }.contains("float32 is expected, the state has int32"))
    }

    @Test func tiedParametersLoadUnderAnyName() throws {
        let a = Zoo()
        let b = Zoo()
        let state = a.stateDictionary()
        // Under the second name only, as a framework that names the head may have saved it.
        try b.load(state.map { ($0.0 == "embedding.weight" ? "head.weight" : $0.0, $0.1) })
        #expect(bits(a.embedding.weight) == bits(b.embedding.weight))
        // Under both, equal.
        try b.load(state + [("head.weight", a.head.weight)])
        // Under both, different.
        let error = message { try b.load(state + [("head.weight", Tensor.zeros([10, 4]))]) }
        #expect(error.contains("embedding.weight and head.weight are one parameter here"))
    }

    @Test func fileErrorsNameTheFile() throws {
        #expect(
            message { try Perceptron().load(from: "no/such/file.safetensors") }.contains("no/such/file.safetensors"))
        try withTemporaryFile { path in
            try Perceptron().save(to: path)
            #expect(message { try Perceptron(hidden: 9).load(from: path) }.hasPrefix(path))
        }
    }
}
