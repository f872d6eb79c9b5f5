// Softmax and normalisations. Forward and backward are single kernels; where the backward pass is itself recorded
// (higher derivatives) it is the derivative of the same function written with elementary ops.
internal import CMartletKernels

/// The gradients of `function(inputs)` by elementary ops, recorded: what fused ops fall back on for higher derivatives.
func composedGradients(
    _ inputs: [Tensor], _ g: Tensor, wanted: [Bool], _ function: ([Tensor]) -> Tensor
) -> [Tensor?] {
    withGrad {
        // Differentiated with respect to copies of the inputs, so that this pass ends there and not in the graph that
        // the outer one is in.
        let points = zip(inputs, wanted).map { x, w in
            if !w { return x }
            let point = x.alias()
            point.record("alias", x) { _ in { ctx, g in ctx.give(0, g) } }
            return point
        }
        let targets = zip(points, wanted).filter { $1 }.map(\.0)
        let output = function(points)
        let found = gradIfUsed(of: [output], wrt: targets, gradients: [g.to(output.dtype)], createGraph: true)
        var next = 0
        return wanted.map { w in
            if !w { return nil }
            defer { next += 1 }
            return found[next]
        }
    }
}

extension BackwardContext {
    /// Gives inputs 0..<n the derivative of `function` of the saved tensors 0..<n, written with elementary ops.
    func giveComposed(_ n: Int, _ g: Tensor, _ function: ([Tensor]) -> Tensor) {
        let inputs = (0..<n).map { self[$0] }
        let gradients = composedGradients(
            inputs, g, wanted: (0..<n).map { needs($0) && inputs[$0].requiresGrad }, function)
        for (i, gradient) in gradients.enumerated() { if let gradient { give(i, gradient) } }
    }
}

extension Tensor {
    /// Whether rows lie one element apart and need no copy for row kernels.
    var withContiguousRows: Tensor {
        rank == 0 || dims[rank - 1] <= 1 || strideDims[rank - 1] == 1 ? self : contiguous()
    }

    private func softmaxed(_ name: StaticString, _ dim: Int, log: Bool) -> Tensor {
        if rank == 0 { trap("\(name)", "a tensor of at least one dimension is needed") }
        let d = normalize(dim, name)
        let x = dtype.isFloatingPoint ? self : to(.float32)
        if d != rank - 1 { return x.transpose(d, -1).softmaxed(name, -1, log: log).transpose(d, -1) }
        let rows = x.withContiguousRows
        let out = Tensor(uninitialized: dims, x.dtype)
        Kernels.softmax(name, out, rows, log: log)
        out.record(name, x) { node in
            node.saveOutput(out)
            node.integers.0 = log ? 1 : 0
            return { ctx, g in
                let y = ctx[0]
                let log = ctx.node.integers.0 == 1
                if isGradEnabled {
                    ctx.give(
                        0,
                        log
                            ? g - y.exp() * g.sum(dim: -1, keepDim: true)
                            : (g - (g * y).sum(dim: -1, keepDim: true)) * y)
                    return
                }
                let dx = Tensor(uninitialized: y.dims, y.dtype)
                Kernels.softmaxBackward(dx, g.withContiguousRows, y, log: log)
                ctx.give(0, dx)
            }
        }
        return out
    }

    /// exp(x) / Σ exp(x) along `dim`.
    public func softmax(dim: Int) -> Tensor { softmaxed("softmax", dim, log: false) }
    /// log(softmax(x)) along `dim`, without under- or overflow.
    public func logSoftmax(dim: Int) -> Tensor { softmaxed("logSoftmax", dim, log: true) }

    private func normalized(
        _ name: StaticString, weight: Tensor?, bias: Tensor?, eps: Double, weightOffset: Double, rms: Bool
    ) -> Tensor {
        if rank == 0 { trap("\(name)", "a tensor of at least one dimension is needed") }
        if !dtype.isFloatingPoint { trap("\(name)", "a floating-point tensor is needed, this one is \(dtype)") }
        let width = dims[rank - 1]
        for p in [weight, bias].compactMap({ $0 }) where p.dims != Dims([width]) {
            trap("\(name)", "a weight or bias of shape [\(width)] is needed for the input \(describe(self, p))")
        }
        let x = withContiguousRows
        let w = weight.map { $0.to(dtype).contiguous() }
        let b = bias.map { $0.to(dtype).contiguous() }
        var lead = dims
        lead.remove(at: rank - 1)
        let recording = isGradEnabled && (requiresGrad || (w?.requiresGrad ?? false) || (b?.requiresGrad ?? false))
        let mean = recording && !rms ? Tensor(uninitialized: lead, dtype.accumulator) : nil
        let rstd = recording ? Tensor(uninitialized: lead, dtype.accumulator) : nil
        let out = Tensor(uninitialized: dims, dtype)
        Kernels.layerNorm(
            name, out, mean: mean, rstd: rstd, x, w, b, eps: eps, weightOffset: weightOffset, rms: rms)
        guard recording, let rstd else { return out }
        let inputs = [x] + [w, b].compactMap { $0 }
        let hasWeight = w != nil
        let hasBias = b != nil
        out.record(name, inputs) { node in
            for input in inputs { node.save(input) }
            node.save(rstd)
            if let mean { node.save(mean) }
            return { ctx, g in
                if isGradEnabled {
                    ctx.giveComposed(inputs.count, g) { list in
                        list[0].normalizedComposed(
                            hasWeight ? list[1] : nil, hasBias ? list[list.count - 1] : nil, eps, weightOffset, rms)
                    }
                    return
                }
                let x = ctx[0]
                let dx = ctx.needs(0) ? Tensor(uninitialized: x.dims, x.dtype) : nil
                let dw = hasWeight && ctx.needs(1) ? Tensor(uninitialized: Dims([width]), x.dtype.accumulator) : nil
                let db =
                    hasBias && ctx.needs(inputs.count - 1)
                    ? Tensor(uninitialized: Dims([width]), x.dtype.accumulator) : nil
                Kernels.layerNormBackward(
                    dx: dx, dWeight: dw, dBias: db, g.withContiguousRows, x, hasWeight ? ctx[1] : nil,
                    mean: rms ? nil : ctx[inputs.count + 1], rstd: ctx[inputs.count], weightOffset: weightOffset,
                    rms: rms)
                if let dx { ctx.give(0, dx) }
                if let dw { ctx.give(1, dw.to(x.dtype)) }
                if let db { ctx.give(inputs.count - 1, db.to(x.dtype)) }
            }
        }
        return out
    }

    private func normalizedComposed(
        _ weight: Tensor?, _ bias: Tensor?, _ eps: Double, _ weightOffset: Double, _ rms: Bool
    ) -> Tensor {
        let centred = rms ? self : self - mean(dim: -1, keepDim: true)
        var y = centred * (centred.square().mean(dim: -1, keepDim: true) + eps).rsqrt()
        if let weight { y = y * (weightOffset == 0 ? weight : weight + weightOffset) }
        if let bias { y = y + bias }
        return y
    }

    /// Layer normalisation over the last dimension (Ba et al. 2016): (x - mean) / sqrt(variance + eps) * weight + bias.
    ///
    /// - Parameters:
    ///   - weight: scale of shape [d], or nil for none.
    ///   - bias: shift of shape [d], or nil for none.
    public func layerNorm(weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5) -> Tensor {
        normalized("layerNorm", weight: weight, bias: bias, eps: eps, weightOffset: 0, rms: false)
    }

    /// Root-mean-square normalisation over the last dimension (Zhang & Sennrich 2019): x / sqrt(mean(x²) + eps) *
    /// weight.
    ///
    /// - Parameter weightOffset: added to the weight (1: weights stored as differences from one).
    public func rmsNorm(weight: Tensor? = nil, eps: Double = 1e-6, weightOffset: Double = 0) -> Tensor {
        normalized("rmsNorm", weight: weight, bias: nil, eps: eps, weightOffset: weightOffset, rms: true)
    }

    /// Group normalisation (Wu & He 2018): channels, dimension 1 of [N, C, ...], in `groups` of one size; each group of
    /// a sample gets mean 0 and variance 1, then each channel its scale and shift.
    ///
    /// - Parameters:
    ///   - groups: a divisor of C. C of them normalise each channel alone, as instance normalisation.
    ///   - weight: scale of shape [C], or nil for none.
    ///   - bias: shift of shape [C], or nil for none.
    public func groupNorm(_ groups: Int, weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5) -> Tensor {
        if rank < 2 || groups < 1 || dims[1] % groups != 0 {
            trap("groupNorm", "channels in dimension 1, a multiple of the \(groups) groups, are needed: \(dims.text)")
        }
        let channels = dims[1]
        for (name, part) in [("weight", weight), ("bias", bias)] {
            if let part, part.shape != [channels] {
                trap("groupNorm", "a \(name) [\(channels)] is needed: \(describe(self, part))")
            }
        }
        if dtype.isHalf {
            // The scale and shift are applied before anything is rounded, as in the other normalisations.
            return to(.float32).groupNorm(
                groups, weight: weight?.to(.float32), bias: bias?.to(.float32), eps: eps
            ).to(dtype)
        }
        let size = channels / groups * dims.dropFirst(2).reduce(1, *)
        var y = reshape([dims[0], groups, size]).layerNorm(eps: eps).reshape(dims)
        let alongChannels = [channels] + Array(repeating: 1, count: rank - 2)
        if let weight { y = y * weight.reshape(alongChannels) }
        if let bias { y = y + bias.reshape(alongChannels) }
        return y
    }
}
