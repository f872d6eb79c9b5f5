import Martlet
import MartletNN
import Testing

@Suite struct ModuleTests {
    @Test func parametersAreFoundByReflection() {
        let zoo = Zoo()
        #expect(
            zoo.namedParameters().map(\.name) == [
                "scales.0", "scales.1", "embedding.weight", "layers.0.norm.weight", "layers.0.up.weight",
                "layers.0.up.bias", "layers.1.scale", "layers.1.norm.weight", "layers.1.up.weight", "layers.1.up.bias",
                "byName.a.weight", "norm.weight", "pair.left.weight", "pair.right.weight", "tuple.first.weight",
            ])
        // The tied weight of the head is counted once.
        #expect(zoo.parameterCount == zoo.parameters.reduce(0) { $0 + $1.count })
        #expect(zoo.parameter(named: "head.weight") === zoo.embedding.weight)
        #expect(zoo.parameter(named: "head.bias") == nil)
        #expect(zoo.namedBuffers().map(\.name) == ["runningMean"])
    }

    @Test func replacedPropertiesAreSeen() {
        let zoo = Zoo()
        let before = zoo.parameters.count
        zoo.extra = Linear(2, 5)
        #expect(zoo.parameters.count == before + 2)
        #expect(zoo.parameter(named: "extra.bias")?.shape == [5])
        zoo.mask = Tensor.ones([2])
        #expect(zoo.namedBuffers().map(\.name) == ["runningMean", "mask"])
        _ = zoo.later
        #expect(zoo.parameter(named: "later.weight")?.shape == [1, 2])
    }

    @Test func childrenAndModulesHaveNames() {
        let zoo = Zoo()
        #expect(
            zoo.children.map(\.name) == [
                "embedding", "layers.0", "layers.1", "head", "byName.a", "byName.b", "norm", "pair.left", "pair.right",
                "tuple.first",
            ])
        let modules = zoo.namedModules()
        #expect(modules[0].name == "" && modules[0].module === zoo)
        #expect(zoo.module(named: "layers.1.dropout") === zoo.layers[1].dropout)
        #expect(Set(modules.map(\.name)).count == modules.count)
    }

    @Test func cyclesEnd() {
        let zoo = Zoo()
        zoo.parent = zoo
        #expect(zoo.parameters.count == 15)
    }

    @Test func superclassesComeFirst() {
        class Base: Module { let first = Linear(1, 1, bias: false) }
        final class Derived: Base { let second = Linear(1, 1, bias: false) }
        #expect(Derived().namedParameters().map(\.name) == ["first.weight", "second.weight"])
    }

    @Test func sharedModulesAppearOnce() {
        final class Shared: Module {
            let a = Linear(2, 2)
            let list: [Linear]
            override init() { list = [a, a] }
        }
        let shared = Shared()
        #expect(shared.namedParameters().map(\.name) == ["a.weight", "a.bias"])
        #expect(shared.namedModules().map(\.name) == ["", "a"])
        #expect(shared.stateDictionary().map(\.0) == ["a.weight", "a.bias"])
    }

    @Test func parametersKnowTheirFullNames() {
        let zoo = Zoo()
        _ = zoo.parameters
        #expect(zoo.layers[1].up.weight.name == "layers.1.up.weight")
        #expect(zoo.embedding.weight.name == "embedding.weight")
        // Looking at a part does not shorten them.
        _ = zoo.layers[1].parameters
        #expect(zoo.layers[1].up.weight.name == "layers.1.up.weight")
    }

    @Test func theFirstCallNamesParameters() {
        let model = Perceptron()
        _ = model(Tensor.ones([1, 4]))
        #expect(model.hidden.weight.name == "hidden.weight")
    }

    @Test func thePathIsKnownInside() {
        final class Probe: Module {
            override func forward(_ x: Tensor) -> Tensor {
                paths.append(ModulePath.current)
                return x
            }
            var paths: [String] = []
        }
        final class Outer: Module {
            let inner: [Sequential]
            let probe = Probe()
            override init() { inner = [Sequential(ReLU(), probe)] }
            func callAsFunction(_ x: Tensor, twice: Bool) -> Tensor {
                run { twice ? inner[0](inner[0](x)) : inner[0](x) }
            }
        }
        let outer = Outer()
        _ = outer(Tensor.ones([1]), twice: true)
        // A module that has two places goes by the first.
        #expect(outer.probe.paths == ["inner.0.1", "inner.0.1"])
        #expect(ModulePath.current == "")
    }

    @Test func trainAndEvalReachEveryModule() {
        let zoo = Zoo()
        #expect(zoo.namedModules().allSatisfy { $0.module.isTraining })
        zoo.eval()
        #expect(zoo.namedModules().allSatisfy { !$0.module.isTraining })
        let x = Tensor([1, 2, 3], shape: [1, 3])
        #expect(bits(zoo(x)) == bits(zoo(x)))
        zoo.train()
        #expect(zoo.layers[0].dropout.isTraining)
    }

    @Test func freezing() throws {
        let zoo = Zoo()
        let all = zoo.parameterCount
        zoo.embedding.weight.grad = Tensor.ones([10, 4])
        zoo.freeze()
        #expect(zoo.trainableParameterCount == 0)
        #expect(zoo.embedding.weight.grad == nil)
        zoo.unfreeze()
        #expect(zoo.trainableParameterCount == all)
        #expect(try zoo.freeze("layers.1") == 4)
        #expect(!zoo.layers[1].up.weight.requiresGrad && zoo.layers[0].up.weight.requiresGrad)
        #expect(try zoo.unfreeze("layers.1.norm") == 1)
        #expect(zoo.layers[1].norm.weight!.requiresGrad && !zoo.layers[1].up.weight.requiresGrad)
        // By the second name of a tied weight.
        #expect(try zoo.freeze("head") == 1)
        #expect(!zoo.embedding.weight.requiresGrad)
        #expect(zoo.unfreeze { $0.hasSuffix("weight") } == 10)
        #expect(message { _ = try zoo.freeze("layer") }.contains("no parameter under the name \"layer\""))
    }

    @Test func frozenParametersGetNoGradient() throws {
        let model = Perceptron()
        try model.freeze("hidden")
        model(Tensor.ones([2, 4])).sum().backward()
        #expect(model.hidden.weight.grad == nil)
        #expect(model.output.weight.grad != nil)
        model.zeroGrad()
        #expect(model.output.weight.grad == nil)
    }

    @Test func conversion() {
        let zoo = Zoo()
        let weight = zoo.layers[0].up.weight
        zoo.to(.bfloat16)
        #expect(zoo.layers[0].up.weight === weight && weight.dtype == .bfloat16 && weight.requiresGrad)
        #expect(zoo.parameters.allSatisfy { $0.dtype == .bfloat16 })
        #expect(zoo.runningMean.dtype == .bfloat16)
        // Tables that follow from the configuration keep their precision.
        #expect(zoo.tables.cos.dtype == .float32)
        #expect(zoo.head.weight.sharesStorage(with: zoo.embedding.weight))
        zoo.to(.float64)
        #expect(weight.dtype == .float64)
    }

    @Test func descriptionIsTheTree() {
        final class Model: Module {
            let embedding = Embedding(10, 4, paddingIndex: 0)
            let layers: [Module]
            let scale = Parameter(Tensor.ones([4]))
            let head: Sequential
            override init() {
                layers = [
                    Sequential(LayerNorm(4), ReLU()), Sequential(LayerNorm(4), ReLU()), RMSNorm(4),
                ]
                head = Sequential(Linear(4, 10, bias: false), Dropout(0.5))
            }
        }
        let model = Model()
        let text = """
            Model(
              (scale): Parameter([4], float32)
              (embedding): Embedding(10, 4, paddingIndex: 0)
              (layers): [
                (0-1): 2 x Sequential(
                  (0): LayerNorm(4, eps: 1e-05)
                  (1): ReLU()
                )
                (2): RMSNorm(4, eps: 1e-06)
              ]
              (head): Sequential(
                (0): Linear(in: 4, out: 10, bias: false)
                (1): Dropout(p: 0.5)
              )
            )
            """
        #expect(model.description == text + "\n104 parameters")
        model.embedding.freeze()
        #expect("\(model)" == text + "\n104 parameters, 64 of them trainable")
        #expect(Linear(1000, 1235).description == "Linear(in: 1000, out: 1235, bias: true)\n1,236,235 parameters")
        #expect(ReLU().description == "ReLU()")
    }
}
