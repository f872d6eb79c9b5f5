import Foundation
import Martlet
import MartletData
import MartletModels
import MartletNN
import Testing

/// Sizes and costs against the paper's tables.
@Suite struct PaLMCountsTests {
    struct Published: Sendable, CustomTestStringConvertible {
        let name: String
        let layers: Int, heads: Int, width: Int
        let withoutNorms: Int, withNorms: Int
        /// Table 1, in billions.
        let billions: Double
        /// Table 22, TFLOP a token of training.
        let teraFLOP: Double
        /// bfloat16.
        let cacheBytes: Int
        var testDescription: String { name }
    }

    static let published = [
        Published(
            name: "palm-8b", layers: 32, heads: 16, width: 4096, withoutNorms: 8_631_877_632,
            withNorms: 8_632_012_800, billions: 8.63, teraFLOP: 0.0550, cacheBytes: 32768),
        Published(
            name: "palm-62b", layers: 64, heads: 32, width: 8192, withoutNorms: 62_495_129_600,
            withNorms: 62_495_662_080, billions: 62.50, teraFLOP: 0.388, cacheBytes: 65536),
        Published(
            name: "palm-540b", layers: 118, heads: 48, width: 18432, withoutNorms: 540_354_281_472,
            withNorms: 540_356_474_880, billions: 540.35, teraFLOP: 3.28, cacheBytes: 120_832),
    ]

    @Test(arguments: published)
    func presetsOfThePaper(_ p: Published) throws {
        let c = try #require(PaLMPreset.named(p.name)).configuration()
        try c.validate()
        #expect(c.layers == p.layers && c.heads == p.heads && c.width == p.width)
        #expect(c.headDim == 256 && c.feedForward == 4 * p.width && c.vocabularySize == 256_000)
        #expect(c.parameterCount == p.withNorms)
        #expect(c.parameterCountWithoutNorms == p.withoutNorms)
        #expect(abs(Double(c.parameterCountWithoutNorms) / 1e9 - p.billions) < 0.006)
        let flops = c.trainingFLOPsPerToken(sequenceLength: 2048)
        #expect(flops == 6 * Double(p.withoutNorms) + Double(12 * p.layers * p.heads * 256 * 2048))
        #expect(abs(flops / 1e12 / p.teraFLOP - 1) < 0.002)
        #expect(abs(c.forwardFLOPsPerToken(sequenceLength: 2048) * 3 / flops - 1) < 1e-12)
        #expect(c.keyValueBytesPerToken() == p.cacheBytes)
        #expect(c.keyValueBytesPerToken(elementSize: 4) == 2 * p.cacheBytes)
    }

    /// Reads the numbers of parameters off the name: "palm-350m".
    @Test(arguments: PaLMPreset.all.map(\.name).filter { $0.hasSuffix("m") })
    func smallPresetsKeepTheirName(_ name: String) throws {
        let preset = try #require(PaLMPreset.named(name))
        #expect(preset.heads * preset.headDim == preset.width)
        let c = try preset.configuration(vocabularySize: 1000)
        #expect(c.feedForward == 4 * c.width)
        let millions = Double(c.parameterCount - c.vocabularySize * c.width) / 1e6
        let named = try #require(Double(name.dropFirst(5).dropLast()))
        #expect(millions > 0.7 * named && millions < 1.35 * named, "\(millions)")
    }

    @Test func namesAreFoundInAnyCase() {
        #expect(PaLMPreset.named("PaLM-540B")?.layers == 118)
        #expect(PaLMPreset.named("palm-7b") == nil)
        #expect(Set(PaLMPreset.all.map(\.name)).count == PaLMPreset.all.count)
    }

    @Test(arguments: [true, false], [true, false])
    func tableIsTheModels(tied: Bool, qkNorm: Bool) {
        let model = tinyModel(vocabulary: 30) {
            $0.tieEmbeddings = tied
            $0.qkNorm = qkNorm
        }
        let c = model.configuration
        #expect(model.parameterCount == c.parameterCount)
        var shapes: [String: [Int]] = [:]
        for (name, parameter) in model.namedParameters() { shapes[name] = parameter.shape }
        var named = 0
        for row in c.parameterTable {
            for layer in 0..<row.count {
                let name = row.name.replacingOccurrences(of: "*", with: String(layer))
                #expect(shapes[name] == row.shape, "\(name)")
                named += 1
            }
        }
        #expect(named == shapes.count)
        let cache = model.makeCache(starts: [0, 0], capacity: 10)
        #expect((try? cache.reserve(10)) != nil)
        #expect(cache.byteCount == 20 * c.keyValueBytesPerToken(elementSize: 4))
        #expect(
            model.trainingFLOPsPerToken(sequenceLength: 64)
                == 6 * Double(c.parameterCountWithoutNorms) + 12.0 * 2 * 16 * 64)
    }
}

@Suite struct PaLMConfigurationTests {
    @Test func impossibleShapesAreNamed() {
        func problem(_ change: (inout PaLMConfiguration) -> Void) -> String {
            var c = PaLMConfiguration(vocabularySize: 10, width: 8, layers: 1, heads: 1, headDim: 8)
            change(&c)
            return message { try c.validate() }
        }
        #expect(problem { _ in } == "no error")
        #expect(problem { $0.vocabularySize = 0 } == "the model's vocabularySize must be in 1...268435456, it is 0")
        #expect(problem { $0.layers = -2 } == "the model's layers must be in 1...16384, it is -2")
        #expect(problem { $0.headDim = 7 } == "the model's headDim must be even for rotary positions, it is 7")
        #expect(problem { $0.normEps = 0 }.contains("normEps"))
        #expect(problem { $0.normEps = .nan }.contains("normEps"))
        #expect(problem { $0.ropeTheta = 1 }.contains("ropeTheta"))
        #expect(problem { $0.dropout = 1 }.contains("dropout"))
        #expect(problem { $0.feedForward = 0 }.contains("feedForward"))
        #expect(problem { $0.residualScale = .infinity }.contains("residualScale"))
    }

    @Test func absentKeysTakeThePapersReading() throws {
        let json = #"{"vocabularySize": 10, "width": 8, "layers": 1, "heads": 3, "headDim": 4}"#
        let c = try JSONDecoder().decode(PaLMConfiguration.self, from: Data(json.utf8))
        #expect(c == PaLMConfiguration(vocabularySize: 10, width: 8, layers: 1, heads: 3, headDim: 4))
        #expect(c.feedForward == 32 && c.norm == .layernorm && c.tieEmbeddings && !c.qkNorm && c.dropout == 0)
        #expect(c.attentionScale == .inverseSqrtHeadDim && c.logitScale == .inverseSqrtWidth)
        let again = try JSONDecoder().decode(PaLMConfiguration.self, from: JSONEncoder().encode(c))
        #expect(again == c)
    }

    @Test func presetsWithoutAVocabularyAskForOne() {
        #expect(message { _ = try PaLMPreset.named("palm-1m")!.configuration() }.contains("give its size"))
    }

    /// N(0, 1 / fan-in) for kernels, N(0, 1) for the embedding, ones for norms.
    @Test func initialisationIsThePapers() {
        let model = PaLM(
            PaLMConfiguration(vocabularySize: 500, width: 64, layers: 1, heads: 2, headDim: 64),
            generator: Generator(seed: 11))
        for (name, parameter) in model.namedParameters() {
            let v = parameter.doubles
            let deviation = (v.reduce(0) { $0 + $1 * $1 } / Double(v.count)).squareRoot()
            if name.hasSuffix("norm.weight") {
                #expect(v.allSatisfy { $0 == 1 }, "\(name)")
            } else {
                let expected = name == "embedding.weight" ? 1 : 1 / Double(parameter.shape[1]).squareRoot()
                #expect(abs(deviation / expected - 1) < 0.05, "\(name)")
            }
        }
    }

    /// Every named choice changes the result, and only the paper's reading is the default.
    @Test func optionsTakeEffect() {
        let tokens = Tensor([1, 5, 3, 9, 256, 7, 8], shape: [1, 7])
        func logits(_ change: (inout PaLMConfiguration) -> Void = { _ in }) -> Tensor {
            let model = tinyModel(change: change).eval()
            model.documentEnd = 256
            return noGrad { model(tokens) }
        }
        let plain = logits()
        #expect(relativeError(logits(), plain) == 0)
        let changes: [(String, (inout PaLMConfiguration) -> Void)] = [
            ("norm", { $0.norm = .rmsnorm }), ("ropeTheta", { $0.ropeTheta = 100 }),
            ("ropeLayout", { $0.ropeLayout = .interleaved }), ("attentionScale", { $0.attentionScale = .none }),
            ("logitScale", { $0.logitScale = .none }), ("tieEmbeddings", { $0.tieEmbeddings = false }),
            ("qkNorm", { $0.qkNorm = true }), ("residualScale", { $0.residualScale = 0.5 }),
            ("crossDocumentAttention", { $0.crossDocumentAttention = false }), ("normEps", { $0.normEps = 0.1 }),
        ]
        for (name, change) in changes { #expect(relativeError(logits(change), plain) > 1e-4, "\(name)") }
        let scaled = logits { $0.logitScale = .none }
        #expect(relativeError(scaled, plain * 4.0) < 1e-6)
    }

    /// With attention cut at documents' ends, each document gives the logits that it gives alone.
    @Test func documentsCanBeKeptApart() {
        let model = tinyModel { $0.crossDocumentAttention = false }.eval()
        model.documentEnd = 256
        noGrad {
            let both = model(Tensor([1, 5, 3, 256, 9, 7, 8], shape: [1, 7]))
            let first = model(Tensor([1, 5, 3, 256], shape: [1, 4]))
            #expect(relativeError(both.narrow(1, start: 0, length: 4), first) < 1e-5)
            // Positions go on over the end, but rotary attention sees differences only.
            let second = model(Tensor([9, 7, 8], shape: [1, 3]))
            #expect(relativeError(both.narrow(1, start: 4, length: 3), second) < 1e-5)
        }
    }

    @Test func causal() {
        let model = tinyModel().eval()
        noGrad {
            let a = model(Tensor([1, 2, 3, 4, 5], shape: [1, 5]))
            let b = model(Tensor([1, 2, 3, 9, 8], shape: [1, 5]))
            #expect(relativeError(a.narrow(1, start: 0, length: 3), b.narrow(1, start: 0, length: 3)) < 1e-6)
            #expect(relativeError(a.narrow(1, start: 3, length: 2), b.narrow(1, start: 3, length: 2)) > 1e-3)
        }
    }

    @Test func dropoutActsInTrainingOnly() {
        let model = tinyModel { $0.dropout = 0.5 }
        let tokens = Tensor([1, 2, 3], shape: [1, 3])
        noGrad {
            model.train()
            #expect(relativeError(model(tokens), model(tokens)) > 1e-3)
            model.eval()
            #expect(relativeError(model(tokens), model(tokens)) == 0)
        }
    }
}
