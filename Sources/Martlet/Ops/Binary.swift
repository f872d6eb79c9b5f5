// Elementwise functions of two tensors with broadcasting and type promotion, and their derivatives.
internal import CMartletKernels

// MARK: - Preparation shared by all

extension Tensor {
    /// The type that an operation on `a` and `b` computes in. A 0-dimensional tensor counts as a scalar: it decides
    /// only when it is of a higher category (bool < integer < floating point).
    static func resultType(_ a: Tensor, _ b: Tensor) -> DType {
        if a.dtype == b.dtype { return a.dtype }
        if a.dims.count > 0 && b.dims.count == 0 && a.dtype.category >= b.dtype.category { return a.dtype }
        if b.dims.count > 0 && a.dims.count == 0 && b.dtype.category >= a.dtype.category { return b.dtype }
        return DType.promote(a.dtype, b.dtype)
    }

    @inline(__always)
    static func broadcastDims(_ op: StaticString, _ a: Tensor, _ b: Tensor) -> Dims {
        guard let dims = Dims.broadcast(a.dims, b.dims) else { failBroadcast(op, a, b) }
        return dims
    }

    static func failBroadcast(_ op: StaticString, _ a: Tensor, _ b: Tensor) -> Never {
        let shift = a.dims.count - b.dims.count
        var detail = ""
        for i in stride(from: Swift.max(a.dims.count, b.dims.count) - 1, through: 0, by: -1) {
            let x = i - Swift.max(0, -shift)
            let y = i - Swift.max(0, shift)
            guard x >= 0, y >= 0 else { break }
            let m = a.dims[x]
            let n = b.dims[y]
            if m != n && m != 1 && n != 1 {
                detail = ": \(m) != \(n) in dimension \(i - Swift.max(a.dims.count, b.dims.count))"
                break
            }
        }
        trap("\(op)", "shapes do not broadcast: \(describe(a, b))\(detail)")
    }

    /// Operands in one dtype.
    @inline(__always)
    static func promoted(_ a: Tensor, _ b: Tensor, float: Bool = false) -> (Tensor, Tensor) {
        if a.dtype == b.dtype && (!float || a.dtype.isFloatingPoint) { return (a, b) }
        var type = resultType(a, b)
        if float && !type.isFloatingPoint { type = .float32 }
        return (a.to(type), b.to(type))
    }

    /// Computes `op` on promoted, broadcast operands, without recording.
    @inline(__always)
    static func compute(_ name: StaticString, _ op: mk_binary_op, _ a: Tensor, _ b: Tensor, _ type: DType? = nil)
        -> Tensor
    {
        let out = Tensor(uninitialized: broadcastDims(name, a, b), type ?? a.dtype, name)
        Kernels.binary(op, out, a, b)
        return out
    }

    /// Computes `op` with a Swift number. The number counts as a scalar in promotion: an integer tensor with a Double
    /// becomes float32.
    @inline(__always)
    func computeScalar(_ op: mk_binary_op, _ value: mk_scalar, isFloat: Bool, left: Bool, _ type: DType? = nil)
        -> Tensor
    {
        let x = isFloat && !dtype.isFloatingPoint ? to(.float32) : dtype == .bool ? to(.int64) : self
        let out = Tensor(uninitialized: x.dims, type ?? x.dtype)
        Kernels.binary(op, out, x, value, scalarOnLeft: left)
        return out
    }
}

// MARK: - Arithmetic

extension Tensor {
    public static func + (a: Tensor, b: Tensor) -> Tensor {
        let (x, y) = promoted(a, b)
        let out = compute("add", MK_ADD, x, y)
        out.record("add", x, y, broadcasts: true) { _ in
            { ctx, g in
                ctx.give(0, g)
                ctx.give(1, g)
            }
        }
        return out
    }

    public static func - (a: Tensor, b: Tensor) -> Tensor {
        let (x, y) = promoted(a, b)
        if x.dtype == .bool { trap("sub", "bool tensors cannot be subtracted: use logicalXor") }
        let out = compute("sub", MK_SUB, x, y)
        out.record("sub", x, y, broadcasts: true) { _ in
            { ctx, g in
                ctx.give(0, g)
                ctx.give(1, -g)
            }
        }
        return out
    }

    public static func * (a: Tensor, b: Tensor) -> Tensor {
        let (x, y) = promoted(a, b)
        let out = compute("mul", MK_MUL, x, y)
        out.record("mul", x, y, broadcasts: true) { node in
            node.save(x)
            node.save(y)
            return { ctx, g in
                ctx.give(0, g * ctx[1])
                ctx.give(1, g * ctx[0])
            }
        }
        return out
    }

    /// True division: integers are converted to float32.
    public static func / (a: Tensor, b: Tensor) -> Tensor {
        let (x, y) = promoted(a, b, float: true)
        let out = compute("div", MK_DIV, x, y)
        out.record("div", x, y, broadcasts: true) { node in
            node.save(x)
            node.save(y)
            return { ctx, g in
                ctx.give(0, g / ctx[1])
                ctx.give(1, -(g * ((ctx[0] / ctx[1]) / ctx[1])))
            }
        }
        return out
    }

    public static prefix func - (a: Tensor) -> Tensor { a.neg() }

    /// Adds the same number; recorded as `add`.
    @inline(__always)
    private func scalarAdd(_ value: mk_scalar, _ isFloat: Bool, sub: Bool = false, left: Bool = false) -> Tensor {
        let out = computeScalar(sub ? MK_SUB : MK_ADD, value, isFloat: isFloat, left: left)
        out.record("add", self) { _ in { ctx, g in ctx.give(0, sub && left ? -g : g) } }
        return out
    }

    @inline(__always)
    private func scalarMul(_ value: mk_scalar, _ isFloat: Bool) -> Tensor {
        let out = computeScalar(MK_MUL, value, isFloat: isFloat, left: false)
        out.record("mul", self) { _ in { ctx, g in ctx.give(0, g * value.d) } }
        return out
    }

    @inline(__always)
    private func scalarDiv(_ value: Double) -> Tensor {
        let out = computeScalar(MK_DIV, mk_scalar(value), isFloat: true, left: false)
        out.record("div", self) { _ in { ctx, g in ctx.give(0, g / value) } }
        return out
    }

    @inline(__always)
    private func scalarDividing(_ value: Double) -> Tensor {
        let out = computeScalar(MK_DIV, mk_scalar(value), isFloat: true, left: true)
        let x = dtype.isFloatingPoint ? self : to(.float32)
        out.record("div", x) { node in
            node.saveOutput(out)
            node.save(x)
            return { ctx, g in ctx.give(0, -(g * ctx[0] / ctx[1])) }
        }
        return out
    }

    public static func + (a: Tensor, b: Double) -> Tensor { a.scalarAdd(mk_scalar(b), true) }
    public static func + (a: Double, b: Tensor) -> Tensor { b.scalarAdd(mk_scalar(a), true) }
    public static func + (a: Tensor, b: Int) -> Tensor { a.scalarAdd(mk_scalar(b), false) }
    public static func + (a: Int, b: Tensor) -> Tensor { b.scalarAdd(mk_scalar(a), false) }
    public static func - (a: Tensor, b: Double) -> Tensor { a.scalarAdd(mk_scalar(b), true, sub: true) }
    public static func - (a: Double, b: Tensor) -> Tensor { b.scalarAdd(mk_scalar(a), true, sub: true, left: true) }
    public static func - (a: Tensor, b: Int) -> Tensor { a.scalarAdd(mk_scalar(b), false, sub: true) }
    public static func - (a: Int, b: Tensor) -> Tensor { b.scalarAdd(mk_scalar(a), false, sub: true, left: true) }
    public static func * (a: Tensor, b: Double) -> Tensor { a.scalarMul(mk_scalar(b), true) }
    public static func * (a: Double, b: Tensor) -> Tensor { b.scalarMul(mk_scalar(a), true) }
    public static func * (a: Tensor, b: Int) -> Tensor { a.scalarMul(mk_scalar(b), false) }
    public static func * (a: Int, b: Tensor) -> Tensor { b.scalarMul(mk_scalar(a), false) }
    public static func / (a: Tensor, b: Double) -> Tensor { a.scalarDiv(b) }
    public static func / (a: Double, b: Tensor) -> Tensor { b.scalarDividing(a) }
    public static func / (a: Tensor, b: Int) -> Tensor { a.scalarDiv(Double(b)) }
    public static func / (a: Int, b: Tensor) -> Tensor { b.scalarDividing(Double(a)) }

    /// The quotient rounded toward minus infinity, as Python's `//`. No gradient flows. Integer division by zero gives
    /// 0.
    public func floorDivide(_ other: Tensor) -> Tensor {
        let (x, y) = Tensor.promoted(self, other)
        return Tensor.compute("floorDivide", MK_FLOOR_DIV, x, y)
    }
    public func floorDivide(_ other: Double) -> Tensor {
        computeScalar(MK_FLOOR_DIV, mk_scalar(other), isFloat: true, left: false)
    }
    public func floorDivide(_ other: Int) -> Tensor {
        computeScalar(MK_FLOOR_DIV, mk_scalar(other), isFloat: false, left: false)
    }

    /// The remainder with the sign of the divisor, as Python's `%`.
    public func remainder(_ other: Tensor) -> Tensor {
        let (x, y) = Tensor.promoted(self, other)
        let out = Tensor.compute("remainder", MK_REMAINDER, x, y)
        out.record("remainder", x, y, broadcasts: true) { node in
            node.save(x)
            node.save(y)
            return { ctx, g in
                ctx.give(0, g)
                ctx.give(1, -(g * (ctx[0] / ctx[1]).floor()))
            }
        }
        return out
    }
    public func remainder(_ other: Double) -> Tensor {
        let out = computeScalar(MK_REMAINDER, mk_scalar(other), isFloat: true, left: false)
        out.record("remainder", self) { _ in { ctx, g in ctx.give(0, g) } }
        return out
    }
    public func remainder(_ other: Int) -> Tensor {
        let out = computeScalar(MK_REMAINDER, mk_scalar(other), isFloat: false, left: false)
        out.record("remainder", self) { _ in { ctx, g in ctx.give(0, g) } }
        return out
    }

    /// The remainder with the sign of the dividend, as C's `fmod`.
    public func fmod(_ other: Tensor) -> Tensor {
        let (x, y) = Tensor.promoted(self, other)
        let out = Tensor.compute("fmod", MK_FMOD, x, y)
        out.record("fmod", x, y, broadcasts: true) { node in
            node.save(x)
            node.save(y)
            return { ctx, g in
                ctx.give(0, g)
                ctx.give(1, -(g * (ctx[0] / ctx[1]).trunc()))
            }
        }
        return out
    }

    /// x to the power of each exponent.
    public func pow(_ exponent: Tensor) -> Tensor {
        let (x, y) = Tensor.promoted(self, exponent)
        let out = Tensor.compute("pow", MK_POW, x, y)
        out.record("pow", x, y, broadcasts: true) { node in
            node.save(x)
            node.save(y)
            node.saveOutput(out)
            return { ctx, g in
                let (x, y, z) = (ctx[0], ctx[1], ctx[2])
                // 0 to the power 0 is 1 with gradient 0, not 0 times infinity.
                ctx.give(0, Tensor.select(y .== 0, Tensor.zeros(like: z), g * y * x.pow(y - 1)))
                ctx.give(1, Tensor.select((x .== 0).logicalAnd(y .>= 0), Tensor.zeros(like: z), g * z * x.log()))
            }
        }
        return out
    }

    /// x to the power `exponent`.
    public func pow(_ exponent: Double) -> Tensor {
        if exponent == 2 { return square() }
        if exponent == 0.5 { return sqrt() }
        let x = dtype.isFloatingPoint ? self : to(.float32)
        let out = x.computeScalar(MK_POW, mk_scalar(exponent), isFloat: true, left: false)
        out.record("pow", x) { node in
            node.save(x)
            return { ctx, g in
                ctx.give(0, exponent == 0 ? Tensor.zeros(like: g) : g * (ctx[0].pow(exponent - 1) * exponent))
            }
        }
        return out
    }

    /// x to the power `exponent`; an integer tensor stays one (the exponent may then not be negative).
    public func pow(_ exponent: Int) -> Tensor {
        if dtype.isFloatingPoint { return pow(Double(exponent)) }
        if exponent < 0 { trap("pow", "an integer tensor cannot be raised to the negative power \(exponent)") }
        return computeScalar(MK_POW, mk_scalar(exponent), isFloat: false, left: false)
    }

    // MARK: extrema

    private static func extremum(_ name: StaticString, _ op: mk_binary_op, _ a: Tensor, _ b: Tensor) -> Tensor {
        let (x, y) = promoted(a, b)
        let out = compute(name, op, x, y)
        out.record(name, x, y, broadcasts: true) { node in
            node.save(x)
            node.save(y)
            return { ctx, g in
                let (x, y) = (ctx[0], ctx[1])
                // Where both are equal each gets half, as in PyTorch.
                let half = (x .== y).to(g.dtype) * 0.5
                let wins = (op == MK_MAXIMUM ? x .> y : x .< y).to(g.dtype) + half
                ctx.give(0, g * wins)
                ctx.give(1, g * (1 - wins))
            }
        }
        return out
    }

    /// The larger of each pair; NaN when either is. Equal elements share the gradient.
    public func maximum(_ other: Tensor) -> Tensor { Tensor.extremum("maximum", MK_MAXIMUM, self, other) }
    /// The smaller of each pair; NaN when either is. Equal elements share the gradient.
    public func minimum(_ other: Tensor) -> Tensor { Tensor.extremum("minimum", MK_MINIMUM, self, other) }

    /// The angle of (x: other, y: self).
    public func atan2(_ other: Tensor) -> Tensor {
        let (x, y) = Tensor.promoted(self, other, float: true)
        let out = Tensor.compute("atan2", MK_ATAN2, x, y)
        out.record("atan2", x, y, broadcasts: true) { node in
            node.save(x)
            node.save(y)
            return { ctx, g in
                let (a, b) = (ctx[0], ctx[1])
                let scaled = g / (a * a + b * b)
                ctx.give(0, scaled * b)
                ctx.give(1, -(scaled * a))
            }
        }
        return out
    }

    /// sqrt(x^2 + y^2) without overflow in between.
    public func hypot(_ other: Tensor) -> Tensor {
        let (x, y) = Tensor.promoted(self, other, float: true)
        let out = Tensor.compute("hypot", MK_HYPOT, x, y)
        out.record("hypot", x, y, broadcasts: true) { node in
            node.save(x)
            node.save(y)
            node.saveOutput(out)
            return { ctx, g in
                ctx.give(0, g * (ctx[0] / ctx[2]))
                ctx.give(1, g * (ctx[1] / ctx[2]))
            }
        }
        return out
    }

    /// log(eˣ + eʸ) without overflow.
    public func logAddExp(_ other: Tensor) -> Tensor {
        let (x, y) = Tensor.promoted(self, other, float: true)
        let out = noGrad {
            let (a, b) = (x.detach(), y.detach())
            let far = a.maximum(b) + (-(a - b).abs()).exp().log1p()
            // Equal infinities have no difference.
            return Tensor.select(a .== b, a + 0.6931471805599453, far)
        }
        out.record("logAddExp", x, y, broadcasts: true) { node in
            node.save(x)
            node.save(y)
            return { ctx, g in
                ctx.give(0, g * (ctx[0] - ctx[1]).sigmoid())
                ctx.give(1, g * (ctx[1] - ctx[0]).sigmoid())
            }
        }
        return out
    }

    // MARK: integers

    private static func bits(_ name: StaticString, _ op: mk_binary_op, _ a: Tensor, _ b: Tensor, bool: Bool) -> Tensor {
        let (x, y) = promoted(a, b)
        if x.dtype.isFloatingPoint || (x.dtype == .bool && !bool) {
            trap("\(name)", "integer\(bool ? " or bool" : "") tensors are needed, these are \(a.dtype) and \(b.dtype)")
        }
        return compute(name, op, x, y)
    }
    public func bitwiseAnd(_ other: Tensor) -> Tensor {
        Tensor.bits("bitwiseAnd", MK_BITWISE_AND, self, other, bool: true)
    }
    public func bitwiseOr(_ other: Tensor) -> Tensor {
        Tensor.bits("bitwiseOr", MK_BITWISE_OR, self, other, bool: true)
    }
    public func bitwiseXor(_ other: Tensor) -> Tensor {
        Tensor.bits("bitwiseXor", MK_BITWISE_XOR, self, other, bool: true)
    }
    public func shiftLeft(_ other: Tensor) -> Tensor {
        Tensor.bits("shiftLeft", MK_SHIFT_LEFT, self, other, bool: false)
    }
    public func shiftRight(_ other: Tensor) -> Tensor {
        Tensor.bits("shiftRight", MK_SHIFT_RIGHT, self, other, bool: false)
    }

    // The operators of masks and of integers. As in Python, comparisons beside them need parentheses.
    public static func & (a: Tensor, b: Tensor) -> Tensor { a.bitwiseAnd(b) }
    public static func | (a: Tensor, b: Tensor) -> Tensor { a.bitwiseOr(b) }
    public static func ^ (a: Tensor, b: Tensor) -> Tensor { a.bitwiseXor(b) }
    public static prefix func ~ (a: Tensor) -> Tensor { a.bitwiseNot() }
    public static func << (a: Tensor, b: Tensor) -> Tensor { a.shiftLeft(b) }
    public static func >> (a: Tensor, b: Tensor) -> Tensor { a.shiftRight(b) }
}

// MARK: - Three operands

extension Tensor {
    /// Elements of `a` where `condition` is true, of `b` elsewhere: PyTorch's `where`. All three broadcast.
    public static func select(_ condition: Tensor, _ a: Tensor, _ b: Tensor) -> Tensor {
        if condition.dtype != .bool { trap("where", "the condition must be bool, it is \(condition.dtype)") }
        let (x, y) = promoted(a, b)
        guard let dims = Dims.broadcast(broadcastDims("where", x, y), condition.dims) else {
            failBroadcast("where", condition, x.count >= y.count ? x : y)
        }
        let out = Tensor(uninitialized: dims, x.dtype, "where")
        Kernels.select(out, condition, x, y)
        out.record("where", x, y, broadcasts: true) { node in
            node.save(condition)
            return { ctx, g in
                let zero = Tensor.zeros(Dims(), g.dtype)
                ctx.give(0, select(ctx[0], g, zero))
                ctx.give(1, select(ctx[0], zero, g))
            }
        }
        return out
    }

    /// PyTorch's name for ``select(_:_:_:)``.
    public static func `where`(_ condition: Tensor, _ a: Tensor, _ b: Tensor) -> Tensor { select(condition, a, b) }
    public static func `where`(_ condition: Tensor, _ a: Tensor, _ b: Double) -> Tensor {
        select(condition, a, full(Dims(), b, a.dtype))
    }
    public static func `where`(_ condition: Tensor, _ a: Double, _ b: Tensor) -> Tensor {
        select(condition, full(Dims(), a, b.dtype), b)
    }

    /// Elements limited to [min, max]; gradients flow where the element was inside, not at the ends.
    public func clamp(min: Double? = nil, max: Double? = nil) -> Tensor {
        if min == nil && max == nil { trap("clamp", "at least one of min and max is needed") }
        let out = Tensor(uninitialized: dims, dtype)
        Kernels.clamp(out, self, mk_scalar(min ?? -.infinity), mk_scalar(max ?? .infinity))
        out.record("clamp", self) { node in
            node.save(self)
            return { ctx, g in
                let x = ctx[0]
                var inside = min.map { x .> $0 }
                if let max { inside = inside.map { $0.logicalAnd(x .< max) } ?? (x .< max) }
                ctx.give(0, g * inside!.to(g.dtype))
            }
        }
        return out
    }

    /// self + value * a * b.
    public func addcmul(_ a: Tensor, _ b: Tensor, value: Double = 1) -> Tensor {
        if isGradEnabled && (requiresGrad || a.requiresGrad || b.requiresGrad) { return self + a * b * value }
        return addc("addcmul", a, b, value, divide: false)
    }

    /// self + value * a / b.
    public func addcdiv(_ a: Tensor, _ b: Tensor, value: Double = 1) -> Tensor {
        if isGradEnabled && (requiresGrad || a.requiresGrad || b.requiresGrad) { return self + a / b * value }
        return addc("addcdiv", a, b, value, divide: true)
    }

    private func addc(_ op: StaticString, _ a: Tensor, _ b: Tensor, _ value: Double, divide: Bool) -> Tensor {
        var type = DType.promote(DType.promote(dtype, a.dtype), b.dtype)
        if !type.isFloatingPoint { type = .float32 }
        let inner = Tensor.broadcastDims(op, a, b)
        guard let dims = Dims.broadcast(self.dims, inner) else { Tensor.failBroadcast(op, self, a) }
        let out = Tensor(uninitialized: dims, type, op)
        Kernels.addcmul(out, to(type), a.to(type), b.to(type), alpha: value, divide: divide)
        return out
    }

    /// self + weight * (end - self).
    public func lerp(_ end: Tensor, _ weight: Double) -> Tensor { self + (end - self) * weight }
    public func lerp(_ end: Tensor, _ weight: Tensor) -> Tensor { self + (end - self) * weight }
}
