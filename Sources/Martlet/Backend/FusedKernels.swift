// The fused kernels of transformers. Operands have contiguous rows (attention: heads), results are contiguous.
internal import CMartletKernels

extension Kernels {
    // MARK: softmax and normalisation

    static func softmax(_ name: StaticString, _ out: Tensor, _ input: Tensor, log: Bool) {
        if out.count == 0 { return }
        let span = KernelSpan()
        var o = out.descriptor()
        var x = input.descriptor()
        mk_softmax(&o, &x, log)
        span.end("\(name)", out, input)
    }

    static func softmaxBackward(_ dx: Tensor, _ g: Tensor, _ y: Tensor, log: Bool) {
        if dx.count == 0 { return }
        let span = KernelSpan()
        var d = dx.descriptor()
        var gd = g.descriptor()
        var yd = y.descriptor()
        mk_softmax_backward(&d, &gd, &yd, log)
        span.end(log ? "logSoftmaxGradient" : "softmaxGradient", dx, g, y)
    }

    /// Also writes the rows' means and reciprocal deviations where they are given.
    static func layerNorm(
        _ name: StaticString, _ out: Tensor, mean: Tensor?, rstd: Tensor?, _ input: Tensor, _ weight: Tensor?,
        _ bias: Tensor?, eps: Double, weightOffset: Double, rms: Bool
    ) {
        if out.count == 0 { return }
        let span = KernelSpan()
        var o = out.descriptor()
        var x = input.descriptor()
        withOptional(mean) { m in
            withOptional(rstd) { r in
                withOptional(weight) { w in
                    withOptional(bias) { b in mk_layer_norm(&o, m, r, &x, w, b, eps, weightOffset, rms) }
                }
            }
        }
        span.end("\(name)", out, input, weight, bias)
    }

    /// Writes the gradients that are given.
    static func layerNormBackward(
        dx: Tensor?, dWeight: Tensor?, dBias: Tensor?, _ g: Tensor, _ input: Tensor, _ weight: Tensor?,
        mean: Tensor?, rstd: Tensor, weightOffset: Double, rms: Bool
    ) {
        let span = KernelSpan()
        var gd = g.descriptor()
        var x = input.descriptor()
        var r = rstd.descriptor()
        withOptional(dx) { dxd in
            withOptional(dWeight) { dwd in
                withOptional(dBias) { dbd in
                    withOptional(weight) { w in
                        withOptional(mean) { m in
                            mk_layer_norm_backward(dxd, dwd, dbd, &gd, &x, w, m, &r, weightOffset, rms)
                        }
                    }
                }
            }
        }
        span.end(rms ? "rmsNormGradient" : "layerNormGradient", dx, g, input, weight)
    }

    // MARK: losses

    /// What the cross-entropy of rows of logits depends on besides them.
    struct CrossEntropyOptions {
        var ignoreIndex: Int
        var smoothing, zLoss, logitScale: Double
    }

    /// Losses [n] of the rows of logits, with `statistics` [2, n] for the gradient: the largest scaled logit of a row and
    /// Σ exp of the others' distance to it. Without `losses` the statistics are those of an earlier call. `gradient` is
    /// the logits' times `scale`, and may be their own memory.
    static func crossEntropy(
        _ losses: Tensor?, _ statistics: Tensor, gradient: Tensor?, _ logits: Tensor, _ targets: Tensor,
        _ options: CrossEntropyOptions, scale: Double
    ) {
        if statistics.count == 0 { return }
        let span = KernelSpan()
        var s = statistics.descriptor()
        var x = logits.descriptor()
        var t = targets.descriptor()
        withOptional(losses) { l in
            withOptional(gradient) { g in
                mk_cross_entropy(
                    l, &s, g, &x, &t, Int64(options.ignoreIndex), options.smoothing, options.zLoss, options.logitScale,
                    scale)
            }
        }
        span.end(losses == nil ? "crossEntropyGradient" : "crossEntropy", gradient ?? losses, logits, targets)
    }

    // MARK: transformers

    static func rope(
        _ out: Tensor, _ input: Tensor, cos: Tensor, sin: Tensor, positions: Tensor?, start: Int, interleaved: Bool,
        inverse: Bool
    ) {
        if out.count == 0 { return }
        let span = KernelSpan()
        var o = out.descriptor()
        var x = input.descriptor()
        var c = cos.descriptor()
        var s = sin.descriptor()
        withOptional(positions) { mk_rope(&o, &x, &c, &s, $0, Int64(start), interleaved, inverse) }
        span.end("rope", out, input)
    }

    static func glu(_ op: mk_glu_op, _ out: Tensor, _ gate: Tensor, _ up: Tensor) {
        if out.count == 0 { return }
        let span = KernelSpan()
        var o = out.descriptor()
        var a = gate.descriptor()
        var b = up.descriptor()
        mk_glu(op, &o, &a, &b)
        span.end("gated", out, gate, up)
    }

    static func gluBackward(
        _ op: mk_glu_op, _ dGate: Tensor, _ dUp: Tensor, _ g: Tensor, _ gate: Tensor, _ up: Tensor
    ) {
        if dGate.count == 0 { return }
        let span = KernelSpan()
        var a = dGate.descriptor()
        var b = dUp.descriptor()
        var gd = g.descriptor()
        var c = gate.descriptor()
        var d = up.descriptor()
        mk_glu_backward(op, &a, &b, &gd, &c, &d)
        span.end("gatedGradient", dGate, g, gate, up)
    }

    /// `lse` gets the rows' log Σ exp where it is given.
    static func attention(
        _ out: Tensor, lse: Tensor?, _ q: Tensor, _ k: Tensor, _ v: Tensor, bias: Tensor?, keyStart: Tensor?,
        _ options: mk_attention_options, flops: Double
    ) {
        if out.count == 0 { return }
        let span = KernelSpan()
        var o = out.descriptor()
        var qd = q.descriptor()
        var kd = k.descriptor()
        var vd = v.descriptor()
        withOptional(lse) { l in
            withOptional(bias) { b in
                withOptional(keyStart) { s in mk_attention(&o, l, &qd, &kd, &vd, b, s, options) }
            }
        }
        span.end("attention", out, q, k, v, flops: flops)
    }

    /// The gradients of queries, keys, values and, where it is given, of the bias.
    static func attentionBackward(
        _ gradients: (q: Tensor, k: Tensor, v: Tensor, bias: Tensor?), _ g: Tensor, out: Tensor, lse: Tensor,
        _ q: Tensor, _ k: Tensor, _ v: Tensor, bias: Tensor?, keyStart: Tensor?, _ options: mk_attention_options,
        flops: Double
    ) {
        if g.count == 0 {
            // No query saw anything.
            for gradient in [gradients.q, gradients.k, gradients.v, gradients.bias] {
                if let gradient { fill(gradient, mk_scalar(0.0)) }
            }
            return
        }
        let span = KernelSpan()
        var a = gradients.q.descriptor()
        var b = gradients.k.descriptor()
        var c = gradients.v.descriptor()
        var gd = g.descriptor()
        var od = out.descriptor()
        var ld = lse.descriptor()
        var qd = q.descriptor()
        var kd = k.descriptor()
        var vd = v.descriptor()
        withOptional(gradients.bias) { db in
            withOptional(bias) { bd in
                withOptional(keyStart) { sd in
                    mk_attention_backward(&a, &b, &c, db, &gd, &od, &ld, &qd, &kd, &vd, bd, sd, options)
                }
            }
        }
        span.end("attentionGradient", gradients.q, q, k, v, flops: flops)
    }
}
