extension Int: RecipeValue {
    package static var expectation: String { "a whole number" }

    package static func read(_ node: ConfigNode, at path: String, problems: inout [RecipeProblem]) -> Int? {
        if case .plain(let text) = node.value {
            switch ScalarText.meaning(of: text) {
            case .integer(let integer): return integer
            // `1e6` is what people write for a million steps. Doubles hold whole numbers exactly up to 2^53.
            case .number(let number) where number == number.rounded() && abs(number) <= 9_007_199_254_740_992:
                return Int(number)
            default: break
            }
        }
        problems.append(.unexpected(node, at: path, expectation: expectation))
        return nil
    }

    package var configNode: ConfigNode { ConfigNode(.plain(String(self))) }
}

extension Double: RecipeValue {
    package static var expectation: String { "a number" }

    package static func read(_ node: ConfigNode, at path: String, problems: inout [RecipeProblem]) -> Double? {
        if case .plain(let text) = node.value {
            switch ScalarText.meaning(of: text) {
            case .integer(let integer): return Double(integer)
            case .number(let number) where number.isFinite: return number
            case .number:
                problems.append(.unexpected(node, at: path, expectation: "a finite number"))
                return nil
            default: break
            }
        }
        problems.append(.unexpected(node, at: path, expectation: expectation))
        return nil
    }

    package var configNode: ConfigNode { ConfigNode(.plain(ScalarText.text(of: self))) }
}

extension Bool: RecipeValue {
    package static var expectation: String { "true or false" }

    package static func read(_ node: ConfigNode, at path: String, problems: inout [RecipeProblem]) -> Bool? {
        if case .plain(let text) = node.value, case .bool(let bool) = ScalarText.meaning(of: text) { return bool }
        problems.append(.unexpected(node, at: path, expectation: expectation))
        return nil
    }

    package var configNode: ConfigNode { ConfigNode(.plain(self ? "true" : "false")) }
}

extension String: RecipeValue {
    package static var expectation: String { "text" }

    package static func read(_ node: ConfigNode, at path: String, problems: inout [RecipeProblem]) -> String? {
        switch node.value {
        case .quoted(let text): return text
        case .plain(let text) where !node.isNull: return text
        default:
            problems.append(.unexpected(node, at: path, expectation: expectation))
            return nil
        }
    }

    package var configNode: ConfigNode { ConfigNode(.quoted(self)) }
}

extension Optional: RecipeValue where Wrapped: RecipeValue {
    package static var expectation: String { Wrapped.expectation + " or null" }
    package static var content: RecipeContent { Wrapped.content }

    package static func read(_ node: ConfigNode, at path: String, problems: inout [RecipeProblem]) -> Wrapped?? {
        if node.isNull { return .some(nil) }
        return Wrapped.read(node, at: path, problems: &problems).map { .some($0) }
    }

    package var configNode: ConfigNode { self?.configNode ?? .null }
}

extension Array: RecipeValue where Element: RecipeValue {
    package static var expectation: String { "a list, each element \(Element.expectation)" }

    package static func read(_ node: ConfigNode, at path: String, problems: inout [RecipeProblem]) -> [Element]? {
        guard case .list(let nodes) = node.value else {
            problems.append(.unexpected(node, at: path, expectation: expectation))
            return nil
        }
        let elements = nodes.enumerated().compactMap { index, element in
            Element.read(element, at: "\(path).\(index)", problems: &problems)
        }
        return elements.count == nodes.count ? elements : nil
    }

    package var configNode: ConfigNode { ConfigNode(.list(map(\.configNode))) }
}

/// A recipe's value that is one of a few words.
package protocol RecipeWord: RecipeValue, CaseIterable, RawRepresentable where RawValue == String {}

extension RecipeWord {
    package static var expectation: String { "one of \(allCases.map(\.rawValue).joined(separator: ", "))" }

    package static func read(_ node: ConfigNode, at path: String, problems: inout [RecipeProblem]) -> Self? {
        guard case .plain(let name) = node.value.asPlainText else {
            problems.append(.unexpected(node, at: path, expectation: expectation))
            return nil
        }
        guard let value = Self(rawValue: name) else {
            problems.append(.unknownName(node, at: path, name: name, among: allCases.map(\.rawValue)))
            return nil
        }
        return value
    }

    package var configNode: ConfigNode { ConfigNode(.quoted(rawValue)) }
}

extension ConfigNode.Value {
    fileprivate var asPlainText: ConfigNode.Value {
        if case .quoted(let text) = self { return .plain(text) }
        return self
    }
}
