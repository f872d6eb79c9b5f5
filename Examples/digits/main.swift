// Handwritten digits: a multilayer perceptron and a plain training loop, with nothing between you and the gradients.
//
// Reproduces: the usual result of a small perceptron on scikit-learn's 8x8 digits, 97 to 98 % on rows it never saw.
// Command:    ./fetch-digits.sh && swift run -c release digits [data/digits.csv]
// Time:       1 second on two cores.
// Expected:   held-out accuracy 98.3 % of 359 digits with the seed below; 96.7 to 98.3 % with the seeds 1 to 6.

import Foundation
import Martlet
import MartletNN

/// Images [rows, 64], float32 in 0...1, and labels [rows], int64, of a file with 64 pixels of 0 to 16 and a label in
/// each row.
func loadDigits(_ path: String) throws -> (images: Tensor, labels: Tensor) {
    let text = try String(contentsOfFile: path, encoding: .utf8)
    var pixels: [Float] = []
    var labels: [Int] = []
    for (i, line) in text.split(whereSeparator: \.isNewline).enumerated() {
        let values = line.split(separator: ",").compactMap { Int($0) }
        guard values.count == 65, values[..<64].allSatisfy({ 0...16 ~= $0 }), 0...9 ~= values[64] else {
            throw MartletError(.format, "\(path), row \(i + 1): expected 64 numbers of 0 to 16 and a label of 0 to 9")
        }
        pixels += values[..<64].map { Float($0) / 16 }
        labels.append(values[64])
    }
    if labels.count < 100 {
        throw MartletError(.format, "\(path): expected at least 100 rows, found \(labels.count)")
    }
    return (Tensor(pixels, shape: [labels.count, 64]), Tensor(labels))
}

final class Perceptron: Module {
    let first = Linear(64, 128)
    let second = Linear(128, 64)
    let output = Linear(64, 10)

    /// Images [batch, 64] -> logits [batch, 10].
    override func forward(_ images: Tensor) -> Tensor {
        output(second(first(images).relu()).relu())
    }
}

/// The share of `images` that the model names rightly.
func accuracy(_ model: Perceptron, _ images: Tensor, _ labels: Tensor) -> Double {
    noGrad { (model(images).argmax(dim: 1) .== labels).float().mean().item() }
}

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data((message + "\n").utf8))
    exit(1)
}

let path = CommandLine.arguments.dropFirst().first ?? "data/digits.csv"
guard FileManager.default.fileExists(atPath: path) else {
    fail("\(path): no such file. ./fetch-digits.sh fetches data/digits.csv.")
}
let images: Tensor
let labels: Tensor
do {
    (images, labels) = try loadDigits(path)
} catch {
    fail("\(error)")
}

// One row in five is held out.
Tensor.manualSeed(1)
let order = Tensor.randperm(labels.count)
let heldOutCount = labels.count / 5
let (heldOut, training) = (order[..<heldOutCount], order[heldOutCount...])

let model = Perceptron()
let (epochs, batchSize) = (40, 16)
let steps = epochs * ((training.count + batchSize - 1) / batchSize)
let optimizer = AdamW(model, schedule: .cosine(peak: 3e-3, warmupSteps: 20, totalSteps: steps))
print(model)

for epoch in 1...epochs {
    var losses: [Double] = []
    for batch in training[Tensor.randperm(training.count)].split(batchSize) {
        let loss = model(images[batch]).crossEntropy(labels[batch])
        optimizer.zeroGrad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    }
    if epoch % 10 == 0 {
        let mean = losses.reduce(0, +) / Double(losses.count)
        print(String(format: "epoch %2d  loss %.4f", epoch, mean))
    }
}

let right = accuracy(model, images[heldOut], labels[heldOut])
print(String(format: "held-out accuracy: %.1f %% of %d digits", 100 * right, heldOut.count))
