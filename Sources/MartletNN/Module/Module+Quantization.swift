internal import Martlet

extension Module {
    /// Stores the weights of every ``Linear`` and ``Embedding`` in this module as int8 with a factor for each row. What
    /// they compute stays of the type it was of. The model can be used and saved, but not be trained any more.
    @discardableResult
    public final func quantizeWeights() -> Self {
        for (_, module) in namedModules() {
            switch module {
            case let linear as Linear: linear.quantize()
            case let embedding as Embedding: embedding.quantize()
            default: break
            }
        }
        return self
    }

    /// Whether any weight in this module is stored as int8.
    public final var hasQuantizedWeights: Bool {
        namedModules().contains { _, module in
            (module as? Linear)?.scale != nil || (module as? Embedding)?.scale != nil
        }
    }
}

extension Parameter {
    /// Replaces the values by int8; returns the rows' factors.
    func quantizeInPlace() -> Tensor {
        let (values, scale) = detach().quantizedRows()
        requiresGrad = false
        setData(values)
        return scale
    }
}
