internal import CMartletKernels
private import Synchronization

private let runCounter = Atomic<UInt64>(0)
/// Passes on several threads may add to the gradient of one leaf.
private let accumulation = Mutex(())

/// One backward pass: visits the recorded operations from the outputs to the inputs, latest first, with explicit work
/// lists: a graph of any depth uses the same stack.
final class Engine {
    private struct Leaf {
        let tensor: Tensor
        var pending: Int32 = 0
        var gradient: Tensor?
    }

    private let run = runCounter.wrappingAdd(1, ordering: .relaxed).newValue
    private let retainGraph: Bool
    private let createGraph: Bool
    /// Whether leaves get their `grad`; otherwise gradients are handed to the targets.
    private let accumulate: Bool
    private let checksNumbers: Bool
    @exclusivity(unchecked) private var leaves: [ObjectIdentifier: Leaf] = [:]
    @exclusivity(unchecked) private var ready: [Node] = []

    /// Tensors whose gradients the caller asked for, by leaf or by (node, output).
    @exclusivity(unchecked) private var leafTargets: [ObjectIdentifier: [Int]] = [:]
    @exclusivity(unchecked) private var nodeTargets: [ObjectIdentifier: [(output: Int32, slot: Int)]] = [:]
    private(set) var results: [Tensor?] = []
    /// Operations recorded before every target lead to none.
    @exclusivity(unchecked) private var earliest: UInt64 = 0

    /// Whether this pass runs inside another one of this thread (started by a hook, a custom function or a fused
    /// operation's derivative), and what it displaced of that one's state.
    private let isNested: Bool
    private var displaced: [Displaced] = []

    private struct Displaced {
        let node: Node
        let run: UInt64
        let pending: Int32
        let isNeeded: Bool
        let gradient: Tensor?
        let moreGradients: [Tensor?]
    }

    init(retainGraph: Bool, createGraph: Bool, targets: [Tensor]?) {
        self.retainGraph = retainGraph
        self.createGraph = createGraph
        checksNumbers = mk_thread().pointee.anomaly > 0
        accumulate = targets == nil
        isNested = mk_thread().pointee.slots.3 != nil
        guard let targets else { return }
        results = Array(repeating: nil, count: targets.count)
        if targets.allSatisfy({ $0.node != nil }) { earliest = targets.map { $0.node!.sequence }.min() ?? 0 }
        for (slot, target) in targets.enumerated() {
            if let node = target.node {
                nodeTargets[ObjectIdentifier(node), default: []].append((target.outputIndex, slot))
            } else if target.leafRequiresGrad {
                leafTargets[ObjectIdentifier(target), default: []].append(slot)
            }
        }
    }

    private func isWanted(_ leaf: Tensor) -> Bool { accumulate || leafTargets[ObjectIdentifier(leaf)] != nil }

    func wants(_ edge: Edge) -> Bool {
        if let node = edge.node { return node.run == run && node.isNeeded }
        if let leaf = edge.leaf { return isWanted(leaf) }
        return false
    }

    /// Runs the pass from `roots` with their gradients.
    func backward(_ roots: [Tensor], _ gradients: [Tensor]) {
        let scope = ProfilerScope()
        let depth = GradMode.swap(createGraph ? 0 : 1)
        let outer = mk_thread().pointee.slots.3
        mk_thread().pointee.slots.3 = Unmanaged.passUnretained(self).toOpaque()
        defer {
            _ = GradMode.swap(depth)
            mk_thread().pointee.slots.3 = outer
            restoreDisplaced()
            scope.end("backward", .range, phase: .backward)
        }
        let edges = roots.map(\.edge)
        for edge in edges { if let node = edge.node { explore(node) } }
        for edge in edges { use(edge) }
        for (edge, gradient) in zip(edges, gradients) {
            deliver(gradient, to: edge)
            finishUse(edge)
        }
        while let node = popReady() { execute(node) }
    }

    private func restoreDisplaced() {
        for old in displaced {
            old.node.run = old.run
            old.node.pending = old.pending
            old.node.isNeeded = old.isNeeded
            old.node.gradient = old.gradient
            old.node.moreGradients = old.moreGradients
        }
        displaced = []
    }

    // MARK: counting uses

    /// Finds the nodes that lead to something wanted and counts how many gradients each will get.
    private func explore(_ root: Node) {
        if root.run == run || root.sequence < earliest { return }
        var stack: [(node: Node, next: Int)] = []
        func enter(_ node: Node) {
            if isNested {
                displaced.append(
                    Displaced(
                        node: node, run: node.run, pending: node.pending, isNeeded: node.isNeeded,
                        gradient: node.gradient, moreGradients: node.moreGradients))
            }
            node.run = run
            node.pending = 0
            node.gradient = nil
            node.moreGradients = []
            node.isNeeded = accumulate || nodeTargets[ObjectIdentifier(node)] != nil
            stack.append((node, 0))
        }
        enter(root)
        while let (node, next) = stack.last {
            if next < node.edges.count {
                stack[stack.count - 1].next += 1
                if let child = node.edges[next].node, child.run != run, child.sequence >= earliest { enter(child) }
                continue
            }
            stack.removeLast()
            for i in 0..<node.edges.count where wants(node.edges[i]) { node.isNeeded = true }
            if node.isNeeded {
                for i in 0..<node.edges.count { use(node.edges[i]) }
            }
        }
    }

    private func use(_ edge: Edge) {
        if let node = edge.node {
            if node.run == run && node.isNeeded { node.pending += 1 }
        } else if let leaf = edge.leaf, isWanted(leaf) {
            leaves[ObjectIdentifier(leaf), default: Leaf(tensor: leaf)].pending += 1
        }
    }

    private func finishUse(_ edge: Edge) {
        if let node = edge.node {
            if node.run != run || !node.isNeeded { return }
            node.pending -= 1
            if node.pending == 0 { pushReady(node) }
        } else if let leaf = edge.leaf {
            let key = ObjectIdentifier(leaf)
            guard leaves[key] != nil else { return }
            leaves[key]!.pending -= 1
            if leaves[key]!.pending == 0 { finish(leaves.removeValue(forKey: key)!) }
        }
    }

    // MARK: gradients

    /// A gradient arrives at an edge and is added to those that came before.
    func deliver(_ gradient: Tensor, to edge: Edge) {
        if let node = edge.node {
            if node.run != run || !node.isNeeded { return }
            if edge.index == 0 {
                add(gradient, into: &node.gradient)
            } else {
                if node.moreGradients.isEmpty {
                    node.moreGradients = Array(repeating: nil, count: node.outputs.count - 1)
                }
                add(gradient, into: &node.moreGradients[Int(edge.index) - 1])
            }
        } else if let leaf = edge.leaf, leaves[ObjectIdentifier(leaf)] != nil {
            add(gradient, into: &leaves[ObjectIdentifier(leaf)]!.gradient)
        }
    }

    private func add(_ gradient: Tensor, into sum: inout Tensor?) {
        if sum == nil {
            sum = gradient
        } else if !createGraph, isKnownUniquelyReferenced(&sum), sum!.isSoleOwner, sum!.dims == gradient.dims {
            // Nobody else can see the running sum: add where it is.
            sum!.accumulate(gradient)
        } else {
            sum = sum! + gradient
        }
    }

    /// The sum of gradients at an edge, if there is one of this shape and type that nobody else can see.
    func ownSum(_ edge: Edge, _ dims: Dims, _ dtype: DType) -> Tensor? {
        func own(_ sum: inout Tensor?) -> Bool {
            !createGraph && isKnownUniquelyReferenced(&sum) && sum!.isSoleOwner && sum!.dims == dims
                && sum!.dtype == dtype
        }
        if let node = edge.node {
            if edge.index == 0 { return own(&node.gradient) ? node.gradient : nil }
            let i = Int(edge.index) - 1
            return i < node.moreGradients.count && own(&node.moreGradients[i]) ? node.moreGradients[i] : nil
        }
        guard let leaf = edge.leaf else { return nil }
        let key = ObjectIdentifier(leaf)
        return leaves[key] != nil && own(&leaves[key]!.gradient) ? leaves[key]!.gradient : nil
    }

    private func execute(_ node: Node) {
        let hasGradient = node.gradient != nil || node.moreGradients.contains { $0 != nil }
        if hasGradient {
            for hook in node.hooks {
                if let g = node.gradient(hook.index),
                    let replaced = hook.call(g)
                {
                    if hook.index == 0 {
                        node.gradient = replaced
                    } else {
                        node.moreGradients[Int(hook.index) - 1] = replaced
                    }
                }
            }
            for entry in node.retained {
                if let tensor = entry.tensor.value,
                    let g = node.gradient(entry.index)
                {
                    tensor.ensureExtras().grad = g
                }
            }
            if let wanted = nodeTargets[ObjectIdentifier(node)] {
                for (output, slot) in wanted {
                    results[slot] = node.gradient(output)
                }
            }
            // Below the last target there is nothing to do.
            if leadsOn(node) {
                apply(node)
                if !retainGraph { node.free() }
            }
        }
        node.gradient = nil
        node.moreGradients = []
        for i in 0..<node.edges.count { finishUse(node.edges[i]) }
    }

    private func leadsOn(_ node: Node) -> Bool {
        for i in 0..<node.edges.count where wants(node.edges[i]) { return true }
        return false
    }

    private func apply(_ node: Node) {
        guard let backward = node.backward else {
            trap(
                "backward",
                "the graph was already freed at `\(node.name)`: a backward pass frees what it used. Pass retainGraph: "
                    + "true to the first pass, or compute the loss again")
        }
        if node.moreGradients.isEmpty && node.outputs.count > 1 {
            node.moreGradients = Array(repeating: nil, count: node.outputs.count - 1)
        }
        let context = BackwardContext(node: node, sink: nil, engine: self)
        // An operation of several outputs may have got a gradient for a later output only.
        let first = node.gradient ?? Tensor.zeros(node.outputs[0].dims, node.outputs[0].dtype)
        if checksNumbers { check(first, node, "the gradient that reached") }
        let scope = ProfilerScope()
        backward(context, first)
        scope.end("\(node.name) backward", phase: .backward, path: node.origin, inputs: [first])
        if checksNumbers {
            for i in 0..<node.edges.count {
                if let child = node.edges[i].node, child.run == run, let g = child.gradient {
                    check(g, node, "the gradient given to input \(i) by")
                } else if let leaf = node.edges[i].leaf, let g = leaves[ObjectIdentifier(leaf)]?.gradient {
                    check(g, node, "the gradient given to input \(i) by")
                }
            }
        }
    }

    private func check(_ gradient: Tensor, _ node: Node, _ what: String) {
        if noGrad({ gradient.detach().isFinite().all().item() }) == 0 {
            let place = node.origin.map { $0.isEmpty ? "" : ", recorded in \($0)" } ?? ""
            trap("backward", "\(what) `\(node.name)`\(place) holds NaN or infinity; its shape is \(gradient.dims.text)")
        }
    }

    private func finish(_ leaf: consuming Leaf) {
        let tensor = leaf.tensor
        guard var gradient = leaf.gradient else { return }
        leaf.gradient = nil
        if let extras = tensor.extras {
            for id in extras.hooks.keys.sorted() {
                if let replaced = extras.hooks[id]?(gradient) { gradient = replaced }
            }
        }
        if let slots = leafTargets[ObjectIdentifier(tensor)] {
            for slot in slots { results[slot] = gradient }
            return
        }
        if gradient.dtype != tensor.dtype { gradient = gradient.to(tensor.dtype) }
        // Memory that nobody else has is taken over; what the caller or another operation may go on using is copied.
        let isOwned = isKnownUniquelyReferenced(&gradient) && gradient.isSoleOwner
        accumulation.withLock { [gradient] _ in store(gradient, isOwned: isOwned, in: tensor) }
        guard let extras = tensor.extras else { return }
        for id in extras.afterAccumulation.keys.sorted() { extras.afterAccumulation[id]?(tensor) }
    }

    private func store(_ gradient: Tensor, isOwned: Bool, in leaf: Tensor) {
        let extras = leaf.ensureExtras()
        if let existing = extras.grad {
            if createGraph || existing.requiresGrad {
                extras.grad = existing + gradient
            } else {
                existing.accumulate(gradient)
            }
        } else {
            extras.grad = createGraph || isOwned ? gradient : gradient.clone()
        }
    }

    // MARK: order

    /// A binary heap by sequence number: later operations first.
    private func popReady() -> Node? {
        guard let top = ready.first else { return nil }
        let last = ready.removeLast()
        if !ready.isEmpty {
            var i = 0
            while true {
                var child = 2 * i + 1
                if child >= ready.count { break }
                if child + 1 < ready.count && ready[child + 1].sequence > ready[child].sequence { child += 1 }
                if ready[child].sequence <= last.sequence { break }
                ready[i] = ready[child]
                i = child
            }
            ready[i] = last
        }
        return top
    }

    private func pushReady(_ node: Node) {
        ready.append(node)
        var i = ready.count - 1
        while i > 0 {
            let parent = (i - 1) / 2
            if ready[parent].sequence >= node.sequence { break }
            ready[i] = ready[parent]
            i = parent
        }
        ready[i] = node
    }
}

extension Node {
    /// The gradient that has come for output `i` in this pass.
    fileprivate func gradient(_ i: Int32) -> Tensor? {
        i == 0 ? gradient : Int(i) <= moreGradients.count ? moreGradients[Int(i) - 1] : nil
    }
}

extension Tensor {
    /// Whether this object alone sees its memory, whole and contiguous. The caller holds the only reference to self.
    var isSoleOwner: Bool {
        isContiguous && viewBase == nil && nodeStorage == nil && !storage.isReadOnly && storage.owner == nil
            && isKnownUniquelyReferenced(&storage)
    }
}
