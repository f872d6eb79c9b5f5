import ArgumentParser
import Foundation
import Martlet
import MartletModels
import MartletNN
import MartletTraining

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures speed: one JSON line a benchmark.",
        subcommands: [PaLMTrain.self, Generate.self, Matmul.self])

    struct ModelOptions: ParsableArguments {
        @Option(help: "float32 or bfloat16.")
        var dtype = "bf16"
        @Option(help: "d_model.")
        var width = 512
        @Option(help: "Blocks.")
        var layers = 8
        @Option(help: "Query heads.")
        var heads = 8
        @Option(help: "The size of a head.")
        var headDim = 64
        @Option(help: "Rows of the embedding.")
        var vocab = 8192
        @Option(help: "Threads to compute with.")
        var threads: Int?

        func type() throws -> DType {
            guard let type = DType(name: dtype), type.isFloatingPoint else {
                throw MartletError(.configuration, "--dtype \(dtype): expected float32 or bfloat16")
            }
            return type
        }

        func model() throws -> PaLM {
            if let threads {
                if threads < 1 { throw MartletError(.configuration, "--threads must be at least 1, it is \(threads)") }
                CPU.threadCount = threads
            }
            let configuration = PaLMConfiguration(
                vocabularySize: vocab, width: width, layers: layers, heads: heads, headDim: headDim)
            try configuration.validate()
            let model = PaLM(configuration, generator: Generator(seed: 0))
            let type = try type()
            if type != .float32 { model.to(type) }
            return model
        }
    }

    static func require(_ condition: Bool, _ message: String) throws {
        if !condition { throw MartletError(.configuration, message) }
    }

    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        let n = sorted.count
        return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2
    }

    static func seconds(_ body: () -> Void) -> Double {
        let start = ContinuousClock.now
        body()
        let d = start.duration(to: .now).components
        return Double(d.seconds) + Double(d.attoseconds) * 1e-18
    }

    struct PaLMTrain: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "palm-train", abstract: "Training steps of a PaLM with AdamW on random tokens.")

        @OptionGroup var options: ModelOptions
        @Option(help: "Sequences in a batch.")
        var batch = 8
        @Option(help: "Tokens in a sequence.")
        var sequence = 512
        @Option(help: "Steps to time; one more runs first.")
        var steps = 6

        struct Record: Encodable {
            let name = "palm-train"
            let dtype: String
            let width, layers, heads, headDim, vocab, batch, sequence, threads: Int
            let isa: String
            let parameters: Int
            let stepSeconds: [Double]
            let tokensPerSecond: Double
            let gflops: Double
            let peakRssBytes: Int
            let peakTensorBytes: Int
            let loss: Double
        }

        func run() throws {
            try BenchCommand.require(
                batch >= 1 && sequence >= 1 && steps >= 1, "--batch, --sequence and --steps must be at least 1")
            let model = try options.model()
            let optimizer = AdamW(model, learningRate: 1e-3)
            let ids = Tensor.randint(0, options.vocab, [batch, sequence + 1], generator: Generator(seed: 1))
            let inputs = ids.narrow(1, start: 0, length: sequence).contiguous()
            let targets = ids.narrow(1, start: 1, length: sequence).contiguous()
            var loss = 0.0
            func step() {
                let result = model.loss(inputs, targets: targets)
                result.loss.backward()
                optimizer.step(clippingNorm: 1)
                optimizer.zeroGrad()
                loss = result.crossEntropy.item()
            }
            step()
            Memory.resetPeak()
            let times = (0..<steps).map { _ in BenchCommand.seconds(step) }
            let rate = Double(batch * sequence) / BenchCommand.median(times)
            let record = Record(
                dtype: "\(try options.type())", width: options.width, layers: options.layers, heads: options.heads,
                headDim: options.headDim, vocab: options.vocab, batch: batch, sequence: sequence,
                threads: CPU.threadCount,
                isa: CPU.instructionSet, parameters: model.parameterCount, stepSeconds: times, tokensPerSecond: rate,
                gflops: rate * model.trainingFLOPsPerToken(sequenceLength: sequence) / 1e9,
                peakRssBytes: ProcessMemory.peakResident ?? 0, peakTensorBytes: Memory.statistics.peak, loss: loss)
            Terminal.print(try Terminal.json(record, snakeCase: true))
        }
    }

    struct Generate: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "generate", abstract: "Reading a prompt and generating tokens with cached keys and values.")

        @OptionGroup var options: ModelOptions
        @Option(help: "Rows generated at once.")
        var batch = 1
        @Option(help: "Tokens in each prompt.")
        var prompt = 128
        @Option(help: "Tokens to generate.")
        var tokens = 128
        @Option(help: "Times to repeat; the median counts.")
        var repeats = 3

        struct Record: Encodable {
            let name = "generate"
            let dtype: String
            let width, layers, heads, headDim, vocab, batch, prompt, tokens, threads: Int
            let parameters: Int
            let promptTokensPerSecond: Double
            let decodeTokensPerSecond: Double
            let peakRssBytes: Int
        }

        func run() throws {
            try BenchCommand.require(
                batch >= 1 && prompt >= 1 && tokens >= 1 && repeats >= 1,
                "--batch, --prompt, --tokens and --repeats must be at least 1")
            let model = try options.model()
            model.eval()
            let ids = Tensor.randint(0, options.vocab, [batch, prompt], generator: Generator(seed: 1))
            var promptTimes: [Double] = []
            var decodeTimes: [Double] = []
            noGrad {
                for _ in 0...repeats {
                    let cache = model.makeCache(starts: Array(repeating: 0, count: batch), capacity: prompt + tokens)
                    var next = ids
                    promptTimes.append(
                        BenchCommand.seconds {
                            let hidden = model.hiddenStates(ids, cache: cache)
                            next = model.logits(ofHidden: hidden.select(1, prompt - 1)).argmax(dim: -1, keepDim: true)
                        })
                    decodeTimes.append(
                        BenchCommand.seconds {
                            for _ in 0..<tokens {
                                let hidden = model.hiddenStates(next, cache: cache)
                                next = model.logits(ofHidden: hidden.select(1, 0)).argmax(dim: -1, keepDim: true)
                            }
                        })
                }
            }
            // The first round creates what later ones use.
            let record = Record(
                dtype: "\(try options.type())", width: options.width, layers: options.layers, heads: options.heads,
                headDim: options.headDim, vocab: options.vocab, batch: batch, prompt: prompt, tokens: tokens,
                threads: CPU.threadCount, parameters: model.parameterCount,
                promptTokensPerSecond: Double(batch * prompt) / BenchCommand.median(Array(promptTimes.dropFirst())),
                decodeTokensPerSecond: Double(batch * tokens) / BenchCommand.median(Array(decodeTimes.dropFirst())),
                peakRssBytes: ProcessMemory.peakResident ?? 0)
            Terminal.print(try Terminal.json(record, snakeCase: true))
        }
    }

    struct Matmul: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "matmul",
            abstract: "A matrix product [M, K] x [K, N]: the rate that training is measured against.")

        @Option(help: "float32, bfloat16 or float64.")
        var dtype = "bf16"
        @Option var m = 4096
        @Option var k = 512
        @Option var n = 2048
        @Flag(help: "The first operand lies transposed in memory.")
        var transposeA = false
        @Flag(help: "The second operand lies transposed in memory.")
        var transposeB = false
        @Option(help: "Products to time.")
        var steps = 20

        struct Record: Encodable {
            let name = "matmul"
            let dtype: String
            let m, k, n: Int
            let transposeA, transposeB: Bool
            let seconds: Double
            let gflops: Double
        }

        func run() throws {
            try BenchCommand.require(
                m >= 1 && k >= 1 && n >= 1 && steps >= 1, "--m, --k, --n and --steps must be at least 1")
            guard let type = DType(name: dtype), type.isFloatingPoint else {
                throw MartletError(.configuration, "--dtype \(dtype): expected float32, bfloat16 or float64")
            }
            let g = Generator(seed: 0)
            let a = Tensor.randn(transposeA ? [k, m] : [m, k], generator: g).to(type)
            let b = Tensor.randn(transposeB ? [n, k] : [k, n], generator: g).to(type)
            let x = transposeA ? a.T : a
            let y = transposeB ? b.T : b
            _ = x.matmul(y)
            let times = (0..<steps).map { _ in BenchCommand.seconds { _ = x.matmul(y) } }
            let s = BenchCommand.median(times)
            Terminal.print(
                try Terminal.json(
                    Record(
                        dtype: "\(type)", m: m, k: k, n: n, transposeA: transposeA, transposeB: transposeB, seconds: s,
                        gflops: 2 * Double(m) * Double(k) * Double(n) / s / 1e9)))
        }
    }
}
