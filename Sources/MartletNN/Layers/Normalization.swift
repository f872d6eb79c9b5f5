public import Martlet

/// Layer normalisation over the last dimension: (x - mean) / sqrt(variance + eps) · weight + bias.
public final class LayerNorm: Module {
    /// [dimension], starts as ones; nil without `affine`.
    public let weight: Parameter?
    /// [dimension], starts as zeros; nil without `bias`.
    public let bias: Parameter?
    public let dimension: Int
    public let eps: Double

    /// - Parameters:
    ///   - bias: whether there is a learned shift.
    ///   - affine: whether there is a learned scale (and shift).
    public init(
        _ dimension: Int, eps: Double = 1e-5, bias: Bool = true, affine: Bool = true, dtype: DType = .float32
    ) {
        self.dimension = dimension
        self.eps = eps
        weight = affine ? Parameter(Tensor.ones([dimension], dtype: dtype)) : nil
        self.bias = affine && bias ? Parameter(Tensor.zeros([dimension], dtype: dtype)) : nil
    }

    public override func forward(_ x: Tensor) -> Tensor {
        checkWidth("LayerNorm", x, dimension)
        return x.layerNorm(weight: weight, bias: bias, eps: eps)
    }

    public override var extraDescription: String {
        "\(dimension), eps: \(eps)" + (weight == nil ? ", affine: false" : bias == nil ? ", bias: false" : "")
    }
}

/// Root-mean-square normalisation over the last dimension: x / sqrt(mean(x²) + eps) · weight. T5's layer norm.
public final class RMSNorm: Module {
    /// [dimension], starts as ones less `weightOffset`; nil without `affine`.
    public let weight: Parameter?
    public let dimension: Int
    public let eps: Double
    /// Added to the weight: 1 where weights are stored as differences from one.
    public let weightOffset: Double

    public init(
        _ dimension: Int, eps: Double = 1e-6, affine: Bool = true, weightOffset: Double = 0, dtype: DType = .float32
    ) {
        self.dimension = dimension
        self.eps = eps
        self.weightOffset = weightOffset
        weight = affine ? Parameter(Tensor.full([dimension], 1 - weightOffset, dtype: dtype)) : nil
    }

    public override func forward(_ x: Tensor) -> Tensor {
        checkWidth("RMSNorm", x, dimension)
        return x.rmsNorm(weight: weight, eps: eps, weightOffset: weight == nil ? 0 : weightOffset)
    }

    public override var extraDescription: String {
        "\(dimension), eps: \(eps)" + (weight == nil ? ", affine: false" : "")
            + (weightOffset == 0 ? "" : ", weightOffset: \(weightOffset)")
    }
}

/// Group normalisation of channels, dimension 1 of [N, C, ...]: each of `groups` groups of channels of a sample gets
/// mean 0 and variance 1; · weight + bias by channel.
public final class GroupNorm: Module {
    /// [channels], starts as ones; nil without `affine`.
    public let weight: Parameter?
    /// [channels], starts as zeros; nil without `affine`.
    public let bias: Parameter?
    public let groups: Int
    public let channels: Int
    public let eps: Double

    /// - Parameters:
    ///   - groups: a divisor of `channels`.
    ///   - affine: whether there is a learned scale and shift.
    public init(_ groups: Int, _ channels: Int, eps: Double = 1e-5, affine: Bool = true, dtype: DType = .float32) {
        if groups < 1 || channels < 0 || channels % groups != 0 {
            trap("GroupNorm", "the channels must be a multiple of the groups: \(channels) and \(groups)")
        }
        self.groups = groups
        self.channels = channels
        self.eps = eps
        weight = affine ? Parameter(Tensor.ones([channels], dtype: dtype)) : nil
        bias = affine ? Parameter(Tensor.zeros([channels], dtype: dtype)) : nil
    }

    public override func forward(_ x: Tensor) -> Tensor {
        if x.rank < 2 || x.size(1) != channels {
            trap("GroupNorm", "an input [N, \(channels), ...] is needed, this one has the shape \(x.shape)")
        }
        return x.groupNorm(groups, weight: weight, bias: bias, eps: eps)
    }

    public override var extraDescription: String {
        "groups: \(groups), channels: \(channels), eps: \(eps)" + (weight == nil ? ", affine: false" : "")
    }
}

/// Without a weight the op could not know the width it is meant for.
private func checkWidth(_ layer: String, _ x: Tensor, _ dimension: Int) {
    if x.rank == 0 || x.size(-1) != dimension {
        trap(layer, "an input [..., \(dimension)] is needed, this one has the shape \(x.shape)")
    }
}
