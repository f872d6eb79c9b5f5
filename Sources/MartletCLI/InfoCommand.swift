import ArgumentParser
import Foundation
import Martlet
import MartletModels
import MartletTraining

struct InfoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Describes a model: configuration, parameters, cost.",
        discussion: """
            MODEL is a name (\(PaLMPreset.all.map(\.name).joined(separator: ", "))), or the folder of a model, a checkpoint or \
            a run.

            Example: martlet info palm-540b
            """)

    @Argument(help: "A model's name or folder.")
    var model: String
    @Option(parsing: .unconditional, help: "The vocabulary of a name that has none of its own.")
    var vocabulary: Int?
    @Option(parsing: .unconditional, help: "The sequence length that costs are given for.")
    var sequenceLength = 2048
    @Flag(help: "Print one JSON object.")
    var json = false

    struct Row: Encodable {
        let name: String
        let shape: [Int]
        let count: Int
        let parameters: Int
    }

    struct Record: Encodable {
        let name: String
        let configuration: PaLMConfiguration
        let parameters: Int
        let parametersWithoutNorms: Int
        let trainingFLOPsPerToken: Double
        let forwardFLOPsPerToken: Double
        let keyValueBytesPerTokenBF16: Int
        let table: [Row]
    }

    func run() throws {
        if !(1...1 << 30).contains(sequenceLength) {
            throw MartletError(
                .configuration, "--sequence-length must be in 1...\(1 << 30), it is \(sequenceLength)")
        }
        let configuration: PaLMConfiguration
        if let preset = PaLMPreset.named(model) {
            configuration = try preset.configuration(vocabularySize: vocabulary ?? preset.vocabularySize ?? 32_000)
            try configuration.validate()
        } else if FileManager.default.fileExists(atPath: model) {
            configuration = try ModelFolder.configuration(
                FileManager.default.fileExists(atPath: model + "/config.json")
                    ? model : CheckpointStore.open(path: model).checkpoint.folder
            ).model
        } else {
            throw MartletError(
                .configuration,
                "'\(model)' is neither a folder nor a model's name; the names are "
                    + PaLMPreset.all.map(\.name).joined(separator: ", "))
        }
        let c = configuration
        let rows = c.parameterTable.map {
            Row(name: $0.name, shape: $0.shape, count: $0.count, parameters: $0.parameters)
        }
        if json {
            let record = Record(
                name: model, configuration: c, parameters: c.parameterCount,
                parametersWithoutNorms: c.parameterCountWithoutNorms,
                trainingFLOPsPerToken: c.trainingFLOPsPerToken(sequenceLength: sequenceLength),
                forwardFLOPsPerToken: c.forwardFLOPsPerToken(sequenceLength: sequenceLength),
                keyValueBytesPerTokenBF16: c.keyValueBytesPerToken(), table: rows)
            Terminal.print(try Terminal.json(record, pretty: true))
            return
        }
        func pad(_ text: String, _ width: Int, left: Bool = false) -> String {
            let space = String(repeating: " ", count: max(0, width - text.count))
            return left ? space + text : text + space
        }
        func grouped(_ n: Int) -> String {
            var digits = Array(String(n))
            var i = digits.count - 3
            while i > 0 {
                digits.insert(",", at: i)
                i -= 3
            }
            return String(digits)
        }
        Terminal.print(
            """
            \(model)
              layers \(c.layers), width \(c.width), \(c.heads) query heads of \(c.headDim) sharing one key and value head, \
            feed-forward \(c.feedForward), vocabulary \(grouped(c.vocabularySize))
              \(c.norm.rawValue) eps \(c.normEps), RoPE theta \(c.ropeTheta) \(c.ropeLayout.rawValue), attention scale \
            \(c.attentionScale.rawValue), logit scale \(c.logitScale.rawValue), \(c.tieEmbeddings ? "tied" : "separate") \
            embeddings, parallel blocks, SwiGLU

            """)
        let nameWidth = rows.map(\.name.count).max()! + 2
        Terminal.print(
            "  " + pad("parameter", nameWidth) + pad("shape", 18) + pad("tensors", 8, left: true)
                + pad("parameters", 20, left: true))
        for row in rows {
            Terminal.print(
                "  " + pad(row.name, nameWidth) + pad("\(row.shape)", 18) + pad("\(row.count)", 8, left: true)
                    + pad(grouped(row.parameters), 20, left: true))
        }
        Terminal.print("  " + pad("total", nameWidth + 26) + pad(grouped(c.parameterCount), 20, left: true))
        Terminal.print(
            "  " + pad("without norms", nameWidth + 26) + pad(grouped(c.parameterCountWithoutNorms), 20, left: true))
        let training = c.trainingFLOPsPerToken(sequenceLength: sequenceLength)
        Terminal.print(
            """

              FLOPs a token at sequence length \(sequenceLength): training \(String(format: "%.4g", training)), forward \
            \(String(format: "%.4g", training / 3)) (6 N + 12 L H Q T, attention in full)
              weights: \(Format.bytes(4 * c.parameterCount)) in float32, \(Format.bytes(2 * c.parameterCount)) in bfloat16
              KV cache: \(grouped(c.keyValueBytesPerToken())) bytes a token in bfloat16, \
            \(Format.bytes(c.keyValueBytesPerToken() * sequenceLength)) for \(sequenceLength) tokens
            """)
    }
}
