/// The rate that a device's use is measured against, in floating-point operations a second.
///
/// A CPU's theoretical peak depends on clock rates that it does not keep under load, and a virtual machine may not have
/// the cores that it shows. The peak is therefore the fastest matrix product that this very library reaches on this
/// machine in the precision of the run, unless the recipe gives a figure (`logging.peakFLOPs`). A model FLOPs utilisation
/// of 40 % thus means: a step takes 2.5 times as long as its matrix products alone would at their best. It is no figure to
/// compare with utilisations against a vendor's peak, and `description` says so wherever it is printed.
public struct PeakFLOPs: Sendable, Equatable, CustomStringConvertible {
    public enum Source: Sendable, Equatable {
        /// The product of two square matrices of this size was the fastest.
        case measured(size: Int)
        case given
    }

    public let perSecond: Double
    public let source: Source

    /// A known peak.
    public init(given perSecond: Double) {
        self.perSecond = perSecond
        self.source = .given
    }

    private init(measured perSecond: Double, size: Int) {
        self.perSecond = perSecond
        self.source = .measured(size: size)
    }

    /// Measures the rate of square matrix products: the best of many, after a warm-up.
    ///
    /// - Parameters:
    ///   - sizes: The sizes n to try; a product takes 2n³ operations.
    ///   - seconds: How long to measure each size.
    ///   - product: Multiplies two n×n matrices in the precision of the run and returns when the result is there.
    public static func measure(
        sizes: [Int] = [512, 1024, 2048], seconds: Double = 0.3, product: (_ size: Int) throws -> Void
    ) rethrows -> PeakFLOPs {
        precondition(!sizes.isEmpty, "[PeakFLOPs.measure] expected at least one size, found none")
        let clock = ContinuousClock()
        var best = PeakFLOPs(measured: 0, size: sizes[0])
        for size in sizes {
            try product(size)
            let operations = 2 * Double(size) * Double(size) * Double(size)
            let start = clock.now
            repeat {
                let begin = clock.now
                try product(size)
                let rate = operations / max((clock.now - begin).inSeconds, 1e-9)
                if rate > best.perSecond { best = PeakFLOPs(measured: rate, size: size) }
            } while (clock.now - start).inSeconds < seconds
        }
        return best
    }

    public var description: String {
        switch source {
        case .measured(let size): "\(Format.flops(perSecond)) (fastest \(size)x\(size) matrix product measured here)"
        case .given: "\(Format.flops(perSecond)) (given)"
        }
    }
}

/// The operations that training a decoder-only transformer takes by the PaLM paper's count (section 4.1, appendix B).
public struct ModelFLOPs: Sendable, Equatable {
    /// Of a training step, for each token: 6N + 12·L·H·Q·T. Full attention is counted, not the causal half; computing
    /// activations again is not.
    public let perToken: Double

    /// - Parameters:
    ///   - parameters: N, the model's parameters with the embedding (once if it is shared).
    ///   - headDim: Q, the length of a head's vector.
    ///   - sequenceLength: T, tokens in a sequence.
    public init(parameters: Int, layers: Int, heads: Int, headDim: Int, sequenceLength: Int) {
        perToken =
            6 * Double(parameters) + 12 * Double(layers) * Double(heads) * Double(headDim) * Double(sequenceLength)
    }

    /// The model FLOPs utilisation: the share of the peak that goes into the operations that the model needs.
    public func utilisation(tokensPerSecond: Double, peak: PeakFLOPs) -> Double {
        peak.perSecond > 0 ? tokensPerSecond * perToken / peak.perSecond : 0
    }
}

extension Duration {
    /// The duration in seconds.
    var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }
}
