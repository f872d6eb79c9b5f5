// Derivatives of functions, custom derivatives, and the check of derivatives by finite differences.
internal import CMartletKernels

/// The outputs of `function` at `inputs` and the product of its Jacobian with `tangents`: the directional derivative.
///
/// Computed by differentiating the vector-Jacobian product, which is linear in its vector, with respect to that vector:
/// exact, for every function whose derivatives are differentiable themselves.
public func jvp(
    _ function: ([Tensor]) -> [Tensor], _ inputs: [Tensor], tangents: [Tensor]
) -> (outputs: [Tensor], tangents: [Tensor]) {
    if inputs.count != tangents.count { trap("jvp", "\(tangents.count) tangents for \(inputs.count) inputs") }
    for (x, t) in zip(inputs, tangents) where x.dims != t.dims {
        trap("jvp", "a tangent of shape \(t.dims.text) for an input of shape \(x.dims.text)")
    }
    return withGrad {
        let points = inputs.map { $0.detach().requiringGrad() }
        let outputs = function(points)
        let live = outputs.indices.filter { outputs[$0].requiresGrad }
        let vectors = live.map { Tensor.zeros(like: outputs[$0]).requiringGrad() }
        var results = outputs.map { Tensor.zeros(like: $0) }
        if !live.isEmpty {
            let pulled = gradIfUsed(
                of: live.map { outputs[$0] }, wrt: points, gradients: vectors, createGraph: true)
            let used = pulled.indices.filter { pulled[$0]?.requiresGrad ?? false }
            if !used.isEmpty {
                let pushed = gradIfUsed(
                    of: used.map { pulled[$0]! }, wrt: vectors, gradients: used.map { tangents[$0] })
                for (slot, tangent) in zip(live, pushed) { if let tangent { results[slot] = tangent } }
            }
        }
        return (outputs.map { $0.detach() }, results)
    }
}

/// The outputs of `function` at `inputs` and the product of `cotangents` with its Jacobian.
public func vjp(
    _ function: ([Tensor]) -> [Tensor], _ inputs: [Tensor], cotangents: [Tensor]
) -> (outputs: [Tensor], gradients: [Tensor]) {
    withGrad {
        let points = inputs.map { $0.detach().requiringGrad() }
        let outputs = function(points)
        let live = zip(outputs, cotangents).filter { $0.0.requiresGrad }
        let gradients =
            live.isEmpty
            ? points.map { Tensor.zeros(like: $0) }
            : grad(of: live.map(\.0), wrt: points, gradients: live.map(\.1))
        return (outputs.map { $0.detach() }, gradients)
    }
}

/// The matrix of second derivatives of a scalar function, [count, count] in row-major order of the input's elements.
public func hessian(_ function: (Tensor) -> Tensor, _ input: Tensor) -> Tensor {
    withGrad {
        let x = input.detach().requiringGrad()
        let first = grad(of: function(x), wrt: x, createGraph: true).reshape([-1])
        if !first.requiresGrad { return Tensor.zeros([input.count, input.count], dtype: input.dtype) }
        let rows = (0..<input.count).map { i in
            grad(of: [first[i]], wrt: [x], retainGraph: true)[0].reshape([-1])
        }
        return Tensor.stack(rows)
    }
}

/// The matrix of first derivatives, [output count, input count].
public func jacobian(_ function: (Tensor) -> Tensor, _ input: Tensor) -> Tensor {
    withGrad {
        let x = input.detach().requiringGrad()
        let y = function(x).reshape([-1])
        if !y.requiresGrad { return Tensor.zeros([y.count, input.count], dtype: input.dtype) }
        return Tensor.stack((0..<y.count).map { grad(of: [y[$0]], wrt: [x], retainGraph: true)[0].reshape([-1]) })
    }
}

// MARK: - Custom functions

/// A function with a derivative of its own: subclass, override ``forward(_:)`` and ``backward(_:)``, and call
/// ``apply(_:)`` on a new instance each time.
///
/// ```swift
/// final class Cube: CustomFunction {
///     override func forward(_ x: [Tensor]) -> [Tensor] {
///         save(x[0])
///         return [x[0] * x[0] * x[0]]
///     }
///     override func backward(_ g: [Tensor]) -> [Tensor?] { [g[0] * saved[0] * saved[0] * 3] }
/// }
/// let y = Cube().apply([x])[0]
/// ```
///
/// `forward` runs unrecorded. `backward` gets a gradient for each output and returns one, or nil, for each input;
/// written with differentiable operations it can be differentiated again.
open class CustomFunction {
    private var pending: [Tensor] = []
    private var context: BackwardContext?
    private var used = false
    /// Which inputs want a gradient, while `backward` runs.
    public private(set) var needsInputGradient: [Bool] = []

    public init() {}

    open func forward(_ inputs: [Tensor]) -> [Tensor] { trap("CustomFunction", "\(type(of: self)) has no forward") }

    open func backward(_ gradients: [Tensor]) -> [Tensor?] {
        trap("CustomFunction", "\(type(of: self)) has no backward")
    }

    /// Keeps inputs, outputs or other tensors for ``backward(_:)``, which sees them as ``saved``.
    public final func save(_ tensors: Tensor...) { pending += tensors }

    /// What `forward` saved. Overwriting a saved tensor in place before the backward pass is an error.
    public final var saved: [Tensor] {
        guard let context else { return pending }
        return (0..<context.node.saved.count).map { context[$0] }
    }

    /// Runs the function on `inputs` and records it.
    public final func apply(_ inputs: [Tensor]) -> [Tensor] {
        if used {
            trap("CustomFunction", "an instance of \(type(of: self)) is applied twice: make a new one each time")
        }
        used = true
        let results = noGrad { forward(inputs) }
        // An input returned as it came gets an identity of its own.
        let outputs = results.map { out in inputs.contains { $0 === out } ? out.alias() : out }
        let keep = pending
        pending = []
        Tensor.record("customFunction", outputs: outputs, inputs) { node in
            for tensor in keep {
                if let i = results.firstIndex(where: { $0 === tensor }) {
                    node.saveOutput(tensor, index: Int32(i))
                } else {
                    node.save(tensor)
                }
            }
            // Holding the tensors themselves would keep the inputs, and make a cycle of the outputs.
            let shapes = inputs.map(\.dims)
            let outputCount = outputs.count
            return { [self] ctx, _ in
                context = ctx
                needsInputGradient = shapes.indices.map { ctx.needs($0) }
                defer { context = nil }
                let gradients = backward((0..<outputCount).map { ctx.gradientOrZeros($0) })
                if gradients.count != shapes.count {
                    trap(
                        "backward",
                        "\(type(of: self)) gave \(gradients.count) gradients for \(shapes.count) inputs")
                }
                for (i, gradient) in gradients.enumerated() {
                    guard let gradient else { continue }
                    if gradient.dims != shapes[i] {
                        trap(
                            "backward",
                            "\(type(of: self)) gave a gradient of shape \(gradient.dims.text) for input \(i) of shape "
                                + shapes[i].text)
                    }
                    ctx.give(i, gradient)
                }
            }
        }
        return outputs
    }
}

// MARK: - Checking derivatives

/// Compares the derivative of `function` with central differences; for float64 inputs.
///
/// - Returns: nil when they agree, else what differs.
public func gradientCheck(
    _ inputs: [Tensor], eps: Double = 1e-6, rtol: Double = 1e-4, atol: Double = 1e-6, _ function: ([Tensor]) -> Tensor
) -> String? {
    for x in inputs where x.dtype.isFloatingPoint && x.dtype != .float64 {
        trap("gradientCheck", "finite differences need float64, an input is \(x.dtype)")
    }
    let points = inputs.map { $0.dtype.isFloatingPoint ? $0.detach().clone().requiringGrad() : $0 }
    let wanted = points.indices.filter { points[$0].dtype.isFloatingPoint }
    let output = withGrad { function(points) }
    // A fixed direction makes a scalar of any output.
    let direction = noGrad {
        (Tensor.arange(0, Double(output.count), step: 1, dtype: .float64) * 0.7 + 0.3).cos().reshape(output.dims)
    }
    let analytic = grad(of: [output], wrt: wanted.map { points[$0] }, gradients: [direction])
    func value() -> Double { noGrad { (function(points.map { $0.detach() }).to(.float64) * direction).sum().item() } }
    for (slot, i) in wanted.enumerated() {
        let expected = analytic[slot].toArray(Double.self)
        let bare = points[i].detach()
        for j in 0..<bare.count {
            let old = bare.withUnsafeElements(of: Double.self) { $0[j] }
            func set(_ v: Double) { bare.withUnsafeMutableElements(of: Double.self) { $0[j] = v } }
            set(old + eps)
            let up = value()
            set(old - eps)
            let down = value()
            set(old)
            let numeric = (up - down) / (2 * eps)
            if !(abs(numeric - expected[j]) <= atol + rtol * abs(numeric)) {
                return "input \(i), element \(j): derivative \(expected[j]), finite differences \(numeric)"
            }
        }
    }
    return nil
}

/// Compares second derivatives of `function` with central differences of its first.
public func secondGradientCheck(
    _ inputs: [Tensor], eps: Double = 1e-6, rtol: Double = 1e-4, atol: Double = 1e-5, _ function: ([Tensor]) -> Tensor
) -> String? {
    gradientCheck(inputs, eps: eps, rtol: rtol, atol: atol) { x in
        let points = x.map { $0.dtype.isFloatingPoint && !$0.requiresGrad ? $0.detach().requiringGrad() : $0 }
        return withGrad {
            let y = function(points)
            let direction = noGrad {
                (Tensor.arange(0, Double(y.count), step: 1, dtype: .float64) * 0.9 - 0.4).sin().reshape(y.dims)
            }
            let wanted = points.filter { $0.dtype.isFloatingPoint }
            let first = grad(of: [y], wrt: wanted, gradients: [direction], createGraph: true)
            return Tensor.cat(first.map { ($0 * 1.0).reshape([-1]) })
        }
    }
}
