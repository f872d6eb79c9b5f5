public import Martlet

/// Where an optimizer's parameters come from: a module, or `[Parameter]`. For parameters of several modules, or names
/// of one's own, there is ``NamedParameters``.
public protocol ParameterSource {
    /// The parameters, each once, with names that the saved state is told apart by.
    var sourceParameters: [(name: String, parameter: Parameter)] { get }
}

extension Module: ParameterSource {
    public final var sourceParameters: [(name: String, parameter: Parameter)] { namedParameters() }
}

extension Array: ParameterSource where Element == Parameter {
    /// Parameters go by their own names where all have different ones, else by their positions.
    public var sourceParameters: [(name: String, parameter: Parameter)] {
        let names = compactMap(\.name)
        let useNames = Set(names).count == count
        return enumerated().map { i, p in (useNames ? names[i] : String(i), p) }
    }
}

/// Parameters with names of one's own: `NamedParameters(["generator": generator, "critic": critic])`.
public struct NamedParameters: ParameterSource {
    public var sourceParameters: [(name: String, parameter: Parameter)]

    public init(_ parameters: [(name: String, parameter: Parameter)]) { sourceParameters = parameters }

    /// The parameters of several modules, their names preceded by the module's; a shared parameter appears once.
    public init(_ modules: KeyValuePairs<String, Module>) {
        var seen = Set<ObjectIdentifier>()
        sourceParameters = modules.flatMap { key, module in
            module.namedParameters().map { ("\(key).\($0.name)", $0.parameter) }
        }.filter { seen.insert(ObjectIdentifier($0.1)).inserted }
    }
}
