// What is done to gradients between the backward pass and the optimizer's step.
public import Martlet

/// The norm of all gradients together, as one vector; computed in float64 in a fixed order. Parameters without a
/// gradient count as zero.
public func gradientNorm(_ parameters: [Parameter]) -> Double {
    let scope = ProfilerScope()
    defer { scope.end("gradientNorm", phase: .optimizer) }
    var sum = 0.0
    for p in parameters { if let g = p.grad { sum += OptimizerKernels.sumOfSquares(g) } }
    return sum.squareRoot()
}

/// The factor that brings a norm down to `maxNorm`: maxNorm / norm where the norm is greater, else 1. To be given to
/// ``Optimizer/step(gradientScale:)``, which applies it without another pass over the gradients.
///
/// There is no division by norm + 1e-6 as in PyTorch: T5X and optax have none. A norm that is not finite gives NaN, so
/// that it is not taken for a gradient of zero.
public func clippingScale(_ norm: Double, maxNorm: Double) -> Double {
    if !(maxNorm > 0) { trap("clippingScale", "the largest norm must be above 0, not \(maxNorm)") }
    if !norm.isFinite { return .nan }
    return norm > maxNorm ? maxNorm / norm : 1
}

/// Scales the gradients in place so that their norm together is at most `maxNorm`.
/// - Returns: the norm before. Gradients are left alone when it is not finite.
@discardableResult
public func clipGradNorm(_ parameters: [Parameter], maxNorm: Double) -> Double {
    let norm = gradientNorm(parameters)
    let scale = clippingScale(norm, maxNorm: maxNorm)
    if scale < 1 { noGrad { for p in parameters { p.grad?.mulInPlace(scale) } } }
    return norm
}

/// Clamps every element of the gradients in place to -limit ... limit.
public func clipGradValue(_ parameters: [Parameter], limit: Double) {
    if !(limit >= 0) { trap("clipGradValue", "the limit must not be negative: \(limit)") }
    noGrad { for p in parameters { p.grad?.clampInPlace(min: -limit, max: limit) } }
}

/// Accumulates the gradients of several micro-batches, as if they had been one batch of the mean loss.
///
/// ```swift
/// let loss = accumulateGradients(model.parameters, microBatches: 8) { i in model(x[i]).crossEntropy(y[i]) }
/// optimizer.step()
/// ```
///
/// Each micro-batch's graph is freed before the next begins. Gradients of half-precision parameters are summed in
/// float32. What is in ``Martlet/Tensor/grad`` already stays part of the sum.
///
/// - Parameters:
///   - weights: shares of the micro-batches in the loss, e.g. their token counts over the total; 1 / `microBatches`
///     each unless given.
///   - loss: the scalar mean loss of micro-batch i.
/// - Returns: the loss of the whole batch.
@discardableResult
public func accumulateGradients(
    _ parameters: [Parameter], microBatches: Int, weights: [Double]? = nil, _ loss: (_ index: Int) throws -> Tensor
) rethrows -> Double {
    if microBatches < 1 { trap("accumulateGradients", "at least one micro-batch is needed, not \(microBatches)") }
    if let weights, weights.count != microBatches {
        trap("accumulateGradients", "\(weights.count) weights for \(microBatches) micro-batches")
    }
    if microBatches > 1 { accumulateInFloat32(parameters) }
    var total = 0.0
    for i in 0..<microBatches {
        let weight = weights?[i] ?? 1 / Double(microBatches)
        let value = try loss(i)
        value.backward(gradient: Tensor.full(like: value, weight))
        total += weight * value.item()
    }
    return total
}

/// Makes the gradients of half-precision parameters float32, so that the sums of the following backward passes are not
/// rounded to half precision each time.
public func accumulateInFloat32(_ parameters: [Parameter]) {
    for p in parameters where p.requiresGrad && p.dtype.isHalf && p.grad?.dtype != .float32 {
        p.grad = p.grad?.to(.float32) ?? Tensor.zeros(like: p, dtype: .float32)
    }
}
