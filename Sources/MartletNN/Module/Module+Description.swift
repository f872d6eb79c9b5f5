internal import Martlet

extension Module {
    /// The tree of modules as PyTorch prints it, and the number of parameters. Equal neighbours in an array are printed
    /// once.
    ///
    /// ```
    /// Perceptron(
    ///   (hidden): Linear(in: 784, out: 128, bias: true)
    ///   (output): Linear(in: 128, out: 10, bias: true)
    /// )
    /// 101,770 parameters
    /// ```
    public final var description: String {
        let all = parameters
        if all.isEmpty { return tree() }
        let count = all.reduce(0) { $0 + $1.count }
        let trainable = all.reduce(0) { $0 + ($1.requiresGrad ? $1.count : 0) }
        let counts = Module.grouped(count) + (count == 1 ? " parameter" : " parameters")
        return tree() + "\n" + counts + (trainable == count ? "" : ", \(Module.grouped(trainable)) of them trainable")
    }

    private func tree() -> String {
        let members = ModuleMembers(of: self)
        let extra = extraDescription
        var lines: [String] = []
        if extra.isEmpty {
            // A layer that describes itself says its sizes; parameters of other modules are shown.
            for (name, p) in members.parameters { lines.append("(\(name)): Parameter(\(p.shape), \(p.dtype))") }
        }
        lines += Module.lines(
            of: members.children.map { ($0.name.split(separator: ".").map(String.init), $0.module.tree()) })
        if lines.isEmpty { return "\(typeName)(\(extra))" }
        return "\(typeName)(\(extra)\n" + lines.map { Module.indented($0) + "\n" }.joined() + ")"
    }

    /// A line (of several rows) for each name; names with a common first part are put in brackets.
    private static func lines(of children: [(path: [String], text: String)]) -> [String] {
        var lines: [String] = []
        var i = 0
        while i < children.count {
            let (path, text) = children[i]
            var end = i + 1
            if path.count > 1 {
                while end < children.count, children[end].path.count > 1, children[end].path[0] == path[0] { end += 1 }
                let inner = children[i..<end].map { (Array($0.path.dropFirst()), $0.text) }
                lines.append("(\(path[0])): [\n" + Module.lines(of: inner).map { indented($0) + "\n" }.joined() + "]")
            } else {
                // As many equal neighbours with consecutive numbers as there are.
                if let first = Int(path[0]) {
                    while end < children.count, children[end] == ([String(first + end - i)], text) { end += 1 }
                }
                let isRun = end - i > 1
                lines.append(
                    isRun ? "(\(path[0])-\(children[end - 1].path[0])): \(end - i) x \(text)" : "(\(path[0])): \(text)")
            }
            i = end
        }
        return lines
    }

    private static func indented(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { "  " + $0 }.joined(separator: "\n")
    }

    /// 1234567 as "1,234,567".
    package static func grouped(_ n: Int) -> String {
        var digits = String(n.magnitude)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        groups.insert(digits, at: 0)
        return (n < 0 ? "-" : "") + groups.joined(separator: ",")
    }
}
