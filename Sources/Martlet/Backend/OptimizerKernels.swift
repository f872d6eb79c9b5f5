// The optimizers' kernels: one pass over memory a parameter. Parameters may have any layout; gradients and state that
// the optimizer made itself are contiguous.
internal import CMartletKernels

/// Update rules of the optimizers, on tensors whose shapes and types the optimizer has checked.
package enum OptimizerKernels {
    package struct AdamOptions {
        package var learningRate: Double
        package var beta1: Double
        package var beta2: Double
        package var eps: Double
        package var weightDecay: Double
        /// Weight decay apart from the gradient (AdamW).
        package var decoupled: Bool
        /// The number of this update of the parameter, from 1: for the bias correction.
        package var step: Int
        package var gradientScale: Double

        package init(
            learningRate: Double, beta1: Double, beta2: Double, eps: Double, weightDecay: Double, decoupled: Bool,
            step: Int, gradientScale: Double
        ) {
            self.learningRate = learningRate
            self.beta1 = beta1
            self.beta2 = beta2
            self.eps = eps
            self.weightDecay = weightDecay
            self.decoupled = decoupled
            self.step = step
            self.gradientScale = gradientScale
        }
    }

    package struct SGDOptions {
        package var learningRate: Double
        package var momentum: Double
        package var dampening: Double
        package var weightDecay: Double
        package var nesterov: Bool
        /// The momentum starts as the gradient, without dampening.
        package var isFirstStep: Bool
        package var gradientScale: Double

        package init(
            learningRate: Double, momentum: Double, dampening: Double, weightDecay: Double, nesterov: Bool,
            isFirstStep: Bool, gradientScale: Double
        ) {
            self.learningRate = learningRate
            self.momentum = momentum
            self.dampening = dampening
            self.weightDecay = weightDecay
            self.nesterov = nesterov
            self.isFirstStep = isFirstStep
            self.gradientScale = gradientScale
        }
    }

    package struct AdafactorOptions {
        package var learningRate: Double
        package var beta1: Double
        package var beta2: Double
        package var eps1: Double
        package var eps2: Double
        /// 0: updates are not clipped.
        package var clipThreshold: Double
        /// The share taken off the parameter, not multiplied with the learning rate.
        package var weightDecay: Double
        package var multipliesByParameterScale: Bool
        package var gradientScale: Double

        package init(
            learningRate: Double, beta1: Double, beta2: Double, eps1: Double, eps2: Double, clipThreshold: Double,
            weightDecay: Double, multipliesByParameterScale: Bool, gradientScale: Double
        ) {
            self.learningRate = learningRate
            self.beta1 = beta1
            self.beta2 = beta2
            self.eps1 = eps1
            self.eps2 = eps2
            self.clipThreshold = clipThreshold
            self.weightDecay = weightDecay
            self.multipliesByParameterScale = multipliesByParameterScale
            self.gradientScale = gradientScale
        }
    }

    package struct RMSPropOptions {
        package var learningRate: Double
        package var alpha: Double
        package var eps: Double
        package var momentum: Double
        package var weightDecay: Double
        package var gradientScale: Double

        package init(
            learningRate: Double, alpha: Double, eps: Double, momentum: Double, weightDecay: Double,
            gradientScale: Double
        ) {
            self.learningRate = learningRate
            self.alpha = alpha
            self.eps = eps
            self.momentum = momentum
            self.weightDecay = weightDecay
            self.gradientScale = gradientScale
        }
    }

    package struct AdagradOptions {
        /// With the decay up to this update.
        package var learningRate: Double
        package var eps: Double
        package var weightDecay: Double
        package var gradientScale: Double

        package init(learningRate: Double, eps: Double, weightDecay: Double, gradientScale: Double) {
            self.learningRate = learningRate
            self.eps = eps
            self.weightDecay = weightDecay
            self.gradientScale = gradientScale
        }
    }

    package static func adam(
        parameter: Tensor, master: Tensor?, gradient: Tensor, m: Tensor, v: Tensor, _ options: AdamOptions
    ) {
        let native = mk_adam_options(
            lr: options.learningRate, beta1: options.beta1, beta2: options.beta2, eps: options.eps,
            weight_decay: options.weightDecay, grad_scale: options.gradientScale,
            bias_correction1: 1 - power(options.beta1, options.step),
            bias_correction2: 1 - power(options.beta2, options.step), decoupled: options.decoupled)
        update("adam", parameter, master, gradient, [m, v]) { p, master, g in
            var first = m.descriptor()
            var second = v.descriptor()
            mk_adam(p, master, g, &first, &second, native)
        }
    }

    package static func sgd(
        parameter: Tensor, master: Tensor?, gradient: Tensor, momentum: Tensor?, _ options: SGDOptions
    ) {
        let native = mk_sgd_options(
            lr: options.learningRate, momentum: options.momentum, dampening: options.dampening,
            weight_decay: options.weightDecay, grad_scale: options.gradientScale, nesterov: options.nesterov,
            first_step: options.isFirstStep)
        update("sgd", parameter, master, gradient, momentum.map { [$0] } ?? []) { p, master, g in
            Kernels.withOptional(momentum) { mk_sgd(p, master, g, $0, native) }
        }
    }

    /// - Parameter mean: the running mean of the gradient, of a centred RMSprop.
    package static func rmsProp(
        parameter: Tensor, master: Tensor?, gradient: Tensor, v: Tensor, momentum: Tensor?, mean: Tensor?,
        _ options: RMSPropOptions
    ) {
        let native = mk_rmsprop_options(
            lr: options.learningRate, alpha: options.alpha, eps: options.eps, momentum: options.momentum,
            weight_decay: options.weightDecay, grad_scale: options.gradientScale)
        update("rmsprop", parameter, master, gradient, [v, momentum, mean].compactMap { $0 }) { p, master, g in
            var second = v.descriptor()
            Kernels.withOptional(momentum) { buffer in
                Kernels.withOptional(mean) { mk_rmsprop(p, master, g, &second, buffer, $0, native) }
            }
        }
    }

    package static func adagrad(
        parameter: Tensor, master: Tensor?, gradient: Tensor, sum: Tensor, _ options: AdagradOptions
    ) {
        let native = mk_adagrad_options(
            lr: options.learningRate, eps: options.eps, weight_decay: options.weightDecay,
            grad_scale: options.gradientScale)
        update("adagrad", parameter, master, gradient, [sum]) { p, master, g in
            var s = sum.descriptor()
            mk_adagrad(p, master, g, &s, native)
        }
    }

    /// Adafactor with a whole second moment `v` of the parameter's shape.
    package static func adafactor(
        parameter: Tensor, master: Tensor?, gradient: Tensor, m: Tensor?, v: Tensor, _ options: AdafactorOptions
    ) {
        update("adafactor", parameter, master, gradient, m.map { [$0, v] } ?? [v]) { p, master, g in
            var second = v.descriptor()
            Kernels.withOptional(m) { mk_adafactor(p, master, g, $0, &second, mk_adafactor_options(options)) }
        }
    }

    /// Adafactor with the second moment of a matrix as row and column means: `vRow` [rows], `vColumn` [columns]. A
    /// parameter of more dimensions is taken as the matrix [all but the last, last].
    package static func adafactorFactored(
        parameter: Tensor, master: Tensor?, gradient: Tensor, m: Tensor?, vRow: Tensor, vColumn: Tensor,
        _ options: AdafactorOptions
    ) {
        let matrix = Dims([vRow.count, vColumn.count])
        let state = m.map { [$0, vRow, vColumn] } ?? [vRow, vColumn]
        update("adafactor", parameter, master, gradient, state, as: matrix) { p, master, g in
            var row = vRow.descriptor()
            var column = vColumn.descriptor()
            let native = mk_adafactor_options(options)
            if let m {
                var first = m.descriptor(matrix, matrix.contiguousStrides)
                mk_adafactor_factored(p, master, g, &first, &row, &column, native)
            } else {
                mk_adafactor_factored(p, master, g, nil, &row, &column, native)
            }
        }
    }

    /// average = decay * average + (1 - decay) * value; `average` is contiguous.
    package static func exponentialMovingAverage(_ average: Tensor, _ value: Tensor, decay: Double) {
        let value = noGrad { value.detach().contiguous() }
        average.storage.wrote("exponentialMovingAverage")
        let span = KernelSpan()
        var a = average.descriptor()
        var v = value.descriptor()
        mk_ema(&a, &v, decay)
        span.end("exponentialMovingAverage", average, value)
    }

    /// The sum of the squares of all elements, added in an order that the shape alone decides.
    package static func sumOfSquares(_ tensor: Tensor) -> Double {
        let out = Tensor(uninitialized: Dims(repeating: 1, count: tensor.rank), .float64)
        Kernels.reduce(MK_REDUCE_SUM_SQUARES, out, out.dims, tensor)
        return out.item()
    }

    /// Hands the kernels contiguous operands and counts the write to the parameter, which graphs recorded before may
    /// have saved.
    private static func update(
        _ name: StaticString, _ parameter: Tensor, _ master: Tensor?, _ gradient: Tensor, _ state: [Tensor],
        as shape: Dims? = nil,
        _ kernel: (UnsafePointer<mk_tensor>, UnsafePointer<mk_tensor>?, UnsafePointer<mk_tensor>) -> Void
    ) {
        let shape = shape ?? parameter.dims
        let strides = shape.contiguousStrides
        let target = parameter.isContiguous ? parameter : noGrad { parameter.detach().clone() }
        let gradient = noGrad { gradient.detach().contiguous() }
        parameter.storage.wrote("optimizer step")
        for tensor in state { tensor.storage.wrote("optimizer step") }
        let span = KernelSpan()
        var p = target.descriptor(shape, strides)
        var g = gradient.descriptor(shape, strides)
        if let master {
            master.storage.wrote("optimizer step")
            var m = master.descriptor(shape, strides)
            kernel(&p, &m, &g)
        } else {
            kernel(&p, nil, &g)
        }
        span.end("\(name)", target, parameter, gradient)
        if target !== parameter { Kernels.copy(parameter, target) }
    }

    /// base^exponent by repeated squaring: the same bits with every C library.
    private static func power(_ base: Double, _ exponent: Int) -> Double {
        var result = 1.0
        var square = base
        var n = exponent
        while n > 0 {
            if n & 1 == 1 { result *= square }
            square *= square
            n >>= 1
        }
        return result
    }
}

extension mk_adafactor_options {
    fileprivate init(_ options: OptimizerKernels.AdafactorOptions) {
        self.init(
            lr: options.learningRate, beta1: options.beta1, beta2: options.beta2, eps1: options.eps1,
            eps2: options.eps2, clip_threshold: options.clipThreshold, weight_decay: options.weightDecay,
            grad_scale: options.gradientScale,
            multiply_by_parameter_scale: options.multipliesByParameterScale)
    }
}
