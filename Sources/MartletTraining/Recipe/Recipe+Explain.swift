extension Recipe {
    /// Every key with its meaning, what it may be, and its default: a YAML file that is a template of a recipe.
    ///
    /// - Parameter path: Only this key or section, such as `optimizer`; nil for the whole recipe.
    /// - Throws: `RecipeError` where there is no such key.
    public static func explain(_ path: String? = nil) throws(RecipeError) -> String {
        guard let path else {
            return fieldDescriptions.map { text(for: $0, indent: 0) }.joined(separator: "\n")
        }
        var fields = fieldDescriptions
        var found: [RecipeFieldDescription] = []
        var done: [String] = []
        for name in path.split(separator: ".").map(String.init) {
            found = fields.filter { $0.name == name }
            guard let first = found.first else {
                let hint = hint(forUnknownKey: name, among: fields.map(\.name), in: done.joined(separator: "."))
                throw RecipeError(RecipeProblem("unknown key '\((done + [name]).joined(separator: "."))'; \(hint)"))
            }
            done.append(name)
            fields =
                switch first.content {
                case .none: []
                case .section(let fields): fields
                case .choice(_, let variants): variants.flatMap(\.fields)
                }
        }
        return found.map { text(for: $0, indent: 0) }.joined(separator: "\n")
    }

    private static func text(for field: RecipeFieldDescription, indent: Int) -> String {
        let margin = String(repeating: " ", count: indent)
        var text = ""
        func comment(_ line: String, prefix: String = "") {
            for part in wrapped(line, width: 110 - indent - prefix.count) { text += "\(margin)# \(prefix)\(part)\n" }
        }
        comment(field.documentation + ".")
        switch field.content {
        case .section(let fields):
            text += "\(margin)\(field.name):\(field.isRequired ? " # required" : "")\n"
            text += fields.map { self.text(for: $0, indent: indent + 2) }.joined()
        case .choice(let key, let variants):
            guard case .mapping(let entries) = field.defaultNode.value,
                case .quoted(let name)? = entries.first(where: { $0.key == key })?.value.value
            else { preconditionFailure("the choice '\(field.name)' has no default") }
            text += "\(margin)\(field.name):\n"
            for variant in variants {
                // The alternatives stay comments, so that the whole can be read as a recipe.
                let isDefault = variant.name == name
                let inner = String(repeating: " ", count: indent + 2)
                let lead = isDefault ? "" : "# "
                text += "\(inner)# \(isDefault ? "" : "Or: ")\(variant.documentation).\n"
                text += "\(inner)\(lead)\(key): \(variant.name)\n"
                let keys = variant.fields.map { self.text(for: $0, indent: 0) }.joined()
                for line in keys.split(separator: "\n") { text += inner + lead + line + "\n" }
            }
        case .none:
            if field.isRequired {
                comment("Required: \(field.expectation).")
                text += "\(margin)\(field.name):\n"
            } else {
                comment("Expects \(field.expectation).")
                // A default that depends on other keys is empty here, and must not be set to nothing.
                let isDerived = field.defaultNode.value == .quoted("")
                text += "\(margin)\(isDerived ? "# \(field.name):" : "\(field.name): \(field.defaultNode.flow)")\n"
            }
        }
        return text
    }

    private static func wrapped(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty && line.count + 1 + word.count > width {
                lines.append(line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return line.isEmpty ? lines : lines + [line]
    }
}
