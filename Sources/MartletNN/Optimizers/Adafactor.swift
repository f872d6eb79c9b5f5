public import Martlet

#if canImport(Glibc)
private import Glibc
#endif

/// Adafactor (Shazeer & Stern 2018) with T5X's order of operations; the defaults are PaLM's.
///
/// With k the number of the update, g the gradient and lr the learning rate:
///
///     beta2 = 1 - k^-decayExponent
///     v  = beta2 · v + (1 - beta2) · (g² + eps1)
///     y  = g / sqrt(v)
///     y /= max(1, RMS(y) / clipThreshold)
///     y *= lr · max(RMS(p), eps2)
///     m  = beta1 · m + (1 - beta1) · y
///     p  = (1 - weightDecay · lr^weightDecayExponent) · p - m
///
/// Factored, v of a matrix is kept as its means over rows and over columns only.
public final class Adafactor: Optimizer {
    /// nil: no momentum, and none is stored.
    public let beta1: Double?
    public let decayExponent: Double
    public let eps1: Double
    /// The least size that a parameter is taken to have.
    public let eps2: Double
    /// nil: updates are not clipped.
    public let clipThreshold: Double?
    public let multipliesByParameterScale: Bool
    /// Whether second moments of matrices are kept as row and column means.
    public let isFactored: Bool
    /// Parameters with fewer rows or columns are not factored.
    public let minimumSizeToFactor: Int
    /// The share that decay takes off a parameter is weightDecay · lr^weightDecayExponent: with 2, PaLM's, it falls
    /// with the learning rate; with 0 it is always the same. A group's `weightDecay` stands for the factor.
    public let weightDecayExponent: Double

    public init(
        _ parameters: some ParameterSource, learningRate: Double = 1e-2, schedule: Schedule? = nil,
        beta1: Double? = 0.9, decayExponent: Double = 0.8, eps1: Double = 1e-30, eps2: Double = 1e-3,
        clipThreshold: Double? = 1, multipliesByParameterScale: Bool = true, factored: Bool = false,
        minimumSizeToFactor: Int = 128, weightDecay: Double = 1, weightDecayExponent: Double = 2,
        groups: [ParameterGroup] = []
    ) {
        if let beta1, !(beta1 >= 0 && beta1 < 1) { trap("Adafactor", "beta1 is in 0..<1, \(beta1) is not") }
        if !(decayExponent > 0) { trap("Adafactor", "the decay exponent must be above 0: \(decayExponent)") }
        if !(eps1 >= 0 && eps2 >= 0) { trap("Adafactor", "eps1 and eps2 must not be negative: \(eps1), \(eps2)") }
        if let clipThreshold, !(clipThreshold > 0) {
            trap("Adafactor", "the clip threshold must be above 0: \(clipThreshold)")
        }
        self.beta1 = beta1
        self.decayExponent = decayExponent
        self.eps1 = eps1
        self.eps2 = eps2
        self.clipThreshold = clipThreshold
        self.multipliesByParameterScale = multipliesByParameterScale
        isFactored = factored
        self.minimumSizeToFactor = minimumSizeToFactor
        self.weightDecayExponent = weightDecayExponent
        super.init(
            parameters.sourceParameters, learningRate: learningRate, schedule: schedule, weightDecay: weightDecay,
            groups: groups)
    }

    /// PaLM's optimizer with its schedule: 1 / sqrt(max(step, 10000)) unless given, beta1 0.9, decay lr².
    public static func palm(_ parameters: some ParameterSource, schedule: Schedule = .palm()) -> Adafactor {
        Adafactor(parameters, schedule: schedule)
    }

    /// The decay of the second moment at update `k` of a parameter, from 1: 0 at the first.
    public func beta2(at k: Int) -> Double { 1 - pow(Double(k), -decayExponent) }

    /// A parameter as a matrix [all dimensions but the last, the last] when its second moment is factored.
    private func factors(_ parameter: Parameter) -> (rows: Int, columns: Int)? {
        guard isFactored, parameter.rank >= 2, parameter.count > 0 else { return nil }
        let columns = parameter.size(-1)
        let rows = parameter.count / columns
        return min(rows, columns) >= max(1, minimumSizeToFactor) ? (rows, columns) : nil
    }

    public override func slots(for parameter: Parameter) -> [(name: String, shape: [Int])] {
        let first: [(name: String, shape: [Int])] = beta1 == nil ? [] : [("m", parameter.shape)]
        if let (rows, columns) = factors(parameter) { return first + [("vRow", [rows]), ("vColumn", [columns])] }
        return first + [("v", parameter.shape)]
    }

    public override func update(_ state: ParameterState, _ gradient: Tensor, _ options: UpdateOptions) {
        let native = OptimizerKernels.AdafactorOptions(
            learningRate: options.learningRate, beta1: beta1 ?? 0, beta2: beta2(at: state.step), eps1: eps1, eps2: eps2,
            clipThreshold: clipThreshold ?? 0,
            weightDecay: options.weightDecay * pow(options.learningRate, weightDecayExponent),
            multipliesByParameterScale: multipliesByParameterScale, gradientScale: options.gradientScale)
        let m = beta1 == nil ? nil : state["m"]
        if factors(state.parameter) != nil {
            OptimizerKernels.adafactorFactored(
                parameter: state.parameter, master: state.master, gradient: gradient, m: m, vRow: state["vRow"],
                vColumn: state["vColumn"], native)
        } else {
            OptimizerKernels.adafactor(
                parameter: state.parameter, master: state.master, gradient: gradient, m: m, v: state["v"], native)
        }
    }

    public override var extraDescription: String {
        "beta1: \(beta1.map { "\($0)" } ?? "none"), decayExponent: \(decayExponent)" + (isFactored ? ", factored" : "")
            + ", weightDecay: \(weightDecay) * lr^\(weightDecayExponent)"
    }
}
