internal import Martlet
internal import MartletData
internal import MartletModels
internal import MartletNN

// What a checkpoint holds beside the weights, and how it is written and read.
#if canImport(FoundationEssentials)
internal import FoundationEssentials
#else
internal import Foundation
#endif

/// Everything small that the next step depends on. `state.json` in a checkpoint.
struct TrainingState: Codable, Equatable {
    var step = 0
    /// Tokens trained on.
    var tokens = 0
    /// Seconds of training so far.
    var seconds = 0.0
    var randomSeed: UInt64 = 0
    var randomOffset: UInt64 = 0
    var sequence: BatchSequence
    var spikes: SpikeDetector
    /// Times the run went back before a spike.
    var restarts = 0
    /// What the run is trained on, in the recipe's order: going on with other tokens would be another run.
    var data: [TrainingData] = []
}

/// A token file's content.
struct TrainingData: Codable, Equatable {
    var tokens: Int
    var checksum: UInt64

    init(_ dataset: TokenDataset) {
        tokens = dataset.tokenCount
        checksum = dataset.checksum
    }
}

enum CheckpointFiles {
    static let optimizer = "optimizer.safetensors"
    static let average = "average.safetensors"
    static let state = "state.json"
    static let recipe = "recipe.yaml"

    static func write(
        model: PaLM, optimizer: Optimizer, average: ExponentialMovingAverage?, state: TrainingState, recipe: Recipe,
        tokenizer: any Tokenizer, to folder: String
    ) throws {
        try ModelFolder.save(model, tokenizer: tokenizer, to: folder)
        try optimizer.save(to: folder + "/" + CheckpointFiles.optimizer)
        if let average {
            try SafeTensors.save(average.stateDictionary(), to: folder + "/" + CheckpointFiles.average, metadata: [:])
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        try AtomicFile.write([UInt8](try encoder.encode(state)), to: folder + "/" + CheckpointFiles.state)
        try AtomicFile.write(recipe.yaml(), to: folder + "/" + CheckpointFiles.recipe)
    }

    static func readState(_ folder: String) throws -> TrainingState {
        let path = folder + "/" + state
        guard let data = FileManager.default.contents(atPath: path) else {
            throw MartletError(
                .file, "\(path) is missing: this folder holds a model but not the state of a training run")
        }
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        do { return try decoder.decode(TrainingState.self, from: data) } catch {
            throw MartletError(.format, "\(path) is not the state of a training run: \(error)")
        }
    }
}
