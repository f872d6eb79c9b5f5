internal import CMartletKernels
private import Synchronization

extension Tensor {
    /// The gradient that ``backward(gradient:retainGraph:createGraph:)`` left here, nil before the first.
    public var grad: Tensor? {
        get { extras?.grad }
        set {
            if newValue == nil && extras == nil { return }
            if let newValue, newValue.dims != dims {
                trap("grad", "a gradient of shape \(newValue.dims.text) for a tensor of shape \(dims.text)")
            }
            ensureExtras().grad = newValue
        }
    }

    /// Differentiates this tensor with respect to every leaf that requires gradients and adds the results to their
    /// ``grad``.
    ///
    /// - Parameters:
    ///   - gradient: the gradient of what is minimised with respect to this tensor, of its shape; 1 for a scalar.
    ///   - retainGraph: keep what was saved, so that another pass can run through the same graph.
    ///   - createGraph: record the pass itself, for higher derivatives; implies `retainGraph`.
    public func backward(gradient: Tensor? = nil, retainGraph: Bool = false, createGraph: Bool = false) {
        Martlet.backward([self], gradients: [gradient], retainGraph: retainGraph, createGraph: createGraph)
    }

    /// Calls `hook` with this tensor's gradient whenever one is computed; what it returns, unless nil, takes its place.
    /// - Returns: a handle whose ``HookHandle/remove()`` takes the hook away.
    @discardableResult
    public func registerHook(_ hook: @escaping (Tensor) -> Tensor?) -> HookHandle {
        guard requiresGrad else { trap("registerHook", "this tensor does not require gradients") }
        let id = HookHandle.next()
        if let node {
            node.hooks.append((outputIndex, id, hook))
            return HookHandle { [weak node] in node?.hooks.removeAll { $0.id == id } }
        }
        ensureExtras().hooks[id] = hook
        return HookHandle { [weak self] in self?.extras?.hooks[id] = nil }
    }

    /// Calls `hook` after a gradient was added to this leaf's ``grad``: an optimizer that steps while the pass runs.
    @discardableResult
    public func registerAfterAccumulateHook(_ hook: @escaping (Tensor) -> Void) -> HookHandle {
        guard leafRequiresGrad else {
            trap("registerAfterAccumulateHook", "only a leaf that requires gradients has one")
        }
        let id = HookHandle.next()
        ensureExtras().afterAccumulation[id] = hook
        return HookHandle { [weak self] in self?.extras?.afterAccumulation[id] = nil }
    }

    /// Keeps the gradient of a tensor that is no leaf in ``grad``, too.
    public func retainGrad() {
        guard let node else { return }
        if extras?.retainsGrad == true { return }
        ensureExtras().retainsGrad = true
        node.retained.append((outputIndex, WeakTensor(self)))
    }

    /// The same elements and memory, cut off from the history: no gradient flows through.
    public func detach() -> Tensor { alias() }

    /// Takes over the memory, shape and type of `value` without recording, as PyTorch's `x.data = value`: for loading
    /// and converting parameters. The gradient is dropped when its shape or type no longer fits.
    public func setData(_ value: Tensor) {
        if node != nil {
            trap("setData", "this tensor is a result of recorded operations: only leaves can be replaced")
        }
        storage = value.storage
        dims = value.dims
        strideDims = value.strideDims
        offset = value.offset
        dtype = value.dtype
        isContiguous = value.isContiguous
        viewBase = nil
        if let g = extras?.grad, g.dims != dims || g.dtype != dtype { extras?.grad = nil }
    }
}

/// Takes a hook away again.
public final class HookHandle {
    private var action: (() -> Void)?
    package init(_ action: @escaping () -> Void) { self.action = action }
    public func remove() {
        action?()
        action = nil
    }
    package static func next() -> Int {
        hookIDs.wrappingAdd(1, ordering: .relaxed).newValue
    }
}

private let hookIDs = Atomic<Int>(0)

/// Differentiates several tensors at once; see ``Tensor/backward(gradient:retainGraph:createGraph:)``.
public func backward(
    _ tensors: [Tensor], gradients: [Tensor?]? = nil, retainGraph: Bool = false, createGraph: Bool = false
) {
    let engine = Engine(retainGraph: retainGraph || createGraph, createGraph: createGraph, targets: nil)
    engine.backward(tensors, seeds(tensors, gradients, "backward"))
}

/// The gradients of `outputs` with respect to `inputs`, without touching any ``Tensor/grad``.
///
/// ```swift
/// let x = Tensor(3.0).requiringGrad()
/// let dy = grad(of: x * x * x, wrt: [x], createGraph: true)[0]     // 3 x^2
/// let ddy = grad(of: dy, wrt: [x])[0]                              // 6 x
/// ```
///
/// - Parameters:
///   - gradients: gradients of what is differentiated with respect to each output; 1 for scalars.
///   - createGraph: record the computation of the gradients, to differentiate them again.
/// - Returns: a gradient for each input, nil for an input that the outputs do not depend on.
public func gradIfUsed(
    of outputs: [Tensor], wrt inputs: [Tensor], gradients: [Tensor?]? = nil, retainGraph: Bool = false,
    createGraph: Bool = false
) -> [Tensor?] {
    for (i, input) in inputs.enumerated() where !input.requiresGrad {
        trap("grad", "input \(i) of shape \(input.dims.text) does not require gradients")
    }
    let engine = Engine(retainGraph: retainGraph || createGraph, createGraph: createGraph, targets: inputs)
    engine.backward(outputs, seeds(outputs, gradients, "grad"))
    return engine.results
}

/// The gradients of `outputs` with respect to `inputs`; zeros for an input that they do not depend on.
public func grad(
    of outputs: [Tensor], wrt inputs: [Tensor], gradients: [Tensor?]? = nil, retainGraph: Bool = false,
    createGraph: Bool = false
) -> [Tensor] {
    let found = gradIfUsed(
        of: outputs, wrt: inputs, gradients: gradients, retainGraph: retainGraph, createGraph: createGraph)
    return zip(found, inputs).map { g, x in g ?? Tensor.zeros(x.dims, x.dtype) }
}

/// The gradients of one output with respect to `inputs`.
public func grad(
    of output: Tensor, wrt inputs: [Tensor], gradient: Tensor? = nil, retainGraph: Bool = false,
    createGraph: Bool = false
) -> [Tensor] {
    grad(of: [output], wrt: inputs, gradients: [gradient], retainGraph: retainGraph, createGraph: createGraph)
}

/// The gradient of one output with respect to one input.
public func grad(
    of output: Tensor, wrt input: Tensor, gradient: Tensor? = nil, retainGraph: Bool = false, createGraph: Bool = false
) -> Tensor {
    grad(of: [output], wrt: [input], gradients: [gradient], retainGraph: retainGraph, createGraph: createGraph)[0]
}

private func seeds(_ tensors: [Tensor], _ gradients: [Tensor?]?, _ op: StaticString) -> [Tensor] {
    if let gradients, gradients.count != tensors.count {
        trap("\(op)", "\(gradients.count) gradients for \(tensors.count) tensors")
    }
    return tensors.enumerated().map { i, tensor in
        if !tensor.requiresGrad {
            trap(
                "\(op)",
                "the tensor of shape \(tensor.dims.text) does not require gradients: nothing that it was made of does, "
                    + "or it was made under noGrad")
        }
        if let gradient = gradients?[i] {
            if gradient.dims != tensor.dims {
                trap("\(op)", "a gradient of shape \(gradient.dims.text) for an output of shape \(tensor.dims.text)")
            }
            return gradient.dtype == tensor.dtype ? gradient : gradient.to(tensor.dtype)
        }
        if tensor.count != 1 {
            trap(
                "\(op)",
                "an output of shape \(tensor.dims.text) is not a scalar: reduce it (sum, mean), or give its gradient")
        }
        return Tensor.full(tensor.dims, 1, tensor.dtype)
    }
}

/// Finds the operation that makes NaN or infinity: within `body` every gradient is checked as it is computed, and the
/// failing one is reported with the operation and the module path it was recorded in. Slow; for debugging.
@discardableResult
public func detectAnomaly<R>(_ body: () throws -> R) rethrows -> R {
    mk_thread().pointee.anomaly += 1
    defer { mk_thread().pointee.anomaly -= 1 }
    return try body()
}
