// Elementwise functions of one tensor, each with its derivative. Integers and bool are converted to float32 by
// functions whose result is not an integer, as in PyTorch.
internal import CMartletKernels

extension Tensor {
    /// Runs a floating-point kernel; `saves` says what `gradient` reads as its second argument.
    @inline(__always)
    func map(
        _ name: StaticString, _ op: mk_unary_op, saves: Saves,
        _ gradient: @escaping (_ g: Tensor, _ saved: Tensor) -> Tensor
    ) -> Tensor {
        let x = dtype.isFloatingPoint ? self : to(.float32)
        let out = Tensor(uninitialized: x.dims, x.dtype)
        Kernels.unary(op, out, x)
        out.record(name, x) { node in
            switch saves {
            case .input: node.save(x)
            case .output: node.saveOutput(out)
            }
            return { ctx, g in ctx.give(0, gradient(g, ctx[0])) }
        }
        return out
    }

    enum Saves { case input, output }

    /// A kernel without a gradient (or with a zero one).
    @inline(__always)
    fileprivate func plain(_ op: mk_unary_op, _ result: DType? = nil) -> Tensor {
        let out = Tensor(uninitialized: dims, result ?? dtype)
        Kernels.unary(op, out, self)
        return out
    }

    /// Rounding functions: the gradient is zero everywhere, integers are unchanged.
    @inline(__always)
    fileprivate func step(_ name: StaticString, _ op: mk_unary_op) -> Tensor {
        if dtype == .bool { trap("\(name)", "a number is needed, this tensor is bool") }
        if !dtype.isFloatingPoint { return self }
        let out = plain(op)
        out.record(name, self) { _ in { ctx, g in ctx.give(0, Tensor.zeros(like: g)) } }
        return out
    }

    // MARK: sign and powers

    /// -x.
    public func neg() -> Tensor {
        if dtype == .bool { trap("neg", "bool has no negative: use logicalNot()") }
        let out = plain(MK_NEG)
        out.record("neg", self) { _ in { ctx, g in ctx.give(0, -g) } }
        return out
    }

    /// |x|; the gradient at 0 is 0.
    public func abs() -> Tensor {
        if dtype == .bool { trap("abs", "a number is needed, this tensor is bool") }
        let out = plain(MK_ABS)
        out.record("abs", self) { node in
            node.save(self)
            return { ctx, g in ctx.give(0, g * ctx[0].sign()) }
        }
        return out
    }

    /// -1, 0 or 1.
    public func sign() -> Tensor {
        if dtype == .bool { return self }
        let out = plain(MK_SIGN)
        out.record("sign", self) { _ in { ctx, g in ctx.give(0, Tensor.zeros(like: g)) } }
        return out
    }

    /// x * x.
    public func square() -> Tensor {
        if dtype == .bool { return to(.int64) }
        let out = plain(MK_SQUARE)
        out.record("square", self) { node in
            node.save(self)
            return { ctx, g in ctx.give(0, g * (ctx[0] * 2)) }
        }
        return out
    }

    /// The square root.
    public func sqrt() -> Tensor { map("sqrt", MK_SQRT, saves: .output) { g, y in g / (y * 2) } }
    /// 1 / sqrt(x).
    public func rsqrt() -> Tensor { map("rsqrt", MK_RSQRT, saves: .output) { g, y in g * (y * y * y * -0.5) } }
    /// 1 / x.
    public func reciprocal() -> Tensor { map("reciprocal", MK_RECIPROCAL, saves: .output) { g, y in -(g * y * y) } }

    // MARK: exponentials and logarithms

    /// e to the x.
    public func exp() -> Tensor { map("exp", MK_EXP, saves: .output) { g, y in g * y } }
    /// 2 to the x.
    public func exp2() -> Tensor { map("exp2", MK_EXP2, saves: .output) { g, y in g * y * 0.6931471805599453 } }
    /// e to the x, minus 1; precise near 0.
    public func expm1() -> Tensor { map("expm1", MK_EXPM1, saves: .output) { g, y in g * (y + 1) } }
    /// The natural logarithm.
    public func log() -> Tensor { map("log", MK_LOG, saves: .input) { g, x in g / x } }
    /// The logarithm to base 2.
    public func log2() -> Tensor { map("log2", MK_LOG2, saves: .input) { g, x in g / (x * 0.6931471805599453) } }
    /// The logarithm to base 10.
    public func log10() -> Tensor { map("log10", MK_LOG10, saves: .input) { g, x in g / (x * 2.302585092994046) } }
    /// log(1 + x), precise near 0.
    public func log1p() -> Tensor { map("log1p", MK_LOG1P, saves: .input) { g, x in g / (x + 1) } }

    // MARK: trigonometric and hyperbolic

    public func sin() -> Tensor { map("sin", MK_SIN, saves: .input) { g, x in g * x.cos() } }
    public func cos() -> Tensor { map("cos", MK_COS, saves: .input) { g, x in -(g * x.sin()) } }
    public func tan() -> Tensor { map("tan", MK_TAN, saves: .output) { g, y in g * (y * y + 1) } }
    public func asin() -> Tensor { map("asin", MK_ASIN, saves: .input) { g, x in g * (1 - x * x).rsqrt() } }
    public func acos() -> Tensor { map("acos", MK_ACOS, saves: .input) { g, x in -(g * (1 - x * x).rsqrt()) } }
    public func atan() -> Tensor { map("atan", MK_ATAN, saves: .input) { g, x in g / (x * x + 1) } }
    public func sinh() -> Tensor { map("sinh", MK_SINH, saves: .input) { g, x in g * x.cosh() } }
    public func cosh() -> Tensor { map("cosh", MK_COSH, saves: .input) { g, x in g * x.sinh() } }
    public func asinh() -> Tensor { map("asinh", MK_ASINH, saves: .input) { g, x in g * (x * x + 1).rsqrt() } }
    public func acosh() -> Tensor { map("acosh", MK_ACOSH, saves: .input) { g, x in g * (x * x - 1).rsqrt() } }
    public func atanh() -> Tensor { map("atanh", MK_ATANH, saves: .input) { g, x in g / (1 - x * x) } }
    public func tanh() -> Tensor {
        map("tanh", MK_TANH, saves: .output) { g, y in
            isGradEnabled ? g * (1 - y * y) : fused(MK_TANH_BACKWARD, g, y)
        }
    }

    // MARK: error function

    /// The Gauss error function.
    public func erf() -> Tensor {
        map("erf", MK_ERF, saves: .input) { g, x in g * ((-(x * x)).exp() * 1.1283791670955126) }
    }
    /// 1 - erf(x), precise for large x.
    public func erfc() -> Tensor {
        map("erfc", MK_ERFC, saves: .input) { g, x in g * ((-(x * x)).exp() * -1.1283791670955126) }
    }
    /// The inverse of erf, for x in (-1, 1).
    public func erfinv() -> Tensor {
        map("erfinv", MK_ERFINV, saves: .output) { g, y in g * ((y * y).exp() * 0.886226925452758) }
    }

    // MARK: activations

    /// max(x, 0); the gradient at 0 is 0.
    public func relu() -> Tensor {
        if dtype == .bool { trap("relu", "a number is needed, this tensor is bool") }
        if !dtype.isFloatingPoint { return clamp(min: 0) }
        return map("relu", MK_RELU, saves: .output) { g, y in
            isGradEnabled ? g * (y .> 0).to(g.dtype) : fused(MK_RELU_BACKWARD, g, y)
        }
    }

    /// 1 / (1 + exp(-x)).
    public func sigmoid() -> Tensor {
        map("sigmoid", MK_SIGMOID, saves: .output) { g, y in
            isGradEnabled ? g * y * (1 - y) : fused(MK_SIGMOID_BACKWARD, g, y)
        }
    }

    /// log(sigmoid(x)), precise for large negative x.
    public func logSigmoid() -> Tensor {
        map("logSigmoid", MK_LOG_SIGMOID, saves: .input) { g, x in g * (-x).sigmoid() }
    }

    /// log(1 + exp(x)), precise for large x.
    public func softplus() -> Tensor {
        map("softplus", MK_SOFTPLUS, saves: .input) { g, x in
            isGradEnabled ? g * x.sigmoid() : fused(MK_SOFTPLUS_BACKWARD, g, x)
        }
    }

    /// x * sigmoid(x), also called Swish.
    public func silu() -> Tensor {
        map("silu", MK_SILU, saves: .input) { g, x in
            guard isGradEnabled else { return fused(MK_SILU_BACKWARD, g, x) }
            let s = x.sigmoid()
            return g * (s * (1 + x * (1 - s)))
        }
    }

    /// x * Φ(x), exact by the error function.
    public func gelu() -> Tensor {
        map("gelu", MK_GELU, saves: .input) { g, x in
            guard isGradEnabled else { return fused(MK_GELU_BACKWARD, g, x) }
            let cdf = ((x * 0.7071067811865476).erf() + 1) * 0.5
            let pdf = (x * x * -0.5).exp() * 0.3989422804014327
            return g * (cdf + x * pdf)
        }
    }

    /// GELU by its tanh approximation (GPT-2's).
    public func geluTanh() -> Tensor {
        map("geluTanh", MK_GELU_TANH, saves: .input) { g, x in
            guard isGradEnabled else { return fused(MK_GELU_TANH_BACKWARD, g, x) }
            let c = 0.7978845608028654
            let t = ((x + x * x * x * 0.044715) * c).tanh()
            let inner = (x * x * (3 * 0.044715) + 1) * c
            return g * ((t + 1) * 0.5 + x * 0.5 * (1 - t * t) * inner)
        }
    }

    /// x where positive, slope * x elsewhere.
    public func leakyRelu(_ slope: Double = 0.01) -> Tensor {
        Tensor.select(self .> 0, self, self * slope)
    }

    /// x where positive, alpha * (exp(x) - 1) elsewhere.
    public func elu(_ alpha: Double = 1) -> Tensor {
        // The exponential sees no positive number: its gradient there would be infinite times zero.
        let positive = self .> 0
        return Tensor.select(positive, self, Tensor.select(positive, Tensor.zeros(Dims(), dtype), self).expm1() * alpha)
    }

    // MARK: rounding

    /// The largest whole number not above x.
    public func floor() -> Tensor { step("floor", MK_FLOOR) }
    /// The smallest whole number not below x.
    public func ceil() -> Tensor { step("ceil", MK_CEIL) }
    /// The nearest whole number, halves to the even one.
    public func round() -> Tensor { step("round", MK_ROUND) }
    /// x without its fraction.
    public func trunc() -> Tensor { step("trunc", MK_TRUNC) }
    /// The fraction of x, of its sign.
    public func frac() -> Tensor {
        map("frac", MK_FRAC, saves: .input) { g, _ in g }
    }

    // MARK: predicates

    /// Whether each element is zero (false).
    public func logicalNot() -> Tensor { plain(MK_LOGICAL_NOT, .bool) }
    public func isNaN() -> Tensor {
        dtype.isFloatingPoint ? plain(MK_IS_NAN, .bool) : Tensor.zeros(dims, .bool)
    }
    public func isInfinite() -> Tensor {
        dtype.isFloatingPoint ? plain(MK_IS_INF, .bool) : Tensor.zeros(dims, .bool)
    }
    public func isFinite() -> Tensor {
        dtype.isFloatingPoint ? plain(MK_IS_FINITE, .bool) : Tensor.full(dims, 1, .bool)
    }
    /// Bitwise complement of integers; logical not of bool.
    public func bitwiseNot() -> Tensor {
        if dtype.isFloatingPoint { trap("bitwiseNot", "an integer or bool tensor is needed, this one is \(dtype)") }
        return plain(MK_BITWISE_NOT)
    }
}

/// A derivative kernel of a gradient and a saved tensor of one shape and dtype; not recorded.
private func fused(_ op: mk_binary_op, _ g: Tensor, _ saved: Tensor) -> Tensor {
    let out = Tensor(uninitialized: saved.dims, saved.dtype)
    Kernels.binary(op, out, g, saved)
    return out
}
