public import Martlet

/// What loading a state left undone.
public struct LoadReport: Sendable, Equatable, CustomStringConvertible {
    /// Names that the module has and the state has not; they kept their values.
    public var missing: [String]
    /// Names that the state has and the module has not; they were ignored.
    public var unexpected: [String]

    public init(missing: [String] = [], unexpected: [String] = []) {
        self.missing = missing
        self.unexpected = unexpected
    }

    public var isComplete: Bool { missing.isEmpty && unexpected.isEmpty }

    public var description: String {
        if isComplete { return "all names match" }
        var lines: [String] = []
        if !missing.isEmpty { lines.append("missing: " + LoadReport.list(missing)) }
        if !unexpected.isEmpty { lines.append("unexpected: " + LoadReport.list(unexpected)) }
        return lines.joined(separator: "; ")
    }

    static func list(_ names: [String], atMost limit: Int = .max) -> String {
        names.prefix(limit).joined(separator: ", ")
            + (names.count > limit ? " and \(names.count - limit) more" : "")
    }
}

/// Copies tensors by name into tensors that exist already, all or none of them.
struct StateLoader {
    /// A name (or several, for shared memory) and the tensor behind it.
    struct Target {
        var names: [String]
        let tensor: Tensor
    }

    /// "a Perceptron", for messages.
    let owner: String
    let targets: [Target]

    /// - Throws: ``Martlet/MartletError`` of the kind `mismatch` with everything that does not fit; nothing was written
    ///   then.
    func load(_ state: [(String, Tensor)], strict: Bool) throws -> LoadReport {
        var given: [String: Tensor] = [:]
        var problems: [String] = []
        for (name, tensor) in state where given.updateValue(tensor, forKey: name) != nil {
            problems.append("\(name) is given twice")
        }
        var copies: [(to: Tensor, from: Tensor)] = []
        var report = LoadReport()
        var known = Set<String>()
        for target in targets {
            known.formUnion(target.names)
            let found = target.names.compactMap { name in given[name].map { (name, $0) } }
            guard let (name, source) = found.first else {
                report.missing.append(target.names[0])
                continue
            }
            if let problem = StateLoader.misfit(target.tensor, source) {
                problems.append("\(name): \(problem)")
                continue
            }
            for (other, tensor) in found.dropFirst() where !StateLoader.equal(source, tensor) {
                problems.append("\(name) and \(other) are one parameter here, but two different ones in the state")
            }
            copies.append((target.tensor, source))
        }
        report.unexpected = state.map(\.0).filter { !known.contains($0) }
        if strict {
            if !report.missing.isEmpty { problems.append("missing: " + LoadReport.list(report.missing, atMost: 8)) }
            if !report.unexpected.isEmpty {
                problems.append("unexpected: " + LoadReport.list(report.unexpected, atMost: 8))
            }
        }
        if !problems.isEmpty {
            // Another model's state differs in everything: its beginning says enough.
            let shown = problems.prefix(4).joined(separator: "; ")
            throw MartletError(
                .mismatch,
                "this state does not fit \(owner): \(shown)"
                    + (problems.count > 4 ? "; and \(problems.count - 4) more that do not fit" : ""))
        }
        noGrad { for (target, source) in copies { target.copyInPlace(source) } }
        return report
    }

    private static func misfit(_ target: Tensor, _ source: Tensor) -> String? {
        if target.shape != source.shape {
            return "the shape \(target.shape) is expected, the state has \(source.shape)"
        }
        // Floating types are converted into each other, as are integer types that hold every value of the other.
        let fits =
            target.dtype == source.dtype || target.dtype.isFloatingPoint && source.dtype.isFloatingPoint
            || target.dtype.isInteger && DType.promote(target.dtype, source.dtype) == target.dtype
        return fits ? nil : "\(target.dtype) is expected, the state has \(source.dtype)"
    }

    private static func equal(_ a: Tensor, _ b: Tensor) -> Bool {
        if a.shape != b.shape { return false }
        return noGrad { (a.detach() .== b.detach()).all().item() != 0 }
    }
}

extension Module {
    /// All parameters and persistent buffers with their dotted names, in the order of the modules. The tensors share
    /// the module's memory. What is shared by several modules appears once, under its first name.
    public final func stateDictionary() -> [(String, Tensor)] {
        stateTargets().map { ($0.names[0], $0.tensor.detach()) }
    }

    /// Copies a state into the parameters and buffers, which keep their dtypes.
    ///
    /// - Parameters:
    ///   - state: names and tensors as ``stateDictionary()`` gives them. A tied parameter may appear under any of its
    ///     names.
    ///   - strict: whether a missing or unexpected name is an error.
    /// - Returns: the names that were missing or unexpected; none of either when `strict`.
    /// - Throws: ``Martlet/MartletError`` that lists everything that does not fit; nothing is loaded then. Shapes must
    ///   match whether `strict` or not.
    @discardableResult
    public final func load(_ state: [(String, Tensor)], strict: Bool = true) throws -> LoadReport {
        try StateLoader(owner: "the module \(typeName)", targets: stateTargets()).load(state, strict: strict)
    }

    /// Writes the state to a safetensors file.
    public final func save(to path: String, metadata: [String: String] = [:]) throws {
        try SafeTensors.save(stateDictionary(), to: path, metadata: metadata)
    }

    /// Loads the state from a safetensors file, or from the shards of one; see ``load(_:strict:)``.
    @discardableResult
    public final func load(from path: String, strict: Bool = true) throws -> LoadReport {
        let file = try SafeTensors.load(path)
        do {
            return try load(file.inOrder, strict: strict)
        } catch let error as MartletError where error.kind == .mismatch {
            throw MartletError(.mismatch, "\(path): \(error.message)")
        }
    }

    private func stateTargets() -> [StateLoader.Target] {
        var targets: [StateLoader.Target] = []
        var index: [ObjectIdentifier: Int] = [:]
        for (name, tensor) in allPersistentTensors() {
            if let i = index[ObjectIdentifier(tensor)] {
                targets[i].names.append(name)
            } else {
                index[ObjectIdentifier(tensor)] = targets.count
                targets.append(.init(names: [name], tensor: tensor))
            }
        }
        return targets
    }
}

extension SafeTensors.Contents {
    /// Names and tensors in the order of the file.
    var inOrder: [(String, Tensor)] { names.map { ($0, tensors[$0]!) } }
}
