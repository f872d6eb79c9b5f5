// How operations become nodes. An op's function computes its output and then says, in one place, what it saves and how
// gradients flow:
//
//     out.record("mul", a, b) { node in
//         node.save(a); node.save(b)
//         return { ctx, g in
//             ctx.give(0, g * ctx[1])
//             ctx.give(1, g * ctx[0])
//         }
//     }
//
// The closure runs only when gradients are recorded and an input wants them. The profiler has the op's name from here, too.
internal import CMartletKernels

extension Tensor {
    /// Whether gradients flow to this tensor: a leaf that asked for them, or the result of recorded operations.
    public var requiresGrad: Bool {
        @inline(__always) get {
            if leafRequiresGrad || nodeStorage != nil { return true }
            guard let viewBase, viewBase.historyVersion != historyVersion else { return false }
            return viewBase.requiresGrad
        }
        set {
            if newValue && !dtype.isFloatingPoint {
                trap("requiresGrad", "only floating-point tensors have gradients, this one is \(dtype)")
            }
            if node != nil {
                if newValue { return }
                trap("requiresGrad", "a result of recorded operations cannot stop requiring gradients: use detach()")
            }
            leafRequiresGrad = newValue
        }
    }

    /// This tensor with ``requiresGrad`` set: `let w = Tensor.randn([3]).requiringGrad()`.
    @discardableResult
    public func requiringGrad(_ flag: Bool = true) -> Self {
        requiresGrad = flag
        return self
    }

    /// Whether this tensor is not the result of a recorded operation.
    public var isLeaf: Bool { node == nil }

    /// The name of the operation that made this tensor, when recorded.
    public var gradientFunction: String? { node.map { "\($0.name)" } }

    /// The operation that made this tensor. A view whose base was written in place since is connected anew, so that its
    /// gradient takes the way through that write.
    var node: Node? {
        if let base = viewBase, base.historyVersion != historyVersion {
            historyVersion = base.historyVersion
            if base.requiresGrad {
                let node = Node("asStrided")
                node.edges.append(base.edge)
                let geometry = ViewGeometry(self, in: base)
                let baseDims = base.dims
                node.backward = { ctx, g in ctx.give(0, g.scatteredStrided(geometry, into: baseDims)) }
                nodeStorage = node
                outputIndex = 0
            }
        }
        return nodeStorage
    }

    /// Where this tensor's gradient goes.
    var edge: Edge {
        if let node { return Edge(node: node, leaf: nil, index: outputIndex) }
        return leafRequiresGrad ? Edge(node: nil, leaf: self) : Edge()
    }

    /// The same elements and memory without history.
    func alias() -> Tensor {
        Tensor(
            storage: storage, dims: dims, strides: strideDims, offset: offset, dtype: dtype, contiguous: isContiguous)
    }

    /// The same elements and memory with the history as it is now; an in-place operation records this as its input.
    func aliasWithHistory() -> Tensor {
        let copy = alias()
        copy.nodeStorage = node
        copy.outputIndex = outputIndex
        return copy
    }

    typealias MakeBackward = (Node) -> Node.Backward

    /// Gives the profiler the name of the op that computed this tensor. A view computes nothing.
    @inline(never)
    func profile(_ name: StaticString, _ inputs: [Tensor]) { if viewBase == nil { Recorder.name(name, self, inputs) } }

    @inline(__always)
    func record(_ name: StaticString, _ a: Tensor, _ make: MakeBackward) {
        if mk_is_profiling() { profile(name, [a]) }
        if isGradEnabled && a.requiresGrad {
            let node = Node(name)
            node.edges.append(a.edge)
            node.backward = make(node)
            nodeStorage = node
        }
    }

    @inline(__always)
    func record(_ name: StaticString, _ a: Tensor, _ b: Tensor, broadcasts: Bool = false, _ make: MakeBackward) {
        if mk_is_profiling() { profile(name, [a, b]) }
        if isGradEnabled && (a.requiresGrad || b.requiresGrad) {
            let node = Node(name)
            node.edges.append(a.edge)
            node.edges.append(b.edge)
            if broadcasts && (a.dims != dims || b.dims != dims) { node.inputDims = [a.dims, b.dims] }
            node.backward = make(node)
            nodeStorage = node
        }
    }

    func record(_ name: StaticString, _ inputs: [Tensor], broadcasts: Bool = false, _ make: MakeBackward) {
        if mk_is_profiling() { profile(name, inputs) }
        if isGradEnabled && inputs.contains(where: \.requiresGrad) {
            let node = Node(name)
            for input in inputs { node.edges.append(input.edge) }
            if broadcasts && inputs.contains(where: { $0.dims != dims }) { node.inputDims = inputs.map(\.dims) }
            node.backward = make(node)
            nodeStorage = node
        }
    }

    /// Records an operation of several outputs; `ctx.gradient(i)` is the gradient of output i, nil where none came.
    static func record(
        _ name: StaticString, outputs: [Tensor], _ inputs: [Tensor], _ make: MakeBackward
    ) {
        if mk_is_profiling() { for output in outputs { output.profile(name, inputs) } }
        if isGradEnabled && inputs.contains(where: \.requiresGrad) {
            let node = Node(name)
            for input in inputs { node.edges.append(input.edge) }
            node.outputs = outputs.map { ($0.dims, $0.dtype) }
            node.backward = make(node)
            for (i, output) in outputs.enumerated() where output.dtype.isFloatingPoint {
                output.nodeStorage = node
                output.outputIndex = Int32(i)
            }
        }
    }
}

extension Node {
    /// Keeps an input for the backward pass, where it is `ctx[i]` in the order of saving.
    @inline(__always) func save(_ tensor: Tensor) { saved.append(SavedTensor(tensor, outputIndex: nil)) }

    /// Keeps an output of this node.
    @inline(__always) func saveOutput(_ tensor: Tensor, index: Int32 = 0) {
        saved.append(SavedTensor(tensor, outputIndex: index))
    }
}

/// What an operation's backward closure works with.
package struct BackwardContext {
    let node: Node
    /// Receives gradients in place of the engine, when a node's function is applied by another node.
    let sink: ((Int, Tensor) -> Void)?
    let engine: Engine?

    /// The i-th saved tensor.
    subscript(i: Int) -> Tensor { node.saved[i].unpack(node) }

    /// Whether input i wants a gradient.
    func needs(_ i: Int) -> Bool {
        sink != nil ? node.edges[i].isWanted : engine!.wants(node.edges[i])
    }

    /// The gradient that came for output i of an operation of several outputs.
    func gradient(_ i: Int) -> Tensor? { i == 0 ? node.gradient : node.moreGradients[i - 1] }

    /// The gradient of output i, zeros where none came.
    func gradientOrZeros(_ i: Int) -> Tensor {
        gradient(i) ?? Tensor.zeros(node.outputs[i].dims, node.outputs[i].dtype)
    }

    /// Gives input i its gradient; not evaluated when the input wants none.
    @inline(__always)
    func give(_ i: Int, _ gradient: @autoclosure () -> Tensor) {
        if !needs(i) { return }
        var g = gradient()
        if !node.inputDims.isEmpty, g.dims != node.inputDims[i] { g = g.sum(to: node.inputDims[i]) }
        if let sink { sink(i, g) } else { engine!.deliver(g, to: node.edges[i]) }
    }

    /// Gives input i a gradient that `compute` writes to a new tensor, or (true) adds to the gradients that other
    /// operations gave the input before: products add as they are computed. Not called when the input wants none.
    func give(_ i: Int, _ dims: Dims, _ dtype: DType, writing compute: (Tensor, Bool) -> Void) {
        if !needs(i) { return }
        if sink == nil, let sum = engine!.ownSum(node.edges[i], dims, dtype) {
            compute(sum, true)
            return
        }
        let g = Tensor(uninitialized: dims, dtype)
        compute(g, false)
        if let sink { sink(i, g) } else { engine!.deliver(g, to: node.edges[i]) }
    }
}
