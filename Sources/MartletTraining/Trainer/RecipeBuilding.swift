// From a recipe to the things that it describes.
public import Martlet
public import MartletData
public import MartletModels
public import MartletNN

extension ModelRecipe {
    /// The model's configuration with this tokenizer.
    ///
    /// - Throws: when the embedding would have fewer rows than the tokenizer has ids.
    public func configuration(tokenizer: any Tokenizer) throws -> PaLMConfiguration {
        let size = vocabulary ?? tokenizer.vocabularySize
        if size < tokenizer.vocabularySize {
            throw MartletError(
                .mismatch,
                "model.vocabulary is \(size), fewer than the \(tokenizer.vocabularySize) ids of the tokenizer "
                    + "(\(tokenizer.summary)): give at least as many, or leave the key out")
        }
        let configuration = PaLMConfiguration(
            vocabularySize: size, width: width, layers: layers, heads: heads, headDim: headDim,
            feedForward: feedForwardWidth, norm: .init(rawValue: norm.rawValue)!, normEps: normEps,
            ropeTheta: ropeTheta,
            ropeLayout: .init(rawValue: ropeLayout.rawValue)!,
            attentionScale: .init(rawValue: attentionScale.rawValue)!,
            logitScale: .init(rawValue: logitScale.rawValue)!,
            tieEmbeddings: tieEmbeddings, qkNorm: qkNorm, residualScale: residualScale, dropout: dropout,
            crossDocumentAttention: crossDocumentAttention)
        try configuration.validate()
        return configuration
    }
}

extension ScheduleRecipe {
    /// Learning rates for a run of `steps` steps whose highest is `peak`.
    public func schedule(peak: Double, steps: Int) -> Schedule {
        switch self {
        case .palm(let r): .palm(peak: peak, constantSteps: r.constantSteps)
        case .constant(let r): .constant(peak, warmupSteps: r.warmupSteps)
        case .linear(let r):
            .linear(
                peak: peak, warmupSteps: r.warmupSteps, totalSteps: max(r.totalSteps ?? steps, r.warmupSteps + 1),
                final: peak * r.minimumRatio)
        case .cosine(let r):
            .cosine(
                peak: peak, warmupSteps: r.warmupSteps, totalSteps: max(r.totalSteps ?? steps, r.warmupSteps + 1),
                final: peak * r.minimumRatio)
        case .inverseSquareRoot(let r): .inverseSquareRoot(peak: peak, warmupSteps: max(1, r.warmupSteps))
        }
    }
}

extension OptimizerRecipe {
    /// Bytes of optimizer state for each parameter, at least.
    var stateBytesPerParameter: Int {
        switch self {
        case .adafactor(let r): (r.beta1 == nil ? 0 : 4) + (r.factored ? 0 : 4)
        case .adamw, .adam: 8
        case .sgd(let r): r.momentum == 0 ? 0 : 4
        }
    }

    /// The optimizer of a model's parameters.
    public func optimizer(_ model: Module, schedule: Schedule) -> Optimizer {
        switch self {
        case .adafactor(let r):
            Adafactor(
                model, learningRate: r.learningRate, schedule: schedule, beta1: r.beta1, decayExponent: r.decayExponent,
                eps1: r.eps1, eps2: r.eps2, clipThreshold: r.clipThreshold,
                multipliesByParameterScale: r.multiplyByParameterScale, factored: r.factored,
                weightDecay: r.weightDecay,
                weightDecayExponent: r.weightDecayExponent)
        case .adamw(let r):
            AdamW(
                model, learningRate: r.learningRate, schedule: schedule, beta1: r.beta1, beta2: r.beta2, eps: r.eps,
                weightDecay: r.weightDecay)
        case .adam(let r):
            Adam(
                model, learningRate: r.learningRate, schedule: schedule, beta1: r.beta1, beta2: r.beta2, eps: r.eps,
                weightDecay: r.weightDecay)
        case .sgd(let r):
            SGD(
                model, learningRate: r.learningRate, schedule: schedule, momentum: r.momentum, dampening: r.dampening,
                nesterov: r.nesterov, weightDecay: r.weightDecay)
        }
    }
}

extension BatchSchedule {
    /// The loader's form: phases by first step, counted from 0.
    func loaderSchedule() throws -> BatchSizeSchedule {
        var phases: [BatchSizeSchedule.Phase] = []
        var first = 0
        for stage in stages {
            phases.append(BatchSizeSchedule.Phase(firstStep: first, size: stage.sequences))
            if let last = stage.untilStep { first = last }
        }
        return try BatchSizeSchedule(phases: phases)
    }
}

extension Recipe.Precision {
    var dtype: DType {
        switch self {
        case .float32: .float32
        case .bfloat16: .bfloat16
        }
    }
}

extension TokenBatch {
    /// Inputs and targets [rows, columns], int64.
    public var tensors: (inputs: Tensor, targets: Tensor) {
        (Tensor(inputs, shape: shape).to(.int64), Tensor(targets, shape: shape).to(.int64))
    }
}
