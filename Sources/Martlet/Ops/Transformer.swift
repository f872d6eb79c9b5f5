// What transformers are made of: embeddings, rotary positions, gated units, attention. Fused kernels forward and
// backward.
internal import CMartletKernels

// MARK: - Embedding

extension Tensor {
    /// Rows of this table [vocabulary, width] at `indices` [...]: [..., width]. Gradients of repeated rows add up.
    ///
    /// - Parameter paddingIndex: a row that gets no gradient.
    public func embedding(_ indices: Tensor, paddingIndex: Int? = nil) -> Tensor {
        if rank != 2 { trap("embedding", "a table of two dimensions is needed: \(describe(self))") }
        let flat = indices.indexTensor("embedding").reshape([-1])
        var shape = indices.dims
        shape.append(dims[1])
        let out = Tensor(uninitialized: shape, dtype, "embedding")
        let rows = out.reinterpreted(Dims([flat.count, dims[1]]))
        Kernels.indexSelect("embedding", rows, self, flat, 0)
        let table = dims
        out.record("embedding", self) { node in
            node.save(flat)
            return { ctx, g in
                let index = ctx[0]
                var gradient = g.reshape([index.count, table[1]])
                if isGradEnabled {
                    if let paddingIndex {
                        gradient = gradient * (index .!= Double(paddingIndex)).to(g.dtype).unsqueeze(1)
                    }
                    ctx.give(0, Tensor.zeros(table, g.dtype).indexAdd(0, index, gradient))
                    return
                }
                let sum = Tensor(uninitialized: table, g.dtype)
                Kernels.embeddingBackward(sum, index, gradient.contiguous(), ignoring: paddingIndex)
                ctx.give(0, sum)
            }
        }
        return out
    }
}

// MARK: - Rotary position embedding

/// Cosines and sines of rotary position embedding, for positions 0 ..< length.
public struct RotaryTables: Sendable {
    /// [length, rotary / 2], float32 (or float64).
    public let cos: Tensor
    public let sin: Tensor

    /// Angles position * theta^(-2i / rotary), computed in float64 (Su et al. 2021, section 3.2).
    ///
    /// - Parameters:
    ///   - length: positions that the tables cover.
    ///   - rotary: the number of dimensions that rotate, even.
    public init(length: Int, rotary: Int, theta: Double = 10000, dtype: DType = .float32) {
        if rotary % 2 != 0 || rotary <= 0 {
            trap("rope", "an even number of rotating dimensions is needed, not \(rotary)")
        }
        (cos, sin) = noGrad {
            let exponent = Tensor.arange(0, Double(rotary / 2), step: 1, dtype: .float64) * (-2 / Double(rotary))
            let frequency = Tensor.full(Dims(), theta, .float64).pow(exponent)
            let angle = Tensor.arange(0, Double(length), step: 1, dtype: .float64).unsqueeze(1) * frequency.unsqueeze(0)
            return (angle.cos().to(dtype), angle.sin().to(dtype))
        }
    }

    /// Positions that the tables cover.
    public var length: Int { cos.dims[0] }
}

extension Tensor {
    /// Rotary position embedding of queries or keys [B, T, H, D].
    ///
    /// - Parameters:
    ///   - start: the position of the first of the T steps, where `positions` is nil.
    ///   - positions: int64 [B or 1, T], for batches whose rows are at different positions.
    ///   - interleaved: false rotates dimension i with i + rotary/2 (GPT-NeoX, flaxformer), true 2i with 2i + 1
    ///     (GPT-J).
    public func rope(_ tables: RotaryTables, start: Int = 0, positions: Tensor? = nil, interleaved: Bool = false)
        -> Tensor
    {
        if rank != 4 { trap("rope", "a tensor [batch, time, heads, dimension] is needed: \(describe(self))") }
        if tables.cos.dims[1] * 2 > dims[3] {
            trap("rope", "tables for \(tables.cos.dims[1] * 2) rotating dimensions, but heads have \(dims[3])")
        }
        if positions == nil && start + dims[1] > tables.length {
            trap("rope", "positions up to \(start + dims[1]) are needed, the tables have \(tables.length)")
        }
        let index = positions.map { $0.indexTensor("rope").expand([dims[0], dims[1]]) }
        if let index, index.count > 0 {
            let high = Int(index.amax().item())
            let low = Int(index.amin().item())
            if low < 0 || high >= tables.length {
                trap("rope", "position \(low < 0 ? low : high) is outside the tables' \(tables.length) positions")
            }
        }
        return rotated(tables, start, index, interleaved, inverse: false)
    }

    private func rotated(
        _ tables: RotaryTables, _ start: Int, _ positions: Tensor?, _ interleaved: Bool, inverse: Bool
    ) -> Tensor {
        let x = withContiguousRows
        let out = Tensor(uninitialized: dims, dtype)
        let type: DType = dtype == .float64 ? .float64 : .float32
        let cos = tables.cos.to(type)
        let sin = tables.sin.to(type)
        Kernels.rope(
            out, x, cos: cos, sin: sin, positions: positions, start: start, interleaved: interleaved, inverse: inverse)
        // A rotation's derivative is the rotation back, which is of the same kind: any order of derivative works.
        out.record("rope", x) { _ in
            { ctx, g in ctx.give(0, g.rotated(tables, start, positions, interleaved, inverse: !inverse)) }
        }
        return out
    }
}

// MARK: - Gated linear units

/// The activation of a gated linear unit (Shazeer 2020).
public enum GatedActivation: String, Sendable, Codable, CaseIterable {
    /// SwiGLU: Swish(gate) * up.
    case silu
    /// GeGLU with the exact GELU.
    case gelu
    /// GeGLU with the tanh approximation.
    case geluTanh
    case relu
    /// GLU (Dauphin et al. 2017).
    case sigmoid

    var op: mk_glu_op {
        switch self {
        case .silu: MK_GLU_SILU
        case .gelu: MK_GLU_GELU
        case .geluTanh: MK_GLU_GELU_TANH
        case .relu: MK_GLU_RELU
        case .sigmoid: MK_GLU_SIGMOID
        }
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        switch self {
        case .silu: x.silu()
        case .gelu: x.gelu()
        case .geluTanh: x.geluTanh()
        case .relu: x.relu()
        case .sigmoid: x.sigmoid()
        }
    }
}

extension Tensor {
    /// activation(self) * up; both of one shape.
    public func gated(_ activation: GatedActivation, _ up: Tensor) -> Tensor {
        if dims != up.dims || dtype != up.dtype || !dtype.isFloatingPoint {
            trap(
                "gated",
                "gate and up need one shape and floating dtype: \(describe(self, up)), \(dtype) and \(up.dtype)")
        }
        let gate = withContiguousRows
        let up = up.withContiguousRows
        let out = Tensor.gatedValues(activation, gate, up)
        out.record("gated", gate, up) { node in
            node.save(gate)
            node.save(up)
            // The widest tensor of a transformer's block: the layer that follows need not keep it.
            node.recomputation = OutputRecomputation(node) { Tensor.gatedValues(activation, $0(0), $0(1)) }
            return { ctx, g in
                let (gate, up) = (ctx[0], ctx[1])
                if isGradEnabled {
                    ctx.giveComposed(2, g) { activation($0[0]) * $0[1] }
                    return
                }
                let dgate = Tensor(uninitialized: gate.dims, gate.dtype)
                let dup = Tensor(uninitialized: gate.dims, gate.dtype)
                Kernels.gluBackward(activation.op, dgate, dup, g.withContiguousRows, gate, up)
                ctx.give(0, dgate)
                ctx.give(1, dup)
            }
        }
        return out
    }

    private static func gatedValues(_ activation: GatedActivation, _ gate: Tensor, _ up: Tensor) -> Tensor {
        let out = Tensor(uninitialized: gate.dims, gate.dtype)
        Kernels.glu(activation.op, out, gate, up)
        return out
    }

    /// Swish(self) * up.
    public func swiglu(_ up: Tensor) -> Tensor { gated(.silu, up) }
    /// GELU(self) * up.
    public func geglu(_ up: Tensor) -> Tensor { gated(.gelu, up) }
}

// MARK: - Attention

extension Tensor {
    /// Scaled dot-product attention: softmax(q kᵀ * scale + bias) v, never storing the T x S matrix.
    ///
    /// - Parameters:
    ///   - q: queries [B, T, H, D].
    ///   - k: keys [B, S, G, D], H a multiple of G: G = H is multi-head, G = 1 multi-query, else grouped-query
    ///     attention.
    ///   - v: values [B, S, G, D].
    ///   - bias: added to the scaled products: [B or 1, H or 1, T or 1, S].
    ///   - causal: query t sees keys up to t + S - T: the queries are the last T positions.
    ///   - scale: 1 / sqrt(D) unless given.
    ///   - window: only the last `window` keys up to the query's own are seen.
    ///   - keyStart: int64 [B]: keys before it are padding and not seen.
    /// - Returns: [B, T, H, D]. A query that sees no key gives zeros.
    public static func scaledDotProductAttention(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, bias: Tensor? = nil, causal: Bool = false, scale: Double? = nil,
        window: Int? = nil, keyStart: Tensor? = nil
    ) -> Tensor {
        let op: StaticString = "scaledDotProductAttention"
        if q.rank != 4 || k.rank != 4 || v.dims != k.dims {
            trap("\(op)", "q [B, T, H, D] and k, v [B, S, G, D] are needed: \(describe(q, k, v))")
        }
        if q.dims[0] != k.dims[0] || q.dims[3] != k.dims[3] || k.dims[2] == 0 || q.dims[2] % k.dims[2] != 0 {
            trap(
                "\(op)",
                "batch and head dimension of q and k must agree and q's heads be a multiple of k's: "
                    + "\(describe(q, k, v))"
            )
        }
        if q.dtype != k.dtype || q.dtype != v.dtype || !q.dtype.isFloatingPoint {
            trap("\(op)", "q, k and v need one floating dtype, they are \(q.dtype), \(k.dtype) and \(v.dtype)")
        }
        let full = Dims([q.dims[0], q.dims[2], q.dims[1], k.dims[1]])
        var spread: Tensor?
        if let bias {
            guard Dims.broadcast(bias.dims, full) == full, bias.rank <= 4 else {
                trap("\(op)", "a bias of shape \(bias.dims.text) does not broadcast to [B, H, T, S] = \(full.text)")
            }
            var b = bias
            while b.rank < 4 { b = b.unsqueeze(0) }
            if b.dims[3] != full[3] { b = b.expand([-1, -1, -1, full[3]]) }
            spread = (b.dtype == q.dtype || b.dtype == .float32) && q.dtype != .float64 ? b : b.to(q.dtype)
        }
        if let window, window < 1 { trap("\(op)", "a window has at least one key, not \(window)") }
        if let keyStart, keyStart.dims != Dims([q.dims[0]]) {
            trap("\(op)", "keyStart needs the shape [\(q.dims[0])], it has \(keyStart.dims.text)")
        }
        let options = mk_attention_options(
            scale: scale ?? 1 / Double(q.dims[3]).squareRoot(), causal: causal, window: Int64(window ?? 0))
        return attention(
            q.withContiguousRows, k.withContiguousRows, v.withContiguousRows, spread,
            keyStart.map { $0.indexTensor(op).contiguous() }, options)
    }

    private static func attention(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ bias: Tensor?, _ keyStart: Tensor?, _ options: mk_attention_options
    ) -> Tensor {
        let out = Tensor(uninitialized: q.dims, q.dtype)
        let inputs = [q, k, v] + (bias.map { [$0] } ?? [])
        let recording = isGradEnabled && inputs.contains(where: \.requiresGrad)
        let full = Dims([q.dims[0], q.dims[2], q.dims[1], k.dims[1]])
        let lse =
            recording ? Tensor(uninitialized: Dims([full[0], full[1], full[2]]), q.dtype.accumulator) : nil
        func broadcast(_ t: Tensor?) -> Tensor? { t.map { b in noGrad { b.detach().expanded(full) } } }
        Kernels.attention(
            out, lse: lse, q, k, v, bias: broadcast(bias), keyStart: keyStart, options,
            flops: 4 * attentionProducts(q, k, options))
        guard recording, let lse else { return out }
        out.record("attention", inputs) { node in
            for input in inputs { node.save(input) }
            node.saveOutput(out)
            node.save(lse)
            if let keyStart { node.save(keyStart) }
            let n = inputs.count
            return { ctx, g in
                if isGradEnabled {
                    let start = keyStart
                    ctx.giveComposed(n, g) {
                        attentionComposed($0[0], $0[1], $0[2], n > 3 ? $0[3] : nil, start, options)
                    }
                    return
                }
                let (q, k, v) = (ctx[0], ctx[1], ctx[2])
                let (output, lse) = (ctx[n], ctx[n + 1])
                let dq = Tensor(uninitialized: q.dims, q.dtype)
                let dk = Tensor(uninitialized: k.dims, k.dtype)
                let dv = Tensor(uninitialized: v.dims, v.dtype)
                let bias = n > 3 ? ctx[3] : nil
                let dbias = n > 3 && ctx.needs(3) ? Tensor(uninitialized: bias!.dims, q.dtype.accumulator) : nil
                Kernels.attentionBackward(
                    (dq, dk, dv, dbias), g.withContiguousRows, out: output, lse: lse, q, k, v, bias: broadcast(bias),
                    keyStart: keyStart == nil ? nil : ctx[n + 2], options,
                    flops: 10 * attentionProducts(q, k, options))
                ctx.give(0, dq)
                ctx.give(1, dk)
                ctx.give(2, dv)
                if let dbias { ctx.give(3, dbias.to(bias!.dtype)) }
            }
        }
        return out
    }

    /// Multiplications of queries with the keys that they see.
    private static func attentionProducts(_ q: Tensor, _ k: Tensor, _ options: mk_attention_options) -> Double {
        let (queries, keys) = (q.dims[1], k.dims[1])
        var seen = 0
        for t in 0..<queries {
            let last = options.causal ? t + keys - queries : keys - 1
            let first = options.window > 0 ? t + keys - queries - Int(options.window) + 1 : 0
            seen += Swift.max(0, last - Swift.max(0, first) + 1)
        }
        return Double(q.dims[0] * q.dims[2] * q.dims[3]) * Double(seen)
    }

    /// Attention by elementary ops, with the T x S matrix.
    private static func attentionComposed(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ bias: Tensor?, _ keyStart: Tensor?, _ options: mk_attention_options
    ) -> Tensor {
        let (batch, queries, heads, width) = (q.dims[0], q.dims[1], q.dims[2], q.dims[3])
        let (keys, groups) = (k.dims[1], k.dims[2])
        func headsFirst(_ x: Tensor) -> Tensor {
            x.permute([0, 2, 1, 3]).unsqueeze(2).expand([batch, groups, heads / groups, keys, width])
                .reshape([batch, heads, keys, width])
        }
        var scores = q.permute([0, 2, 1, 3]).matmul(headsFirst(k).T) * options.scale
        if let bias { scores = scores + bias.to(scores.dtype) }
        let t = Tensor.arange(queries).unsqueeze(1) + (keys - queries)
        let s = Tensor.arange(keys).unsqueeze(0)
        var hidden = Tensor.zeros([1, 1, queries, keys], dtype: .bool)
        if options.causal { hidden = hidden.logicalOr(s .> t) }
        if options.window > 0 { hidden = hidden.logicalOr((t - s) .>= Double(options.window)) }
        if let keyStart { hidden = hidden.logicalOr(s .< keyStart.reshape([batch, 1, 1, 1])) }
        let blind = hidden.all(dim: -1, keepDim: true)
        let weights = Tensor.select(
            blind, Tensor.zeros(Dims(), q.dtype), scores.maskedFill(hidden.expand(scores.shape), -1e30).softmax(dim: -1)
        )
        return weights.matmul(headsFirst(v)).permute([0, 2, 1, 3])
    }
}
