import ArgumentParser
import Foundation
import Martlet

struct OpsBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ops",
        abstract: "Single ops on sizes of language models, against the bytes or products they need.",
        discussion: """
            One line an op and shape. bytes is the least that the op must move to and from memory: of each op every operand \
            once and every result once, the forward and the backward pass being two. From 128 MiB on, share_of_memory is \
            the time of a copy (for an op that only reads: of a sum) of as many bytes, called in turns with the op, over the \
            op's time, and share_of_cached the time of the same op on parts that the caches hold, taken as often as they \
            make up the whole: near 1 where the arithmetic takes the time and not the memory. Products and attention have \
            flops and gflops instead, with causal attention counted as half of all pairs.
            'forward and backward' includes the forward pass.

            Example: martlet bench ops --dtype f32 --filter softmax
            """)

    @Option(help: "The type of floating-point operands: float32 or bfloat16 (short f32, bf16).")
    var dtype = "f32"
    @Option(help: "Only rows whose op or shape contains this text.")
    var filter: String?
    @Option(parsing: .unconditional, help: "Seconds to measure each row; at least five calls are made.")
    var seconds = 0.25
    @Flag(help: "Only name the rows.")
    var list = false
    @OptionGroup var threads: BenchThreads

    struct Record: Encodable {
        let name = "ops"
        let framework = "martlet"
        let mode = "eager"
        let op: String
        let shape: String
        let dtype: String
        let threads: Int
        let isa: String
        let seconds: Double
        let bytes: Int?
        let gbPerSecond: Double?
        let shareOfMemory: Double?
        let memory: String?
        let shareOfCached: Double?
        let flops: Double?
        let gflops: Double?
    }

    func run() throws {
        try Bench.require(seconds > 0, "--seconds must be positive, it is \(seconds)")
        let type = try Bench.floatingPoint(dtype)
        try threads.apply()
        let maker = OpCases(type: type)
        let cases =
            (maker.elementwise() + maker.reductions() + maker.transformer() + maker.indexing() + maker.optimizers())
            .filter { filter == nil || $0.op.contains(filter!) || $0.shape.contains(filter!) }
        try Bench.require(!cases.isEmpty, "no op or shape contains '\(filter ?? "")'")
        for c in cases {
            if list {
                Terminal.print("\(c.op)  \(c.shape)")
                continue
            }
            let body = c.prepare()
            let time = Bench.secondsPerCall(within: seconds, body)
            let share = shareOfMemory(c, body)
            let cached = share == nil ? nil : shareOfCached(c, body)
            try Bench.emit(
                Record(
                    op: c.op, shape: c.shape, dtype: "\(type)", threads: CPU.threadCount, isa: CPU.instructionSet,
                    seconds: time, bytes: c.bytes, gbPerSecond: c.bytes.map { Double($0) / time / 1e9 },
                    shareOfMemory: share,
                    memory: share.map { _ in c.reads ? "read" : "copy" }, shareOfCached: cached, flops: c.flops,
                    gflops: c.flops.map { $0 / time / 1e9 }))
        }
    }

    /// Bytes from which on an op is compared with the memory: four times the last-level cache that cores usually share.
    private static let beyondCaches = 128 << 20

    /// The time of a copy that moves as many bytes as the op over the op's time; for an op that only reads, with the time
    /// of a sum over as many, because two cores read less at once than they copy. The two are called in turns: what a
    /// machine that others use does to one, it does to both. nil for what caches hold, and for what is bound by
    /// arithmetic.
    private func shareOfMemory(_ c: OpCase, _ body: () -> Void) -> Double? {
        guard let bytes = c.bytes, bytes >= Self.beyondCaches else { return nil }
        let from = Tensor.zeros([bytes / (c.reads ? 4 : 8)])
        let to = c.reads ? nil : Tensor.zeros(like: from)
        let move = { if let to { to.copyInPlace(from) } else { Bench.keep(from.sum()) } }
        return Bench.timeRatio(within: seconds, of: move, to: body)
    }

    /// The time that the op would take if nothing came from memory, over the time it takes; nil where it has no parts.
    private func shareOfCached(_ c: OpCase, _ body: () -> Void) -> Double? {
        guard let bytes = c.bytes, let part = c.part?((bytes + Self.partBytes - 1) / Self.partBytes) else { return nil }
        return Bench.timeRatio(within: seconds, of: part.body, to: body) * part.count
    }

    /// Bytes of a part, in the caches of two cores.
    private static let partBytes = 4 << 20
}

/// An op with its operands, made when its turn comes.
struct OpCase {
    let op: String
    let shape: String
    var bytes: Int?
    var flops: Double?
    /// Whether nearly all of `bytes` are read, as in a reduction.
    var reads = false
    /// The op on about one in so many rows of its operands, and how many such parts make up the whole; nil where a part
    /// would be too few rows to be like the whole.
    var part: ((Int) -> (body: () -> Void, count: Double)?)?
    /// Makes the operands; gives what is timed.
    let prepare: () -> () -> Void
}

/// The rows, by family. Their names are those of Benchmarks/torch_ops.py.
struct OpCases {
    let type: DType
    let generator = Generator(seed: 0)

    /// Bytes of an element.
    var e: Int { type.byteSize }

    func random(_ shape: [Int]) -> Tensor { Tensor.randn(shape, generator: generator).to(type) }

    func indices(_ bound: Int, _ shape: [Int]) -> Tensor { Tensor.randint(0, bound, shape, generator: generator) }

    func text(_ shape: [Int]) -> String { shape.map(String.init).joined(separator: "x") }

    /// A row of an op on operands of `shapes`. With `splits`, it can be done on some of the rows of the first operand and
    /// of those with as many; `fewest` of them are enough to be like the whole.
    func row(
        _ op: String, _ shape: String, _ shapes: [[Int]], bytes: Int?, reads: Bool = false, flops: Double? = nil,
        splits: Bool = true, fewest: Int = 16, _ prepare: @escaping ([[Int]]) -> () -> Void
    ) -> OpCase {
        let rows = shapes[0][0]
        let part = { (count: Int) -> (body: () -> Void, count: Double)? in
            // The caches that cores share hold a few times as much as a part should have.
            let some = max(rows / count, min(fewest, 4 * rows / count))
            return some < fewest
                ? nil
                : (
                    prepare(shapes.map { $0[0] == rows ? [some] + $0.dropFirst() : $0 }), Double(rows) / Double(some)
                )
        }
        return OpCase(op: op, shape: shape, bytes: bytes, flops: flops, reads: reads, part: splits ? part : nil) {
            prepare(shapes)
        }
    }

    /// A row of an op whose result is dropped.
    func plain(
        _ op: String, _ shape: String, _ shapes: [[Int]], bytes: Int? = nil, reads: Bool = false, flops: Double? = nil,
        splits: Bool = true, _ body: @escaping ([Tensor]) -> Tensor
    ) -> OpCase {
        row(op, shape, shapes, bytes: bytes, reads: reads, flops: flops, splits: splits) { shapes in
            let operands = shapes.map(random)
            return { Bench.keep(body(operands)) }
        }
    }

    /// A row of an op and its backward pass by all operands of `shapes`, from a gradient that is given.
    func trained(
        _ op: String, _ shape: String, _ shapes: [[Int]], bytes: Int? = nil, flops: Double? = nil,
        _ body: @escaping ([Tensor]) -> Tensor
    ) -> OpCase {
        row(op + ", forward and backward", shape, shapes, bytes: bytes, flops: flops) { shapes in
            let operands = shapes.map { Parameter(random($0)) }
            let gradient = noGrad { Tensor.ones(like: body(operands)) }
            return {
                body(operands).backward(gradient: gradient)
                for operand in operands { operand.grad = nil }
            }
        }
    }
}
