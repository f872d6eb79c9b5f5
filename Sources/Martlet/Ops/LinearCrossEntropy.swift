// The output layer of a language model and its loss as one op. Logits exist for a chunk of rows at a time: with a
// vocabulary of 256k the whole matrix would be the largest tensor of a training step by far. The gradients are computed
// with the loss, while a chunk's logits are at hand, instead of computing the logits twice.
internal import CMartletKernels

extension Tensor {
    /// Rows of logits held at once: about 8 million numbers. Depends on the shape only, so the order of every sum does.
    private static func chunkRows(_ classes: Int) -> Int { Swift.max(64, (8 << 20) / Swift.max(1, classes) / 64 * 64) }

    /// Mean softmax cross-entropy of the logits self @ weightᵀ * logitScale against targets, plus z-loss.
    ///
    /// - Parameters:
    ///   - weight: [V, d], often the embedding itself.
    ///   - targets: integers, of this tensor's shape [..., d] without the last dimension.
    ///   - ignoreIndex: targets of this value cost nothing and do not count in the mean.
    ///   - zLoss: adds zLoss * log²Z (PaLM, section 5).
    ///   - logitScale: 1 / sqrt(d) in PaLM, which shares the embedding with the output layer.
    ///   - divisor: what the sum is divided by, when not the number of targets that count: micro-batches of one batch
    ///     divide by the batch's number.
    /// - Returns: the loss that is differentiated, and its cross-entropy part alone, in nats; both scalars in float32
    ///   (float64 for float64).
    public func linearCrossEntropy(
        weight: Tensor, targets: Tensor, ignoreIndex: Int = -100, labelSmoothing: Double = 0, zLoss: Double = 0,
        logitScale: Double = 1, divisor: Double? = nil
    ) -> (loss: Tensor, crossEntropy: Tensor) {
        let op: StaticString = "linearCrossEntropy"
        let scope = ProfilerScope()
        defer { scope.end("\(op)", inputs: [self, weight, targets]) }
        if rank == 0 || weight.rank != 2 || dims[rank - 1] != weight.dims[1] || dtype != weight.dtype {
            trap(
                "\(op)",
                "[..., d] and a weight [V, d] of one dtype are needed: \(describe(self, weight)), \(dtype), "
                    + "\(weight.dtype)"
            )
        }
        if Dims(shape.dropLast()) != targets.dims {
            trap("\(op)", "inputs [..., d] need targets [...]: \(describe(self, targets))")
        }
        let index = targets.indexTensor(op).reshape([-1]).contiguous()
        Tensor.checkTargets(op, index, weight.dims[0], ignoreIndex)
        let n = noGrad { Swift.max(1, Int((index .!= Double(ignoreIndex)).sum().item())) }
        let divisor = divisor ?? Double(n)
        return reshape([index.count, dims[rank - 1]]).rowsLinearCrossEntropy(
            weight, index, ignoreIndex, labelSmoothing, zLoss, logitScale, divisor)
    }

    private func rowsLinearCrossEntropy(
        _ weight: Tensor, _ index: Tensor, _ ignoreIndex: Int, _ smoothing: Double, _ zLoss: Double,
        _ logitScale: Double, _ divisor: Double
    ) -> (loss: Tensor, crossEntropy: Tensor) {
        let x = self
        let type = dtype.accumulator
        let (n, classes, width) = (index.count, weight.dims[0], weight.dims[1])
        let wantsX = isGradEnabled && x.requiresGrad
        let wantsWeight = isGradEnabled && weight.requiresGrad
        let (losses, statistics, dx, dw): (Tensor, Tensor, Tensor?, Tensor?) = noGrad {
            let losses = Tensor(uninitialized: Dims([n]), type)
            let statistics = Tensor(uninitialized: Dims([2, n]), type)
            let options = Kernels.CrossEntropyOptions(
                ignoreIndex: ignoreIndex, smoothing: smoothing, zLoss: zLoss, logitScale: logitScale)
            let dx = wantsX ? Tensor(uninitialized: x.dims, dtype) : nil
            // Summed over chunks in float32, whatever the weight's type.
            let dw = wantsWeight ? Tensor(uninitialized: Dims([classes, width]), type) : nil
            let rows = x.detach().contiguous()
            let w = weight.detach()
            let step = Tensor.chunkRows(classes)
            var start = 0
            if n == 0 { dw?.fillInPlace(0) }
            while start < n {
                let count = Swift.min(step, n - start)
                let part = rows.narrow(0, start: start, length: count)
                let logits = Tensor.product(part, w.T, into: type)
                // Half-precision gradients go to the products in half precision, in memory of their own.
                let gradient: Tensor? =
                    wantsX || wantsWeight ? (dtype == type ? logits : Tensor(uninitialized: logits.dims, dtype)) : nil
                Kernels.crossEntropy(
                    losses.narrow(0, start: start, length: count), statistics.narrow(1, start: start, length: count),
                    gradient: gradient, logits, index.narrow(0, start: start, length: count), options,
                    scale: 1 / divisor)
                if let dx, let gradient {
                    Kernels.matmul(dx.narrow(0, start: start, length: count), gradient, w.readable)
                }
                if let dw, let gradient {
                    Kernels.matmul(dw, gradient, part, transposeA: true, accumulate: start > 0)
                }
                start += count
            }
            return (losses, statistics, dx, dw)
        }
        let loss = noGrad { losses.sum() / divisor }
        let entropy = noGrad {
            if zLoss == 0 { return loss }
            let kept = (index .!= Double(ignoreIndex)).to(type)
            let logSums = statistics[0] + statistics[1].log()
            return (losses - logSums.square() * kept * zLoss).sum() / divisor
        }
        let result = zLoss == 0 ? loss.alias() : loss
        result.record("linearCrossEntropy", x, weight) { node in
            node.save(x)
            node.save(weight)
            return { ctx, g in
                if isGradEnabled {
                    ctx.giveComposed(2, g) {
                        $0[0].linear($0[1]).crossEntropy(
                            index, ignoreIndex: ignoreIndex, labelSmoothing: smoothing, zLoss: zLoss,
                            logitScale: logitScale, reduction: .sum) / divisor
                    }
                    return
                }
                let factor = g.item()
                if let dx { ctx.give(0, factor == 1 ? dx : dx * factor) }
                if let dw { ctx.give(1, (factor == 1 ? dw : dw * factor).to(weight.dtype)) }
            }
        }
        return (result, entropy)
    }
}
