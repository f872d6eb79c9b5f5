public import Martlet

/// y = x weightᵀ + bias, on the last dimension.
///
/// Input [..., in], output [..., out].
public final class Linear: Module {
    /// [out, in]; [out, in / 2] once it is in 4 bits.
    public let weight: Parameter
    /// [out], nil without bias.
    public let bias: Parameter?
    /// What the weight is multiplied with once it is quantised: [out], its rows, when it is int8; [out, in / 32], its
    /// groups, in 4 bits. See ``quantize(_:)``.
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

    public var inFeatures: Int { weight.size(1) * (quantization == .int4 ? 2 : 1) }
    public var outFeatures: Int { weight.size(0) }

    public override func forward(_ x: Tensor) -> Tensor {
        scale.map { x.linear(quantized: weight, scale: $0, bias: bias) } ?? x.linear(weight, bias)
    }

    /// Several layers on inputs [..., in] that do not wait for each other: the results [..., out] of calling each, sooner
    /// for few rows (``Martlet/Tensor/linearTogether(_:)``). Traps where an input does not fit its layer.
    public static func together(_ calls: [(layer: Linear, input: Tensor)]) -> [Tensor] {
        if calls.contains(where: { $0.layer.bias != nil || $0.layer.hasHooks }) {
            return calls.map { $0.layer($0.input) }
        }
        return Tensor.linearTogether(
            calls.map { Tensor.LinearProduct($0.input, $0.layer.weight, scale: $0.layer.scale) })
    }

    /// Stores the weight in fewer bits: for using a model, not for training it. 4 bits need inputs that are a multiple of
    /// 64; other layers get int8. A weight that is quantised already stays as it is.
    public func quantize(_ quantization: WeightQuantization = .int8) {
        if scale == nil { scale = weight.quantizeInPlace(inFeatures % 64 == 0 ? quantization : .int8) }
    }

    /// How the weight is stored; nil where it is floating-point.
    public var quantization: WeightQuantization? { scale.map { $0.rank == 2 ? .int4 : .int8 } }

    /// The weight as a floating-point matrix [out, in], whatever it is stored as; a quantised one in its factors' dtype.
    public var denseWeight: Tensor {
        guard let scale else { return weight }
        return scale.rank == 2 ? Tensor.dequantizedGroups(weight, scale) : Tensor.dequantizedRows(weight, scale)
    }

    public override var extraDescription: String {
        "in: \(inFeatures), out: \(outFeatures), bias: \(bias != nil)" + (quantization.map { ", \($0)" } ?? "")
    }
}
