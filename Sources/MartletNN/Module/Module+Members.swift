// Finding parameters, buffers and sub-modules by reflection. Reflecting a module takes a few microseconds and is done
// anew whenever the tree is asked for, so that replaced properties are never missed; running a model needs names only,
// which are given once.
public import Martlet

/// What a module's own properties hold, in the order of declaration, those of superclasses first.
struct ModuleMembers {
    var parameters: [(name: String, parameter: Parameter)] = []
    var buffers: [(name: String, buffer: Tensor)] = []
    var children: [(name: String, module: Module)] = []

    init(of module: Module) {
        var mirrors: [Mirror] = []
        var mirror: Mirror? = Mirror(reflecting: module)
        while let m = mirror, m.subjectType != Module.self {
            mirrors.append(m)
            mirror = m.superclassMirror
        }
        let transparent = module.transparentProperty
        for mirror in mirrors.reversed() {
            for child in mirror.children {
                guard let label = child.label else { continue }
                let name = ModuleMembers.propertyName(label)
                add(name == transparent ? "" : name, child.value, module)
            }
        }
    }

    /// The name in the source of a property with this reflected label.
    private static func propertyName(_ label: String) -> String {
        let lazyPrefix = "$__lazy_storage_$_"
        return label.hasPrefix(lazyPrefix) ? String(label.dropFirst(lazyPrefix.count)) : label
    }

    private mutating func add(_ name: String, _ value: Any, _ owner: Module) {
        if value is Int || value is Double || value is Bool { return }
        if let tensor = value as? Tensor {
            if let parameter = tensor as? Parameter {
                parameters.append((name, parameter))
            } else {
                buffers.append((name, tensor))
            }
        } else if let module = value as? Module {
            children.append((name, module))
        } else if value is any DerivedState {
            return
        } else if let container = value as? any MemberContainer {
            container.forEachMember { key, element in
                add(ModuleMembers.join(name, key, owner), element, owner)
            }
        } else if !(value is any LosslessStringConvertible) {
            addParts(name, value, owner)
        }
    }

    /// Structs, tuples and enums.
    private mutating func addParts(_ name: String, _ value: Any, _ owner: Module) {
        let mirror = Mirror(reflecting: value)
        switch mirror.displayStyle {
        case .struct, .tuple:
            for (i, child) in mirror.children.enumerated() {
                // An unlabelled part of a tuple has the label ".0".
                let label = child.label.map { $0.hasPrefix(".") ? String($0.dropFirst()) : $0 } ?? String(i)
                add(ModuleMembers.join(name, label, owner), child.value, owner)
            }
        case .enum:
            // The case in use is no part of the name: `norm.weight`, whichever norm it is.
            for child in mirror.children {
                if Mirror(reflecting: child.value).displayStyle == .tuple {
                    addParts(name, child.value, owner)
                } else {
                    add(name, child.value, owner)
                }
            }
        case .set:
            for child in mirror.children where child.value is Tensor || child.value is Module {
                trap(
                    "Module",
                    "the Set `\(name)` of \(owner.typeName) holds modules or tensors: a set has no order, use an array")
            }
        default: break
        }
    }

    private static func join(_ name: String, _ key: String, _ owner: Module) -> String {
        if key.isEmpty || key.contains(".") {
            trap(
                "Module",
                "`\(key)` in `\(name)` of \(owner.typeName) cannot be part of a name: it is empty or has a dot")
        }
        return name.isEmpty ? key : name + "." + key
    }
}

/// A value that holds tensors and yet is no state of the module that stores it, because it follows from the module's
/// configuration: a table of positions, a mask. Such tensors are not saved, nor converted by ``Module/to(_:)``.
public protocol DerivedState {}

extension RotaryTables: DerivedState {}

/// A collection that reflection looks into.
private protocol MemberContainer {
    func forEachMember(_ body: (_ key: String?, _ element: Any) -> Void)
}

extension ModuleMembers {
    fileprivate static func join(_ name: String, _ key: String?, _ owner: Module) -> String {
        guard let key else { return name }
        return join(name, key as String, owner)
    }
}

extension Optional: MemberContainer {
    fileprivate func forEachMember(_ body: (String?, Any) -> Void) {
        if let self { body(nil, self) }
    }
}

extension Array: MemberContainer {
    fileprivate func forEachMember(_ body: (String?, Any) -> Void) {
        // Numbers and strings hold no modules: a vocabulary of 256k words is not looked through.
        if Element.self is any LosslessStringConvertible.Type { return }
        for (i, element) in enumerated() { body(String(i), element) }
    }
}

extension Dictionary: MemberContainer {
    fileprivate func forEachMember(_ body: (String?, Any) -> Void) {
        if Value.self is any LosslessStringConvertible.Type { return }
        // Sorted, because the order of a dictionary changes from run to run.
        for (key, value) in map({ ("\($0.key)", $0.value) }).sorted(by: { $0.0 < $1.0 }) { body(key, value) }
    }
}

// MARK: - The tree

extension Module {
    /// The direct sub-modules with their names; one inside an array `layers` is called `layers.3`.
    public final var children: [(name: String, module: Module)] { ModuleMembers(of: self).children }

    /// This module, named "", and every module below it, each once, parents before children.
    public final func namedModules() -> [(name: String, module: Module)] {
        var result: [(name: String, module: Module)] = []
        walk { name, module, _ in result.append((name, module)) }
        return result
    }

    /// Every parameter of this module and those below it with its dotted name. A parameter shared by several modules
    /// appears once, under the first of its names.
    public final func namedParameters() -> [(name: String, parameter: Parameter)] {
        var seen = Set<ObjectIdentifier>()
        return allParameters().filter { seen.insert(ObjectIdentifier($0.parameter)).inserted }
    }

    /// Every parameter, each once.
    public final var parameters: [Parameter] { namedParameters().map(\.parameter) }

    /// The parameters that gradients are computed for.
    public final var trainableParameters: [Parameter] { parameters.filter(\.requiresGrad) }

    /// Every buffer of this module and those below it with its dotted name, each once.
    public final func namedBuffers() -> [(name: String, buffer: Tensor)] {
        var seen = Set<ObjectIdentifier>()
        var result: [(name: String, buffer: Tensor)] = []
        walk { path, _, members in
            for (name, buffer) in members.buffers where seen.insert(ObjectIdentifier(buffer)).inserted {
                result.append((path.isEmpty ? name : path + "." + name, buffer))
            }
        }
        return result
    }

    /// The number of learned values.
    public final var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }

    /// The number of learned values that gradients are computed for.
    public final var trainableParameterCount: Int { trainableParameters.reduce(0) { $0 + $1.count } }

    /// The module with this dotted name below this one, or nil.
    public final func module(named name: String) -> Module? { namedModules().first { $0.name == name }?.module }

    /// The parameter with this dotted name, or nil. Tied parameters answer to each of their names.
    public final func parameter(named name: String) -> Parameter? {
        allParameters().first { $0.name == name }?.parameter
    }

    /// Parameters under all their names: tied ones as often as they are used.
    final func allParameters() -> [(name: String, parameter: Parameter)] {
        var result: [(name: String, parameter: Parameter)] = []
        walk(visitingSharedModules: true) { path, _, members in
            for (name, parameter) in members.parameters {
                result.append((path.isEmpty ? name : path + "." + name, parameter))
            }
        }
        return result
    }

    /// Parameters and persistent buffers under all their names, module by module.
    final func allPersistentTensors() -> [(name: String, tensor: Tensor)] {
        var result: [(name: String, tensor: Tensor)] = []
        walk(visitingSharedModules: true) { path, module, members in
            for (name, parameter) in members.parameters {
                result.append((path.isEmpty ? name : path + "." + name, parameter))
            }
            let left = module.nonPersistentBuffers
            for (name, buffer) in members.buffers where !left.contains(name) {
                result.append((path.isEmpty ? name : path + "." + name, buffer))
            }
        }
        return result
    }

    /// Visits the tree, parents before children, and gives every module and parameter its name. A module that is
    /// reached a second time is visited again only under `visitingSharedModules`, and never inside itself.
    private func walk(
        visitingSharedModules: Bool = false,
        _ visit: (_ path: String, _ module: Module, _ members: ModuleMembers) -> Void
    ) {
        var seen: Set<ObjectIdentifier> = []
        var above: Set<ObjectIdentifier> = []
        var renamed: Set<ObjectIdentifier> = []
        func enter(_ path: String, _ module: Module) {
            let id = ObjectIdentifier(module)
            if above.contains(id) { return }
            if !seen.insert(id).inserted && !visitingSharedModules { return }
            above.insert(id)
            let members = ModuleMembers(of: module)
            for (name, p) in members.parameters where renamed.insert(ObjectIdentifier(p)).inserted {
                p.rename(path.isEmpty ? name : path + "." + name)
            }
            visit(path, module, members)
            module.hasNames = true
            for (name, child) in members.children {
                // A module with several places goes by the first.
                if renamed.insert(ObjectIdentifier(child)).inserted { child.localName = name }
                enter(path.isEmpty ? name : path + "." + name, child)
            }
            above.remove(id)
        }
        enter("", self)
    }

    /// Gives every module and parameter below its name, for error messages.
    @inline(never) final func nameTree() { _ = allParameters() }
}

extension Parameter {
    /// Takes `path` as the name, unless the parameter is already known by a longer path that ends so: a part of a model
    /// that is looked at alone does not shorten the names of its parameters.
    fileprivate func rename(_ path: String) {
        if let name, name == path || name.hasSuffix("." + path) { return }
        name = path
    }
}
