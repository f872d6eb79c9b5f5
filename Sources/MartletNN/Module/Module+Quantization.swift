internal import Martlet

/// How the weights of linear layers and embeddings are stored for using a model.
public enum WeightQuantization: String, Codable, Sendable, CaseIterable {
    /// 8 bits and a factor for each row (``Martlet/Tensor/quantizedRows()``).
    case int8
    /// 4 bits and a factor for each 32 of a row (``Martlet/Tensor/quantizedGroups()``); embeddings, and layers whose
    /// inputs are no multiple of 64, as int8.
    case int4
}

extension Module {
    /// Stores the weights of every ``Linear`` and ``Embedding`` in this module in fewer bits. What they compute stays of
    /// the type it was of. The model can be used and saved, but not be trained any more. Weights that are quantised already
    /// stay as they are.
    @discardableResult
    public final func quantizeWeights(_ quantization: WeightQuantization = .int8) -> Self {
        for (_, module) in namedModules() {
            switch module {
            case let linear as Linear: linear.quantize(quantization)
            case let embedding as Embedding: embedding.quantize()
            default: break
            }
        }
        return self
    }

    /// How the weights in this module are stored; nil where all are floating-point.
    public final var weightQuantization: WeightQuantization? {
        var found: WeightQuantization?
        for (_, module) in namedModules() {
            if (module as? Linear)?.quantization == .int4 { return .int4 }
            if (module as? Linear)?.scale != nil || (module as? Embedding)?.scale != nil { found = .int8 }
        }
        return found
    }

    /// Whether any weight in this module is quantised.
    public final var hasQuantizedWeights: Bool { weightQuantization != nil }
}

extension Parameter {
    /// Replaces the values by quantised ones; returns their factors.
    func quantizeInPlace(_ quantization: WeightQuantization) -> Tensor {
        let (values, scale) = quantization == .int4 ? detach().quantizedGroups() : detach().quantizedRows()
        requiresGrad = false
        setData(values)
        return scale
    }
}
