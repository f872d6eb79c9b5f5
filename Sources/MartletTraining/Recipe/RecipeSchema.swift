/// A value that a recipe can hold.
package protocol RecipeValue: Sendable, Equatable {
    /// What the value must look like, for help and error messages: `a whole number`.
    static var expectation: String { get }
    /// The keys inside, for a section or a choice.
    static var content: RecipeContent { get }
    /// Reads the value; nil where it is wrong, with the reason added to `problems`.
    static func read(_ node: ConfigNode, at path: String, problems: inout [RecipeProblem]) -> Self?
    /// The value as it is written.
    var configNode: ConfigNode { get }
}

extension RecipeValue {
    package static var content: RecipeContent { .none }
}

/// What a recipe's value consists of.
package enum RecipeContent: Sendable {
    case none
    case section([RecipeFieldDescription])
    /// Alternatives told apart by the value of one key.
    case choice(key: String, [RecipeVariantDescription])
}

/// A key of a recipe without the type of its section.
package struct RecipeFieldDescription: Sendable {
    package let name: String
    package let documentation: String
    /// What the value must look like.
    package let expectation: String
    package let isRequired: Bool
    /// The value that the key has when it is left out.
    package let defaultNode: ConfigNode
    package let content: RecipeContent
}

/// One alternative of a choice.
package struct RecipeVariantDescription: Sendable {
    package let name: String
    package let documentation: String
    package let fields: [RecipeFieldDescription]
}

// MARK: - Limits

/// A condition on a recipe's value.
package struct RecipeLimit<Value>: Sendable {
    /// Completes `expected a number ...`: `above 0`.
    let text: String
    /// In place of `text` for a value that is refused for another reason than people expect.
    var refusal: @Sendable (Value) -> String? = { _ in nil }
    let holds: @Sendable (Value) -> Bool

    static var none: RecipeLimit<Value> { RecipeLimit(text: "") { _ in true } }
}

extension RecipeLimit where Value == Int {
    static func atLeast(_ bound: Int) -> Self { Self(text: "at least \(bound)") { $0 >= bound } }
    /// A number of steps, batches and the like: bounded, so that sums and products of several cannot overflow.
    static func count(from bound: Int, to largest: Int = 1_000_000_000_000) -> Self {
        var limit = Self(text: "at least \(bound)") { (bound...largest).contains($0) }
        limit.refusal = { $0 > largest ? "from \(bound) to \(largest)" : nil }
        return limit
    }
    static func within(_ range: ClosedRange<Int>) -> Self {
        Self(text: "from \(range.lowerBound) to \(range.upperBound)") { range.contains($0) }
    }
}

extension RecipeLimit where Value == Double {
    static func above(_ bound: Double) -> Self { Self(text: "above \(short(bound))") { $0 > bound } }
    static func atLeast(_ bound: Double) -> Self { Self(text: "at least \(short(bound))") { $0 >= bound } }
    static func within(_ range: ClosedRange<Double>) -> Self {
        Self(text: "from \(short(range.lowerBound)) to \(short(range.upperBound))") { range.contains($0) }
    }
    /// At least the lower bound and below the upper.
    static func within(_ range: Range<Double>) -> Self {
        Self(text: "from \(short(range.lowerBound)) to below \(short(range.upperBound))") { range.contains($0) }
    }
    static func between(_ lower: Double, _ upper: Double) -> Self {
        Self(text: "above \(short(lower)) and below \(short(upper))") { $0 > lower && $0 < upper }
    }

    private static func short(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : ScalarText.text(of: value)
    }
}

extension RecipeLimit where Value == String {
    static var notEmpty: Self { Self(text: "that is not empty") { !$0.isEmpty } }
}

// MARK: - Fields and sections

/// One key of a section: the only place that knows its name, meaning, default and limits.
package struct RecipeField<Section: RecipeSection>: Sendable {
    package let name: String
    let read: @Sendable (inout Section, ConfigNode, String, inout [RecipeProblem]) -> Void
    let node: @Sendable (Section) -> ConfigNode
    let describe: @Sendable (Section) -> RecipeFieldDescription
    let isRequired: Bool

    /// A key that may be left out. Its default is the value that `Section.init()` gives the property.
    init<Value: RecipeValue>(
        _ name: String, _ keyPath: any WritableKeyPath<Section, Value> & Sendable, _ documentation: String,
        limit: RecipeLimit<Value> = .none, isRequired: Bool = false
    ) {
        let expectation = Value.expectation + (limit.text.isEmpty ? "" : " " + limit.text)
        self.init(
            name, keyPath, documentation, expectation: expectation, isRequired: isRequired
        ) { node, path, problems in
            Self.read(node, at: path, expectation: expectation, limit: limit, problems: &problems)
        }
    }

    /// A key that may be `null`.
    init<Value: RecipeValue>(
        _ name: String, optional keyPath: any WritableKeyPath<Section, Value?> & Sendable, _ documentation: String,
        limit: RecipeLimit<Value> = .none
    ) {
        let expectation = Value.expectation + (limit.text.isEmpty ? "" : " " + limit.text) + " or null"
        self.init(name, keyPath, documentation, expectation: expectation, isRequired: false) { node, path, problems in
            if node.isNull { return .some(nil) }
            return Self.read(node, at: path, expectation: expectation, limit: limit, problems: &problems).map {
                .some($0)
            }
        }
    }

    private static func read<Value: RecipeValue>(
        _ node: ConfigNode, at path: String, expectation: String, limit: RecipeLimit<Value>,
        problems: inout [RecipeProblem]
    ) -> Value? {
        var found: [RecipeProblem] = []
        let value = Value.read(node, at: path, problems: &found)
        if let value {
            if limit.holds(value) { return value }
            if let refusal = limit.refusal(value) {
                problems.append(.unexpected(node, at: path, expectation: Value.expectation + " " + refusal))
                return nil
            }
        }
        // Tell the limit at once, also to somebody who got the type wrong.
        let isTypeError = found == [.unexpected(node, at: path, expectation: Value.expectation)]
        problems += found.isEmpty || isTypeError ? [.unexpected(node, at: path, expectation: expectation)] : found
        return nil
    }

    private init<Value: RecipeValue>(
        _ name: String, _ keyPath: any WritableKeyPath<Section, Value> & Sendable, _ documentation: String,
        expectation: String, isRequired: Bool,
        value: @escaping @Sendable (ConfigNode, String, inout [RecipeProblem]) -> Value?
    ) {
        self.name = name
        self.isRequired = isRequired
        self.read = { section, node, path, problems in
            if let value = value(node, path, &problems) { section[keyPath: keyPath] = value }
        }
        self.node = { $0[keyPath: keyPath].configNode }
        self.describe = { section in
            RecipeFieldDescription(
                name: name, documentation: documentation, expectation: expectation, isRequired: isRequired,
                defaultNode: section[keyPath: keyPath].configNode, content: Value.content)
        }
    }
}

/// A group of keys.
package protocol RecipeSection: RecipeValue {
    /// Every key, in the order in which they are written.
    static var fields: [RecipeField<Self>] { get }
    /// Every key at its default. Required keys are empty or 0, which `Recipe.validate()` refuses.
    init()
    /// The section that the keys of `entries` are then read into: the defaults, where they depend on one of the keys.
    static func base(for entries: [ConfigNode.Entry], at path: String, problems: inout [RecipeProblem]) -> Self
}

extension RecipeSection {
    package static var expectation: String { "a mapping (key: value lines)" }
    package static var content: RecipeContent { .section(fieldDescriptions) }

    static var fieldDescriptions: [RecipeFieldDescription] {
        let defaults = Self()
        return fields.map { $0.describe(defaults) }
    }

    package static func base(
        for entries: [ConfigNode.Entry], at path: String, problems: inout [RecipeProblem]
    ) -> Self { Self() }

    package static func read(_ node: ConfigNode, at path: String, problems: inout [RecipeProblem]) -> Self? {
        if node.isNull { return read([], origin: node.origin, at: path, problems: &problems) }
        guard case .mapping(let entries) = node.value else {
            problems.append(.unexpected(node, at: path, expectation: expectation))
            return nil
        }
        return read(entries, origin: node.origin, at: path, problems: &problems)
    }

    /// - Parameter unknownKey: Tells more about a key that this section lacks.
    static func read(
        _ entries: [ConfigNode.Entry], origin: ConfigNode.Origin, at path: String, problems: inout [RecipeProblem],
        unknownKey: (String) -> String? = { _ in nil }
    ) -> Self? {
        let problemsBefore = problems.count
        var section = base(for: entries, at: path, problems: &problems)
        let fields = Self.fields
        for entry in entries {
            let keyPath = path.isEmpty ? entry.key : path + "." + entry.key
            guard let field = fields.first(where: { $0.name == entry.key }) else {
                let hint =
                    unknownKey(entry.key) ?? Recipe.hint(forUnknownKey: entry.key, among: fields.map(\.name), in: path)
                problems.append(RecipeProblem("unknown key '\(keyPath)'; \(hint)", origin: entry.origin))
                continue
            }
            field.read(&section, entry.value, keyPath, &problems)
        }
        let empty = Self()
        for field in fields where field.isRequired && !entries.contains(where: { $0.key == field.name }) {
            // A base that was filled in by another key (a preset) has the value already.
            guard field.node(section).hasSameContent(as: field.node(empty)) else { continue }
            let description = field.describe(empty)
            problems.append(
                RecipeProblem(
                    "missing key '\(path.isEmpty ? field.name : path + "." + field.name)': expected "
                        + "\(description.expectation) (\(description.documentation.firstSentence))",
                    origin: origin))
        }
        return problems.count == problemsBefore ? section : nil
    }

    package var configNode: ConfigNode {
        ConfigNode(.mapping(Self.fields.map { .init(key: $0.name, value: $0.node(self), origin: .code) }))
    }
}

// MARK: - Choices

/// One alternative of a choice between sections.
package struct RecipeVariant<Choice: RecipeChoice>: Sendable {
    let name: String
    let documentation: String
    let fieldNames: @Sendable () -> [String]
    let describe: @Sendable () -> RecipeVariantDescription
    let read:
        @Sendable ([ConfigNode.Entry], ConfigNode.Origin, String, inout [RecipeProblem], (String) -> String?) -> Choice?
    let node: @Sendable (Choice) -> ConfigNode?

    init<Section: RecipeSection>(
        _ name: String, _ documentation: String, wrap: @escaping @Sendable (Section) -> Choice,
        unwrap: @escaping @Sendable (Choice) -> Section?
    ) {
        self.name = name
        self.documentation = documentation
        self.fieldNames = { Section.fields.map(\.name) }
        self.describe = {
            RecipeVariantDescription(name: name, documentation: documentation, fields: Section.fieldDescriptions)
        }
        self.read = { entries, origin, path, problems, unknownKey in
            Section.read(entries, origin: origin, at: path, problems: &problems, unknownKey: unknownKey).map(wrap)
        }
        self.node = { unwrap($0)?.configNode }
    }
}

/// A value that is one of several sections, told apart by its key `name`. Without it, the first is meant.
package protocol RecipeChoice: RecipeValue {
    static var variants: [RecipeVariant<Self>] { get }
}

extension RecipeChoice {
    static var discriminator: String { "name" }

    package static var expectation: String {
        "a mapping whose key '\(discriminator)' is one of \(variants.map(\.name).joined(separator: ", "))"
    }
    package static var content: RecipeContent { .choice(key: discriminator, variants.map { $0.describe() }) }

    package static func read(_ node: ConfigNode, at path: String, problems: inout [RecipeProblem]) -> Self? {
        guard case .mapping(let entries) = node.value else {
            problems.append(.unexpected(node, at: path, expectation: expectation))
            return nil
        }
        let keyPath = path + "." + discriminator
        var variant = variants[0]
        if let chosen = entries.first(where: { $0.key == discriminator }) {
            guard let name = String.read(chosen.value, at: keyPath, problems: &problems) else { return nil }
            guard let named = variants.first(where: { $0.name == name }) else {
                problems.append(.unknownName(chosen.value, at: keyPath, name: name, among: variants.map(\.name)))
                return nil
            }
            variant = named
        }
        let others = variants.filter { $0.name != variant.name }
        return variant.read(
            entries.filter { $0.key != discriminator }, node.origin, path, &problems,
            { [variant] key in
                if variant.fieldNames().contains(where: { Spelling.isSame($0, key) }) { return nil }
                let owners = others.filter { $0.fieldNames().contains(key) }.map(\.name)
                if owners.isEmpty { return nil }
                return "it belongs to \(owners.joined(separator: " and ")); '\(variant.name)' has "
                    + variant.fieldNames().joined(separator: ", ")
            })
    }

    /// The `name` of the alternative that this value is.
    package var name: String {
        Self.variants.first { $0.node(self) != nil }!.name
    }

    package var configNode: ConfigNode {
        for variant in Self.variants {
            guard let node = variant.node(self), case .mapping(let entries) = node.value else { continue }
            let name = ConfigNode.Entry(
                key: Self.discriminator, value: ConfigNode(.quoted(variant.name)), origin: .code)
            return ConfigNode(.mapping([name] + entries))
        }
        preconditionFailure("\(Self.self).variants lists no variant for \(self)")
    }
}

// MARK: - Problems and decoders

/// Reads a value as strictly from any decoder as from YAML.
func readRecipeValue<Value: RecipeValue>(_ type: Value.Type, from decoder: any Decoder) throws -> Value {
    var problems: [RecipeProblem] = []
    let path = decoder.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    let value = Value.read(try ConfigNode(from: decoder), at: path, problems: &problems)
    guard let value, problems.isEmpty else { throw RecipeError(problems) }
    return value
}

extension RecipeProblem {
    static func unexpected(_ node: ConfigNode, at path: String, expectation: String) -> RecipeProblem {
        RecipeProblem(
            "\(path.isEmpty ? "recipe" : "'\(path)'"): expected \(expectation), found \(node.found)",
            origin: node.origin)
    }

    static func unknownName(_ node: ConfigNode, at path: String, name: String, among names: [String]) -> RecipeProblem {
        let hint = Spelling.nearest(to: name, among: names).map { "; did you mean '\($0)'?" } ?? ""
        return RecipeProblem(
            "'\(path)': expected one of \(names.joined(separator: ", ")), found '\(ScalarText.shortened(name))'\(hint)",
            origin: node.origin)
    }
}

extension String {
    /// The text up to its first full stop or colon.
    var firstSentence: String {
        var sentence = ""
        var rest = self[...]
        while let character = rest.popFirst() {
            if character == "." || character == ":" || character == ";",
                rest.first.map({ $0 == " " || $0 == "\n" }) ?? true
            {
                break
            }
            sentence.append(character == "\n" ? " " : character)
        }
        return sentence
    }
}
