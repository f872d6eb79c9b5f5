public import Martlet

/// A part of a model: parameters, buffers, sub-modules and the computation that uses them.
///
/// A subclass stores what it is made of in ordinary properties and overrides ``forward(_:)``. What the properties hold
/// is found by reflection:
/// - a `Parameter` is learned;
/// - a `Tensor` that is no parameter is a buffer: state that is saved and converted with the module, but not learned;
/// - a `Module` is a sub-module;
/// - optionals, arrays, dictionaries, tuples, structs and enum payloads are looked into. Other classes are not.
///
/// Names are the properties' names, joined by dots: `layers.3.norm.weight`. Nothing has to be registered, and a
/// property may be replaced at any time.
///
/// ```swift
/// final class Perceptron: Module {
///     let hidden = Linear(784, 128)
///     let output = Linear(128, 10)
///
///     override func forward(_ x: Tensor) -> Tensor { output(hidden(x).relu()) }
/// }
/// let model = Perceptron()
/// let logits = model(images)
/// ```
open class Module: CustomStringConvertible {
    /// Whether the module is being trained: layers such as ``Dropout`` act only then. Set by ``train(_:)`` and
    /// ``eval()``.
    public internal(set) final var isTraining = true

    /// This module's name in its parent; empty for the outermost one.
    final var localName = ""
    final var hasNames = false
    final var hooks: ModuleHooks?

    public init() {}

    /// Computes the output for `x`. Call the module itself, `module(x)`, which also runs hooks and keeps the path for
    /// error messages.
    open func forward(_ x: Tensor) -> Tensor {
        trap(
            "\(typeName)",
            "\(typeName) does not override forward(_:): it takes other arguments than one tensor, see its own functions"
        )
    }

    /// Runs ``forward(_:)`` with the hooks around it.
    public final func callAsFunction(_ x: Tensor) -> Tensor {
        if !hasNames { nameTree() }
        ModulePath.push(localName)
        defer { ModulePath.pop() }
        guard let hooks else { return forward(x) }
        return hooks.run(self, x) { forward($0) }
    }

    /// Runs `body` as this module's computation, so that errors in it name the module. For modules with a signature of
    /// their own:
    ///
    /// ```swift
    /// func callAsFunction(_ text: Tensor, image: Tensor) -> Tensor {
    ///     run { decoder(text, memory: encoder(image)) }
    /// }
    /// ```
    ///
    /// Hooks belong to computations from one tensor to one tensor; a module that is called otherwise traps when it has
    /// any.
    public final func run<R>(_ body: () throws -> R) rethrows -> R {
        if !hasNames { nameTree() }
        if hooks?.isEmpty == false {
            trap(
                "\(typeName)", "this call of the module does not go from one tensor to one tensor: its hooks cannot run"
            )
        }
        ModulePath.push(localName)
        defer { ModulePath.pop() }
        return try body()
    }

    /// Runs `body` as this module's computation on `x`, with the hooks around it: for a `callAsFunction` with more
    /// arguments beside a main tensor.
    public final func run(_ x: Tensor, _ body: (Tensor) throws -> Tensor) rethrows -> Tensor {
        if !hasNames { nameTree() }
        ModulePath.push(localName)
        defer { ModulePath.pop() }
        guard let hooks else { return try body(x) }
        return try hooks.run(self, x, body)
    }

    // MARK: what subclasses may say about themselves

    /// What `description` prints in the parentheses after the type's name: `in: 784, out: 128`.
    open var extraDescription: String { "" }

    /// Names of this module's own buffers (not of sub-modules') that ``stateDictionary()`` leaves out: tables and masks
    /// that the initialiser makes anew.
    open var nonPersistentBuffers: Set<String> { [] }

    /// A stored collection whose own name is left out of the names of what it holds: `0.weight`, not
    /// `modules.0.weight`.
    var transparentProperty: String? { nil }

    // MARK: modes

    /// Puts this module and all below it in training mode (or out of it).
    @discardableResult
    public final func train(_ mode: Bool = true) -> Self {
        for (_, module) in namedModules() { module.isTraining = mode }
        return self
    }

    /// Puts this module and all below it in evaluation mode.
    @discardableResult
    public final func eval() -> Self { train(false) }

    final var typeName: String { String(describing: type(of: self)) }
}
