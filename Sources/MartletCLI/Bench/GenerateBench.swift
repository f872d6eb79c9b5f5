import ArgumentParser
import Foundation
import Martlet
import MartletModels
import MartletNN
import MartletTraining

struct GenerateBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Reading a prompt and generating tokens with cached keys and values.",
        discussion: """
            The prompt is random tokens; each next token is the likeliest. A decoded token costs at least one reading of \
            all weights from memory, so tokens a second times the bytes of the weights shows how near to the memory's \
            bandwidth it is.

            --quantize int8 or int4 stores the weights in fewer bits; activations stay of
            --dtype.

            Example: martlet bench generate --dtype bf16 --batch 1 --prompt 128 --tokens 128
            """)

    @OptionGroup var model: BenchModel
    @Option(parsing: .unconditional, help: "Rows generated at once.")
    var batch = 1
    @Option(parsing: .unconditional, help: "Tokens in each prompt.")
    var prompt = 128
    @Option(parsing: .unconditional, help: "Tokens to generate for each row.")
    var tokens = 128
    @Option(help: "Store weights in fewer bits: int8 or int4.")
    var quantize: String?
    @Option(parsing: .unconditional, help: "Times to repeat; the median counts. One more runs first.")
    var repeats = 3
    @OptionGroup var threads: BenchThreads

    struct Record: Encodable {
        let name = "generate"
        let framework = "martlet"
        let mode = "eager"
        let dtype: String
        let weights: String
        let width, layers, heads, headDim, vocab, batch, prompt, tokens, threads: Int
        let isa: String
        let parameters: Int
        let promptSeconds: [Double]
        let decodeSeconds: [Double]
        let promptTokensPerSecond: Double
        let decodeTokensPerSecond: Double
        let peakRssBytes: Int
    }

    func run() throws {
        try Bench.requireSizes(["--batch": batch, "--prompt": prompt, "--tokens": tokens, "--repeats": repeats])
        let quantization = try quantize.map(CheckpointOption.quantization)
        try threads.apply()
        let palm = try model.make(copies: 0, rows: batch, time: prompt, keeps: false)
        try Bench.requireMemory(
            [[2, model.layers, batch, prompt + tokens, model.headDim], [4, batch, prompt, model.width]],
            of: try model.type(), for: "generating \(batch) rows of \(prompt) + \(tokens) tokens")
        palm.eval()
        if let quantization { palm.quantizeWeights(quantization) }
        let ids = Tensor.randint(0, model.vocab, [batch, prompt], generator: Generator(seed: 1))
        var promptTimes: [Double] = []
        var decodeTimes: [Double] = []
        noGrad {
            for round in 0...repeats {
                let cache = palm.makeCache(starts: Array(repeating: 0, count: batch), capacity: prompt + tokens)
                var next = ids
                let reading = Bench.seconds {
                    let hidden = palm.hiddenStates(ids, cache: cache)
                    next = palm.logits(ofHidden: hidden.select(1, prompt - 1)).argmax(dim: -1, keepDim: true)
                }
                let decoding = Bench.seconds {
                    for _ in 0..<tokens {
                        let hidden = palm.hiddenStates(next, cache: cache)
                        next = palm.logits(ofHidden: hidden.select(1, 0)).argmax(dim: -1, keepDim: true)
                    }
                }
                // The first round creates what later ones use.
                if round > 0 {
                    promptTimes.append(reading)
                    decodeTimes.append(decoding)
                }
            }
        }
        guard let peak = ProcessMemory.peakResident else {
            throw MartletError(.file, "the memory of this process is not in /proc/self/status")
        }
        try Bench.emit(
            Record(
                dtype: "\(try model.type())", weights: quantize ?? "\(try model.type())", width: model.width,
                layers: model.layers, heads: model.heads,
                headDim: model.headDim, vocab: model.vocab, batch: batch, prompt: prompt, tokens: tokens,
                threads: CPU.threadCount, isa: CPU.instructionSet, parameters: palm.configuration.parameterCount,
                promptSeconds: promptTimes, decodeSeconds: decodeTimes,
                promptTokensPerSecond: Double(batch * prompt) / Bench.median(promptTimes),
                decodeTokensPerSecond: Double(batch * tokens) / Bench.median(decodeTimes), peakRssBytes: peak))
    }
}
