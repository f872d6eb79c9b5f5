import Martlet
import MartletNN
import Testing

@Suite struct OptimizerTests {
    enum Kind: String, CaseIterable {
        case sgd, momentum, adam, adamW, adafactor, factored, rmsProp, centered, adagrad

        func make(_ source: some ParameterSource, schedule: Schedule? = nil, groups: [ParameterGroup] = []) -> Optimizer
        {
            switch self {
            case .sgd: SGD(source, learningRate: 0.1, schedule: schedule, groups: groups)
            case .momentum:
                SGD(source, learningRate: 0.1, schedule: schedule, momentum: 0.9, nesterov: true, groups: groups)
            case .adam: Adam(source, learningRate: 0.01, schedule: schedule, weightDecay: 0.1, groups: groups)
            case .adamW: AdamW(source, learningRate: 0.01, schedule: schedule, weightDecay: 0.1, groups: groups)
            case .adafactor: Adafactor(source, learningRate: 0.05, schedule: schedule, groups: groups)
            case .rmsProp: RMSprop(source, learningRate: 0.01, schedule: schedule, weightDecay: 0.1, groups: groups)
            case .centered:
                RMSprop(
                    source, learningRate: 0.01, schedule: schedule, momentum: 0.9, centered: true, groups: groups)
            case .adagrad:
                Adagrad(
                    source, learningRate: 0.01, schedule: schedule, learningRateDecay: 0.1, initialAccumulator: 0.5,
                    groups: groups)
            case .factored:
                Adafactor(
                    source, learningRate: 0.05, schedule: schedule, factored: true, minimumSizeToFactor: 2,
                    groups: groups)
            }
        }
    }

    /// One step of a made-up training; the data depends on the step alone.
    private func train(_ model: Perceptron, _ optimizer: Optimizer, _ steps: Range<Int>) {
        for step in steps {
            let generator = Generator(seed: UInt64(step))
            let x = Tensor.randn([16, 4], generator: generator).to(model.hidden.weight.dtype)
            model(x).to(.float32).mseLoss(x.narrow(1, start: 0, length: 3).to(.float32)).backward()
            optimizer.step(clippingNorm: 1)
            optimizer.zeroGrad()
        }
    }

    @Test(arguments: Kind.allCases, [DType.float32, .bfloat16, .float16, .float64])
    func resumingIsBitExact(_ kind: Kind, _ dtype: DType) throws {
        let schedule = Schedule.linear(peak: 0.05, warmupSteps: 3, totalSteps: 20)
        let whole = Perceptron().to(dtype)
        let wholeOptimizer = kind.make(whole, schedule: schedule)
        train(whole, wholeOptimizer, 0..<10)

        let first = Perceptron().to(dtype)
        let firstOptimizer = kind.make(first, schedule: schedule)
        train(first, firstOptimizer, 0..<6)
        let second = Perceptron(99).to(dtype)
        let secondOptimizer = kind.make(second, schedule: schedule)
        try withTemporaryFile { path in
            try first.save(to: path)
            try second.load(from: path)
            try firstOptimizer.save(to: path)
            try secondOptimizer.load(from: path)
        }
        #expect(secondOptimizer.stepCount == 6 && secondOptimizer.learningRate == firstOptimizer.learningRate)
        train(second, secondOptimizer, 6..<10)

        for (p, q) in zip(whole.parameters, second.parameters) { #expect(bits(p) == bits(q)) }
        let a = wholeOptimizer.stateDictionary()
        let b = secondOptimizer.stateDictionary()
        #expect(a.map(\.0) == b.map(\.0))
        for (x, y) in zip(a, b) { #expect(bits(x.1) == bits(y.1), "\(x.0)") }
    }

    @Test(arguments: Kind.allCases)
    func masterCopiesFollowFullPrecision(_ kind: Kind) {
        // The same gradients for a bfloat16 parameter and a float32 one: the master copy is the float32 parameter.
        let start = Tensor.randn([6, 5], generator: Generator(seed: 1)).to(.bfloat16)
        let half = Parameter(start.clone())
        let full = Parameter(start.to(.float32))
        let optimizers = (kind.make([half]), kind.make([full]))
        for step in 0..<20 {
            let g = Tensor.randn([6, 5], std: 0.01, generator: Generator(seed: UInt64(step))).to(.bfloat16)
            half.grad = g
            full.grad = g.to(.float32)
            optimizers.0.step()
            optimizers.1.step()
        }
        let state = optimizers.0.stateDictionary()
        let master = state.first { $0.0 == "0/master" }!.1
        #expect(master.dtype == .float32)
        #expect(bits(master) == bits(full))
        #expect(bits(half) == bits(full.to(.bfloat16)))
    }

    @Test func writersAreNoticed() throws {
        let p = Parameter(Tensor([1, 1.5]).to(.bfloat16))
        let optimizer = SGD([p], learningRate: 1e-4)
        p.grad = Tensor.ones([2]).to(.bfloat16)
        optimizer.step()
        // Too small a step for bfloat16, kept in the master copy; then the first element is set by hand.
        #expect(p.doubles == [1, 1.5])
        noGrad { _ = p.select(0, 0).fillInPlace(3) }
        optimizer.step()
        let master = optimizer.stateDictionary().first { $0.0 == "0/master" }!.1.doubles
        #expect(abs(master[0] - (3 - 1e-4)) < 1e-6)
        #expect(abs(master[1] - (1.5 - 2e-4)) < 1e-6)
    }

    @Test func conversionAfterSteps() {
        let model = Perceptron()
        let optimizer = AdamW(model, learningRate: 0.01)
        train(model, optimizer, 0..<2)
        model.to(.bfloat16)
        train(model, optimizer, 2..<4)
        #expect(optimizer.stateDictionary().contains { $0.0 == "hidden.weight/master" })
        model.to(.float64)
        train(model, optimizer, 4..<6)
        let state = optimizer.stateDictionary()
        #expect(!state.contains { $0.0 == "hidden.weight/master" })
        #expect(state.first { $0.0 == "hidden.weight/m" }!.1.dtype == .float64)
        #expect(model.parameters.allSatisfy { $0.doubles.allSatisfy(\.isFinite) })
    }

    @Test func groups() {
        let model = Perceptron()
        let before = model.parameters.map(bits)
        let optimizer = AdamW(
            model, learningRate: 0.01, weightDecay: 0.5,
            groups: [
                ParameterGroup("biases", weightDecay: 0) { _, p in p.rank < 2 },
                ParameterGroup("output", learningRate: .constant(0)) { name, _ in name.hasPrefix("output") },
            ])
        for p in model.parameters { p.grad = Tensor.zeros(like: p) }
        optimizer.step()
        // Without gradients only decay acts: on the first weight alone.
        #expect(bits(model.hidden.weight) != before[0])
        #expect(bits(model.hidden.bias!) == before[1])
        #expect(bits(model.output.weight) == before[2])
        #expect(optimizer.learningRate(of: model.hidden.weight) == 0.01)
        #expect(optimizer.learningRate(of: model.output.weight) == 0)
        #expect(
            optimizer.description == """
                AdamW(learningRate: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-08, weightDecay: 0.5)
                  biases: 1 parameters, 8 values
                  output: 1 parameters, 24 values
                  the rest: 1 parameters, 32 values
                """)
        optimizer.groups[1].learningRate = nil
        optimizer.groups[1].learningRateScale = 0.5
        #expect(optimizer.learningRate(of: model.output.weight) == 0.005)
    }

    @Test func parametersWithoutGradientsAreLeftAlone() throws {
        let model = Perceptron()
        let optimizer = Adam(model, learningRate: 0.1)
        let before = bits(model.output.weight)
        model.hidden.weight.grad = Tensor.ones([8, 4])
        model.output.weight.grad = Tensor.ones([3, 8])
        model.output.weight.requiresGrad = false
        optimizer.step()
        #expect(bits(model.output.weight) == before)
        let names = optimizer.stateDictionary().map(\.0)
        #expect(names == ["step", "learningRate", "hidden.weight/step", "hidden.weight/m", "hidden.weight/v"])
        // A state with some parameters only is whole.
        let other = Adam(Perceptron(), learningRate: 0.1)
        try other.load(optimizer.stateDictionary())
        #expect(other.stateDictionary().map(\.0) == names)
    }

    @Test func gradientScaleIsAppliedFirst() {
        for kind in Kind.allCases {
            let a = Perceptron()
            let b = Perceptron()
            let optimizers = (kind.make(a), kind.make(b))
            for step in 0..<3 {
                for (p, q) in zip(a.parameters, b.parameters) {
                    let g = Tensor.randn(p.shape, generator: Generator(seed: UInt64(step)))
                    p.grad = g * 0.25
                    q.grad = g
                }
                optimizers.0.step()
                optimizers.1.step(gradientScale: 0.25)
            }
            for (p, q) in zip(a.parameters, b.parameters) { #expect(bits(p) == bits(q), "\(kind)") }
        }
    }

    @Test func aViewAsParameter() {
        // Parameters of any layout: here a transposed one.
        let base = Tensor.randn([3, 4], generator: Generator(seed: 1))
        let straight = Parameter(base.T.clone())
        let transposed = Parameter(base.T)
        for kind in [Kind.adamW, .adafactor, .factored, .momentum] {
            let optimizers = (kind.make([straight]), kind.make([transposed]))
            let g = Tensor.randn([4, 3], generator: Generator(seed: 2))
            straight.grad = g
            transposed.grad = g.T.clone().T
            optimizers.0.step()
            optimizers.1.step()
            #expect(bits(straight) == bits(transposed))
        }
        #expect(bits(base.T) == bits(transposed))
    }

    @Test func statesOfOthersAreRefused() throws {
        let model = Perceptron()
        let adam = Adam(model)
        train(model, adam, 0..<1)
        let state = adam.stateDictionary()
        let before = adam.stateDictionary().map { bits($0.1) }
        #expect(message { try SGD(model).load(state) }.contains("unexpected: hidden.weight/m, hidden.weight/v"))
        #expect(message { try SGD(model, momentum: 0.9).load(state) }.contains("hidden.weight/momentum is missing"))
        let wider = message { try Adam(Perceptron(hidden: 9)).load(state) }
        #expect(wider.contains("hidden.weight/m: the shape [9, 4] is expected, the state has [8, 4]"))
        #expect(message { try adam.load(Array(state.dropFirst())) }.contains("step is missing"))
        #expect(
            message { try adam.load(state.filter { $0.0 != "output.weight/v" }) }.contains("output.weight/v is missing")
        )
        #expect(message { try adam.load(state + [state[0]]) }.contains("step is given twice"))
        #expect(adam.stateDictionary().map { bits($0.1) } == before)
    }

    @Test func adafactorMemory() {
        let p = Parameter(Tensor.ones([256, 130]))
        let v = Parameter(Tensor.ones([256]))
        let optimizer = Adafactor(NamedParameters([("p", p), ("v", v)]), beta1: nil, factored: true)
        p.grad = Tensor.ones([256, 130])
        v.grad = Tensor.ones([256])
        optimizer.step()
        let sizes = Dictionary(uniqueKeysWithValues: optimizer.stateDictionary().map { ($0.0, $0.1.shape) })
        #expect(sizes["p/vRow"] == [256] && sizes["p/vColumn"] == [130] && sizes["v/v"] == [256])
        #expect(sizes["p/v"] == nil && sizes["p/m"] == nil)
    }

    @Test func plateauStates() throws {
        func make() -> ReduceLROnPlateau {
            ReduceLROnPlateau(SGD([Parameter(Tensor.zeros([1]))], learningRate: 1), patience: 1, cooldown: 2)
        }
        let whole = make()
        for measure in [2.0, 1, 1] { whole.step(measure) }
        #expect(whole.best == 1 && whole.badCount == 1 && whole.cooldownLeft == 0)
        let resumed = make()
        try resumed.load(whole.stateDictionary())
        for measure in [1.0, 1, .nan, 1, 1, 0.5] {
            #expect(whole.step(measure) == resumed.step(measure))
            #expect(whole.optimizer.learningRate == resumed.optimizer.learningRate)
            #expect(whole.cooldownLeft == resumed.cooldownLeft && whole.badCount == resumed.badCount)
        }
        #expect(whole.best == 0.5)
        let state = whole.stateDictionary()
        #expect(message { try make().load(Array(state.dropFirst())) }.contains("best is missing"))
        #expect(message { try make().load(state + [("other", Tensor(1))]) }.contains("unexpected: other"))
        #expect(message { try make().load([("best", Tensor(1))] + state.dropFirst()) }.contains("one float64"))
        #expect(
            message { try make().load(Array(state.prefix(2)) + [("cooldownLeft", Tensor(-1))]) }.contains("negative"))
        #expect(whole.description.hasPrefix("ReduceLROnPlateau(mode: min, factor: 0.1, patience: 1"))
    }

    @Test func plateausAndSchedulesDoNotGoTogether() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let optimizer = SGD([Parameter(Tensor.zeros([1]))], schedule: .constant(0.1))
            _ = ReduceLROnPlateau(optimizer)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("[ReduceLROnPlateau] the optimizer has a schedule"))
    }

    @Test func anOptimizerOfOnesOwn() {
        final class SignDescent: Optimizer {
            override func update(_ state: ParameterState, _ gradient: Tensor, _ options: UpdateOptions) {
                state.parameter.subInPlace(gradient.sign() * (options.learningRate * options.gradientScale))
            }
        }
        let p = Parameter(Tensor([1.0, 2, 3]))
        let optimizer = SignDescent([("p", p)], learningRate: 0.5)
        p.grad = Tensor([-3.0, 0, 9])
        optimizer.step()
        #expect(p.doubles == [1.5, 2, 2.5])
    }

    @Test func severalModules() {
        let source = NamedParameters(["generator": Perceptron(1), "critic": Perceptron(2)])
        #expect(
            source.sourceParameters.map(\.name).prefix(4) == [
                "generator.hidden.weight", "generator.hidden.bias", "generator.output.weight", "critic.hidden.weight",
            ])
    }
}
