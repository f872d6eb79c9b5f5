public import Martlet

/// y = x weightᵀ + bias, on the last dimension.
///
/// Input [..., in], output [..., out].
public final class Linear: Module {
    /// [out, in].
    public let weight: Parameter
    /// [out], nil without bias.
    public let bias: Parameter?
    /// [out], once the weight is int8: what its rows are multiplied with. See ``quantize()``.
    public private(set) var scale: Tensor?

    /// - Parameters:
    ///   - initializer: of the weight; PyTorch's unless given. The bias is uniform in ± 1 / sqrt(in), as PyTorch's.
    public init(
        _ inFeatures: Int, _ outFeatures: Int, bias: Bool = true, initializer: Initializer = .torchLinear,
        dtype: DType = .float32, generator: Generator = .default
    ) {
        if inFeatures < 0 || outFeatures < 0 {
            trap("Linear", "sizes may not be negative: in \(inFeatures), out \(outFeatures)")
        }
        weight = Parameter(initializer([outFeatures, inFeatures], dtype: dtype, generator: generator))
        let bound = 1 / Double(max(1, inFeatures)).squareRoot()
        self.bias =
            bias
            ? Parameter(
                Initializer.uniform(low: -bound, high: bound)([outFeatures], dtype: dtype, generator: generator))
            : nil
    }

    /// A layer of given weights: [out, in] and [out]. Giving another module's parameter ties the two.
    public init(weight: Parameter, bias: Parameter? = nil) {
        if weight.rank != 2 || bias.map({ $0.shape != [weight.shape[0]] }) ?? false {
            trap(
                "Linear",
                "a weight [out, in] and a bias [out] are needed, the shapes are \(weight.shape)"
                    + (bias.map { " and \($0.shape)" } ?? ""))
        }
        self.weight = weight
        self.bias = bias
    }

    public var inFeatures: Int { weight.size(1) }
    public var outFeatures: Int { weight.size(0) }

    public override func forward(_ x: Tensor) -> Tensor {
        if let scale { return x.linear(int8: weight, scale: scale, bias: bias) }
        return x.linear(weight, bias)
    }

    /// Several layers on inputs that do not wait for each other: the results of calling each, sooner for few rows
    /// (``Martlet/Tensor/linearTogether(_:)``).
    public static func together(_ calls: [(layer: Linear, input: Tensor)]) -> [Tensor] {
        if calls.contains(where: { $0.layer.bias != nil || $0.layer.hasHooks }) {
            return calls.map { $0.layer($0.input) }
        }
        return Tensor.linearTogether(
            calls.map { Tensor.LinearProduct($0.input, $0.layer.weight, scale: $0.layer.scale) })
    }

    /// Stores the weight as int8 with a factor for each row (``Martlet/Tensor/quantizedRows()``): for using a model, not
    /// for training it.
    public func quantize() { if scale == nil { scale = weight.quantizeInPlace() } }

    public override var extraDescription: String {
        "in: \(inFeatures), out: \(outFeatures), bias: \(bias != nil)" + (scale == nil ? "" : ", int8")
    }
}
