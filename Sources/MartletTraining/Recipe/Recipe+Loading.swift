import Glibc

extension Recipe {
    /// Reads a recipe from YAML text.
    ///
    /// - Parameters:
    ///   - yaml: The text.
    ///   - file: What error messages call the text.
    ///   - overrides: Changes as `key.path=value`, made before the recipe is read. Elements of lists are named by their
    ///     index: `data.train.0.weight=2`. Values are YAML.
    /// - Throws: `RecipeError` with everything that is wrong.
    public init(yaml: String, file: String = "recipe", overrides: [String] = []) throws(RecipeError) {
        var root = try ConfigNode.parse(yaml: yaml, file: file)
        for override in overrides { try root.apply(override: override) }
        var problems: [RecipeProblem] = []
        guard let recipe = Recipe.read(root, at: "", problems: &problems), problems.isEmpty else {
            throw RecipeError(problems)
        }
        self = recipe
        try validate()
    }

    /// Reads a recipe from a file.
    ///
    /// - Throws: `RecipeError` with everything that is wrong, also where the file cannot be read.
    public static func load(_ path: String, overrides: [String] = []) throws(RecipeError) -> Recipe {
        let bytes: [UInt8]
        do {
            bytes = try FileIO.read(path)
        } catch {
            throw RecipeError(RecipeProblem(error.description))
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw RecipeError(
                RecipeProblem("expected a recipe in YAML, found bytes that are not UTF-8 text", file: path))
        }
        return try Recipe(yaml: text, file: path, overrides: overrides)
    }

    /// The complete recipe as YAML, every default spelled out. Reading it gives an equal recipe.
    public func yaml() -> String { configNode.yaml() }
}

extension Recipe: Codable {
    public init(from decoder: any Decoder) throws {
        self = try readRecipeValue(Recipe.self, from: decoder)
        try validate()
    }

    public func encode(to encoder: any Encoder) throws { try configNode.encode(to: encoder) }
}

// MARK: - Overrides

extension ConfigNode {
    /// Sets one value: `optimizer.learningRate=3e-4`.
    mutating func apply(override text: String) throws(RecipeError) {
        let origin = Origin.override(text)
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
            throw RecipeError(RecipeProblem("expected key.path=value, found '\(text)'", origin: origin))
        }
        let path = text[..<equals].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard !path.contains("") else {
            throw RecipeError(
                RecipeProblem("expected key.path=value, found an empty name in '\(text[..<equals])'", origin: origin))
        }
        let value = try ConfigNode.parse(overrideValue: String(text[text.index(after: equals)...]), origin: origin)
        try set(path[...], to: value, done: [], origin: origin)
    }

    private mutating func set(
        _ path: ArraySlice<String>, to newValue: ConfigNode, done: [String], origin: Origin
    ) throws(RecipeError) {
        guard let name = path.first else {
            self = newValue
            return
        }
        let here = done.joined(separator: ".")
        switch value {
        case .mapping(var entries):
            let index = entries.firstIndex { $0.key == name } ?? entries.endIndex
            if index == entries.endIndex {
                entries.append(Entry(key: name, value: ConfigNode(.plain("null"), origin: origin), origin: origin))
            }
            try entries[index].value.set(path.dropFirst(), to: newValue, done: done + [name], origin: origin)
            if path.count == 1 { entries[index].origin = origin }
            value = .mapping(entries)
        case .list(var elements):
            guard let index = Int(name) else {
                throw RecipeError(
                    RecipeProblem(
                        "'\(here)' is a list: expected the index of an element, found '\(name)'", origin: origin))
            }
            guard elements.indices.contains(index) else {
                throw RecipeError(
                    RecipeProblem(
                        "'\(here)' has \(elements.count) element\(elements.count == 1 ? "" : "s"): there is none with "
                            + "index \(index) (they are counted from 0)", origin: origin))
            }
            try elements[index].set(path.dropFirst(), to: newValue, done: done + [name], origin: origin)
            value = .list(elements)
        case .plain where isNull && Int(name) == nil:
            value = .mapping([])
            try set(path, to: newValue, done: done, origin: origin)
        case .plain where isNull:
            throw RecipeError(
                RecipeProblem(
                    "'\(here)' is not in the recipe, so it has no element \(name): set the whole list, \(here)=[...]",
                    origin: origin))
        case .plain, .quoted:
            throw RecipeError(RecipeProblem("'\(here)' is \(found), which has no '\(name)'", origin: origin))
        }
    }
}

// MARK: - Hints

extension Recipe {
    /// What to say about a key that the section at `path` lacks.
    static func hint(forUnknownKey key: String, among names: [String], in path: String) -> String {
        if let near = Spelling.nearest(to: key, among: names) { return "did you mean '\(near)'?" }
        let elsewhere = allPaths(of: fieldDescriptions, under: "").filter { $0.lastComponent == key }
        if let first = elsewhere.first { return "did you mean '\(first)'?" }
        return path.isEmpty
            ? "the keys of a recipe are \(names.joined(separator: ", "))"
            : "the keys of '\(path)' are \(names.joined(separator: ", "))"
    }

    private static func allPaths(of fields: [RecipeFieldDescription], under path: String) -> [String] {
        fields.flatMap { field in
            let fieldPath = path.isEmpty ? field.name : path + "." + field.name
            let inner: [String] =
                switch field.content {
                case .none: []
                case .section(let fields): allPaths(of: fields, under: fieldPath)
                case .choice(_, let variants): variants.flatMap { allPaths(of: $0.fields, under: fieldPath) }
                }
            return [fieldPath] + inner
        }
    }
}

extension String {
    fileprivate var lastComponent: Substring { self[(lastIndex(of: ".").map(index(after:)) ?? startIndex)...] }
}
