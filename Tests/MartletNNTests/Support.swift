import Foundation
import Martlet
import MartletNN

/// The folder of the committed fixtures.
let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures").path

/// A file that is removed afterwards.
func withTemporaryFile<R>(_ body: (String) throws -> R) rethrows -> R {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

/// The largest |a - b| over the largest |b|.
func relativeDifference(_ a: [Double], _ b: [Double]) -> Double {
    precondition(a.count == b.count)
    let scale = b.map(abs).max() ?? 0
    let difference = zip(a, b).map { abs($0 - $1) }.max() ?? 0
    return scale == 0 ? difference : difference / scale
}

extension Tensor {
    var doubles: [Double] { toArray(Double.self) }
}

/// The bits of every element, to compare exactly.
func bits(_ t: Tensor) -> [UInt64] {
    t.detach().to(.float64).toArray(Double.self).map(\.bitPattern)
}

func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch let error as MartletError {
        return error.message
    } catch {
        return "another error: \(error)"
    }
}

final class Perceptron: Module {
    let hidden: Linear
    let output: Linear

    init(_ seed: UInt64 = 1, hidden width: Int = 8) {
        let generator = Generator(seed: seed)
        hidden = Linear(4, width, generator: generator)
        output = Linear(width, 3, bias: false, generator: generator)
    }

    override func forward(_ x: Tensor) -> Tensor { output(hidden(x).relu()) }
}

final class Block: Module {
    let norm = LayerNorm(4, bias: false)
    let up: Linear
    let scale: Parameter?
    let dropout = Dropout(0.1)

    init(scaled: Bool) {
        up = Linear(4, 4)
        scale = scaled ? Parameter(Tensor.ones([4])) : nil
    }

    override func forward(_ x: Tensor) -> Tensor {
        let y = x + dropout(up(norm(x)))
        return scale.map { y * $0 } ?? y
    }
}

/// Everything that reflection has to find.
final class Zoo: Module {
    enum Norm {
        case layer(LayerNorm)
        case rms(RMSNorm)
    }
    struct Pair {
        let left: Linear
        let right: Linear
        let sizes = [1, 2, 3]
    }

    let embedding = Embedding(10, 4)
    let layers: [Block]
    let head: Linear
    var extra: Linear?
    let none: Module? = nil
    let scales: [Parameter] = [Parameter(Tensor.ones([2])), Parameter(Tensor.zeros([3]))]
    let byName: [String: Module] = ["b": ReLU(), "a": Linear(2, 2, bias: false)]
    let norm: Norm = .rms(RMSNorm(4))
    let pair = Pair(left: Linear(1, 1, bias: false), right: Linear(1, 1, bias: false))
    let tuple = (first: Linear(1, 2, bias: false), 7)
    var runningMean = Tensor.zeros([4])
    var mask: Tensor?
    let tables = RotaryTables(length: 4, rotary: 2)
    let words = ["not", "a", "module"]
    lazy var later = Linear(2, 1, bias: false)
    weak var parent: Module?

    override init() {
        layers = [Block(scaled: false), Block(scaled: true)]
        head = Linear(weight: embedding.weight)
    }

    override var nonPersistentBuffers: Set<String> { ["mask"] }

    override func forward(_ x: Tensor) -> Tensor {
        var x = embedding(x)
        for layer in layers { x = layer(x) }
        return head(x)
    }
}
