import ArgumentParser
import Foundation
import Martlet
import MartletModels
import MartletNN

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures speed: one JSON line a row, on standard output.",
        discussion: """
            A benchmark runs by itself, with inputs of its own. Times are wall-clock seconds; where something is repeated, \
            the median counts. Other programs that compute at the same time make the figures worthless.

            To compare with PyTorch and others in one run, see Benchmarks/README.md.
            """,
        subcommands: [
            PaLMTrainBench.self, EagerOverheadBench.self, OpsBench.self, GenerateBench.self, LoaderBench.self,
            MatmulBench.self,
        ])
}

/// What every benchmark takes.
struct BenchThreads: ParsableArguments {
    @Option(parsing: .unconditional, help: "Threads to compute with: OMP_NUM_THREADS, or all processors, unless given.")
    var threads: Int?

    func apply() throws {
        guard let threads else { return }
        try Bench.require(threads >= 1, "--threads must be at least 1, it is \(threads)")
        try Bench.require(threads <= 4096, "--threads must be at most 4096, it is \(threads)")
        CPU.threadCount = threads
    }
}

/// The PaLM that a benchmark runs, with random weights.
struct BenchModel: ParsableArguments {
    @Option(help: "The type of the weights and activations: float32 or bfloat16 (short f32, bf16).")
    var dtype = "bf16"
    @Option(parsing: .unconditional, help: "The model's width, d_model.")
    var width = 512
    @Option(parsing: .unconditional, help: "The number of blocks.")
    var layers = 8
    @Option(parsing: .unconditional, help: "The number of query heads; one key and one value head serve them all.")
    var heads = 8
    @Option(parsing: .unconditional, help: "The size of a head.")
    var headDim = 64
    @Option(parsing: .unconditional, help: "The number of token ids, rows of the embedding.")
    var vocab = 8192

    func type() throws -> DType { try Bench.floatingPoint(dtype) }

    /// - Parameters:
    ///   - copies: of the weights in float32 that are needed beside them: gradients, the optimizer's state.
    ///   - rows: sequences that go through the model at once, of `time` tokens each; their activations count.
    ///   - keeps: whether activations of every block are kept, for a backward pass.
    func make(copies: Int, rows: Int, time: Int, keeps: Bool) throws -> PaLM {
        let type = try type()
        try Bench.requireSizes(["--width": width])
        let configuration = PaLMConfiguration(
            vocabularySize: vocab, width: width, layers: layers, heads: heads, headDim: headDim)
        try configuration.validate()
        let activations =
            keeps
            ? configuration.trainingBytes(
                bytesPerParameter: 0, activationBytes: type.byteSize, rows: rows, time: time, recomputes: false) : 0
        try Memory.require(
            Double(configuration.parameterCount) * Double(4 * copies + type.byteSize) + activations,
            for: "a model of \(configuration.parameterCount) parameters with \(rows * time) tokens at once",
            remedy: "take smaller sizes")
        let model = PaLM(configuration, generator: Generator(seed: 0))
        if type != .float32 { model.to(type) }
        return model
    }
}

enum Bench {
    static func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
        if !condition { throw MartletError(.configuration, message()) }
    }

    /// Throws where a size is not in 1 ... 2³¹ - 1, so that products of two are within 64 bits.
    static func requireSizes(_ sizes: KeyValuePairs<String, Int>) throws {
        for (name, size) in sizes {
            try require(size >= 1, "\(name) must be at least 1, it is \(size)")
            try require(size <= Int(Int32.max), "\(name) must be at most \(Int32.max), it is \(size)")
        }
    }

    /// Throws where tensors of these shapes do not fit into memory together.
    static func requireMemory(_ shapes: [[Int]], of type: DType, for what: @autoclosure () -> String) throws {
        let bytes = shapes.reduce(0) { $0 + $1.reduce(Double(type.byteSize)) { $0 * Double($1) } }
        try Memory.require(bytes, for: what(), remedy: "take smaller sizes")
        // Where the system does not tell what it has.
        try require(bytes < 0x1p62, "\(what()) needs \(bytes) bytes, more than can be counted: take smaller sizes")
    }

    static func floatingPoint(_ name: String) throws -> DType {
        guard let type = DType(name: name), type.isFloatingPoint else {
            throw MartletError(.configuration, "--dtype \(name): expected float32, bfloat16, float16 or float64")
        }
        return type
    }

    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        let n = sorted.count
        return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2
    }

    static func seconds(_ body: () throws -> Void) rethrows -> Double {
        let start = ContinuousClock.now
        try body()
        let d = start.duration(to: .now).components
        return Double(d.seconds) + Double(d.attoseconds) * 1e-18
    }

    /// The median time of a call, over batches of calls that are long enough for the clock.
    static func secondsPerCall(within budget: Double, _ body: () -> Void) -> Double {
        let calls = batch(of: body, within: budget)
        var times: [Double] = []
        var total = 0.0
        while total < budget || times.count < 5 {
            let time = seconds { for _ in 0..<calls { body() } }
            total += time
            times.append(time / Double(calls))
        }
        return median(times)
    }

    /// The median of the time of a call of `first` over that of `second`, from one pair of batches to the next.
    static func timeRatio(within budget: Double, of first: () -> Void, to second: () -> Void) -> Double {
        let calls = (batch(of: first, within: budget), batch(of: second, within: budget))
        var ratios: [Double] = []
        var total = 0.0
        while total < 2 * budget || ratios.count < 7 {
            let a = seconds { for _ in 0..<calls.0 { first() } }
            let b = seconds { for _ in 0..<calls.1 { second() } }
            total += a + b
            ratios.append(a / Double(calls.0) / (b / Double(calls.1)))
        }
        return median(ratios)
    }

    /// How many calls of `body` are long enough for the clock.
    private static func batch(of body: () -> Void, within budget: Double) -> Int {
        body()
        var calls = 1
        while seconds({ for _ in 0..<calls { body() } }) < budget / 30 { calls *= 2 }
        return calls
    }

    /// A use of `value` that the compiler cannot see through.
    @inline(never) @_optimize(none) static func keep(_ value: Tensor) {}

    /// Prints a row.
    static func emit(_ record: some Encodable) throws {
        Terminal.print(try Terminal.json(record, snakeCase: true))
    }
}
