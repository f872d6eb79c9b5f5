import Martlet
import Testing

/// Several products at once have the bits that each has alone, whatever way they go.
@Suite struct LinearTogetherTests {
    private func numbers(_ shape: [Int], _ dtype: DType, _ seed: UInt64) -> Tensor {
        Tensor.randn(shape, dtype: .float64, generator: Generator(seed: seed)).to(dtype)
    }

    private func expectSame(_ products: [Tensor.LinearProduct], _ what: String) {
        let together = noGrad { Tensor.linearTogether(products) }
        #expect(together.count == products.count)
        for (product, found) in zip(products, together) {
            let alone = noGrad {
                product.scale.map {
                    $0.rank == 2
                        ? product.input.linear(int4: product.weight, scale: $0)
                        : product.input.linear(int8: product.weight, scale: $0)
                } ?? product.input.linear(product.weight)
            }
            let (a, b) = (found.toArray(Double.self), alone.toArray(Double.self))
            #expect(found.shape == alone.shape && found.dtype == alone.dtype && a == b, "\(what)")
        }
    }

    @Test(arguments: [DType.float32, .bfloat16, .float16, .float64]) func bitsOfEachAlone(_ dtype: DType) {
        for shape in [[1, 96], [96], [2, 3, 96], [8, 96], [9, 96], [0, 96]] {
            let x = numbers(shape, dtype, 1)
            let y = numbers(shape.dropLast() + [200], dtype, 2)
            let products = [
                Tensor.LinearProduct(x, numbers([700, 96], dtype, 3)),
                Tensor.LinearProduct(x, numbers([1, 96], dtype, 4)),
                Tensor.LinearProduct(y, numbers([33, 200], dtype, 5)),
                // A layout that is no matrix with rows side by side.
                Tensor.LinearProduct(x, numbers([96, 130], dtype, 6).T),
            ]
            expectSame(products, "\(dtype) \(shape)")
            if dtype != .float64 {
                let (values, scale) = numbers([257, 96], dtype, 7).quantizedRows()
                let z = numbers(shape.dropLast() + [192], dtype, 9)
                let (bytes, factors) = numbers([100, 192], dtype, 10).quantizedGroups()
                expectSame(
                    products + [.init(x, values, scale: scale), .init(z, bytes, scale: factors)],
                    "int8 and 4 bits, \(dtype) \(shape)")
            }
        }
        // Inputs whose rows do not lie side by side.
        let wide = numbers([70, 256], dtype, 11)
        for x in [
            numbers([64, 3], dtype, 12).T, wide.narrow(0, start: 3, length: 2).narrow(1, start: 64, length: 64),
            wide.select(0, 1).reshape([64, 4]).select(1, 2), numbers([1, 1], dtype, 13).expand([1, 64]),
            numbers([1, 64], dtype, 14).expand([4, 64]),
        ] {
            let (values, scale) = numbers([40, 64], dtype, 15).quantizedRows()
            let (bytes, factors) = numbers([40, 64], dtype, 16).quantizedGroups()
            expectSame(
                [
                    .init(x, numbers([50, 64], dtype, 17)), .init(x, values, scale: scale),
                    .init(x, bytes, scale: factors),
                ], "\(dtype), strides \(x.strides)")
        }
        // More than go together.
        let x = numbers([2, 40], dtype, 8)
        expectSame((0..<20).map { Tensor.LinearProduct(x, numbers([$0 + 1, 40], dtype, UInt64($0))) }, "\(dtype)")
        #expect(Tensor.linearTogether([]).isEmpty)
        #expect(Tensor.gainsTogether(rows: 1) && !Tensor.gainsTogether(rows: 100))
    }

    @Test func gradientsFlow() {
        let x = numbers([2, 8], .float64, 1).requiringGrad()
        let (a, b) = (numbers([3, 8], .float64, 2).requiringGrad(), numbers([5, 8], .float64, 3).requiringGrad())
        let results = Tensor.linearTogether([.init(x, a), .init(x, b)])
        (results[0].sum() + results[1].square().sum()).backward()
        let expected =
            Tensor.ones([2, 3], dtype: .float64).matmul(a.detach())
            + (results[1].detach() * 2).matmul(b.detach())
        #expect(difference(x.grad!, expected, rtol: 1e-12, atol: 1e-12) == nil)
        #expect(a.grad != nil && b.grad != nil)
    }

    @Test func mistakesAreThoseOfLinear() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.linearTogether([.init(Tensor.zeros([1, 4]), Tensor.zeros([3, 5]))])
        }
        expectMessage(result, "[linear]", "[1, 4]", "[3, 5]", "4 != 5")
    }
}
