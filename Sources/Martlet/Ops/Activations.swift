// Activation functions composed of other ops. The common ones, which have kernels of their own, are in Unary.swift.

extension Tensor {
    /// elu with the scale and alpha that keep mean 0 and variance 1 from layer to layer (Klambauer et al. 2017).
    public func selu() -> Tensor { elu(1.6732632423543772) * 1.0507009873554805 }

    /// x where positive, alpha · (exp(x / alpha) - 1) elsewhere: an elu of continuous slope.
    public func celu(_ alpha: Double = 1) -> Tensor {
        if alpha == 0 { trap("celu", "alpha must not be 0") }
        let positive = self .> 0
        // The exponential sees no positive number: its gradient there would be infinite times zero.
        let negative = Tensor.select(positive, Tensor.zeros(Dims(), dtype), self)
        return Tensor.select(positive, self, (negative / alpha).expm1() * alpha)
    }

    /// x · tanh(softplus(x)).
    public func mish() -> Tensor { self * softplus().tanh() }

    /// x · hardsigmoid(x): SiLU of straight lines.
    public func hardswish() -> Tensor { self * hardsigmoid() }

    /// 0 up to -3, 1 from 3, a straight line between.
    public func hardsigmoid() -> Tensor { (self + 3).clamp(min: 0, max: 6) / 6 }

    /// x limited to [min, max]; gradients flow inside.
    public func hardtanh(min: Double = -1, max: Double = 1) -> Tensor {
        if !(min <= max) { trap("hardtanh", "min must not be above max: \(min) and \(max)") }
        return clamp(min: min, max: max)
    }

    /// x limited to [0, 6]; gradients flow inside.
    public func relu6() -> Tensor { clamp(min: 0, max: 6) }

    /// x where positive, weight · x elsewhere.
    ///
    /// - Parameter weight: [1], or a slope for each index of dimension 1, the channels.
    public func prelu(_ weight: Tensor) -> Tensor {
        let channels = rank > 1 ? dims[1] : 1
        if weight.rank > 1 || weight.count != 1 && weight.count != channels {
            trap(
                "prelu",
                "a weight of one slope or of \(channels) is needed for the channels (dimension 1): "
                    + describe(self, weight))
        }
        let slopes = weight.reshape([weight.count] + Array(repeating: 1, count: Swift.max(0, rank - 2)))
        let scaled = self * (rank == 0 ? weight.reshape(Dims()) : slopes)
        return Tensor.select(self .> 0, self, scaled)
    }

    /// The first half of dimension `dim` times the sigmoid of the second (Dauphin et al. 2017); its size must be even.
    public func glu(dim: Int = -1) -> Tensor {
        let d = normalize(dim, "glu")
        if dims[d] % 2 != 0 { trap("glu", "dimension \(dim) of \(dims.text) has an odd size, \(dims[d])") }
        let half = dims[d] / 2
        return narrow(d, start: 0, length: half) * narrow(d, start: half, length: half).sigmoid()
    }

    /// x / (1 + |x|).
    public func softsign() -> Tensor { self / (abs() + 1) }

    /// The softmax of -x along `dim`.
    public func softmin(dim: Int) -> Tensor { (-self).softmax(dim: dim) }

    /// x where above `threshold`, `value` elsewhere.
    public func threshold(_ threshold: Double, _ value: Double) -> Tensor {
        Tensor.select(self .> threshold, self, Tensor.full(Dims(), value, dtype))
    }
}
