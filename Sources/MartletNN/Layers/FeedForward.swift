public import Martlet

/// The activation of a feed-forward layer.
public enum Activation: String, Sendable, Codable, CaseIterable {
    case relu, gelu, geluTanh, silu, tanh, sigmoid

    public func callAsFunction(_ x: Tensor) -> Tensor {
        switch self {
        case .relu: x.relu()
        case .gelu: x.gelu()
        case .geluTanh: x.geluTanh()
        case .silu: x.silu()
        case .tanh: x.tanh()
        case .sigmoid: x.sigmoid()
        }
    }
}

/// The two-layer network of a transformer: down(activation(up(x))). Input and output [..., dimension].
public final class FeedForward: Module {
    public let up: Linear
    public let down: Linear
    public let activation: Activation
    public let dropout: Dropout?

    public init(
        _ dimension: Int, hidden: Int, activation: Activation = .gelu, bias: Bool = true, dropout: Double = 0,
        initializer: Initializer = .torchLinear, dtype: DType = .float32, generator: Generator = .default
    ) {
        up = Linear(dimension, hidden, bias: bias, initializer: initializer, dtype: dtype, generator: generator)
        down = Linear(hidden, dimension, bias: bias, initializer: initializer, dtype: dtype, generator: generator)
        self.activation = activation
        self.dropout = dropout > 0 ? Dropout(dropout, generator: generator) : nil
    }

    public override func forward(_ x: Tensor) -> Tensor {
        let hidden = activation(up(x))
        return down(dropout.map { $0(hidden) } ?? hidden)
    }

    public override var extraDescription: String { "\(activation)" }
}

/// The gated network of a transformer (Shazeer 2020): down(activation(gate(x)) · up(x)); SwiGLU with the activation
/// `silu`. Input and output [..., dimension].
public final class GatedFeedForward: Module {
    public let gate: Linear
    public let up: Linear
    public let down: Linear
    public let activation: GatedActivation
    public let dropout: Dropout?

    public init(
        _ dimension: Int, hidden: Int, activation: GatedActivation = .silu, bias: Bool = false, dropout: Double = 0,
        initializer: Initializer = .torchLinear, dtype: DType = .float32, generator: Generator = .default
    ) {
        gate = Linear(dimension, hidden, bias: bias, initializer: initializer, dtype: dtype, generator: generator)
        up = Linear(dimension, hidden, bias: bias, initializer: initializer, dtype: dtype, generator: generator)
        down = Linear(hidden, dimension, bias: bias, initializer: initializer, dtype: dtype, generator: generator)
        self.activation = activation
        self.dropout = dropout > 0 ? Dropout(dropout, generator: generator) : nil
    }

    public override func forward(_ x: Tensor) -> Tensor {
        let hidden = gate(x).gated(activation, up(x))
        return down(dropout.map { $0(hidden) } ?? hidden)
    }

    public override var extraDescription: String { "\(activation)" }
}
