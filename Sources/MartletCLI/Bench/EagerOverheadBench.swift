import ArgumentParser
import Foundation
import Glibc
import Martlet
import MartletNN

struct EagerOverheadBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eager-overhead",
        abstract: "What an op costs beside its arithmetic: ops on 4 x 4 and a thin network.",
        discussion: """
            Each row is one op on 4 x 4 float32 numbers, called in a loop; 'recorded' means that an input requires \
            gradients, so that the op is put on the tape. 'mlp' is 50 layers of 16 x 16 with ReLU on 16 rows.

            tensor_buffers counts the blocks that the tensors' own allocator hands out for a call; it keeps freed blocks, \
            so they do not reach malloc. heap_allocations counts malloc and its kin for a call, objects and arrays \
            included; it is there when the process runs with the counter of Benchmarks/malloc_counter.c:

              cc -O2 -shared -fPIC -o malloc_counter.so Benchmarks/malloc_counter.c
              LD_PRELOAD=./malloc_counter.so martlet bench eager-overhead
            """)

    @Option(help: "Only rows whose op contains this text.")
    var filter: String?
    @Option(parsing: .unconditional, help: "Seconds to measure each row.")
    var seconds = 0.3
    @OptionGroup var threads: BenchThreads

    struct Record: Encodable {
        let name = "eager-overhead"
        let framework = "martlet"
        let mode = "eager"
        let op: String
        let seconds: Double
        let tensorBuffers: Double
        let heapAllocations: Double?
        let threads: Int
    }

    func run() throws {
        try Bench.require(seconds > 0, "--seconds must be positive, it is \(seconds)")
        try threads.apply()
        let rows = Self.rows().filter { filter == nil || $0.op.contains(filter!) }
        try Bench.require(!rows.isEmpty, "no op contains '\(filter ?? "")'")
        let heap = HeapCounter()
        for (op, body) in rows {
            let time = Bench.secondsPerCall(within: seconds, body)
            let calls = 100
            let before = (buffers: Memory.statistics.allocations, heap: heap?.count ?? 0)
            for _ in 0..<calls { body() }
            let after = (heap: heap?.count ?? 0, buffers: Memory.statistics.allocations)
            try Bench.emit(
                Record(
                    op: op, seconds: time, tensorBuffers: Double(after.buffers - before.buffers) / Double(calls),
                    heapAllocations: heap == nil ? nil : Double(after.heap - before.heap) / Double(calls),
                    threads: CPU.threadCount))
        }
    }

    typealias Row = (op: String, body: () -> Void)

    private static func rows() -> [Row] {
        let g = Generator(seed: 0)
        func leaf(_ shape: [Int]) -> Parameter { Parameter(Tensor.rand(shape, low: 0.5, high: 1, generator: g)) }
        let (a, b) = (Tensor.rand([4, 4], generator: g), Tensor.rand([4, 4], generator: g))
        let (p, q) = (leaf([4, 4]), leaf([4, 4]))
        let one = Tensor(1.0)
        var rows: [Row] = []
        func add(_ op: String, _ body: @escaping (Tensor, Tensor) -> Tensor) {
            rows.append((op, { Bench.keep(body(a, b)) }))
            rows.append((op + ", recorded", { Bench.keep(body(p, q)) }))
        }
        add("add") { $0 + $1 }
        add("add number") { x, _ in x + 2.0 }
        add("mul") { $0 * $1 }
        add("mm") { $0.mm($1) }
        add("linear") { $0.linear($1) }
        add("relu") { x, _ in x.relu() }
        add("exp") { x, _ in x.exp() }
        add("sum") { x, _ in x.sum() }
        add("softmax") { x, _ in x.softmax(dim: -1) }
        add("transpose") { x, _ in x.transpose(0, 1) }
        add("slice") { x, _ in x[1..<3] }
        add("narrow") { x, _ in x.narrow(0, start: 1, length: 2) }
        add("select") { x, _ in x.select(0, 1) }
        add("reshape") { x, _ in x.reshape([2, 8]) }
        rows.append(
            (
                "mul, forward and backward",
                {
                    (p * q).backward(gradient: a)
                    p.grad = nil
                    q.grad = nil
                }
            ))
        rows.append(("add in place", { a.addInPlace(b) }))

        let layers = (0..<50).map { _ in
            (weight: Parameter(Tensor.randn([16, 16], std: 0.35, generator: g)), bias: leaf([16]))
        }
        let x = Tensor.randn([16, 16], generator: g)
        func network() -> Tensor { layers.reduce(x) { $0.linear($1.weight, $1.bias).relu() } }
        rows.append(("mlp, forward without recording", { noGrad { Bench.keep(network()) } }))
        rows.append(
            (
                "mlp, forward and backward",
                {
                    network().sum().backward(gradient: one)
                    for layer in layers {
                        layer.weight.grad = nil
                        layer.bias.grad = nil
                    }
                }
            ))
        return rows
    }
}

/// Calls of malloc and its kin so far, where Benchmarks/malloc_counter.c is preloaded.
private struct HeapCounter {
    private let read: @convention(c) () -> UInt64

    init?() {
        guard let symbol = dlsym(nil, "malloc_counter_value") else { return nil }
        read = unsafeBitCast(symbol, to: (@convention(c) () -> UInt64).self)
    }

    var count: Int { Int(read()) }
}
