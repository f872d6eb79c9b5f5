// What is put around a tensor.
internal import CMartletKernels

/// What ``Tensor/pad(_:mode:value:)`` fills the new places with.
public enum PaddingMode: String, Sendable, CaseIterable {
    /// A number.
    case constant
    /// The elements mirrored at the edge, which itself is not repeated: at most size - 1 of them.
    case reflect
    /// The edge's element.
    case replicate
    /// The elements from the other end.
    case circular
}

extension Tensor {
    /// New elements around the tensor: `padding[i]` of them before and after dimension i.
    ///
    /// - Parameters:
    ///   - mode: where their values come from.
    ///   - value: the value in mode `constant`, where negative amounts cut elements away.
    public func pad(
        _ padding: [(before: Int, after: Int)], mode: PaddingMode = .constant, value: Double = 0
    ) -> Tensor {
        if padding.count != rank { trap("pad", "\(padding.count) amounts for the \(rank) dimensions of \(dims.text)") }
        if mode == .constant { return padded(padding, value) }
        var out = self
        for (d, p) in padding.enumerated() where p.before != 0 || p.after != 0 {
            let n = dims[d]
            let most = mode == .reflect ? n - 1 : mode == .circular ? n : Int.max
            if p.before < 0 || p.after < 0 || n == 0 || p.before > most || p.after > most {
                trap(
                    "pad",
                    "padding (\(p.before), \(p.after)) in mode \(mode) is not possible in dimension \(d) of "
                        + "\(dims.text)"
                        + (n == 0 || most == .max ? "" : ": amounts are in 0...\(most)"))
            }
            let places = (-p.before..<sizeSum(n, p.after, "pad")).map { i -> Int in
                switch mode {
                case .constant: i
                case .replicate: Swift.min(Swift.max(i, 0), n - 1)
                case .circular: (i + n) % n
                case .reflect: i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i
                }
            }
            out = out.indexSelect(d, Tensor(places))
        }
        return out
    }

    private func padded(_ padding: [(before: Int, after: Int)], _ value: Double) -> Tensor {
        var source = self
        var shape = dims
        for (d, p) in padding.enumerated() {
            let lower = Swift.max(0, -p.before)
            let upper = dims[d] - Swift.max(0, -p.after)
            if upper < lower {
                trap("pad", "padding \(p) cuts away more than dimension \(d) of \(dims.text) has")
            }
            if lower > 0 || upper < dims[d] { source = source.narrow(d, start: lower, length: upper - lower) }
            shape[d] = sizeSum(sizeSum(dims[d], p.before, "pad"), p.after, "pad")
        }
        let out = Tensor.full(shape, value, dtype, "pad")
        var inner = out.alias()
        for (d, p) in padding.enumerated() { inner = inner.bareSlice(d, Swift.max(0, p.before), source.dims[d]) }
        Kernels.copy(inner, source)
        let sizes = source.dims
        out.record("pad", source) { _ in
            { ctx, g in
                var part = g
                for (d, p) in padding.enumerated() {
                    part = part.narrow(d, start: Swift.max(0, p.before), length: sizes[d])
                }
                ctx.give(0, part)
            }
        }
        return out
    }
}
