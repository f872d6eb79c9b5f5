/// The learning-rate schedule of a recipe: the factor that the optimizer's learning rate is multiplied with at a step.
///
/// Schedules depend on the step's number alone, never on the time, so that a run can be repeated exactly.
public enum ScheduleRecipe: Sendable, Equatable {
    case palm(PaLMScheduleRecipe)
    case constant(ConstantScheduleRecipe)
    case linear(LinearScheduleRecipe)
    case cosine(CosineScheduleRecipe)
    case inverseSquareRoot(InverseSquareRootScheduleRecipe)

    /// The number of steps over which the rate rises from 0; 0 where there is no such rise.
    public var warmupSteps: Int {
        switch self {
        case .palm: 0
        case .constant(let recipe): recipe.warmupSteps
        case .linear(let recipe): recipe.warmupSteps
        case .cosine(let recipe): recipe.warmupSteps
        case .inverseSquareRoot(let recipe): recipe.warmupSteps
        }
    }

    /// The step at which the rate reaches its minimum, where the recipe says so itself.
    public var totalSteps: Int? {
        switch self {
        case .linear(let recipe): recipe.totalSteps
        case .cosine(let recipe): recipe.totalSteps
        case .palm, .constant, .inverseSquareRoot: nil
        }
    }

    /// The same schedule with the step spelt out at which it reaches its minimum.
    func resolved(steps: Int?) -> ScheduleRecipe {
        switch self {
        case .linear(var recipe):
            recipe.totalSteps = recipe.totalSteps ?? steps
            return .linear(recipe)
        case .cosine(var recipe):
            recipe.totalSteps = recipe.totalSteps ?? steps
            return .cosine(recipe)
        case .palm, .constant, .inverseSquareRoot: return self
        }
    }
}

extension ScheduleRecipe: RecipeChoice {
    package static var variants: [RecipeVariant<ScheduleRecipe>] {
        [
            RecipeVariant(
                "palm",
                "PaLM's: constant, then falling with 1/sqrt(step). With learningRate 0.01: 1/sqrt(max(k, 10000))",
                wrap: { .palm($0) }, unwrap: { if case .palm(let recipe) = $0 { recipe } else { nil } }),
            RecipeVariant(
                "constant", "Rises linearly during warm-up, then stays",
                wrap: { .constant($0) }, unwrap: { if case .constant(let recipe) = $0 { recipe } else { nil } }),
            RecipeVariant(
                "linear", "Rises linearly during warm-up, then falls linearly",
                wrap: { .linear($0) }, unwrap: { if case .linear(let recipe) = $0 { recipe } else { nil } }),
            RecipeVariant(
                "cosine", "Rises linearly during warm-up, then falls as half a cosine",
                wrap: { .cosine($0) }, unwrap: { if case .cosine(let recipe) = $0 { recipe } else { nil } }),
            RecipeVariant(
                "inverseSquareRoot", "Rises linearly during warm-up, then falls with sqrt(warmupSteps / step)",
                wrap: { .inverseSquareRoot($0) },
                unwrap: { if case .inverseSquareRoot(let recipe) = $0 { recipe } else { nil } }),
        ]
    }
}

private let warmupDocumentation = "Steps over which the rate rises linearly: step k of them has k/warmupSteps of it"
private let totalDocumentation = "The step at which the minimum is reached; the rate stays there. null: the run's steps"
private let minimumDocumentation = "The last learning rate divided by the highest"

/// PaLM's schedule.
public struct PaLMScheduleRecipe: Sendable, Equatable {
    public var constantSteps = 10_000

    public init() {}
}

extension PaLMScheduleRecipe: RecipeSection {
    package static var fields: [RecipeField<PaLMScheduleRecipe>] {
        [
            RecipeField(
                "constantSteps", \.constantSteps,
                "Steps at the full rate; step k after them has sqrt(constantSteps / k) of it", limit: .count(from: 1))
        ]
    }
}

/// A constant rate after a warm-up.
public struct ConstantScheduleRecipe: Sendable, Equatable {
    public var warmupSteps = 0

    public init() {}
}

extension ConstantScheduleRecipe: RecipeSection {
    package static var fields: [RecipeField<ConstantScheduleRecipe>] {
        [RecipeField("warmupSteps", \.warmupSteps, warmupDocumentation, limit: .count(from: 0))]
    }
}

/// A linear fall after a warm-up.
public struct LinearScheduleRecipe: Sendable, Equatable {
    public var warmupSteps = 0
    public var totalSteps: Int?
    public var minimumRatio = 0.0

    public init() {}
}

extension LinearScheduleRecipe: RecipeSection {
    package static var fields: [RecipeField<LinearScheduleRecipe>] {
        [
            RecipeField("warmupSteps", \.warmupSteps, warmupDocumentation, limit: .count(from: 0)),
            RecipeField("totalSteps", optional: \.totalSteps, totalDocumentation, limit: .count(from: 1)),
            RecipeField("minimumRatio", \.minimumRatio, minimumDocumentation, limit: .within(0...1)),
        ]
    }
}

/// Half a cosine after a warm-up.
public struct CosineScheduleRecipe: Sendable, Equatable {
    public var warmupSteps = 0
    public var totalSteps: Int?
    public var minimumRatio = 0.1

    public init() {}
}

extension CosineScheduleRecipe: RecipeSection {
    package static var fields: [RecipeField<CosineScheduleRecipe>] {
        [
            RecipeField("warmupSteps", \.warmupSteps, warmupDocumentation, limit: .count(from: 0)),
            RecipeField("totalSteps", optional: \.totalSteps, totalDocumentation, limit: .count(from: 1)),
            RecipeField("minimumRatio", \.minimumRatio, minimumDocumentation, limit: .within(0...1)),
        ]
    }
}

/// A fall with the square root of the step after a warm-up.
public struct InverseSquareRootScheduleRecipe: Sendable, Equatable {
    public var warmupSteps = 1000

    public init() {}
}

extension InverseSquareRootScheduleRecipe: RecipeSection {
    package static var fields: [RecipeField<InverseSquareRootScheduleRecipe>] {
        [RecipeField("warmupSteps", \.warmupSteps, warmupDocumentation, limit: .count(from: 1))]
    }
}
