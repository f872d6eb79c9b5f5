public import Martlet

/// Running averages of parameters: average = decay · average + (1 - decay) · parameter after every step. They are kept
/// in float32 (float64 for float64 parameters), and often score better than the parameters themselves.
///
/// ```swift
/// let average = ExponentialMovingAverage(model, decay: 0.999)
/// ...
/// optimizer.step()
/// average.update()
/// ...
/// average.withAverages { evaluate(model) }
/// ```
public final class ExponentialMovingAverage {
    public let decay: Double
    /// Whether the decay rises from small values, as min(decay, (1 + n) / (10 + n)) at update n, so that the first
    /// parameters are soon forgotten.
    public let hasWarmup: Bool
    /// Updates done.
    public private(set) var updateCount = 0
    /// Whether the parameters hold the averages now.
    public private(set) var isSwappedIn = false

    private struct Entry {
        let name: String
        let parameter: Parameter
        var average: Tensor
        var kept: Tensor?
    }
    private var entries: [Entry]

    /// The averages start as copies of the parameters.
    public init(_ parameters: some ParameterSource, decay: Double, warmup: Bool = false) {
        if !(decay >= 0 && decay < 1) { trap("ExponentialMovingAverage", "a decay is in 0..<1, \(decay) is not") }
        self.decay = decay
        hasWarmup = warmup
        entries = parameters.sourceParameters.map { name, p in
            let copy = noGrad { p.detach().clone().to(p.dtype.accumulator) }
            return Entry(name: name, parameter: p, average: copy)
        }
    }

    /// Takes the parameters' present values into the averages.
    public func update() {
        if isSwappedIn {
            trap("ExponentialMovingAverage", "the parameters hold the averages: call swapOut() before update()")
        }
        updateCount += 1
        let n = Double(updateCount)
        let decay = hasWarmup ? min(self.decay, (1 + n) / (10 + n)) : self.decay
        for i in entries.indices {
            let p = entries[i].parameter
            if entries[i].average.dtype != p.dtype.accumulator {
                entries[i].average = noGrad { entries[i].average.to(p.dtype.accumulator) }
            }
            OptimizerKernels.exponentialMovingAverage(entries[i].average, p, decay: decay)
        }
    }

    /// Puts the averages, in the parameters' dtypes, in the place of the parameters, which are kept until
    /// ``swapOut()``.
    public func swapIn() {
        if isSwappedIn { trap("ExponentialMovingAverage", "the averages are swapped in already") }
        isSwappedIn = true
        for i in entries.indices {
            let p = entries[i].parameter
            entries[i].kept = p.detach()
            // A copy: whoever writes the parameter now must not change the average.
            p.setData(noGrad { entries[i].average.to(p.dtype).clone() })
        }
    }

    /// Puts the parameters back.
    public func swapOut() {
        if !isSwappedIn { trap("ExponentialMovingAverage", "the averages are not swapped in") }
        isSwappedIn = false
        for i in entries.indices {
            entries[i].parameter.setData(entries[i].kept!)
            entries[i].kept = nil
        }
    }

    /// Runs `body` with the averages in the place of the parameters.
    public func withAverages<R>(_ body: () throws -> R) rethrows -> R {
        swapIn()
        defer { swapOut() }
        return try body()
    }

    /// The averages by parameter name, and the number of updates.
    public func stateDictionary() -> [(String, Tensor)] {
        [("updates", Tensor(updateCount))] + entries.map { ($0.name + "/average", $0.average.detach()) }
    }

    /// Takes over a state that ``stateDictionary()`` gave, for the same parameters.
    /// - Throws: ``Martlet/MartletError`` that lists everything that does not fit; nothing is changed then.
    public func load(_ state: [(String, Tensor)]) throws {
        let updates = Tensor(0)
        let targets =
            [StateLoader.Target(names: ["updates"], tensor: updates)]
            + entries.map { .init(names: [$0.name + "/average"], tensor: $0.average) }
        _ = try StateLoader(owner: "the moving average", targets: targets).load(state, strict: true)
        updateCount = updates.item(Int.self)
    }

    /// The averages by parameter name, sharing memory with this object: what a model's `load` takes.
    public var averages: [(name: String, average: Tensor)] { entries.map { ($0.name, $0.average.detach()) } }
}
