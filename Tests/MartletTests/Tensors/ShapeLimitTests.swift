import Martlet
import Testing

/// Shapes whose elements cannot be counted are refused: a product that wraps around would be a small buffer.
@Suite struct ShapeLimitTests {
    @Test func creation() async {
        let zeros = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([1 << 62, 4])
        }
        expectMessage(zeros, "[zeros]", "[4611686018427387904, 4]", "more bytes than can be counted")
        let bytes = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.empty([1 << 62, 4], dtype: .uint8)
        }
        expectMessage(bytes, "[empty]", "[4611686018427387904, 4]")
        let values = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor([Float](), shape: [1 << 62, 4])
        }
        expectMessage(values, "[Tensor]", "[4611686018427387904, 4]")
        let negative = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor([Float](repeating: 1, count: 6), shape: [-2, -3])
        }
        expectMessage(negative, "[Tensor]", "a size may not be negative: -2 in [-2, -3]")
        let random = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.randn([1 << 31, 1 << 31])
        }
        expectMessage(random, "[randn]", "[2147483648, 2147483648]")
        let range = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.arange(Int.min, Int.max)
        }
        expectMessage(range, "[arange]", "further apart")
        let range2 = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.arange(0, .infinity, step: 1)
        }
        expectMessage(range2, "[arange]", "more than can be counted")
        let hot = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor([1]).oneHot(1 << 61)
        }
        expectMessage(hot, "[oneHot]", "[1, 2305843009213693952]")
    }

    @Test func views() async {
        let expand = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([1, 1]).expand([1 << 62, 4])
        }
        expectMessage(expand, "[expand]", "[4611686018427387904, 4]")
        let negative = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([1, 1]).expand([-2, 4])
        }
        expectMessage(negative, "[expand]", "a size may not be negative: -2")
        let tile = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2]).tile([Int.max])
        }
        expectMessage(tile, "[tile]", "2")
        let tiles = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2]).tile([1 << 62, 1])
        }
        expectMessage(tiles, "[expand]", "4611686018427387904")
        let interleave = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([4]).repeatInterleave(1 << 62, dim: 0)
        }
        expectMessage(interleave, "[expand]", "[4, 4611686018427387904]")
        let reshape = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([0]).reshape([1 << 62, 4])
        }
        expectMessage(reshape, "[reshape]", "[4611686018427387904, 4]")
        let view = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([0]).view([1 << 62, 4])
        }
        expectMessage(view, "[view]", "[4611686018427387904, 4]")
        let pad = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2]).pad([(0, Int.max)])
        }
        expectMessage(pad, "[pad]", "larger than can be counted")
        let diagonal = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2]).diagEmbed(1 << 40)
        }
        expectMessage(diagonal, "[diagEmbed]", "1099511627778")
        let flatten = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([1 << 40, 1 << 40, 0]).flatten(0, 1)
        }
        expectMessage(flatten, "[flatten]", "1099511627776")
    }

    @Test func products() async {
        let add = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor.zeros([1, 1])
            _ = x.expand([1 << 31, 1]) + x.expand([1, 1 << 31])
        }
        expectMessage(add, "[add]", "[2147483648, 2147483648]")
        let outer = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor.zeros([1]).expand([1 << 31])
            _ = x.outer(x)
        }
        expectMessage(outer, "[mul]", "[2147483648, 2147483648]")
        let choice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor.zeros([1, 1])
            let condition = Tensor.zeros([1, 1], dtype: .bool).expand([1 << 31, 1])
            _ = Tensor.where(condition, x, x.expand([1, 1 << 31]))
        }
        expectMessage(choice, "[where]", "[2147483648, 2147483648]")
        let matmul = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor.zeros([1, 2]).expand([1 << 31, 2])
            _ = x.matmul(x.T)
        }
        expectMessage(matmul, "[2147483648, 2147483648]", "more bytes than can be counted")
        let linear = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor.zeros([1, 2]).expand([1 << 31, 2])
            _ = x.linear(x)
        }
        expectMessage(linear, "[2147483648, 2147483648]", "more bytes than can be counted")
        let join = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor.zeros([1], dtype: .int8).expand([1 << 62])
            _ = Tensor.cat([x, x])
        }
        expectMessage(join, "[cat]", "larger than can be counted")
    }

    /// Nothing is needed for no elements, however large the other sizes are.
    @Test func emptyTensorsOfAnySize() {
        let x = Tensor.zeros([1 << 40, 1 << 40, 0])
        #expect(x.count == 0 && x.byteCount == 0 && x.shape == [1 << 40, 1 << 40, 0])
        #expect((x + x).count == 0 && x.reshape([0, 1 << 40, 1 << 40]).count == 0)
        #expect(Tensor.zeros([0]).reshape([1 << 62, 4, 0]).count == 0)
    }

    @Test func ranges() {
        #expect(Tensor.arange(3, 10, step: 3).toArray(Int.self) == [3, 6, 9])
        #expect(Tensor.arange(3, 9, step: 3).toArray(Int.self) == [3, 6])
        #expect(Tensor.arange(10, 3, step: -3).toArray(Int.self) == [10, 7, 4])
        #expect(Tensor.arange(10, 3, step: 3).count == 0 && Tensor.arange(3, 10, step: -1).count == 0)
        #expect(Tensor.arange(Int.max - 2, Int.max, step: 2).toArray(Int.self) == [Int.max - 2])
        #expect(Tensor.arange(5, 5).count == 0 && Tensor.arange(0, 1, step: Int.max).count == 1)
    }
}
