public import Martlet

/// Modules applied one after the other. They are named by their positions: `0.weight`.
public final class Sequential: Module {
    public private(set) var modules: [Module]

    public init(_ modules: [Module]) { self.modules = modules }

    public convenience init(_ modules: Module...) { self.init(modules) }

    public override func forward(_ x: Tensor) -> Tensor {
        var x = x
        for module in modules { x = module(x) }
        return x
    }

    public func append(_ module: Module) { modules.append(module) }

    public subscript(i: Int) -> Module { modules[i] }
    public var count: Int { modules.count }

    override var transparentProperty: String? { "modules" }
}

/// A function as a module without parameters: for a place in ``Sequential``, or one that is chosen at run time.
public final class Lambda: Module {
    private let function: (Tensor) -> Tensor
    public init(_ function: @escaping (Tensor) -> Tensor) { self.function = function }
    public override func forward(_ x: Tensor) -> Tensor { function(x) }
}
