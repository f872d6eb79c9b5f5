public import Martlet

extension Optimizer {
    /// Everything that the next step depends on beside the parameters and the options: the number of steps, the
    /// learning rate, and for each parameter that was updated its number of updates, master copy and tensors, named
    /// `layers.0.weight/m`. A state loaded again goes on bit for bit.
    public final func stateDictionary() -> [(String, Tensor)] {
        var state: [(String, Tensor)] = [
            ("step", Tensor(stepCount)), ("learningRate", Tensor(learningRate, dtype: .float64)),
        ]
        for entry in entries where entry.step > 0 {
            state.append((entry.name + "/step", Tensor(entry.step)))
            if let master = entry.master { state.append((entry.name + "/master", master.detach())) }
            for (name, tensor) in entry.slots { state.append((entry.name + "/" + name, tensor.detach())) }
        }
        return state
    }

    /// Takes over a state that ``stateDictionary()`` gave, for the same parameters; its tensors are copied.
    ///
    /// - Throws: ``Martlet/MartletError`` that lists everything that does not fit: names of other parameters or of
    ///   another optimizer, other shapes, missing parts. The optimizer is unchanged then.
    public final func load(_ state: [(String, Tensor)]) throws {
        var given: [String: Tensor] = [:]
        var problems: [String] = []
        for (name, tensor) in state where given.updateValue(tensor, forKey: name) != nil {
            problems.append("\(name) is given twice")
        }
        func take(_ name: String, _ shape: [Int], _ fits: (DType) -> Bool, _ wanted: String) -> Tensor? {
            guard let tensor = given.removeValue(forKey: name) else {
                problems.append("\(name) is missing")
                return nil
            }
            if tensor.shape != shape {
                problems.append("\(name): the shape \(shape) is expected, the state has \(tensor.shape)")
                return nil
            }
            if !fits(tensor.dtype) {
                problems.append("\(name): \(wanted) is expected, the state has \(tensor.dtype)")
                return nil
            }
            return tensor
        }
        func takeCount(_ name: String) -> Int? {
            guard let value = take(name, [], { $0 == .int64 }, "int64").map({ $0.item(Int.self) }) else { return nil }
            if value < 0 {
                problems.append("\(name) is negative: \(value)")
                return nil
            }
            return value
        }
        let newStep = takeCount("step")
        let newRate = take("learningRate", [], { $0 == .float64 }, "float64")?.item()

        var loaded: [(entry: ParameterState, step: Int, master: Tensor?, slots: [(name: String, tensor: Tensor)])] = []
        for entry in entries {
            let prefix = entry.name + "/"
            // Parameters that never had a gradient have no state.
            if given[prefix + "step"] == nil {
                loaded.append((entry, 0, nil, []))
                continue
            }
            let step = takeCount(prefix + "step")
            let type = entry.parameter.dtype.accumulator
            func copy(_ name: String, _ shape: [Int]) -> Tensor? {
                take(prefix + name, shape, { $0 == .float32 || $0 == .float64 }, "\(type)").map { source in
                    noGrad { source.detach().to(type).clone() }
                }
            }
            // A master copy is made anew where the state comes from a run in full precision, and not needed in one.
            let master = given[prefix + "master"] == nil ? nil : copy("master", entry.parameter.shape)
            let tensors = slots(for: entry.parameter).compactMap { name, shape in copy(name, shape).map { (name, $0) } }
            if let step { loaded.append((entry, step, entry.parameter.dtype.isHalf ? master : nil, tensors)) }
        }
        let left = state.map(\.0).filter { given[$0] != nil }
        if !left.isEmpty { problems.append("unexpected: " + left.joined(separator: ", ")) }
        guard problems.isEmpty, let newStep, let newRate else {
            throw MartletError(
                .mismatch,
                "this state does not fit the optimizer \(type(of: self)): " + problems.joined(separator: "; "))
        }
        stepCount = newStep
        learningRate = newRate
        for (entry, step, master, slots) in loaded {
            entry.step = step
            entry.master = master
            entry.slots = slots
            entry.forgetWrite()
        }
    }

    /// Writes the state to a safetensors file.
    public final func save(to path: String, metadata: [String: String] = [:]) throws {
        try SafeTensors.save(stateDictionary(), to: path, metadata: metadata)
    }

    /// Loads the state from a safetensors file.
    public final func load(from path: String) throws {
        let file = try SafeTensors.load(path)
        do {
            try load(file.inOrder)
        } catch let error as MartletError where error.kind == .mismatch {
            throw MartletError(.mismatch, "\(path): \(error.message)")
        }
    }
}
