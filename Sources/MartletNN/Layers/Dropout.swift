public import Martlet

/// Zeroes elements with probability `p` and scales the others by 1 / (1 - p), in training mode; does nothing in
/// evaluation mode.
public final class Dropout: Module {
    public let p: Double
    private let generator: Generator

    public init(_ p: Double = 0.5, generator: Generator = .default) {
        if !(p >= 0 && p <= 1) { trap("Dropout", "a probability is in 0...1, \(p) is not") }
        self.p = p
        self.generator = generator
    }

    public override func forward(_ x: Tensor) -> Tensor { x.dropout(p, training: isTraining, generator: generator) }

    public override var extraDescription: String { "p: \(p)" }
}
