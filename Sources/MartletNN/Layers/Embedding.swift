public import Martlet

/// A table of vectors, looked up by integers.
///
/// Input: integers [...] below `count`; output [..., dimension].
public final class Embedding: Module {
    /// [count, dimension].
    public let weight: Parameter
    /// A row that starts as zeros and is not learned.
    public let paddingIndex: Int?
    /// [count], once the table is int8: what its rows are multiplied with. See ``quantize()``.
    public private(set) var scale: Tensor?

    /// - Parameter initializer: of the table; N(0, 1) unless given.
    public init(
        _ count: Int, _ dimension: Int, paddingIndex: Int? = nil, initializer: Initializer = .normal(),
        dtype: DType = .float32, generator: Generator = .default
    ) {
        if let paddingIndex, !(0..<count).contains(paddingIndex) {
            trap("Embedding", "the padding index \(paddingIndex) is not below the number of rows \(count)")
        }
        let table = initializer([count, dimension], dtype: dtype, generator: generator)
        if let paddingIndex { noGrad { _ = table.select(0, paddingIndex).zeroInPlace() } }
        weight = Parameter(table)
        self.paddingIndex = paddingIndex
    }

    /// A table that exists already, [count, dimension]. Giving another module's parameter ties the two.
    public init(weight: Parameter, paddingIndex: Int? = nil) {
        if weight.rank != 2 { trap("Embedding", "a table of two dimensions is needed, the shape is \(weight.shape)") }
        if let paddingIndex, !(0..<weight.shape[0]).contains(paddingIndex) {
            trap("Embedding", "the padding index \(paddingIndex) is not below the number of rows \(weight.shape[0])")
        }
        self.weight = weight
        self.paddingIndex = paddingIndex
    }

    public override func forward(_ indices: Tensor) -> Tensor {
        guard let scale else { return weight.embedding(indices, paddingIndex: paddingIndex) }
        let factors = scale.unsqueeze(1).embedding(indices)  // [..., 1]
        return noGrad { weight.embedding(indices).to(scale.dtype) * factors }
    }

    /// The table as an output layer: scores [..., count] of hidden states [..., dimension].
    public func attend(_ x: Tensor) -> Tensor {
        run {
            if let scale { return x.linear(int8: weight, scale: scale) }
            return x.linear(weight)
        }
    }

    /// Stores the table as int8 with a factor for each row (``Martlet/Tensor/quantizedRows()``): for using a model, not
    /// for training it.
    public func quantize() { if scale == nil { scale = weight.quantizeInPlace(.int8) } }

    /// The type of what comes out.
    public var outputType: DType { scale?.dtype ?? weight.dtype }

    public override var extraDescription: String {
        "\(weight.size(0)), \(weight.size(1))" + (paddingIndex.map { ", paddingIndex: \($0)" } ?? "")
    }
}
