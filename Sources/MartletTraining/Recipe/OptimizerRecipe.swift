/// The optimizer of a recipe and its hyper-parameters.
public enum OptimizerRecipe: Sendable, Equatable {
    case adafactor(AdafactorRecipe)
    case adamw(AdamWRecipe)
    case adam(AdamRecipe)
    case sgd(SGDRecipe)

    /// The learning rate that the schedule multiplies.
    public var learningRate: Double {
        switch self {
        case .adafactor(let recipe): recipe.learningRate
        case .adamw(let recipe): recipe.learningRate
        case .adam(let recipe): recipe.learningRate
        case .sgd(let recipe): recipe.learningRate
        }
    }
}

extension OptimizerRecipe: RecipeChoice {
    package static var variants: [RecipeVariant<OptimizerRecipe>] {
        [
            RecipeVariant(
                "adafactor", "PaLM's optimizer: Adam's momentum, steps in proportion to each matrix's own size",
                wrap: { .adafactor($0) }, unwrap: { if case .adafactor(let recipe) = $0 { recipe } else { nil } }),
            RecipeVariant(
                "adamw", "Adam with weight decay apart from the gradient",
                wrap: { .adamw($0) }, unwrap: { if case .adamw(let recipe) = $0 { recipe } else { nil } }),
            RecipeVariant(
                "adam", "Adam; weight decay is part of the gradient",
                wrap: { .adam($0) }, unwrap: { if case .adam(let recipe) = $0 { recipe } else { nil } }),
            RecipeVariant(
                "sgd", "Stochastic gradient descent, with momentum if wanted",
                wrap: { .sgd($0) }, unwrap: { if case .sgd(let recipe) = $0 { recipe } else { nil } }),
        ]
    }
}

private let learningRateDocumentation = "The learning rate; the schedule multiplies it with a factor from 0 to 1"

/// Adafactor as PaLM used it: unfactored, scaled by the parameters' size, weight decay lr².
public struct AdafactorRecipe: Sendable, Equatable {
    public var learningRate = 0.01
    public var beta1: Double? = 0.9
    public var decayExponent = 0.8
    public var eps1 = 1e-30
    public var eps2 = 1e-3
    public var clipThreshold: Double? = 1
    public var multiplyByParameterScale = true
    public var factored = false
    public var weightDecay = 1.0
    public var weightDecayExponent = 2.0

    public init() {}
}

extension AdafactorRecipe: RecipeSection {
    package static var fields: [RecipeField<AdafactorRecipe>] {
        [
            RecipeField("learningRate", \.learningRate, learningRateDocumentation, limit: .above(0)),
            RecipeField(
                "beta1", optional: \.beta1, "Decay of the momentum. null: no momentum, and none is stored",
                limit: .within(0..<1)),
            RecipeField(
                "decayExponent", \.decayExponent, "Decay of the second moment at step k is 1 - k^-decayExponent",
                limit: .between(0, 1)),
            RecipeField("eps1", \.eps1, "Added to the squared gradient", limit: .atLeast(0)),
            RecipeField(
                "eps2", \.eps2, "The least size that a parameter is taken to have (with multiplyByParameterScale)",
                limit: .atLeast(0)),
            RecipeField(
                "clipThreshold", optional: \.clipThreshold,
                "An update whose root mean square is above this is scaled down to it. null: no such clipping",
                limit: .above(0)),
            RecipeField(
                "multiplyByParameterScale", \.multiplyByParameterScale,
                "Multiply the learning rate with the parameter's root mean square"),
            RecipeField(
                "factored", \.factored,
                "Store the second moment of a matrix as a row and a column: less memory. PaLM does not"),
            RecipeField(
                "weightDecay", \.weightDecay,
                "Each step takes weightDecay * lr^weightDecayExponent off a parameter, lr being the step's learning rate",
                limit: .atLeast(0)),
            RecipeField(
                "weightDecayExponent", \.weightDecayExponent, "See weightDecay. 0: the same decay at every step",
                limit: .atLeast(0)),
        ]
    }
}

/// AdamW.
public struct AdamWRecipe: Sendable, Equatable {
    public var learningRate = 1e-3
    public var beta1 = 0.9
    public var beta2 = 0.95
    public var eps = 1e-8
    public var weightDecay = 0.1

    public init() {}
}

extension AdamWRecipe: RecipeSection {
    package static var fields: [RecipeField<AdamWRecipe>] {
        [
            RecipeField("learningRate", \.learningRate, learningRateDocumentation, limit: .above(0)),
            RecipeField("beta1", \.beta1, "Decay of the mean of the gradient", limit: .within(0..<1)),
            RecipeField("beta2", \.beta2, "Decay of the mean of the squared gradient", limit: .within(0..<1)),
            RecipeField("eps", \.eps, "Added to the root of the second moment", limit: .above(0)),
            RecipeField(
                "weightDecay", \.weightDecay, "Each step takes learning rate * weightDecay off a parameter",
                limit: .atLeast(0)),
        ]
    }
}

/// Adam.
public struct AdamRecipe: Sendable, Equatable {
    public var learningRate = 1e-3
    public var beta1 = 0.9
    public var beta2 = 0.999
    public var eps = 1e-8
    public var weightDecay = 0.0

    public init() {}
}

extension AdamRecipe: RecipeSection {
    package static var fields: [RecipeField<AdamRecipe>] {
        [
            RecipeField("learningRate", \.learningRate, learningRateDocumentation, limit: .above(0)),
            RecipeField("beta1", \.beta1, "Decay of the mean of the gradient", limit: .within(0..<1)),
            RecipeField("beta2", \.beta2, "Decay of the mean of the squared gradient", limit: .within(0..<1)),
            RecipeField("eps", \.eps, "Added to the root of the second moment", limit: .above(0)),
            RecipeField(
                "weightDecay", \.weightDecay, "weightDecay * parameter is added to the gradient", limit: .atLeast(0)),
        ]
    }
}

/// Stochastic gradient descent.
public struct SGDRecipe: Sendable, Equatable {
    public var learningRate = 0.1
    public var momentum = 0.0
    public var dampening = 0.0
    public var nesterov = false
    public var weightDecay = 0.0

    public init() {}
}

extension SGDRecipe: RecipeSection {
    package static var fields: [RecipeField<SGDRecipe>] {
        [
            RecipeField("learningRate", \.learningRate, learningRateDocumentation, limit: .above(0)),
            RecipeField("momentum", \.momentum, "Decay of the momentum. 0: none", limit: .within(0..<1)),
            RecipeField(
                "dampening", \.dampening, "The share of the gradient kept out of the momentum", limit: .within(0...1)),
            RecipeField("nesterov", \.nesterov, "Nesterov's momentum; needs momentum above 0 and no dampening"),
            RecipeField(
                "weightDecay", \.weightDecay, "weightDecay * parameter is added to the gradient", limit: .atLeast(0)),
        ]
    }
}
