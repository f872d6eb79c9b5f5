// Every section is read as strictly from any decoder as from YAML, and written through the same declarations. The witnesses
// of a public protocol cannot come from an extension of a package protocol, hence a line for each type.

extension DataRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension TokenFile: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension ModelRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension OptimizerRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension AdafactorRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension AdamWRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension AdamRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension SGDRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension ScheduleRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension PaLMScheduleRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension ConstantScheduleRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension LinearScheduleRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension CosineScheduleRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension InverseSquareRootScheduleRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension BatchRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension BatchSchedule: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension BatchSchedule.Stage: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension EvaluationRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension CheckpointRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension SpikeRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension BatchRange: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension LoggingRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

extension SampleRecipe: Codable {
    public init(from decoder: any Decoder) throws { self = try readRecipeValue(Self.self, from: decoder) }
    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}
