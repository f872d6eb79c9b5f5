import Yams

extension ConfigNode {
    /// Far above any recipe; stops a file whose aliases expand without end.
    private static let largestNodeCount = 100_000

    /// Reads one YAML document.
    ///
    /// - Parameters:
    ///   - yaml: The text.
    ///   - file: The name that error messages give the text.
    /// - Throws: `RecipeError` with the line, where the text is no YAML or its document is no mapping.
    static func parse(yaml: String, file: String) throws(RecipeError) -> ConfigNode {
        let root: Node?
        // A byte order mark at the start is no text.
        let isMarked = yaml.unicodeScalars.first == "\u{FEFF}"
        let text = isMarked ? String(yaml.unicodeScalars.dropFirst()) : yaml
        do {
            root = try Yams.compose(yaml: text, Resolver.basic)
        } catch {
            throw RecipeError(syntaxProblem(error, file: file))
        }
        guard let root else {
            throw RecipeError(RecipeProblem("expected a recipe (key: value lines), found an empty file", file: file))
        }
        var nodeCount = 0
        let node = try convert(root, file: file, nodeCount: &nodeCount)
        guard case .mapping = node.value else {
            throw RecipeError(
                RecipeProblem("expected a recipe (key: value lines), found \(node.found)", origin: node.origin))
        }
        return node
    }

    /// Reads the value of an override, such as `3e-4`, `[a, b]` or `{path: x, weight: 2}`.
    static func parse(overrideValue text: String, origin: Origin) throws(RecipeError) -> ConfigNode {
        if text.isEmpty { return ConfigNode(.quoted(""), origin: origin) }
        do {
            guard let root = try Yams.compose(yaml: text, Resolver.basic) else {
                return ConfigNode(.plain(""), origin: origin)
            }
            var nodeCount = 0
            return try convert(root, file: "", nodeCount: &nodeCount).moved(to: origin)
        } catch let error as RecipeError {
            throw error
        } catch {
            throw RecipeError(
                RecipeProblem("the value is not YAML: \(syntaxProblem(error, file: "").message)", origin: origin))
        }
    }

    func moved(to origin: Origin) -> ConfigNode {
        switch value {
        case .plain, .quoted: return ConfigNode(value, origin: origin)
        case .list(let elements): return ConfigNode(.list(elements.map { $0.moved(to: origin) }), origin: origin)
        case .mapping(let entries):
            return ConfigNode(
                .mapping(entries.map { Entry(key: $0.key, value: $0.value.moved(to: origin), origin: origin) }),
                origin: origin)
        }
    }

    private static func convert(_ node: Node, file: String, nodeCount: inout Int) throws(RecipeError) -> ConfigNode {
        let origin = Origin.line(node.mark?.line ?? 1, file: file)
        nodeCount += 1
        guard nodeCount <= largestNodeCount else {
            throw RecipeError(RecipeProblem("more than \(largestNodeCount) values: this is no recipe", origin: origin))
        }
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain || scalar.style == .any
            return ConfigNode(isPlain ? .plain(scalar.string) : .quoted(scalar.string), origin: origin)
        case .sequence(let sequence):
            var elements: [ConfigNode] = []
            for element in sequence { elements.append(try convert(element, file: file, nodeCount: &nodeCount)) }
            return ConfigNode(.list(elements), origin: origin)
        case .mapping(let mapping):
            var entries: [Entry] = []
            for (key, value) in mapping {
                let keyOrigin = Origin.line(key.mark?.line ?? 1, file: file)
                guard let name = key.scalar?.string else {
                    throw RecipeError(RecipeProblem("a key must be a word, found a list or mapping", origin: keyOrigin))
                }
                entries.append(
                    Entry(key: name, value: try convert(value, file: file, nodeCount: &nodeCount), origin: keyOrigin))
            }
            return ConfigNode(.mapping(entries), origin: origin)
        case .alias(let alias):
            throw RecipeError(RecipeProblem("unresolved alias '*\(alias.anchor.rawValue)'", origin: origin))
        }
    }

    private static func syntaxProblem(_ error: any Error, file: String) -> RecipeProblem {
        func problem(_ text: String, _ mark: Mark) -> RecipeProblem {
            RecipeProblem("not valid YAML: \(text)", origin: .line(mark.line, file: file))
        }
        switch error as? YamlError {
        case .scanner(let context, let text, let mark, _), .parser(let context, let text, let mark, _),
            .composer(let context, let text, let mark, _):
            return problem([context?.text, text].compactMap { $0 }.joined(separator: ", "), mark)
        case .duplicatedKeysInMapping(let duplicates, let context):
            return problem("the key '\(duplicates.joined(separator: "', '"))' stands here twice", context.mark)
        case .reader(let text, let offset, _, _):
            return RecipeProblem("not valid YAML: \(text)\(offset.map { " at byte \($0)" } ?? "")", file: file)
        default:
            return RecipeProblem("not valid YAML: \(error)", file: file)
        }
    }
}

// MARK: - Writing

extension ConfigNode {
    /// The node as a YAML document, mappings in block style.
    ///
    /// - Parameter comment: The comment lines to write above the entry at a path, or nil for none.
    func yaml(comment: (String) -> String? = { _ in nil }) -> String {
        var text = ""
        guard case .mapping(let entries) = value else { return flow + "\n" }
        write(entries, path: "", indent: 0, firstIndent: 0, comment: comment, into: &text)
        return text
    }

    private func write(
        _ entries: [Entry], path: String, indent: Int, firstIndent: Int, comment: (String) -> String?,
        into text: inout String
    ) {
        let margin = String(repeating: " ", count: indent)
        for (index, entry) in entries.enumerated() {
            let entryPath = path.isEmpty ? entry.key : path + "." + entry.key
            if let lines = comment(entryPath) {
                if indent == 0 && index > 0 { text += "\n" }
                for line in lines.split(separator: "\n") { text += margin + "# " + line + "\n" }
            }
            text += (index == 0 ? String(repeating: " ", count: firstIndent) : margin) + Self.scalar(entry.key) + ":"
            switch entry.value.value {
            case .mapping(let inner) where !inner.isEmpty:
                text += "\n"
                write(
                    inner, path: entryPath, indent: indent + 2, firstIndent: indent + 2, comment: comment, into: &text)
            case .list(let elements) where elements.contains { $0.isMapping }:
                text += "\n"
                for element in elements {
                    text += margin + "  - "
                    if case .mapping(let inner) = element.value, !inner.isEmpty {
                        write(
                            inner, path: entryPath + "[]", indent: indent + 4, firstIndent: 0, comment: { _ in nil },
                            into: &text)
                    } else {
                        text += element.flow + "\n"
                    }
                }
            default:
                text += " " + entry.value.flow + "\n"
            }
        }
    }

    private var isMapping: Bool {
        if case .mapping = value { return true }
        return false
    }

    /// The node on one line.
    var flow: String {
        switch value {
        case .plain(let text): text.isEmpty ? "null" : text
        case .quoted(let text): Self.scalar(text)
        case .list(let elements): "[" + elements.map(\.flow).joined(separator: ", ") + "]"
        case .mapping(let entries):
            "{" + entries.map { Self.scalar($0.key) + ": " + $0.value.flow }.joined(separator: ", ") + "}"
        }
    }

    /// Text as a YAML scalar: without quotes where every reader takes it as that text, in double quotes otherwise.
    private static func scalar(_ text: String) -> String {
        func isWordByte(_ byte: UInt8) -> Bool {
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "/"):
                true
            default: false
            }
        }
        func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }
        let ambiguous: Set = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
        if let first = text.utf8.first, isLetter(first) || first == UInt8(ascii: "/"), text.utf8.allSatisfy(isWordByte),
            !ambiguous.contains(text.lowercased())
        {
            return text
        }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case "\r": quoted += "\\r"
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
                quoted += "\\x" + hex(scalar.value, digits: 2)
            case "\u{2028}", "\u{2029}", "\u{FEFF}", "\u{FFFE}", "\u{FFFF}":
                quoted += "\\u" + hex(scalar.value, digits: 4)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    private static func hex(_ value: UInt32, digits: Int) -> String {
        let text = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}
