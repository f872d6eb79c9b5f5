// The gradient of a batch from those of its micro-batches, added in a fixed binary tree over the micro-batch's number: the
// order of the floating-point sums does not depend on who computes which micro-batch, so the losses of a run are the same
// bit for bit however the batch is divided among processes.
internal import Martlet
internal import MartletNN

struct GradientTree {
    private struct Level {
        let height: Int
        var loss: Double
        var entropy: Double
        var gradients: [Tensor?]
    }

    private let parameters: [Parameter]
    private var levels: [Level] = []

    init(_ parameters: [Parameter]) { self.parameters = parameters }

    /// Takes the gradients of the next micro-batch out of the parameters.
    mutating func add(loss: Double, entropy: Double) {
        let gradients = parameters.map { p -> Tensor? in
            defer { p.grad = nil }
            // Sums of half-precision gradients are kept in float32.
            return p.grad.map { $0.dtype.isHalf ? $0.to(.float32) : $0 }
        }
        levels.append(Level(height: 0, loss: loss, entropy: entropy, gradients: gradients))
        while levels.count > 1, levels[levels.count - 1].height == levels[levels.count - 2].height { mergeLastTwo() }
    }

    private mutating func mergeLastTwo() {
        let right = levels.removeLast()
        let left = levels.removeLast()
        noGrad {
            var sum = left.gradients
            for (i, g) in right.gradients.enumerated() {
                guard let g else { continue }
                if let s = sum[i] { s.addInPlace(g) } else { sum[i] = g }
            }
            levels.append(
                Level(
                    height: left.height + 1, loss: left.loss + right.loss, entropy: left.entropy + right.entropy,
                    gradients: sum))
        }
    }

    /// Puts the batch's gradients into the parameters and gives its loss.
    mutating func finish() -> (loss: Double, entropy: Double) {
        while levels.count > 1 { mergeLastTwo() }
        let total = levels.removeLast()
        for (p, g) in zip(parameters, total.gradients) { p.grad = g }
        return (total.loss, total.entropy)
    }
}
