import ArgumentParser
import Foundation
import Martlet

struct MatmulBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "matmul", abstract: "Matrix products [M, K] x [K, N]: the rate that training is measured against.",
        discussion: """
            One line a product. A linear layer of I inputs and O outputs on R rows has three products, with weights \
            stored as [O, I]: forward RxIxO with the second operand transposed (nt), the gradient of its input RxOxI (nn), \
            and that of its weight OxRxI with the first operand transposed (tn).

            Example: martlet bench matmul --dtype bf16 --shape 4096x512x2048nt --shape 2048x4096x512tn
            """)

    @Option(help: "float32, bfloat16, float16 or float64 (short f32, bf16, f16, f64).")
    var dtype = "bf16"
    @Option(parsing: .unconditional, help: "Rows of the result.")
    var m = 4096
    @Option(parsing: .unconditional, help: "The length of the sums.")
    var k = 512
    @Option(parsing: .unconditional, help: "Columns of the result.")
    var n = 2048
    @Flag(help: "The first operand lies transposed in memory.")
    var transposeA = false
    @Flag(help: "The second operand lies transposed in memory.")
    var transposeB = false
    @Option(
        help: ArgumentHelp(
            "A product, in place of --m, --k, --n; may be given again. nn, nt, tn or tt: which operands lie transposed.",
            valueName: "MxKxN[nt]"))
    var shape: [String] = []
    @Option(parsing: .unconditional, help: "Times to run each product; the median counts.")
    var steps = 20
    @OptionGroup var threads: BenchThreads

    struct Product: Equatable {
        let m, k, n: Int
        let transposeA, transposeB: Bool

        init(m: Int, k: Int, n: Int, transposeA: Bool, transposeB: Bool) throws {
            try Bench.requireSizes(["the product's M": m, "the product's K": k, "the product's N": n])
            (self.m, self.k, self.n) = (m, k, n)
            (self.transposeA, self.transposeB) = (transposeA, transposeB)
        }

        init(parsing text: String) throws {
            let layout = ["nn", "nt", "tn", "tt"].first { text.hasSuffix($0) }
            let numbers = text.dropLast(layout == nil ? 0 : 2)
            let sizes = numbers.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
            guard sizes.count == 3, let m = sizes[0], let k = sizes[1], let n = sizes[2] else {
                throw MartletError(
                    .configuration,
                    "--shape \(text): expected MxKxN, as 4096x512x2048, with nn, nt, tn or tt behind it")
            }
            try self.init(m: m, k: k, n: n, transposeA: layout?.first == "t", transposeB: layout?.last == "t")
        }
    }

    struct Record: Encodable {
        let name = "matmul"
        let framework = "martlet"
        let dtype: String
        let m, k, n: Int
        let transposeA, transposeB: Bool
        let threads: Int
        let isa: String
        let seconds: Double
        let gflops: Double
    }

    func run() throws {
        try Bench.require(steps >= 1, "--steps must be at least 1, it is \(steps)")
        let type = try Bench.floatingPoint(dtype)
        let products =
            shape.isEmpty
            ? [try Product(m: m, k: k, n: n, transposeA: transposeA, transposeB: transposeB)]
            : try shape.map { try Product(parsing: $0) }
        try threads.apply()
        let g = Generator(seed: 0)
        for p in products {
            try Bench.requireMemory(
                [[p.m, p.k], [p.k, p.n], [p.m, p.n]], of: type, for: "the product \(p.m) x \(p.k) x \(p.n)")
            let a = Tensor.randn(p.transposeA ? [p.k, p.m] : [p.m, p.k], generator: g).to(type)
            let b = Tensor.randn(p.transposeB ? [p.n, p.k] : [p.k, p.n], generator: g).to(type)
            let x = p.transposeA ? a.T : a
            let y = p.transposeB ? b.T : b
            for _ in 0..<3 { _ = x.matmul(y) }
            let s = Bench.median((0..<steps).map { _ in Bench.seconds { _ = x.matmul(y) } })
            try Bench.emit(
                Record(
                    dtype: "\(type)", m: p.m, k: p.k, n: p.n, transposeA: p.transposeA, transposeB: p.transposeB,
                    threads: CPU.threadCount, isa: CPU.instructionSet, seconds: s,
                    gflops: 2 * Double(p.m) * Double(p.k) * Double(p.n) / s / 1e9))
        }
    }
}
