// Joining by rank, grids, turning, and other names of views.

extension Tensor {
    // MARK: other names of views

    /// PyTorch's name for ``expand(_:)``.
    public func broadcastTo(_ shape: [Int]) -> Tensor { expand(shape) }

    /// PyTorch's name for ``expand(as:)``.
    public func expandAs(_ other: Tensor) -> Tensor { expand(other.shape) }

    /// ``view(_:)`` in the shape of `other`: refuses to copy.
    public func viewAs(_ other: Tensor) -> Tensor { view(other.shape) }

    /// ``reshape(_:)`` in the shape of `other`.
    public func reshapeAs(_ other: Tensor) -> Tensor { reshape(other.dims) }

    // MARK: joining

    /// The tensors side by side: joined along dimension 1, vectors and scalars along dimension 0.
    public static func hstack(_ tensors: [Tensor]) -> Tensor {
        let parts = tensors.map { $0.rank == 0 ? $0.unsqueeze(0) : $0 }
        guard let first = parts.first else { trap("hstack", "at least one tensor is needed") }
        return cat(parts, dim: first.rank == 1 ? 0 : 1)
    }

    /// The tensors one below the other: joined along dimension 0; a vector [n] counts as a row [1, n].
    public static func vstack(_ tensors: [Tensor]) -> Tensor {
        if tensors.isEmpty { trap("vstack", "at least one tensor is needed") }
        return cat(tensors.map { $0.rank < 2 ? $0.reshape([1, $0.count]) : $0 }, dim: 0)
    }

    /// The tensors one behind the other: joined along dimension 2; a vector [n] counts as [1, n, 1], a matrix [m, n] as
    /// [m, n, 1].
    public static func dstack(_ tensors: [Tensor]) -> Tensor {
        if tensors.isEmpty { trap("dstack", "at least one tensor is needed") }
        return cat(
            tensors.map { $0.rank < 2 ? $0.reshape([1, $0.count, 1]) : $0.rank == 2 ? $0.unsqueeze(2) : $0 }, dim: 2)
    }

    // MARK: grids

    /// In which order ``meshgrid(_:indexing:)`` gives its dimensions.
    public enum GridIndexing: String, Sendable, CaseIterable {
        /// As the vectors come: matrix indexing.
        case ij
        /// The first two exchanged: x runs along columns.
        case xy
    }

    /// Coordinates of a grid: vectors (or scalars) of n₀, n₁, ... elements give as many views of shape [n₀, n₁, ...],
    /// the i-th of which varies along dimension i; with `.xy` dimensions 0 and 1 change places.
    public static func meshgrid(_ vectors: [Tensor], indexing: GridIndexing = .ij) -> [Tensor] {
        if vectors.isEmpty { trap("meshgrid", "at least one vector is needed") }
        for (i, v) in vectors.enumerated() where v.rank > 1 {
            trap("meshgrid", "vectors are needed, tensor \(i) has the shape \(v.dims.text)")
        }
        let shape = vectors.map(\.count)
        let swaps = indexing == .xy && vectors.count > 1
        return vectors.enumerated().map { i, v in
            var own = [Int](repeating: 1, count: shape.count)
            own[i] = v.count
            let grid = v.reshape(own).expand(shape)
            return swaps ? grid.transpose(0, 1) : grid
        }
    }

    // MARK: turning

    /// Turned `k` quarters from the first of two dimensions towards the second; a copy.
    public func rot90(_ k: Int = 1, dims plane: [Int] = [0, 1]) -> Tensor {
        if plane.count != 2 || rank < 2 {
            trap("rot90", "two dimensions of at least two are needed: \(plane) of \(dims.text)")
        }
        let (a, b) = (normalize(plane[0], "rot90"), normalize(plane[1], "rot90"))
        if a == b { trap("rot90", "the two dimensions must differ: \(plane)") }
        switch ((k % 4) + 4) % 4 {
        case 1: return flip([b]).transpose(a, b)
        case 2: return flip([a, b])
        case 3: return flip([a]).transpose(a, b)
        default: return clone()
        }
    }
}

// MARK: - Reading as nested arrays

extension Tensor {
    /// The rows of a matrix, converted to `T`.
    public func toArray2D<T: TensorScalar>(_ type: T.Type) -> [[T]] {
        if rank != 2 { trap("toArray2D", "a matrix is needed, the shape is \(dims.text)") }
        return Tensor.rows(toArray(type)[...], dims[0], dims[1])
    }

    /// The rows of a matrix as float32.
    public func toArray2D() -> [[Float]] { toArray2D(Float.self) }

    /// The matrices of a tensor of rank 3, converted to `T`.
    public func toArray3D<T: TensorScalar>(_ type: T.Type) -> [[[T]]] {
        if rank != 3 { trap("toArray3D", "a tensor of rank 3 is needed, the shape is \(dims.text)") }
        let values = toArray(type)
        let size = dims[1] * dims[2]
        return (0..<dims[0]).map { Tensor.rows(values[$0 * size..<($0 + 1) * size], dims[1], dims[2]) }
    }

    /// The matrices of a tensor of rank 3 as float32.
    public func toArray3D() -> [[[Float]]] { toArray3D(Float.self) }

    private static func rows<T>(_ values: ArraySlice<T>, _ rows: Int, _ columns: Int) -> [[T]] {
        (0..<rows).map { Array(values[values.startIndex + $0 * columns..<values.startIndex + ($0 + 1) * columns]) }
    }
}
