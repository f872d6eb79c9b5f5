public import Martlet
public import MartletData
public import MartletNN

// A model on disk: a folder with
//
//     config.json          architecture, configuration, tokenizer
//     model.safetensors    weights by parameter name
//     tokenizer.model      the SentencePiece model (absent for the byte tokenizer)
#if canImport(FoundationEssentials)
internal import FoundationEssentials
#else
internal import Foundation
#endif

/// Reads and writes model folders.
public enum ModelFolder {
    /// config.json.
    public struct Configuration: Codable, Sendable, Equatable {
        public var architecture: String
        public var model: PaLMConfiguration
        public var tokenizer: TokenizerReference?
        /// How weights are stored; absent where they are floating-point.
        public var quantization: WeightQuantization?

        public init(model: PaLMConfiguration, tokenizer: TokenizerReference?, quantization: WeightQuantization? = nil) {
            architecture = "palm"
            self.model = model
            self.tokenizer = tokenizer
            self.quantization = quantization
        }
    }

    /// What config.json says of the tokenizer.
    public struct TokenizerReference: Codable, Sendable, Equatable {
        /// "sentencepiece" or "bytes".
        public var kind: String
        public var fingerprint: String
    }

    /// A model with what is needed to use it.
    public struct Contents {
        public let model: PaLM
        public let configuration: PaLMConfiguration
        /// nil when the folder has none.
        public let tokenizer: (any Tokenizer)?
    }

    static let configurationName = "config.json"
    public static let weightsName = "model.safetensors"
    static let tokenizerName = "tokenizer.model"
    /// Every file of a model.
    public static let fileNames = [configurationName, weightsName, tokenizerName]

    /// Writes the configuration and the tokenizer into an existing folder.
    public static func writeConfiguration(
        _ configuration: PaLMConfiguration, tokenizer: (any Tokenizer)?, quantization: WeightQuantization? = nil,
        to folder: String
    ) throws {
        var reference: TokenizerReference?
        if let tokenizer {
            if let sentencePiece = tokenizer as? SentencePieceTokenizer {
                try sentencePiece.save(to: folder + "/" + tokenizerName)
                reference = TokenizerReference(
                    kind: "sentencepiece", fingerprint: tokenizer.fingerprint.description)
            } else {
                reference = TokenizerReference(kind: "bytes", fingerprint: tokenizer.fingerprint.description)
            }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let data = try encoder.encode(
            Configuration(model: configuration, tokenizer: reference, quantization: quantization))
        let writer = try AtomicFileWriter(path: folder + "/" + configurationName)
        try writer.write([UInt8](data))
        try writer.commit()
    }

    /// Writes a whole model.
    public static func save(_ model: PaLM, tokenizer: (any Tokenizer)?, to folder: String) throws {
        try makeDirectory(folder)
        // The largest first: where there is no space for it, the rest stays as it was.
        try model.save(to: folder + "/" + weightsName, metadata: ["format": "pt"])
        try writeConfiguration(
            model.configuration, tokenizer: tokenizer, quantization: model.weightQuantization, to: folder)
    }

    /// The configuration of the model in `folder`.
    public static func configuration(_ folder: String) throws -> Configuration {
        let path = folder + "/" + configurationName
        guard let data = FileManager.default.contents(atPath: path) else {
            throw MartletError(
                .file,
                "\(folder) holds no model: expected the file \(configurationName) there, it is missing or unreadable")
        }
        struct Head: Decodable { var architecture: String? }
        let decoder = JSONDecoder()
        let head: Head
        do { head = try decoder.decode(Head.self, from: data) } catch {
            throw MartletError(.format, "\(path) is not a JSON object: \(describe(error))")
        }
        guard head.architecture == "palm" else {
            throw MartletError(
                .mismatch,
                "\(path) describes a model of architecture "
                    + "\(head.architecture.map { "'\($0)'" } ?? "(none given)"); expected 'palm'"
            )
        }
        let configuration: Configuration
        do { configuration = try decoder.decode(Configuration.self, from: data) } catch {
            throw MartletError(.format, "\(path) is not a usable configuration: \(describe(error))")
        }
        do { try configuration.model.validate() } catch {
            throw MartletError(.configuration, "\(path): \(error)")
        }
        return configuration
    }

    private static func describe(_ error: any Error) -> String {
        func path(_ context: DecodingError.Context) -> String {
            context.codingPath.map(\.stringValue).joined(separator: ".")
        }
        switch error as? DecodingError {
        case .keyNotFound(let key, let context):
            let prefix = path(context)
            return "the key '\(prefix.isEmpty ? "" : prefix + ".")\(key.stringValue)' is missing"
        case .typeMismatch(let type, let context): return "'\(path(context))' is not of type \(type)"
        case .valueNotFound(let type, let context): return "'\(path(context))' is null, expected \(type)"
        case .dataCorrupted(let context):
            let at = path(context)
            return (at.isEmpty ? "" : "'\(at)': ") + context.debugDescription
        default: return "\(error)"
        }
    }

    /// The tokenizer of the model in `folder`, checked against what the model was made with.
    public static func tokenizer(_ folder: String, _ reference: TokenizerReference) throws -> any Tokenizer {
        let tokenizer: any Tokenizer =
            reference.kind == "bytes" ? ByteTokenizer() : try SentencePieceTokenizer(path: folder + "/" + tokenizerName)
        if tokenizer.fingerprint.description != reference.fingerprint {
            throw MartletError(
                .mismatch,
                "the tokenizer in \(folder) is not the model's: expected fingerprint "
                    + "\(reference.fingerprint.prefix(12)), found " + tokenizer.fingerprint.short)
        }
        return tokenizer
    }

    /// Loads the model in `folder`.
    ///
    /// - Parameter dtype: converts the weights; as stored unless given.
    public static func load(_ folder: String, dtype: DType? = nil) throws -> Contents {
        let configuration = try configuration(folder)
        let file = try SafeTensorsFile(folder + "/" + weightsName)
        // The last norm is of the type that the model computes in, whatever weights are stored as.
        let stored = file.entry("norm.weight")?.dtype ?? .float32
        if !stored.isFloatingPoint {
            throw MartletError(.format, "\(folder)/\(weightsName): norm.weight is of type \(stored)")
        }
        let count = file.names.filter { configuration.quantization == nil || !$0.hasSuffix(".scale") }
            .reduce(0) { sum, name in
                let entry = file.entry(name)!
                // Two to a byte.
                return sum + entry.shape.reduce(1, *) * (entry.dtype == .uint8 ? 2 : 1)
            }
        if configuration.model.parameterCount != count {
            throw MartletError(
                .mismatch,
                "\(folder): \(configurationName) describes a model of \(configuration.model.parameterCount) parameters, "
                    + "\(weightsName) holds \(count)")
        }
        try Memory.require(
            Double(count) * Double(max(stored.byteSize, dtype?.byteSize ?? 0)),
            for: "a model of \(count) parameters", remedy: "convert it to a smaller type, or take a smaller model")
        // The weights are replaced right away: zeros would do, but a model is always made whole.
        let model = PaLM(configuration.model, dtype: stored, generator: Generator(seed: 0))
        if let quantization = configuration.quantization { model.quantizeWeights(quantization) }
        do { _ = try model.load(file.names.map { ($0, try file.tensor($0)) }, strict: true) } catch let error
            as MartletError where error.kind == .mismatch
        {
            throw MartletError(.mismatch, "\(folder)/\(weightsName): \(error.message)")
        }
        if let dtype, dtype != stored { model.to(dtype) }
        let tokenizer = try configuration.tokenizer.map { try self.tokenizer(folder, $0) }
        model.documentEnd = tokenizer.map { Int($0.eodID) }
        return Contents(model: model, configuration: configuration.model, tokenizer: tokenizer)
    }
}
