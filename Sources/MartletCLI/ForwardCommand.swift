import ArgumentParser
import Foundation
import Martlet
import MartletModels
import MartletNN
import MartletTraining

struct ForwardCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forward",
        abstract: "Runs a model on tokens from a file: the door for comparisons with other software.",
        discussion: """
            INPUTS is a safetensors file with `tokens` [batch, time], and `targets` of the same shape for a loss; without \
            targets each token's target is the next, and the last has none. OUTPUTS gets `logits` [batch, time, vocabulary], \
            `loss` (with z-loss) and `crossEntropy`, and with --gradients `gradient.NAME` for each parameter.

            Example: martlet forward --checkpoint model --inputs in.safetensors --outputs out.safetensors --gradients
            """)

    @OptionGroup var model: CheckpointOption
    @Option(help: "A safetensors file with tokens.")
    var inputs: String
    @Option(help: "Where to write the results.")
    var outputs: String
    @Flag(help: "Also write the gradient of the loss by each parameter.")
    var gradients = false
    @Option(parsing: .unconditional, help: "The coefficient of log²Z in the loss.")
    var zLoss = 1e-4
    @Flag(help: "Replace a file that is there.")
    var overwrite = false

    func run() throws {
        if !overwrite && FileManager.default.fileExists(atPath: outputs) {
            throw MartletError(.file, "\(outputs) exists: give --overwrite to replace it, or another --outputs")
        }
        if !(zLoss.isFinite && zLoss >= 0) {
            throw MartletError(.configuration, "--z-loss must be a finite number of 0 or more, it is \(zLoss)")
        }
        let contents = try model.load()
        let model = contents.model
        if !contents.configuration.crossDocumentAttention && contents.tokenizer == nil {
            throw MartletError(
                .mismatch,
                "\(try self.model.folder()): attention stops where documents end (crossDocumentAttention is false), so "
                    + "the tokenizer is needed, which says what token ends one; the folder has none")
        }
        if gradients && model.hasQuantizedWeights {
            throw MartletError(.configuration, "--gradients: quantised weights have none")
        }
        let file = try SafeTensors.load(inputs)
        func integers(_ name: String) throws -> Tensor? {
            guard let tensor = file[name] else { return nil }
            if !tensor.dtype.isInteger || tensor.rank != 2 {
                throw MartletError(
                    .format,
                    "\(inputs): '\(name)' must be integers of two dimensions, found \(tensor.dtype) of shape \(tensor.shape)"
                )
            }
            return tensor.to(.int64)
        }
        guard let tokens = try integers("tokens") else {
            throw MartletError(
                .format,
                "\(inputs) has no 'tokens'; found: \(file.names.isEmpty ? "nothing" : file.names.joined(separator: ", "))"
            )
        }
        if tokens.count == 0 {
            throw MartletError(.format, "\(inputs): 'tokens' is empty, its shape is \(tokens.shape)")
        }
        let high = tokens.max().item(Int.self)
        let low = tokens.min().item(Int.self)
        if low < 0 || high >= model.vocabularySize {
            throw MartletError(
                .mismatch,
                "\(inputs): token \(low < 0 ? low : high) is outside the model's vocabulary, 0..<\(model.vocabularySize)"
            )
        }
        let given = try integers("targets")
        if let given {
            let outside = (given .< 0).logicalOr(given .>= Double(model.vocabularySize))
            let wrong = outside.logicalAnd(given .!= -100)
            if wrong.any().item() != 0 {
                let first = given.maskedSelect(wrong)[0].item(Int.self)
                throw MartletError(
                    .mismatch,
                    "\(inputs): target \(first) is outside the model's vocabulary, 0..<\(model.vocabularySize) (-100 "
                        + "for none)")
            }
        }
        if let given, given.shape != tokens.shape {
            throw MartletError(.format, "\(inputs): 'targets' has the shape \(given.shape), 'tokens' \(tokens.shape)")
        }
        let (rows, time) = (tokens.size(0), tokens.size(1))
        try Memory.require(
            model.forwardBytes(rows: rows, time: time, gradients: gradients),
            for: "a pass over \(rows) sequence\(rows == 1 ? "" : "s") of \(time) tokens",
            remedy: "give fewer or shorter sequences at once")
        let targets =
            given
            ?? Tensor.cat(
                [tokens.narrow(1, start: 1, length: time - 1), Tensor.full([tokens.size(0), 1], -100, dtype: .int64)],
                dim: 1)
        model.eval()
        var results: [(String, Tensor)] = [("logits", noGrad { model(tokens) })]
        func losses() -> (loss: Tensor, crossEntropy: Tensor) { model.loss(tokens, targets: targets, zLoss: zLoss) }
        let (loss, entropy) = gradients ? losses() : noGrad { losses() }
        results.append(("loss", loss.detach()))
        results.append(("crossEntropy", entropy))
        if gradients {
            loss.backward()
            for (name, parameter) in model.namedParameters() {
                results.append(("gradient." + name, parameter.grad ?? Tensor.zeros(like: parameter)))
            }
        }
        try SafeTensors.save(results, to: outputs, metadata: [:])
        Terminal.print("\(outputs): loss \(loss.item()), cross-entropy \(entropy.item())")
    }
}
