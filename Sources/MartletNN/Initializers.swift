public import Martlet

#if canImport(Glibc)
private import Glibc
#endif

/// How the first values of a parameter are drawn.
///
/// ```swift
/// let weight = Parameter(Initializer.kaimingNormal()([out, in]))
/// Initializer.normal(std: 0.02).apply(to: model.embedding.weight)
/// ```
///
/// Weights have the shape [out, in, ...]: the fan-in of a matrix is its second size, the fan-out its first, each times
/// the product of the sizes after (a convolution's window). Numbers come from the generator alone, so equal seeds give
/// equal weights; a half-precision tensor gets the rounded float32 numbers.
public struct Initializer: Sendable {
    /// Which fan a variance is divided by.
    public enum Fan: Sendable { case fanIn, fanOut, average }
    /// The shape of a distribution of given variance.
    public enum Distribution: Sendable { case normal, truncatedNormal, uniform }
    /// What follows the weights, for the gain that keeps the variance.
    public enum Nonlinearity: Sendable {
        case linear, relu, tanh, sigmoid
        case leakyRelu(slope: Double)

        /// PyTorch's `calculate_gain`.
        public var gain: Double {
            switch self {
            case .linear, .sigmoid: 1
            case .relu: 2.0.squareRoot()
            case .tanh: 5.0 / 3
            case .leakyRelu(let slope): (2 / (1 + slope * slope)).squareRoot()
            }
        }
    }

    private let draw: @Sendable (_ shape: [Int], _ dtype: DType, _ generator: Generator) -> Tensor

    /// An initialiser of one's own: `draw` gets the shape, float32 or float64, and the generator.
    public init(_ draw: @escaping @Sendable (_ shape: [Int], _ dtype: DType, _ generator: Generator) -> Tensor) {
        self.draw = draw
    }

    /// A new tensor.
    public func callAsFunction(_ shape: [Int], dtype: DType = .float32, generator: Generator = .default) -> Tensor {
        if !dtype.isFloatingPoint { trap("Initializer", "a floating-point dtype is needed, not \(dtype)") }
        return noGrad {
            let value = draw(shape, dtype.accumulator, generator)
            if value.shape != shape {
                trap("Initializer", "the shape \(shape) was asked for, \(value.shape) was drawn")
            }
            return value.to(dtype)
        }
    }

    /// Overwrites `tensor`, a parameter or a view of one.
    public func apply(to tensor: Tensor, generator: Generator = .default) {
        let value = self(tensor.shape, dtype: tensor.dtype, generator: generator)
        noGrad { _ = tensor.copyInPlace(value) }
    }
}

extension Initializer {
    public static func constant(_ value: Double) -> Initializer {
        Initializer { shape, dtype, _ in Tensor.full(shape, value, dtype: dtype) }
    }
    public static var zeros: Initializer { constant(0) }
    public static var ones: Initializer { constant(1) }

    /// The normal distribution.
    public static func normal(mean: Double = 0, std: Double = 1) -> Initializer {
        Initializer { shape, dtype, generator in
            Tensor.randn(shape, mean: mean, std: std, dtype: dtype, generator: generator)
        }
    }

    /// Uniform in [low, high).
    public static func uniform(low: Double = 0, high: Double = 1) -> Initializer {
        Initializer { shape, dtype, generator in
            Tensor.rand(shape, low: low, high: high, dtype: dtype, generator: generator)
        }
    }

    /// The normal distribution N(mean, std²) cut at mean ± `cut` std: values outside are drawn anew, in effect. `std`
    /// is that of the distribution before the cut.
    public static func truncatedNormal(mean: Double = 0, std: Double = 1, cut: Double = 2) -> Initializer {
        Initializer { shape, dtype, generator in
            // The inverse of the distribution function, at points drawn uniformly between its values at the cuts.
            let edge = erf(cut / 2.0.squareRoot())
            let u = Tensor.rand(shape, low: -edge, high: edge, dtype: dtype, generator: generator)
            let z = u.erfinv() * 2.0.squareRoot()
            return z.clamp(min: -cut, max: cut) * std + mean
        }
    }

    /// Variance `scale` / fan, the fan being the in- or outputs or their average; T5X's and JAX's `variance_scaling`.
    ///
    /// - Parameter fanIn: the number of inputs, for a weight whose shape does not tell (fused, or with heads).
    public static func varianceScaling(
        scale: Double = 1, fan: Fan = .fanIn, distribution: Distribution = .normal, fanIn: Int? = nil
    ) -> Initializer {
        Initializer { shape, dtype, generator in
            let fans = Initializer.fans(shape)
            let divisor: Double =
                switch fan {
                case .fanIn: Double(fanIn ?? fans.fanIn)
                case .fanOut: Double(fans.fanOut)
                case .average: Double((fanIn ?? fans.fanIn) + fans.fanOut) / 2
                }
            let std = (scale / max(1, divisor)).squareRoot()
            let initializer: Initializer =
                switch distribution {
                case .normal: .normal(std: std)
                // The cut at two standard deviations leaves 0.8796 of the standard deviation.
                case .truncatedNormal: .truncatedNormal(std: std / 0.87962566103423978)
                case .uniform: .uniform(low: -std * 3.0.squareRoot(), high: std * 3.0.squareRoot())
                }
            return initializer(shape, dtype: dtype, generator: generator)
        }
    }

    /// N(0, 1 / fan-in), LeCun et al. 1998: PaLM's for every kernel.
    public static func lecunNormal(fanIn: Int? = nil) -> Initializer { varianceScaling(fanIn: fanIn) }

    /// Variance gain² · 2 / (fan-in + fan-out), Glorot & Bengio 2010.
    public static func xavierNormal(gain: Double = 1) -> Initializer {
        varianceScaling(scale: gain * gain, fan: .average)
    }
    public static func xavierUniform(gain: Double = 1) -> Initializer {
        varianceScaling(scale: gain * gain, fan: .average, distribution: .uniform)
    }

    /// Variance gain² / fan, He et al. 2015.
    public static func kaimingNormal(_ nonlinearity: Nonlinearity = .relu, fan: Fan = .fanIn) -> Initializer {
        varianceScaling(scale: nonlinearity.gain * nonlinearity.gain, fan: fan)
    }
    public static func kaimingUniform(_ nonlinearity: Nonlinearity = .relu, fan: Fan = .fanIn) -> Initializer {
        varianceScaling(scale: nonlinearity.gain * nonlinearity.gain, fan: fan, distribution: .uniform)
    }

    /// PyTorch's choice for the weights of linear layers and convolutions: uniform in ± 1 / sqrt(fan-in).
    public static var torchLinear: Initializer { kaimingUniform(.leakyRelu(slope: 5.0.squareRoot())) }

    /// A random orthogonal matrix times `gain` (Saxe et al. 2014): orthonormal rows, or columns where there are fewer.
    /// A tensor of more dimensions is taken as the matrix [first, rest].
    public static func orthogonal(gain: Double = 1) -> Initializer {
        Initializer { shape, dtype, generator in
            if shape.count < 2 {
                trap("Initializer.orthogonal", "at least two dimensions are needed, the shape is \(shape)")
            }
            let rows = shape[0]
            let columns = shape.dropFirst().reduce(1, *)
            let (n, width) = (min(rows, columns), max(rows, columns))
            if n == 0 { return Tensor.zeros(shape, dtype: dtype) }
            var vectors = Tensor.randn([n, width], dtype: .float64, generator: generator).toArray(Double.self)
            // Gram-Schmidt, twice for each vector: once is not orthogonal enough when vectors nearly coincide.
            vectors.withUnsafeMutableBufferPointer { v in
                for i in 0..<n {
                    for _ in 0..<2 {
                        for j in 0..<i {
                            var dot = 0.0
                            for c in 0..<width { dot += v[i * width + c] * v[j * width + c] }
                            for c in 0..<width { v[i * width + c] -= dot * v[j * width + c] }
                        }
                    }
                    var square = 0.0
                    for c in 0..<width { square += v[i * width + c] * v[i * width + c] }
                    let length = square.squareRoot()
                    for c in 0..<width { v[i * width + c] /= length }
                }
            }
            let basis = Tensor(vectors, shape: [n, width], dtype: .float64) * gain
            let matrix = rows <= columns ? basis : basis.T
            return matrix.contiguous().reshape(shape).to(dtype)
        }
    }

    /// The numbers of inputs and outputs of a weight [out, in, ...].
    public static func fans(_ shape: [Int]) -> (fanIn: Int, fanOut: Int) {
        if shape.count < 2 {
            trap("Initializer", "a weight of at least two dimensions has a fan, the shape is \(shape)")
        }
        let window = shape.dropFirst(2).reduce(1, *)
        return (shape[1] * window, shape[0] * window)
    }
}
