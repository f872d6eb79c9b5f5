internal import CMartletKernels
private import Synchronization

/// Where a gradient flows to: an input's operation, or the input itself when it is a leaf.
struct Edge {
    var node: Node?
    var leaf: Tensor?
    var index: Int32 = 0

    @inline(__always) var isWanted: Bool { node != nil || leaf != nil }
}

/// Up to three elements inline, more in an array: recording an op of few operands allocates nothing for them.
struct SmallList<Element> {
    private var a: Element?
    private var b: Element?
    private var c: Element?
    private var rest: [Element] = []
    private(set) var count = 0

    @inline(__always) init() {}

    @inline(__always) mutating func append(_ element: Element) {
        switch count {
        case 0: a = element
        case 1: b = element
        case 2: c = element
        default: rest.append(element)
        }
        count += 1
    }

    @inline(__always) subscript(i: Int) -> Element {
        get {
            switch i {
            case 0: a!
            case 1: b!
            case 2: c!
            default: rest[i - 3]
            }
        }
        set {
            switch i {
            case 0: a = newValue
            case 1: b = newValue
            case 2: c = newValue
            default: rest[i - 3] = newValue
            }
        }
    }
}

private let nodeCounter = Atomic<UInt64>(0)

/// One recorded operation: how gradients of its outputs become gradients of its inputs.
package final class Node: @unchecked Sendable {
    typealias Backward = (BackwardContext, Tensor) -> Void

    let name: StaticString
    /// Grows with time: the engine runs late operations first.
    let sequence: UInt64
    @exclusivity(unchecked) var edges = SmallList<Edge>()
    @exclusivity(unchecked) var saved = SmallList<SavedTensor>()
    /// Receives the gradient of output 0 (of the only output, nearly always); nil once freed.
    @exclusivity(unchecked) var backward: Backward?
    /// Shapes and types of the outputs of an operation that has several.
    @exclusivity(unchecked) var outputs: [(dims: Dims, dtype: DType)] = []
    /// What the backward function has to know beside tensors, kept here because a closure that captured it would be an
    /// allocation of its own: the shape of the input, whole numbers and a factor, as the operation uses them.
    @exclusivity(unchecked) var shape = Dims()
    @exclusivity(unchecked) var integers = (0, 0, 0)
    @exclusivity(unchecked) var factor = 1.0
    /// Input shapes, kept only when broadcasting means that gradients must be summed back.
    @exclusivity(unchecked) var inputDims: [Dims] = []
    @exclusivity(unchecked) var wasFreed = false
    /// How the output can be computed again. Set by operations that are cheap beside the memory of their output: those
    /// that save the output for their own derivative then keep this instead.
    @exclusivity(unchecked) var recomputation: OutputRecomputation?
    /// The module path, kept in anomaly mode and while something is profiled.
    var origin: String?
    @exclusivity(unchecked) var hooks: [(index: Int32, id: Int, call: (Tensor) -> Tensor?)] = []
    /// Weakly held tensors that keep their gradient although they are no leaves.
    @exclusivity(unchecked) var retained: [(index: Int32, tensor: WeakTensor)] = []

    // The engine's working state, valid while `run` is the number of the run.
    @exclusivity(unchecked) var run: UInt64 = 0
    @exclusivity(unchecked) var pending: Int32 = 0
    @exclusivity(unchecked) var isNeeded = false
    @exclusivity(unchecked) var gradient: Tensor?
    @exclusivity(unchecked) var moreGradients: [Tensor?] = []

    init(_ name: StaticString) {
        self.name = name
        sequence = nodeCounter.wrappingAdd(1, ordering: .relaxed).newValue
        if mk_thread().pointee.anomaly > 0 || mk_is_profiling() { origin = ModulePath.current }
    }

    /// Forgets what was saved: a second backward pass through this node is then refused.
    func free() {
        saved = SmallList()
        backward = nil
        recomputation = nil
        wasFreed = true
    }

    deinit {
        // A chain of a hundred thousand operations must not be released by as many nested calls: what a node holds that
        // goes while another one is going is put on a list, which the outermost call empties in a loop.
        let state = mk_thread()
        if state.pointee.draining != 0 {
            Node.graveyard(state).remains.append(Remains(edges: edges, saved: saved, backward: backward))
            return
        }
        state.pointee.draining = 1
        hooks = []
        edges = SmallList()
        saved = SmallList()
        backward = nil
        if state.pointee.slots.1 != nil {
            let yard = Node.graveyard(state)
            while !yard.remains.isEmpty { yard.dropLast() }
            Unmanaged.passUnretained(yard).release()
            state.pointee.slots.1 = nil
        }
        state.pointee.draining = 0
    }

    private struct Remains {
        let edges: SmallList<Edge>
        let saved: SmallList<SavedTensor>
        let backward: Backward?
    }

    private final class Graveyard {
        var remains: [Remains] = []

        /// Never inlined: what is removed has to go before the next one is, not at the end of the caller's loop.
        @inline(never) func dropLast() { _ = remains.removeLast() }
    }

    private static func graveyard(_ state: UnsafeMutablePointer<mk_thread_state>) -> Graveyard {
        if let slot = state.pointee.slots.1 { return Unmanaged<Graveyard>.fromOpaque(slot).takeUnretainedValue() }
        let yard = Graveyard()
        state.pointee.slots.1 = Unmanaged.passRetained(yard).toOpaque()
        return yard
    }
}

/// Computes an operation's only output again. It has the operands itself, so that it outlives what its node saved.
final class OutputRecomputation {
    private let operands: SmallList<SavedTensor>
    private let compute: (_ operand: (Int) -> Tensor) -> Tensor

    init(_ node: Node, _ compute: @escaping (_ operand: (Int) -> Tensor) -> Tensor) {
        operands = node.saved
        self.compute = compute
    }

    func run(_ node: Node) -> Tensor { compute { operands[$0].unpack(node) } }
}

final class WeakTensor {
    weak var value: Tensor?
    init(_ value: Tensor) { self.value = value }
}

/// A tensor kept for the backward pass, with the version it had.
struct SavedTensor {
    private enum Content {
        /// The tensor itself, with its history.
        case input(Tensor)
        /// An output of the node that saves it: kept without history, which would be a cycle.
        case output(Tensor, index: Int32)
        /// The same for what an op has just written to new memory: no tensor is made before it is asked for.
        case fresh(Storage, Dims, DType, index: Int32)
        /// What a saved-tensor hook made of its elements, and where its history goes on.
        case packed(Any, unpack: (Any) -> Tensor, history: Node?, index: Int32)
        /// Another node's output, which is computed again.
        case recomputed(OutputRecomputation, history: Node)
        /// What a saved-tensor hook made of an output of the node that saves it.
        case packedOutput(Any, unpack: (Any) -> Tensor, index: Int32)
    }

    private let content: Content
    private let version: Int

    init(_ tensor: Tensor, outputIndex: Int32?) {
        version = tensor.storage.version
        // Leaves that require gradients are kept alive by their owner anyway.
        if let hooks = SavedTensorHooks.current, !tensor.leafRequiresGrad {
            let packed = hooks.pack(tensor.alias())
            if let outputIndex {
                content = .packedOutput(packed, unpack: hooks.unpack, index: outputIndex)
            } else {
                content = .packed(packed, unpack: hooks.unpack, history: tensor.node, index: tensor.outputIndex)
            }
        } else if let outputIndex {
            content =
                tensor.isContiguous && tensor.offset == 0
                ? .fresh(tensor.storage, tensor.dims, tensor.dtype, index: outputIndex)
                : .output(tensor.alias(), index: outputIndex)
        } else if let history = tensor.nodeStorage, let recomputation = history.recomputation, version == 0 {
            // Memory that was written since without being recorded holds something else.
            content = .recomputed(recomputation, history: history)
        } else {
            content = .input(tensor)
        }
    }

    func unpack(_ node: Node) -> Tensor {
        switch content {
        case .input(let tensor):
            check(tensor, node)
            return tensor
        case .output(let bare, let index):
            check(bare, node)
            let tensor = bare.alias()
            tensor.nodeStorage = node
            tensor.outputIndex = index
            return tensor
        case .fresh(let storage, let dims, let dtype, let index):
            let tensor = Tensor(
                storage: storage, dims: dims, strides: dims.contiguousStrides, offset: 0, dtype: dtype,
                contiguous: true)
            check(tensor, node)
            tensor.nodeStorage = node
            tensor.outputIndex = index
            return tensor
        case .packed(let value, let unpack, let history, let index):
            let tensor = unpack(value).alias()
            tensor.nodeStorage = history
            tensor.outputIndex = index
            return tensor
        case .recomputed(let recomputation, let history):
            let tensor = noGrad { recomputation.run(history) }
            tensor.nodeStorage = history
            return tensor
        case .packedOutput(let value, let unpack, let index):
            let tensor = unpack(value).alias()
            tensor.nodeStorage = node
            tensor.outputIndex = index
            return tensor
        }
    }

    private func check(_ tensor: Tensor, _ node: Node) {
        if tensor.storage.version != version {
            trap(
                "backward",
                "a \(tensor.dtype) tensor of shape \(tensor.dims.text) that `\(node.name)` saved for its gradient was "
                    + "overwritten by `\(tensor.storage.lastWriter)`: it was saved at version \(version) and is now at "
                    + "version \(tensor.storage.version). Write to a clone(), or use the out-of-place operation"
                    + (tensor.name.map { " (\($0))" } ?? ""))
        }
    }
}

/// Functions that see every tensor saved for a backward pass: to compress it, move it away, or count it.
public enum SavedTensorHooks {
    final class Pair {
        let pack: (Tensor) -> Any
        let unpack: (Any) -> Tensor
        let previous: Pair?
        init(pack: @escaping (Tensor) -> Any, unpack: @escaping (Any) -> Tensor, previous: Pair?) {
            self.pack = pack
            self.unpack = unpack
            self.previous = previous
        }
    }

    static var current: Pair? {
        guard let slot = mk_thread().pointee.slots.2 else { return nil }
        return Unmanaged<Pair>.fromOpaque(slot).takeUnretainedValue()
    }

    /// Runs `body` while `pack` is called on every tensor that an operation saves; `unpack` gives it back in the
    /// backward pass, whenever that runs.
    public static func with<R>(
        pack: @escaping (Tensor) -> Any, unpack: @escaping (Any) -> Tensor, _ body: () throws -> R
    ) rethrows -> R {
        let state = mk_thread()
        let old = state.pointee.slots.2
        let pair = Unmanaged.passRetained(Pair(pack: pack, unpack: unpack, previous: current))
        state.pointee.slots.2 = pair.toOpaque()
        defer {
            state.pointee.slots.2 = old
            pair.release()
        }
        return try body()
    }
}
