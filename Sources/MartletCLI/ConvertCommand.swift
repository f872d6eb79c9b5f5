import ArgumentParser
import Foundation
import Martlet
import MartletModels
import MartletNN
import MartletTraining

struct ConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert", abstract: "Writes a model's folder from a checkpoint, in another type if wanted.",
        discussion: """
            OUTPUT gets config.json, model.safetensors and the tokenizer: what using a model needs, without the state of its \
            training. --quantize int8 stores weights in a quarter of float32's memory, int4 in about a seventh.

            Example: martlet convert --checkpoint runs/demo --best --quantize int8 --output demo-int8
            """)

    @OptionGroup var model: CheckpointOption
    @Option(help: "The folder to write.")
    var output: String
    @Flag(help: "Replace a model that is there.")
    var overwrite = false

    func run() throws {
        func isThere(_ name: String) -> Bool { FileManager.default.fileExists(atPath: output + "/" + name) }
        if isThere("manifest.json") {
            throw MartletError(
                .file,
                "\(output) is a run's checkpoint, which would be damaged by another model in it: give another --output")
        }
        if !overwrite, let name = ModelFolder.fileNames.first(where: isThere) {
            throw MartletError(
                .file, "\(output) holds a model's \(name): give --overwrite to replace it, or another --output")
        }
        let contents = try model.load()
        try ModelFolder.save(contents.model, tokenizer: contents.tokenizer, to: output)
        let size = try FileManager.default.attributesOfItem(atPath: output + "/model.safetensors")[.size] as? Int ?? 0
        Terminal.print("\(output): \(contents.configuration.parameterCount) parameters in \(Format.bytes(size))")
    }
}
