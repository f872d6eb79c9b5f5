import ArgumentParser
import Foundation
import Martlet
import MartletModels
import MartletNN
import MartletTraining

/// The model that a command uses.
struct CheckpointOption: ParsableArguments {
    @Option(
        help:
            "A checkpoint, a run's folder (its last checkpoint), or any folder with config.json and model.safetensors.")
    var checkpoint: String
    @Flag(help: "Of a run, take the checkpoint with the lowest held-out loss.")
    var best = false
    @Flag(help: "Take the moving average of the weights, by which a run with emaDecay is evaluated.")
    var average = false
    @Option(help: "Convert the weights: float32, bfloat16, float16 or float64. As stored unless given.")
    var dtype: String?
    @Option(
        help: "Store weights in fewer bits: int8, with a factor for each row, or int4, with one for each 32 of a row.")
    var quantize: String?

    /// The folder that is meant; a checkpoint of a run is checked byte by byte.
    func folder() throws -> String {
        if FileManager.default.fileExists(atPath: checkpoint + "/config.json")
            && !FileManager.default.fileExists(atPath: checkpoint + "/manifest.json")
        {
            return checkpoint
        }
        return try CheckpointStore.open(path: checkpoint, best ? .best : .latest).checkpoint.folder
    }

    func load() throws -> ModelFolder.Contents {
        let type = try dtype.map { name -> DType in
            guard let type = DType(name: name), type.isFloatingPoint else {
                throw MartletError(.configuration, "--dtype \(name): expected float32, bfloat16, float16 or float64")
            }
            return type
        }
        let quantization = try quantize.map(Self.quantization)
        let folder = try folder()
        let contents = try ModelFolder.load(folder, dtype: type)
        if average { try CheckpointAverage.load(into: contents.model, from: folder) }
        if let quantization {
            if let stored = contents.model.weightQuantization, stored != quantization {
                throw MartletError(
                    .configuration,
                    "--quantize \(quantization.rawValue): the weights in \(folder) are \(stored.rawValue) already; start "
                        + "from floating-point ones")
            }
            contents.model.quantizeWeights(quantization)
        }
        return contents
    }

    static func quantization(_ name: String) throws -> WeightQuantization {
        guard let quantization = WeightQuantization(rawValue: name) else {
            let names = WeightQuantization.allCases.map(\.rawValue).joined(separator: " or ")
            throw MartletError(.configuration, "--quantize \(name): expected \(names)")
        }
        return quantization
    }
}
