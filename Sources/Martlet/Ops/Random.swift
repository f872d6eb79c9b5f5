// Random tensors: counter-based, so the same seed gives the same numbers on every device and with any number of
// threads.
internal import CMartletKernels
private import Synchronization

/// A stream of random numbers, determined by its seed and a position: Philox 4x32-10.
///
/// The whole state is two numbers, which checkpoints keep.
public final class Generator: @unchecked Sendable {
    /// Position and seed of a generator.
    public struct State: Sendable, Equatable {
        public var seed: UInt64
        /// Blocks of four 32-bit words used so far.
        public var offset: UInt64
        public init(seed: UInt64, offset: UInt64) {
            self.seed = seed
            self.offset = offset
        }
    }

    private let lock: Mutex<State>

    public init(seed: UInt64) { lock = Mutex(State(seed: seed, offset: 0)) }

    /// The generator used where none is given.
    public static let `default` = Generator(seed: 0)

    public var state: State {
        get { lock.withLock { $0 } }
        set { lock.withLock { $0 = newValue } }
    }

    /// Starts over with `seed`.
    public func manualSeed(_ seed: UInt64) { state = State(seed: seed, offset: 0) }

    /// Reserves `blocks` blocks and returns where they begin.
    package func take(_ blocks: Int) -> State {
        let start = lock.withLock { state in
            let start = state
            state.offset &+= UInt64(blocks)
            return start
        }
        Recomputation.noteDraw(self, start)
        return start
    }

    /// A number in [0, 1).
    public func uniform() -> Double {
        let start = take(1)
        var words: (UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) {
            mk_philox(start.seed, 0, start.offset, $0.baseAddress!.assumingMemoryBound(to: UInt32.self))
        }
        return Double((UInt64(words.0) << 32 | UInt64(words.1)) >> 11) * 0x1p-53
    }
}

extension Tensor {
    /// Seeds ``Generator/default``.
    public static func manualSeed(_ seed: UInt64) { Generator.default.manualSeed(seed) }

    private static func blocks(_ n: Int, _ dtype: DType) -> Int { dtype == .float64 ? (n + 1) / 2 : (n + 3) / 4 }

    private static func checkFloat(_ dtype: DType, _ op: StaticString) {
        if !dtype.isFloatingPoint { trap("\(op)", "a floating-point dtype is needed, not \(dtype)") }
    }

    /// Numbers drawn uniformly from [low, high).
    public static func rand(
        _ shape: [Int], low: Double = 0, high: Double = 1, dtype: DType = .float32, generator: Generator = .default
    ) -> Tensor {
        checkFloat(dtype, "rand")
        let out = Tensor(uninitialized: checked(shape, "rand"), dtype, "rand")
        let start = generator.take(blocks(out.count, dtype))
        Kernels.uniform(out, start, low: low, high: high)
        return out
    }

    /// Numbers drawn from the normal distribution.
    public static func randn(
        _ shape: [Int], mean: Double = 0, std: Double = 1, dtype: DType = .float32, generator: Generator = .default
    ) -> Tensor {
        checkFloat(dtype, "randn")
        let out = Tensor(uninitialized: checked(shape, "randn"), dtype, "randn")
        let start = generator.take(blocks(out.count, dtype))
        Kernels.normal(out, start, mean: mean, std: std)
        return out
    }

    /// Integers drawn uniformly from low ..< high.
    public static func randint(
        _ low: Int, _ high: Int, _ shape: [Int], dtype: DType = .int64, generator: Generator = .default
    ) -> Tensor {
        if high <= low { trap("randint", "the range \(low)..<\(high) is empty") }
        if !dtype.isInteger { trap("randint", "an integer dtype is needed, not \(dtype)") }
        let out = Tensor(uninitialized: checked(shape, "randint"), dtype, "randint")
        let start = generator.take((out.count + 1) / 2)
        Kernels.integers(out, start, low: low, high: high)
        return out
    }

    /// 1 with probability `p`, else 0.
    public static func bernoulli(
        _ p: Double, _ shape: [Int], dtype: DType = .float32, generator: Generator = .default
    ) -> Tensor {
        if !(p >= 0 && p <= 1) { trap("bernoulli", "a probability is in 0...1, \(p) is not") }
        let out = Tensor(uninitialized: checked(shape, "bernoulli"), dtype, "bernoulli")
        let start = generator.take((out.count + 3) / 4)
        Kernels.bernoulli(out, start, p)
        return out
    }

    /// Draws every element anew, uniformly from [low, high): the numbers of ``rand(_:low:high:dtype:generator:)``.
    @discardableResult
    public func uniformInPlace(low: Double = 0, high: Double = 1, generator: Generator = .default) -> Self {
        Tensor.checkFloat(dtype, "uniformInPlace")
        overwrite(
            "uniformInPlace", with: Tensor.rand(shape, low: low, high: high, dtype: dtype, generator: generator))
        return self
    }

    /// Draws every element anew from the normal distribution: the numbers of ``randn(_:mean:std:dtype:generator:)``.
    @discardableResult
    public func normalInPlace(mean: Double = 0, std: Double = 1, generator: Generator = .default) -> Self {
        Tensor.checkFloat(dtype, "normalInPlace")
        overwrite("normalInPlace", with: Tensor.randn(shape, mean: mean, std: std, dtype: dtype, generator: generator))
        return self
    }

    /// Sets every element to 1 with probability `p`, else to 0: the numbers of ``bernoulli(_:_:dtype:generator:)``.
    @discardableResult
    public func bernoulliInPlace(_ p: Double = 0.5, generator: Generator = .default) -> Self {
        overwrite("bernoulliInPlace", with: Tensor.bernoulli(p, shape, dtype: dtype, generator: generator))
        return self
    }

    public static func rand(like other: Tensor, generator: Generator = .default) -> Tensor {
        rand(other.shape, dtype: other.dtype, generator: generator)
    }
    public static func randn(like other: Tensor, generator: Generator = .default) -> Tensor {
        randn(other.shape, dtype: other.dtype, generator: generator)
    }

    /// The integers 0 ..< n in random order: int64.
    public static func randperm(_ n: Int, generator: Generator = .default) -> Tensor {
        // Random 62-bit keys: equal ones are too rare to bias the order.
        randint(0, 1 << 62, [n], generator: generator).sort().indices
    }

    /// `count` indices drawn by the weights in the last dimension (they need not sum to 1): int64 [..., count].
    public func multinomial(_ count: Int, replacement: Bool = false, generator: Generator = .default) -> Tensor {
        if rank == 0 || rank > 2 {
            trap("multinomial", "weights of one or two dimensions are needed, the shape is \(dims.text)")
        }
        return noGrad {
            let w = detach().to(dtype.isFloatingPoint ? dtype.accumulator : .float32)
            if (w .< 0).any().item() != 0 || w.isFinite().all().item() == 0 {
                trap("multinomial", "weights must be finite and not negative")
            }
            if replacement {
                let total = w.cumsum(dim: -1)
                let sum = total.narrow(-1, start: w.size(-1) - 1, length: 1)
                if (sum .<= 0).any().item() != 0 { trap("multinomial", "the weights of a row are all zero") }
                let u = Tensor.rand(Array(w.shape.dropLast()) + [count], dtype: w.dtype, generator: generator) * sum
                // The number of running totals not above u is the index drawn.
                return (total.unsqueeze(-2) .<= u.unsqueeze(-1)).sum(dim: -1).clamp(max: Double(w.size(-1) - 1))
            }
            if count > w.size(-1) {
                trap("multinomial", "\(count) draws without replacement from \(w.size(-1)) weights")
            }
            // Exponential races: the first k of E_i / w_i are a draw without replacement.
            let race = -(1 - Tensor.rand(w.shape, dtype: w.dtype, generator: generator)).log() / w
            return race.topk(count, largest: false).indices
        }
    }

    /// Zeroes elements with probability `p` and scales the others by 1 / (1 - p); the tensor itself unless `training`.
    public func dropout(_ p: Double, training: Bool = true, generator: Generator = .default) -> Tensor {
        if !(p >= 0 && p <= 1) { trap("dropout", "a probability is in 0...1, \(p) is not") }
        if !training || p == 0 { return self }
        Tensor.checkFloat(dtype, "dropout")
        let start = generator.take((count + 3) / 4)
        return dropped(p, start)
    }

    /// The mask is not stored: the backward pass draws it again.
    private func dropped(_ p: Double, _ start: Generator.State) -> Tensor {
        let x = contiguous()
        let out = Tensor(uninitialized: dims, dtype)
        Kernels.dropout(out, x, start, p)
        out.record("dropout", x) { _ in { ctx, g in ctx.give(0, g.dropped(p, start)) } }
        return out
    }
}
