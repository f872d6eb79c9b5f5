/// One thing that is wrong in a recipe.
public struct RecipeProblem: Sendable, Equatable, CustomStringConvertible {
    /// What is wrong: the key path, what was expected, what was found.
    public let message: String
    /// Where it is written.
    package let origin: ConfigNode.Origin
    private let file: String?

    package init(_ message: String, origin: ConfigNode.Origin = .code) {
        self.message = message
        self.origin = origin
        self.file = nil
    }

    init(_ message: String, file: String) {
        self.message = message
        self.origin = .code
        self.file = file
    }

    public var description: String { (file.map { "\($0): " } ?? origin.prefix) + message }
}

/// A recipe that cannot be read, with everything that is wrong in it.
public struct RecipeError: Error, Sendable, Equatable, CustomStringConvertible {
    public let problems: [RecipeProblem]

    public init(_ problems: [RecipeProblem]) {
        self.problems = problems
    }

    init(_ problem: RecipeProblem) {
        self.init([problem])
    }

    /// One line for each problem.
    public var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// Finds the name that a mistyped one was meant to be.
enum Spelling {
    /// The candidate nearest to `name`, or nil if none is near. Case, `_` and `-` are not counted as mistakes.
    static func nearest(to name: String, among candidates: [String]) -> String? {
        let wanted = folded(name)
        let scored = candidates.map { (candidate: $0, distance: distance(wanted, folded($0))) }
        guard let best = scored.min(by: { $0.distance < $1.distance }) else { return nil }
        let allowed = wanted.count <= 3 ? 1 : max(2, wanted.count / 3)
        if best.distance <= allowed { return best.candidate }
        guard wanted.count >= 3 else { return nil }
        let longer = candidates.filter { folded($0).starts(with: wanted) }
        return longer.count == 1 ? longer[0] : nil
    }

    static func isSame(_ a: String, _ b: String) -> Bool { folded(a) == folded(b) }

    private static func folded(_ name: String) -> [Character] {
        Array(name.lowercased().filter { $0 != "_" && $0 != "-" })
    }

    /// Insertions, deletions, substitutions and swaps of neighbours.
    private static func distance(_ a: [Character], _ b: [Character]) -> Int {
        var beforePrevious: [Int] = []
        var previous = Array(0...b.count)
        for i in a.indices {
            var current = [i + 1]
            for j in b.indices {
                var best = min(previous[j + 1] + 1, current[j] + 1, previous[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforePrevious[j - 1] + 1) }
                current.append(best)
            }
            beforePrevious = previous
            previous = current
        }
        return previous[b.count]
    }
}
