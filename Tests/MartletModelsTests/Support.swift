import Foundation
import Martlet
import MartletModels
import MartletNN

/// The folder of the committed fixtures.
let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures").path

func withTemporaryFolder<R>(_ body: (String) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

func decode<T: Decodable>(_ type: T.Type, _ path: String) throws -> T {
    try JSONDecoder().decode(type, from: Data(contentsOf: URL(fileURLWithPath: path)))
}

extension Tensor {
    var doubles: [Double] { detach().to(.float64).toArray(Double.self) }
}

/// The larger of two relative errors: by the Euclidean norm and by the largest element.
func relativeError(_ a: Tensor, _ b: Tensor) -> Double {
    precondition(a.shape == b.shape, "shapes \(a.shape) and \(b.shape)")
    let (x, y) = (a.doubles, b.doubles)
    let difference = zip(x, y).map { $0 - $1 }
    func norm(_ v: [Double]) -> Double { v.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    func most(_ v: [Double]) -> Double { v.map(abs).max() ?? 0 }
    if most(y) == 0 { return most(difference) }
    return max(norm(difference) / norm(y), most(difference) / most(y))
}

func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch {
        return "\(error)"
    }
}

/// A model with the weights of a fixture's folder.
func loadFixture(_ folder: String, dtype: DType) throws -> PaLM {
    let configuration = try decode(PaLMConfiguration.self, folder + "/config.json")
    let model = PaLM(configuration, generator: Generator(seed: 9))
    let report = try model.load(from: folder + "/model.safetensors")
    precondition(report.isComplete)
    model.to(dtype)
    return model
}

/// A model with new weights, made to be small.
func tinyModel(
    vocabulary: Int = 257, width: Int = 16, layers: Int = 2, seed: UInt64 = 4,
    change: (inout PaLMConfiguration) -> Void = { _ in }
) -> PaLM {
    var configuration = PaLMConfiguration(
        vocabularySize: vocabulary, width: width, layers: layers, heads: 2, headDim: 8)
    change(&configuration)
    return PaLM(configuration, generator: Generator(seed: seed))
}
