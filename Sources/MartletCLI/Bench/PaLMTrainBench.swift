import ArgumentParser
import Foundation
import Martlet
import MartletModels
import MartletNN
import MartletTraining

struct PaLMTrainBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "palm-train", abstract: "Whole training steps of a PaLM: forward, backward, clipping, AdamW.",
        discussion: """
            Trains on one batch of random tokens and prints one line when all steps are done. In bfloat16 the optimizer \
            keeps float32 master weights and float32 moments. gflops counts 6 operations a parameter and token, and \
            attention in full, without the savings of the causal mask (PaLM, appendix B). peak_rss_bytes is the most \
            memory that the process occupied during the timed steps.

            Example: martlet bench palm-train --dtype bf16 --width 512 --layers 8 --heads 8 --batch 8 --sequence 512
            """)

    @OptionGroup var model: BenchModel
    @Option(parsing: .unconditional, help: "Sequences in a batch.")
    var batch = 8
    @Option(parsing: .unconditional, help: "Tokens in a sequence.")
    var sequence = 512
    @Option(parsing: .unconditional, help: "Steps to time.")
    var steps = 6
    @Option(parsing: .unconditional, help: "Steps before those, which create what later ones use again.")
    var warmup = 2
    @OptionGroup var threads: BenchThreads

    struct Record: Encodable {
        let name = "palm-train"
        let framework = "martlet"
        let mode = "eager"
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
        try Bench.requireSizes(["--batch": batch, "--sequence": sequence, "--steps": steps])
        try Bench.require(warmup >= 0, "--warmup must not be negative, it is \(warmup)")
        try threads.apply()
        let palm = try model.make(copies: 3, rows: batch, time: sequence, keeps: true)
        let optimizer = AdamW(palm, learningRate: 1e-3)
        let ids = Tensor.randint(0, model.vocab, [batch, sequence + 1], generator: Generator(seed: 1))
        let inputs = ids.narrow(1, start: 0, length: sequence).contiguous()
        let targets = ids.narrow(1, start: 1, length: sequence).contiguous()
        var loss = 0.0
        func step() {
            let result = palm.loss(inputs, targets: targets, zLoss: 0)
            result.loss.backward()
            optimizer.step(clippingNorm: 1)
            optimizer.zeroGrad()
            loss = result.crossEntropy.item()
        }
        for _ in 0..<warmup { step() }
        Memory.resetPeak()
        ProcessMemory.resetPeak()
        let times = (0..<steps).map { _ in Bench.seconds(step) }
        guard let peak = ProcessMemory.peakResident else {
            throw MartletError(.file, "the memory of this process is not in /proc/self/status")
        }
        let rate = Double(batch * sequence) / Bench.median(times)
        try Bench.emit(
            Record(
                dtype: "\(try model.type())", width: model.width, layers: model.layers, heads: model.heads,
                headDim: model.headDim, vocab: model.vocab, batch: batch, sequence: sequence, threads: CPU.threadCount,
                isa: CPU.instructionSet, parameters: palm.parameterCount, stepSeconds: times, tokensPerSecond: rate,
                gflops: rate * palm.trainingFLOPsPerToken(sequenceLength: sequence) / 1e9, peakRssBytes: peak,
                peakTensorBytes: Memory.statistics.peak, loss: loss))
    }
}
