// In-place operations: they write the shared memory, bump its version, and rewrite the history of the tensor (and,
// through a view, of the tensor it views) so that gradients are those of the values actually used.
internal import CMartletKernels

extension Tensor {
    /// Runs `write`, which changes this tensor's elements, and records it. `make` builds the backward closure as for a
    /// result of (old self, inputs...): input 0 is this tensor before the write.
    func mutate(
        _ name: StaticString, _ inputs: [Tensor], broadcasts: Bool = false, write: () -> Void,
        _ make: @escaping MakeBackward
    ) {
        for i in 0..<dims.count where strideDims[i] == 0 && dims[i] > 1 {
            trap(
                "\(name)",
                "elements of an expanded tensor (shape \(dims.text), strides \(strideDims.text)) share memory: clone() "
                    + "it before writing")
        }
        let recording = isGradEnabled && (requiresGrad || inputs.contains(where: \.requiresGrad))
        guard recording else {
            storage.wrote(name)
            write()
            if mk_is_profiling() { Recorder.name(name, self, [self] + inputs) }
            return
        }
        if leafRequiresGrad || (viewBase?.leafRequiresGrad ?? false) {
            trap(
                "\(name)",
                "a leaf that requires gradients cannot be written in place while operations are recorded: wrap the "
                    + "write in noGrad { }" + (self.name.map { " (\($0))" } ?? ""))
        }
        if isUntrackedView && !isKnownUniquelyReferenced(&storage) {
            trap(
                "\(name)",
                "a view of shape \(dims.text) that was made under noGrad cannot be written while operations are "
                    + "recorded: make the view outside, or write to a clone()")
        }
        let old = aliasWithHistory()
        let node = Node(name)
        node.edges.append(old.edge)
        for input in inputs { node.edges.append(input.edge) }
        if broadcasts && inputs.contains(where: { $0.dims != dims }) {
            node.inputDims = [dims] + inputs.map(\.dims)
        }
        storage.wrote(name)
        write()
        if mk_is_profiling() { Recorder.name(name, self, [self] + inputs) }
        // Built after the write, so that what is saved of the result has the version it will be read at.
        node.backward = make(node)
        if let base = viewBase {
            let whole = Node("copySlices")
            whole.edges.append(base.edge)
            for i in 1..<node.edges.count { whole.edges.append(node.edges[i]) }
            let geometry = ViewGeometry(self, in: base)
            whole.backward = { ctx, g in
                // The written part of the gradient goes through the operation, the rest passes.
                var part: Tensor?
                let slice = g.stridedView(geometry).contiguous()
                let inner = BackwardContext(
                    node: node,
                    sink: { i, gradient in
                        if i == 0 { part = gradient } else { ctx.give(i, gradient) }
                    }, engine: nil)
                node.backward!(inner, slice)
                if ctx.needs(0) {
                    let replacement = part ?? Tensor.zeros(slice.dims, g.dtype)
                    ctx.give(0, g.replacingStrided(geometry, with: replacement))
                }
            }
            let before = base.nodeStorage
            base.nodeStorage = whole
            base.outputIndex = 0
            base.historyVersion &+= 1
            base.moveRetainedGrad(from: before, to: whole)
            // This view, like every other, gets its new history from the base when asked.
        } else {
            nodeStorage = node
            outputIndex = 0
            historyVersion &+= 1
            moveRetainedGrad(from: old.nodeStorage, to: node)
        }
    }

    @inline(__always)
    private func inPlaceOperand(_ op: StaticString, _ other: Tensor, float: Bool = false) -> Tensor {
        let type = Tensor.resultType(self, other)
        if type.category > dtype.category || (float && !dtype.isFloatingPoint) {
            trap(
                "\(op)",
                "the result would be \(float && !type.isFloatingPoint ? .float32 : type), which does not fit in this "
                    + "\(dtype) tensor"
            )
        }
        guard let dims = Dims.broadcast(self.dims, other.dims), dims == self.dims else {
            trap(
                "\(op)",
                "an operand of shape \(other.dims.text) does not broadcast to the shape \(self.dims.text) that is "
                    + "written"
            )
        }
        // The write changes what a view of the same memory holds, while it is read and for the backward pass.
        if other.storage === storage { return other.clone().to(dtype) }
        return other.to(dtype)
    }

    public static func += (a: Tensor, b: Tensor) { a.addInPlace(b) }
    public static func -= (a: Tensor, b: Tensor) { a.subInPlace(b) }
    public static func *= (a: Tensor, b: Tensor) { a.mulInPlace(b) }
    public static func /= (a: Tensor, b: Tensor) { a.divInPlace(b) }
    public static func += (a: Tensor, b: Double) { a.addInPlace(b) }
    public static func -= (a: Tensor, b: Double) { a.addInPlace(-b) }
    public static func *= (a: Tensor, b: Double) { a.mulInPlace(b) }
    public static func /= (a: Tensor, b: Double) { a.divInPlace(b) }

    /// self += alpha * other.
    @discardableResult
    public func addInPlace(_ other: Tensor, alpha: Double = 1) -> Self {
        let y = inPlaceOperand("addInPlace", other)
        mutate("addInPlace", [y], broadcasts: true) {
            if alpha == 1 {
                Kernels.binary(MK_ADD, self, self, y)
            } else if dtype.isFloatingPoint {
                Kernels.axpy(self, self, y, alpha)
            } else {
                Kernels.binary(MK_ADD, self, self, noGrad { (y * alpha).to(dtype) })
            }
        } _: { _ in
            { ctx, g in
                ctx.give(0, g)
                ctx.give(1, alpha == 1 ? g : g * alpha)
            }
        }
        return self
    }

    @discardableResult
    public func subInPlace(_ other: Tensor) -> Self {
        let y = inPlaceOperand("subInPlace", other)
        mutate("subInPlace", [y], broadcasts: true) {
            Kernels.binary(MK_SUB, self, self, y)
        } _: { _ in
            { ctx, g in
                ctx.give(0, g)
                ctx.give(1, -g)
            }
        }
        return self
    }

    @discardableResult
    public func mulInPlace(_ other: Tensor) -> Self {
        let y = inPlaceOperand("mulInPlace", other)
        let recording = isGradEnabled && (requiresGrad || y.requiresGrad)
        // The old value is gone after the write; the derivative by `other` needs it, with its history.
        let old = recording && y.requiresGrad ? clone() : nil
        mutate("mulInPlace", [y], broadcasts: true) {
            Kernels.binary(MK_MUL, self, self, y)
        } _: { node in
            node.save(y)
            if let old { node.save(old) }
            return { ctx, g in
                ctx.give(0, g * ctx[0])
                ctx.give(1, g * ctx[1])
            }
        }
        return self
    }

    @discardableResult
    public func divInPlace(_ other: Tensor) -> Self {
        let y = inPlaceOperand("divInPlace", other, float: true)
        let recording = isGradEnabled && (requiresGrad || y.requiresGrad)
        let old = recording && y.requiresGrad ? clone() : nil
        mutate("divInPlace", [y], broadcasts: true) {
            Kernels.binary(MK_DIV, self, self, y)
        } _: { node in
            node.save(y)
            if let old { node.save(old) }
            return { ctx, g in
                ctx.give(0, g / ctx[0])
                ctx.give(1, -(g * ((ctx[1] / ctx[0]) / ctx[0])))
            }
        }
        return self
    }

    private func scalarInPlace(_ name: StaticString, _ op: mk_binary_op, _ value: Double, _ factor: Double) -> Self {
        if !dtype.isFloatingPoint && value != value.rounded() || op == MK_DIV && !dtype.isFloatingPoint {
            trap("\(name)", "the result with \(value) would not fit in this \(dtype) tensor")
        }
        mutate(name, []) {
            Kernels.binary(op, self, self, mk_scalar(value), scalarOnLeft: false)
        } _: { _ in
            { ctx, g in ctx.give(0, factor == 1 ? g : g * factor) }
        }
        return self
    }

    @discardableResult
    public func addInPlace(_ value: Double) -> Self { scalarInPlace("addInPlace", MK_ADD, value, 1) }
    @discardableResult
    public func mulInPlace(_ value: Double) -> Self { scalarInPlace("mulInPlace", MK_MUL, value, value) }
    @discardableResult
    public func divInPlace(_ value: Double) -> Self { scalarInPlace("divInPlace", MK_DIV, value, 1 / value) }

    /// Copies the elements of `source`, broadcast and converted to this tensor's dtype.
    @discardableResult
    public func copyInPlace(_ source: Tensor) -> Self {
        guard let dims = Dims.broadcast(self.dims, source.dims), dims == self.dims else {
            trap(
                "copyInPlace", "a source of shape \(source.dims.text) does not broadcast to the shape \(self.dims.text)"
            )
        }
        // Writing a view of itself (`x[i] = x[i]` after an in-place change of x[i]) is already done.
        if source.storage === storage && source.offset == offset && source.dims == self.dims
            && source.strideDims == strideDims && source.dtype == dtype
        {
            return self
        }
        let input = source.storage === storage ? noGrad { source.clone() } : source
        mutate("copyInPlace", [source], broadcasts: true) {
            Kernels.copy(self, input)
        } _: { _ in
            { ctx, g in
                ctx.give(0, Tensor.zeros(like: g))
                ctx.give(1, g.to(source.dtype))
            }
        }
        return self
    }

    /// Sets every element to `value`.
    @discardableResult
    public func fillInPlace(_ value: Double) -> Self {
        mutate("fillInPlace", []) {
            Kernels.fill(self, mk_scalar(value))
        } _: { _ in
            { ctx, g in ctx.give(0, Tensor.zeros(like: g)) }
        }
        return self
    }

    @discardableResult
    public func zeroInPlace() -> Self { fillInPlace(0) }

    /// Replaces every element by a function of them all: for in-place forms of elementwise functions.
    private func replaceInPlace(_ name: StaticString, _ function: (Tensor) -> Tensor) -> Self {
        let result = function(aliasWithHistoryForInput())
        if result.dtype.category > dtype.category {
            trap("\(name)", "the result would be \(result.dtype), which does not fit in this \(dtype) tensor")
        }
        if result.dims != dims {
            trap(
                "\(name)",
                "the result would have the shape \(result.dims.text), but the shape \(dims.text) is written")
        }
        let bare = result.detach()
        mutate(name, [result]) {
            Kernels.copy(self, bare)
        } _: { _ in
            { ctx, g in ctx.give(1, g) }
        }
        return self
    }

    private func aliasWithHistoryForInput() -> Tensor {
        // The function saves its input, which the write overwrites: it works on a copy when that matters.
        isGradEnabled && requiresGrad ? clone() : self
    }

    @discardableResult public func reluInPlace() -> Self { replaceInPlace("reluInPlace") { $0.relu() } }
    @discardableResult public func sigmoidInPlace() -> Self { replaceInPlace("sigmoidInPlace") { $0.sigmoid() } }
    @discardableResult public func tanhInPlace() -> Self { replaceInPlace("tanhInPlace") { $0.tanh() } }
    @discardableResult public func expInPlace() -> Self { replaceInPlace("expInPlace") { $0.exp() } }
    @discardableResult public func sqrtInPlace() -> Self { replaceInPlace("sqrtInPlace") { $0.sqrt() } }
    @discardableResult public func negInPlace() -> Self { mulInPlace(-1) }
    @discardableResult public func clampInPlace(min: Double? = nil, max: Double? = nil) -> Self {
        replaceInPlace("clampInPlace") { $0.clamp(min: min, max: max) }
    }
    /// Sets the elements where `mask` is true to `value`.
    @discardableResult public func maskedFillInPlace(_ mask: Tensor, _ value: Double) -> Self {
        replaceInPlace("maskedFillInPlace") { $0.maskedFill(mask, value) }
    }

    /// Every element to the power `exponent`. Integers would need another type: they take whole exponents only.
    @discardableResult public func powInPlace(_ exponent: Double) -> Self {
        replaceInPlace("powInPlace") { $0.pow(exponent) }
    }
    /// Every element to the power `exponent`, which may not be negative for integers.
    @discardableResult public func powInPlace(_ exponent: Int) -> Self {
        replaceInPlace("powInPlace") { $0.pow(exponent) }
    }
    /// Every element to the power of the exponent in its place; exponents broadcast to this shape.
    @discardableResult public func powInPlace(_ exponent: Tensor) -> Self {
        replaceInPlace("powInPlace") { $0.pow(exponent) }
    }
    /// self += weight · (end - self); `end` broadcasts to this shape.
    @discardableResult public func lerpInPlace(_ end: Tensor, _ weight: Double) -> Self {
        replaceInPlace("lerpInPlace") { $0.lerp(end, weight) }
    }
    /// self += weight · (end - self); `end` and `weight` broadcast to this shape.
    @discardableResult public func lerpInPlace(_ end: Tensor, _ weight: Tensor) -> Self {
        replaceInPlace("lerpInPlace") { $0.lerp(end, weight) }
    }

    /// Takes over elements that do not depend on what was there; the gradient ends here.
    func overwrite(_ name: StaticString, with values: Tensor) {
        mutate(name, []) {
            Kernels.copy(self, values)
        } _: { _ in
            { ctx, g in ctx.give(0, Tensor.zeros(like: g)) }
        }
    }

    /// A tensor that keeps its gradient keeps that of its new value.
    fileprivate func moveRetainedGrad(from old: Node?, to new: Node) {
        guard extras?.retainsGrad == true else { return }
        old?.retained.removeAll { $0.tensor.value === self }
        new.retained.append((0, WeakTensor(self)))
    }

    /// self += g without touching history: for gradients that nobody else sees.
    func accumulate(_ g: Tensor) {
        if dtype == g.dtype { Kernels.binary(MK_ADD, self, self, g) } else { Kernels.axpy(self, self, g, 1) }
        storage.wrote("gradient accumulation")
    }
}
