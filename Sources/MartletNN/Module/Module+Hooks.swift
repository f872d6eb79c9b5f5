public import Martlet

/// The hooks of one module.
final class ModuleHooks {
    typealias ForwardPre = (Module, Tensor) -> Tensor?
    typealias Forward = (Module, Tensor, Tensor) -> Tensor?
    typealias BackwardPre = (Module, Tensor) -> Tensor?
    typealias Backward = (Module, Tensor?, Tensor) -> Tensor?

    var forwardPre: [(id: Int, hook: ForwardPre)] = []
    var forward: [(id: Int, hook: Forward)] = []
    var backwardPre: [(id: Int, hook: BackwardPre)] = []
    var backward: [(id: Int, hook: Backward)] = []

    var isEmpty: Bool { forwardPre.isEmpty && forward.isEmpty && backwardPre.isEmpty && backward.isEmpty }

    func run(_ module: Module, _ x: Tensor, _ body: (Tensor) throws -> Tensor) rethrows -> Tensor {
        var input = x
        for (_, hook) in forwardPre { input = hook(module, input) ?? input }
        let watches = !(backward.isEmpty && backwardPre.isEmpty) && isGradEnabled
        // A view is a node of its own: the gradient that arrives there comes from this use of the tensor alone.
        let watchesInput = watches && input.requiresGrad
        if watchesInput { input = input.view(input.shape) }
        var output = try body(input)
        for (_, hook) in forward { output = hook(module, input, output) ?? output }
        if watches && output.requiresGrad {
            output = output.view(output.shape)
            watch(module, input: watchesInput ? input : nil, output: output)
        }
        return output
    }

    private func watch(_ module: Module, input: Tensor?, output: Tensor) {
        final class Arrived { var gradient: Tensor? }
        let arrived = Arrived()
        let pre = backwardPre.map(\.hook)
        let post = backward.map(\.hook)
        let hasInput = input != nil
        output.registerHook { gradient in
            var gradient = gradient
            for hook in pre { gradient = hook(module, gradient) ?? gradient }
            if hasInput {
                arrived.gradient = gradient
            } else {
                for hook in post { _ = hook(module, nil, gradient) }
            }
            return gradient
        }
        input?.registerHook { gradient in
            guard let outputGradient = arrived.gradient else { return nil }
            arrived.gradient = nil
            var gradient = gradient
            for hook in post { gradient = hook(module, gradient, outputGradient) ?? gradient }
            return gradient
        }
    }
}

extension Module {
    /// Whether calls of this module, not those of its sub-modules, run hooks.
    public final var hasHooks: Bool { hooks?.isEmpty == false }

    private func ensureHooks() -> ModuleHooks {
        if let hooks { return hooks }
        let new = ModuleHooks()
        hooks = new
        return new
    }

    private func handle(_ remove: @escaping (ModuleHooks) -> Void) -> HookHandle {
        HookHandle { [weak self] in
            guard let self, let hooks = self.hooks else { return }
            remove(hooks)
            if hooks.isEmpty { self.hooks = nil }
        }
    }

    /// Calls `hook(module, input)` before every ``forward(_:)``; what it returns, unless nil, is the input used.
    @discardableResult
    public final func registerForwardPreHook(_ hook: @escaping (Module, Tensor) -> Tensor?) -> HookHandle {
        let id = HookHandle.next()
        ensureHooks().forwardPre.append((id, hook))
        return handle { $0.forwardPre.removeAll { $0.id == id } }
    }

    /// Calls `hook(module, input, output)` after every ``forward(_:)``; what it returns, unless nil, is the output
    /// used.
    @discardableResult
    public final func registerForwardHook(
        _ hook: @escaping (Module, _ input: Tensor, _ output: Tensor) -> Tensor?
    ) -> HookHandle {
        let id = HookHandle.next()
        ensureHooks().forward.append((id, hook))
        return handle { $0.forward.removeAll { $0.id == id } }
    }

    /// Calls `hook(module, gradient)` in the backward pass with the gradient of this module's output, before the
    /// module's own derivative runs; what it returns, unless nil, is the gradient used.
    @discardableResult
    public final func registerBackwardPreHook(
        _ hook: @escaping (Module, _ outputGradient: Tensor) -> Tensor?
    ) -> HookHandle {
        let id = HookHandle.next()
        ensureHooks().backwardPre.append((id, hook))
        return handle { $0.backwardPre.removeAll { $0.id == id } }
    }

    /// Calls `hook(module, inputGradient, outputGradient)` in the backward pass once the gradient of this module's
    /// input is known; what it returns, unless nil, takes that gradient's place. `inputGradient` is nil, and the result
    /// is ignored, when the input requires no gradient.
    @discardableResult
    public final func registerBackwardHook(
        _ hook: @escaping (Module, _ inputGradient: Tensor?, _ outputGradient: Tensor) -> Tensor?
    ) -> HookHandle {
        let id = HookHandle.next()
        ensureHooks().backward.append((id, hook))
        return handle { $0.backward.removeAll { $0.id == id } }
    }
}
