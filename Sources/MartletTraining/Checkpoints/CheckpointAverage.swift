internal import Martlet
public import MartletModels
internal import MartletNN

/// The moving average of the weights that a run with `emaDecay` keeps in its checkpoints.
public enum CheckpointAverage {
    /// Puts the average of a checkpoint in the place of the model's weights, in the model's type.
    ///
    /// - Throws: where the checkpoint has no average, or one of another model.
    public static func load(into model: PaLM, from folder: String) throws {
        let path = folder + "/" + CheckpointFiles.average
        guard FileIO.exists(path) else {
            throw MartletError(
                .file,
                "\(folder) holds no moving average of the weights: expected the file \(CheckpointFiles.average) there, which "
                    + "runs with emaDecay save")
        }
        let suffix = "/average"
        let file = try SafeTensorsFile(path)
        let weights = try file.names.filter { $0.hasSuffix(suffix) }.map {
            (String($0.dropLast(suffix.count)), try file.tensor($0))
        }
        do { try model.load(weights) } catch let error as MartletError where error.kind == .mismatch {
            throw MartletError(.mismatch, "\(path): \(error.message)")
        }
    }
}
