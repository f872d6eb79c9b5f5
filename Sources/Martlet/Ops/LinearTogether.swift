// Several products of few rows in one go.

extension Tensor {
    /// Whether ``linearTogether(_:)`` gains anything for an input of this many rows: one product of so few is over before
    /// the threads have shared it out.
    public static func gainsTogether(rows: Int) -> Bool { rows <= 8 }

    /// One of the products of ``linearTogether(_:)``.
    public struct LinearProduct {
        public let input: Tensor
        public let weight: Tensor
        public let scale: Tensor?

        /// - Parameters:
        ///   - input: [..., in].
        ///   - weight: [out, in], of the input's dtype or int8.
        ///   - scale: [out], with an int8 weight, see ``quantizedRows()``.
        public init(_ input: Tensor, _ weight: Tensor, scale: Tensor? = nil) {
            self.input = input
            self.weight = weight
            self.scale = scale
        }

        fileprivate var alone: Tensor { scale.map { input.linear(int8: weight, scale: $0) } ?? input.linear(weight) }

        /// Whether the kernel for several takes it as it is.
        fileprivate var isPlain: Bool {
            input.rank > 0 && weight.rank == 2 && input.dims[input.rank - 1] == weight.dims[1]
                && input.dtype.isFloatingPoint && input.dtype != .float64
                && (scale.map { $0.dtype == input.dtype && $0.isContiguous && weight.isContiguous }
                    ?? (weight.dtype == input.dtype))
        }
    }

    /// ``linear(_:_:)`` of several inputs and weights that do not depend on each other; the results are the same.
    ///
    /// For few rows and without gradients all products are given to the threads at once. Anything else goes one by one.
    public static func linearTogether(_ products: [LinearProduct]) -> [Tensor] {
        let recorded =
            isGradEnabled && products.contains { $0.input.requiresGrad || $0.weight.requiresGrad }
        if recorded || products.isEmpty || products.count > Kernels.together
            || !products.allSatisfy({ $0.isPlain && gainsTogether(rows: $0.input.rowCount) })
        {
            return products.map(\.alone)
        }
        return noGrad {
            let jobs = products.map { product in
                var shape = product.input.dims
                shape[product.input.rank - 1] = product.weight.dims[0]
                return (
                    out: Tensor(uninitialized: shape, product.input.dtype, "linear"), a: product.input.matrixOfRows,
                    w: product.weight.readable, scale: product.scale
                )
            }
            Kernels.matmulTogether(jobs)
            return jobs.map(\.out)
        }
    }
}
