// The way from an op to a device's kernels: one function a kernel family, called with operands that are already
// checked. A second device adds a case to each switch here and nothing above.
internal import CMartletKernels
internal import COneDNN

enum Kernels {
    // MARK: elementwise

    @inline(__always)
    static func copy(_ out: Tensor, _ input: Tensor) {
        let span = KernelSpan()
        var o = out.descriptor()
        var a = input.descriptor(broadcastTo: out.dims)
        mk_copy(&o, &a)
        span.end("copy", out, input)
    }

    static func fill(_ out: Tensor, _ value: mk_scalar) {
        let span = KernelSpan()
        var o = out.descriptor()
        mk_fill(&o, value)
        span.end("fill", out)
    }

    static func arange(_ out: Tensor, _ start: mk_scalar, _ step: mk_scalar) {
        let span = KernelSpan()
        var o = out.descriptor()
        mk_arange(&o, start, step)
        span.end("arange", out)
    }

    @inline(__always)
    static func unary(_ op: mk_unary_op, _ out: Tensor, _ a: Tensor) {
        let span = KernelSpan()
        var o = out.descriptor()
        var x = a.descriptor()
        mk_unary(op, &o, &x)
        span.end(KernelSpan.name(mk_unary_name(op)), out, a)
    }

    @inline(__always)
    static func binary(_ op: mk_binary_op, _ out: Tensor, _ a: Tensor, _ b: Tensor) {
        let span = KernelSpan()
        var o = out.descriptor()
        var x = a.descriptor(broadcastTo: out.dims)
        var y = b.descriptor(broadcastTo: out.dims)
        mk_binary(op, &o, &x, &y)
        span.end(KernelSpan.name(mk_binary_name(op)), out, a, b)
    }

    @inline(__always)
    static func binary(_ op: mk_binary_op, _ out: Tensor, _ a: Tensor, _ scalar: mk_scalar, scalarOnLeft: Bool) {
        let span = KernelSpan()
        var o = out.descriptor()
        var x = a.descriptor()
        mk_binary_scalar(op, &o, &x, scalar, scalarOnLeft)
        span.end(KernelSpan.name(mk_binary_name(op)), out, a)
    }

    static func select(_ out: Tensor, _ condition: Tensor, _ a: Tensor, _ b: Tensor) {
        let span = KernelSpan()
        var o = out.descriptor()
        var c = condition.descriptor(broadcastTo: out.dims)
        var x = a.descriptor(broadcastTo: out.dims)
        var y = b.descriptor(broadcastTo: out.dims)
        mk_where(&o, &c, &x, &y)
        span.end("select", out, condition, a, b)
    }

    static func clamp(_ out: Tensor, _ a: Tensor, _ low: mk_scalar, _ high: mk_scalar) {
        let span = KernelSpan()
        var o = out.descriptor()
        var x = a.descriptor()
        mk_clamp(&o, &x, low, high)
        span.end("clamp", out, a)
    }

    static func addcmul(_ out: Tensor, _ a: Tensor, _ b: Tensor, _ c: Tensor, alpha: Double, divide: Bool) {
        let span = KernelSpan()
        var o = out.descriptor()
        var x = a.descriptor(broadcastTo: out.dims)
        var y = b.descriptor(broadcastTo: out.dims)
        var z = c.descriptor(broadcastTo: out.dims)
        if divide { mk_addcdiv(&o, &x, &y, &z, alpha) } else { mk_addcmul(&o, &x, &y, &z, alpha) }
        span.end(divide ? "addcdiv" : "addcmul", out, a, b, c)
    }

    /// out = a + alpha * b, floating types may differ.
    static func axpy(_ out: Tensor, _ a: Tensor, _ b: Tensor, _ alpha: Double) {
        let span = KernelSpan()
        var o = out.descriptor()
        var x = a.descriptor(broadcastTo: out.dims)
        var y = b.descriptor(broadcastTo: out.dims)
        mk_axpy(&o, &x, &y, alpha)
        span.end("axpy", out, a, b)
    }

    // MARK: reductions, scans, sorting

    /// `kept` is the input's shape with reduced dimensions of size 1, whether the contiguous `out` has them or not.
    static func reduce(_ op: mk_reduce_op, _ out: Tensor, _ kept: Dims, _ input: Tensor, scale: Double = 1) {
        let span = KernelSpan()
        var o = out.descriptor(kept, kept.contiguousStrides)
        var x = input.descriptor()
        mk_reduce(op, &o, &x, scale)
        span.end("reduce", out, input)
    }

    /// `kept` is the shape of both outputs with the reduced dimensions as 1.
    static func moments(_ mean: Tensor, _ variance: Tensor, _ kept: Dims, _ input: Tensor, divisor: Double) {
        let span = KernelSpan()
        var m = mean.descriptor(kept, kept.contiguousStrides)
        var v = variance.descriptor(kept, kept.contiguousStrides)
        var x = input.descriptor()
        mk_moments(&m, &v, &x, divisor)
        span.end("moments", variance, input)
    }

    static func argReduce(maximum: Bool, _ indices: Tensor, _ values: Tensor?, _ input: Tensor, _ dim: Int) {
        let span = KernelSpan()
        var i = indices.descriptor()
        var x = input.descriptor()
        withOptional(values) { mk_arg_reduce(maximum, &i, $0, &x, Int32(dim)) }
        span.end(maximum ? "argmax" : "argmin", indices, input)
    }

    static func scan(_ op: mk_scan_op, _ out: Tensor, _ input: Tensor, _ dim: Int, reverse: Bool) {
        let span = KernelSpan()
        var o = out.descriptor()
        var x = input.descriptor()
        mk_scan(op, &o, &x, Int32(dim), reverse)
        span.end("scan", out, input)
    }

    static func sort(_ values: Tensor, _ indices: Tensor, _ input: Tensor, _ dim: Int, descending: Bool) {
        let span = KernelSpan()
        var v = values.descriptor()
        var i = indices.descriptor()
        var x = input.descriptor()
        mk_sort(&v, &i, &x, Int32(dim), descending)
        span.end("sort", values, input)
    }

    static func topk(_ values: Tensor, _ indices: Tensor, _ input: Tensor, _ dim: Int, largest: Bool) {
        let span = KernelSpan()
        var v = values.descriptor()
        var i = indices.descriptor()
        var x = input.descriptor()
        mk_topk(&v, &i, &x, Int32(dim), largest)
        span.end("topk", values, input)
    }

    // MARK: indexing

    static func gather(_ op: StaticString, _ out: Tensor, _ input: Tensor, _ index: Tensor, _ dim: Int) {
        let span = KernelSpan()
        var o = out.descriptor()
        var x = input.descriptor()
        var i = index.descriptor()
        check(op, mk_gather(&o, &x, &i, Int32(dim)), index, input, dim)
        span.end("gather", out, input, index)
    }

    static func scatter(
        _ op: StaticString, _ mode: mk_scatter_mode, _ out: Tensor, _ base: Tensor, _ index: Tensor, _ source: Tensor,
        _ dim: Int
    ) {
        let span = KernelSpan()
        var o = out.descriptor()
        var b = base.descriptor()
        var i = index.descriptor()
        var s = source.descriptor(broadcastTo: index.dims)
        check(op, mk_scatter(mode, &o, &b, &i, &s, Int32(dim)), index, out, dim)
        span.end("scatter", out, base, index, source)
    }

    static func indexSelect(_ op: StaticString, _ out: Tensor, _ input: Tensor, _ index: Tensor, _ dim: Int) {
        let span = KernelSpan()
        var o = out.descriptor()
        var x = input.descriptor()
        var i = index.descriptor()
        check(op, mk_index_select(&o, &x, &i, Int32(dim)), index, input, dim)
        span.end("indexSelect", out, input, index)
    }

    static func indexAdd(
        _ op: StaticString, _ out: Tensor, _ index: Tensor, _ source: Tensor, _ dim: Int, alpha: Double = 1
    ) {
        let span = KernelSpan()
        var o = out.descriptor()
        var i = index.descriptor()
        var s = source.descriptor()
        check(op, mk_index_add(&o, &i, &s, Int32(dim), alpha), index, out, dim)
        span.end("indexAdd", out, index, source)
    }

    static func embeddingBackward(_ out: Tensor, _ index: Tensor, _ gradient: Tensor, ignoring row: Int?) {
        let span = KernelSpan()
        var o = out.descriptor()
        var i = index.descriptor()
        var g = gradient.descriptor()
        // Negative rows count from the end, -1 stands for none.
        mk_embedding_backward(&o, &i, &g, row.map { Int64($0 < 0 ? $0 + out.dims[0] : $0) } ?? -1)
        span.end("embeddingBackward", out, index, gradient)
    }

    static func indexCopy(_ op: StaticString, _ out: Tensor, _ index: Tensor, _ source: Tensor, _ dim: Int) {
        let span = KernelSpan()
        var o = out.descriptor()
        var i = index.descriptor()
        var s = source.descriptor()
        check(op, mk_index_copy(&o, &i, &s, Int32(dim)), index, out, dim)
        span.end("indexCopy", out, index, source)
    }

    private static func check(_ op: StaticString, _ failure: Int64, _ index: Tensor, _ indexed: Tensor, _ dim: Int) {
        if failure < 0 { return }
        let bad = noGrad { index.detach().contiguous().reshape([-1])[Int(failure)].item() }
        trap(
            "\(op)",
            "index \(Int(bad)) is out of range for dimension \(dim) of size \(indexed.dims[dim]); the indexed tensor "
                + "has the shape \(indexed.dims.text)" + (indexed.name.map { " (\($0))" } ?? ""))
    }

    static func countNonzero(_ input: Tensor) -> Int {
        let span = KernelSpan()
        var x = input.descriptor()
        let count = Int(mk_count_nonzero(&x))
        span.end("countNonzero", nil, input)
        return count
    }

    static func nonzero(_ out: Tensor, _ input: Tensor) {
        let span = KernelSpan()
        var o = out.descriptor()
        var x = input.descriptor()
        mk_nonzero(&o, &x)
        span.end("nonzero", out, input)
    }

    static func allClose(_ a: Tensor, _ b: Tensor, rtol: Double, atol: Double, equalNaN: Bool) -> Bool {
        let span = KernelSpan()
        var x = a.descriptor()
        var y = b.descriptor()
        let result = mk_all_close(&x, &y, rtol, atol, equalNaN)
        span.end("allClose", nil, a, b)
        return result
    }

    // MARK: products

    /// out [B, M, N] = a [B, M, K] @ b [B, K, N] (+ out), or all of rank 2; the operands' last two dimensions are swapped
    /// where asked for. With `rows` a tensor of another rank stands for the matrix of all its rows.
    static func matmul(
        _ out: Tensor, _ a: Tensor, _ b: Tensor, transposeA: Bool = false, transposeB: Bool = false,
        accumulate: Bool = false, rows: Bool = false
    ) {
        var o = rows ? out.rowsDescriptor() : out.matrixDescriptor()
        var x = rows ? a.rowsDescriptor(transposed: transposeA) : a.matrixDescriptor(transposed: transposeA)
        var y = rows ? b.rowsDescriptor(transposed: transposeB) : b.matrixDescriptor(transposed: transposeB)
        let span = KernelSpan()
        // oneDNN has no float64 or integer product, and creating and starting a primitive costs more than a tiny
        // product.
        let inner = Int(x.shape.2)
        let work = out.count &* inner
        let isLarge =
            a.dtype.isFloatingPoint && a.dtype != .float64 && work > 32 * 32 * 32 && out.count > 0 && inner > 0
        if !isLarge || mdnn_matmul(&o, &x, &y, accumulate) != 0 { mk_matmul(&o, &x, &y, 1, accumulate ? 1 : 0) }
        span.end("matmul", out, a, b, flops: 2 * Double(work))
    }

    /// out [M, N] = a [M, K] @ (w [N, K] * scale [N])ᵀ for an int8 w.
    static func matmulInt8(_ out: Tensor, _ a: Tensor, _ w: Tensor, _ scale: Tensor) {
        var o = out.descriptor()
        var x = a.descriptor()
        var y = w.descriptor()
        var s = scale.descriptor()
        let span = KernelSpan()
        mk_matmul_int8(&o, &x, &y, &s)
        span.end("matmul", out, a, w, flops: 2 * Double(out.count) * Double(w.dims[1]))
    }

    /// out [M, N] = a [M, K] @ wᵀ for w [N, K / 2] in 4 bits with scale [N, K / 32].
    static func matmulInt4(_ out: Tensor, _ a: Tensor, _ w: Tensor, _ scale: Tensor) {
        var o = out.descriptor()
        var x = a.descriptor()
        var y = w.descriptor()
        var s = scale.descriptor()
        let span = KernelSpan()
        mk_matmul_int4(&o, &x, &y, &s)
        span.end("matmul", out, a, w, flops: 2 * Double(out.count) * Double(a.dims[1]))
    }

    /// The most products that ``matmulTogether(_:)`` takes.
    static let together = Int(MK_MATMUL_TOGETHER)

    /// out = a @ wᵀ of several that do not depend on each other, the rows of any rank; an int8 w [N, K] has a scale [N],
    /// a w of 4 bits one [N, K / 32].
    static func matmulTogether(_ products: [(out: Tensor, a: Tensor, w: Tensor, scale: Tensor?)]) {
        let span = KernelSpan()
        let outs = products.map { $0.out.rowsDescriptor() }
        let inputs = products.map { $0.a.rowsDescriptor() }
        let weights = products.map { $0.w.rowsDescriptor(transposed: true) }
        let scales = products.map { $0.scale?.descriptor() ?? mk_tensor() }
        mk_matmul_together(Int32(products.count), outs, inputs, weights, scales)
        let flops = products.reduce(0) { $0 + 2 * Double($1.out.count) * Double($1.a.dims[$1.a.rank - 1]) }
        span.end("matmul", products[0].out, products[0].a, products[0].w, flops: flops)
    }

    // MARK: helpers

    @inline(__always)
    static func withOptional<R>(_ tensor: Tensor?, _ body: (UnsafePointer<mk_tensor>?) -> R) -> R {
        guard let tensor else { return body(nil) }
        var d = tensor.descriptor()
        return withUnsafePointer(to: &d) { body($0) }
    }
}

extension mk_scalar {
    @inline(__always) init(_ value: Double) {
        self.init(d: value, i: Int64(exactly: value.rounded(.towardZero)) ?? (value > 0 ? .max : .min))
    }
    @inline(__always) init(_ value: Int) { self.init(d: Double(value), i: Int64(value)) }
}
