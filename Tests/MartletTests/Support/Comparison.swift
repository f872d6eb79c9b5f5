import Martlet

/// Where two tensors differ by more than rtol * |expected| + atol * max(1, largest |expected|), or nil. NaN equals NaN
/// and infinities equal themselves; the sign of zero does not count.
func difference(_ actual: Tensor, _ expected: Tensor, rtol: Double = 0, atol: Double = 0, scaled: Bool = false)
    -> String?
{
    if actual.shape != expected.shape { return "shape \(actual.shape), expected \(expected.shape)" }
    // Whole numbers beyond 2^53 are no Doubles.
    if actual.dtype == .int64 && expected.dtype == .int64 {
        let (a, b) = (actual.toArray(Int.self), expected.toArray(Int.self))
        guard let i = a.indices.first(where: { a[$0] != b[$0] }) else { return nil }
        return "element \(i): \(a[i]), expected \(b[i])"
    }
    let (a, b) = (actual.toArray(Double.self), expected.toArray(Double.self))
    let largest = scaled ? b.lazy.filter(\.isFinite).map(abs).max() ?? 0 : 0
    let slack = atol * max(1, largest)
    for (i, (x, y)) in zip(a, b).enumerated() {
        if x == y || (x.isNaN && y.isNaN) { continue }
        if !(abs(x - y) <= rtol * abs(y) + slack) { return "element \(i): \(x), expected \(y)" }
    }
    return nil
}

/// The same elements in other memory: in reversed order of dimensions, from an offset, every other place, and for
/// matrices backwards along the last dimension.
func scattered(_ x: Tensor) -> Tensor {
    noGrad {
        let x = x.detach()
        if x.rank == 0 {
            let room = Tensor.zeros([3], dtype: x.dtype)
            room.fill(1, with: 0)
            room[1] = x
            return room[1].detach()
        }
        let order = Array((0..<x.rank).reversed())
        let turned = x.permute(order)
        // Room for every other place of what is now the last dimension.
        var shape = turned.shape
        shape[x.rank - 1] = shape[x.rank - 1] * 2 + 1
        let room = Tensor.zeros(shape, dtype: x.dtype)
        var index: [TensorIndex] = Array(repeating: .range(start: nil, end: nil, step: 1), count: x.rank)
        index[x.rank - 1] = .range(start: 1, end: nil, step: 2)
        if x.rank > 1 { index[0] = .range(start: nil, end: nil, step: -1) }
        let target = room.at(index)
        target.copyInPlace(turned)
        return target.permute(order).detach()
    }
}
