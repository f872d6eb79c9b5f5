// Several products of few rows in one go.

extension Tensor {
    /// Whether ``linearTogether(_:)`` gains anything for an input of this many rows: one product of so few is over before
    /// the threads have shared it out.
    public static func gainsTogether(rows: Int) -> Bool { rows <= 8 }

    /// One of the products of ``linearTogether(_:)``.
    public struct LinearProduct {
        /// [..., in].
        public let input: Tensor
        /// [out, in], [out, in / 2] in 4 bits.
        public let weight: Tensor
        /// nil for a floating-point weight.
        public let scale: Tensor?

        /// - Parameters:
        ///   - input: [..., in].
        ///   - weight: [out, in], of the input's dtype or int8, or [out, in / 2] in 4 bits.
        ///   - scale: [out] with an int8 weight (``quantizedRows()``), [out, in / 32] with one of 4 bits
        ///     (``quantizedGroups()``).
        public init(_ input: Tensor, _ weight: Tensor, scale: Tensor? = nil) {
            self.input = input
            self.weight = weight
            self.scale = scale
        }

        fileprivate var alone: Tensor {
            scale.map { input.linear(quantized: weight, scale: $0) } ?? input.linear(weight)
        }

        /// Whether the kernel for several takes it as it is.
        fileprivate var isPlain: Bool {
            if input.rank == 0 || weight.rank != 2 || !input.dtype.isFloatingPoint || input.dtype == .float64 {
                return false
            }
            let (inputs, columns) = (input.dims[input.rank - 1], weight.dims[1])
            guard let scale else { return weight.dtype == input.dtype && inputs == columns }
            if scale.dtype != input.dtype || !scale.isContiguous || !weight.isContiguous { return false }
            if weight.dtype == .int8 { return inputs == columns && scale.dims == Dims([weight.dims[0]]) }
            return weight.dtype == .uint8 && inputs == 2 * columns && inputs % 64 == 0
                && scale.dims == Dims([weight.dims[0], inputs / Tensor.int4Group])
        }
    }

    /// ``linear(_:_:)`` of several inputs and weights that do not depend on each other; the results are the same, bit for
    /// bit: [..., out] each, of the input's dtype.
    ///
    /// For few rows and without gradients all products are given to the threads at once. Anything else goes one by one,
    /// and traps as `linear` does: where an input's last dimension is not the weight's, or dtypes do not fit.
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
                    out: Tensor(uninitialized: shape, product.input.dtype, "linear"),
                    // The kernel for 4 bits reads rows side by side.
                    a: (product.scale == nil ? product.input : product.input.contiguous()).matrixOfRows,
                    w: product.weight.readable, scale: product.scale
                )
            }
            Kernels.matmulTogether(jobs)
            return jobs.map(\.out)
        }
    }
}
