public import Martlet

extension Module {
    /// Drops the gradients of all parameters.
    public final func zeroGrad() { for p in parameters { p.grad = nil } }

    /// Stops learning every parameter: no gradients are computed for them, and those there are are dropped.
    @discardableResult
    public final func freeze() -> Self {
        for p in parameters { Module.setLearned(p, false) }
        return self
    }

    /// Learns every parameter (again).
    @discardableResult
    public final func unfreeze() -> Self {
        for p in parameters { Module.setLearned(p, true) }
        return self
    }

    /// Freezes the parameters under a dotted name: `freeze("layers.1")` freezes `layers.1.norm.weight`, not
    /// `layers.10.norm.weight`.
    /// - Returns: how many parameters there are.
    /// - Throws: ``Martlet/MartletError`` when there is none.
    @discardableResult
    public final func freeze(_ prefix: String) throws -> Int { try setLearned(prefix, false) }

    /// Unfreezes the parameters under a dotted name; see ``freeze(_:)``.
    @discardableResult
    public final func unfreeze(_ prefix: String) throws -> Int { try setLearned(prefix, true) }

    /// Freezes the parameters whose dotted name `condition` accepts, and returns how many there are.
    @discardableResult
    public final func freeze(where condition: (String) -> Bool) -> Int { setLearned(false, where: condition) }

    /// Unfreezes the parameters whose dotted name `condition` accepts, and returns how many there are.
    @discardableResult
    public final func unfreeze(where condition: (String) -> Bool) -> Int { setLearned(true, where: condition) }

    /// Converts all floating-point parameters and buffers to `dtype`. The parameters stay the same objects.
    @discardableResult
    public final func to(_ dtype: DType) -> Self {
        if !dtype.isFloatingPoint {
            trap("\(typeName).to", "modules compute with floating-point numbers, not \(dtype)")
        }
        let tensors = parameters.map { $0 as Tensor } + namedBuffers().map(\.buffer)
        for tensor in tensors where tensor.dtype.isFloatingPoint && tensor.dtype != dtype {
            tensor.setData(noGrad { tensor.detach().to(dtype) })
        }
        return self
    }

    private func setLearned(_ learned: Bool, where condition: (String) -> Bool) -> Int {
        // A tied parameter may be meant by any of its names.
        var matched = Set<ObjectIdentifier>()
        for (name, p) in allParameters() where condition(name) && matched.insert(ObjectIdentifier(p)).inserted {
            Module.setLearned(p, learned)
        }
        return matched.count
    }

    private func setLearned(_ prefix: String, _ learned: Bool) throws -> Int {
        let count = setLearned(learned) { $0 == prefix || $0.hasPrefix(prefix + ".") }
        if count == 0 {
            let tops = children.map(\.name)
            throw MartletError(
                .configuration,
                "\(typeName) has no parameter under the name \"\(prefix)\"; directly below it there are: "
                    + (tops.isEmpty ? "none" : tops.joined(separator: ", ")))
        }
        return count
    }

    private static func setLearned(_ p: Parameter, _ learned: Bool) {
        if !p.dtype.isFloatingPoint { return }
        p.requiresGrad = learned
        // An optimizer would go on applying a gradient that stays behind.
        if !learned { p.grad = nil }
    }
}
