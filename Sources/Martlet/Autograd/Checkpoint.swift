// Activation checkpointing.
internal import CMartletKernels

/// Runs `function` without keeping what its operations save; the backward pass runs it again to get them back (Chen et
/// al. 2016). Trades one more forward pass for the memory of the activations in between.
///
/// The function must do the same the second time. Every ``Generator`` it draws from is set back for that, so dropout
/// draws the same masks, and then goes on where it was.
public func checkpoint(_ function: @escaping () -> Tensor) -> Tensor {
    if !isGradEnabled { return function() }
    let recomputation = Recomputation(function)
    return recomputation.recordingDraws {
        SavedTensorHooks.with(
            pack: { _ in recomputation.nextPlace() }, unpack: { recomputation.value($0 as! Recomputation.Place) }
        ) { function() }
    }
}

/// What a checkpointed function saved: nothing at first, and after it was run again what the backward pass has not
/// used.
final class Recomputation {
    /// Stands for the i-th saved tensor in the graph; the tensor goes with it.
    final class Place {
        let index: Int
        let owner: Recomputation
        init(_ index: Int, _ owner: Recomputation) {
            self.index = index
            self.owner = owner
        }
        deinit { owner.values[index] = nil }
    }

    private let function: () -> Tensor
    private var count = 0
    private var hasRun = false
    private var values: [Int: Tensor] = [:]
    /// Generators that the function drew from, as they were before it did.
    private var draws: [(generator: Generator, state: Generator.State)] = []
    /// The checkpoint that this one runs inside of.
    private var outer: Recomputation?

    init(_ function: @escaping () -> Tensor) { self.function = function }

    /// The checkpointed function that runs on this thread for the first time.
    private static var current: Recomputation? {
        guard let slot = mk_thread().pointee.slots.4 else { return nil }
        return Unmanaged<Recomputation>.fromOpaque(slot).takeUnretainedValue()
    }

    private static func with<R>(_ current: Recomputation?, _ body: () -> R) -> R {
        let old = mk_thread().pointee.slots.4
        mk_thread().pointee.slots.4 = current.map { Unmanaged.passUnretained($0).toOpaque() }
        defer { mk_thread().pointee.slots.4 = old }
        return body()
    }

    func recordingDraws(_ body: () -> Tensor) -> Tensor {
        outer = Recomputation.current
        defer { outer = nil }
        return Recomputation.with(self, body)
    }

    /// Called when numbers are drawn from `generator`, which was at `state` before.
    static func noteDraw(_ generator: Generator, _ state: Generator.State) {
        var next = current
        while let recomputation = next {
            if !recomputation.draws.contains(where: { $0.generator === generator }) {
                recomputation.draws.append((generator, state))
            }
            next = recomputation.outer
        }
    }

    func nextPlace() -> Place {
        defer { count += 1 }
        return Place(count, self)
    }

    func value(_ place: Place) -> Tensor {
        if !hasRun { run() }
        return values[place.index]!
    }

    private func run() {
        let scope = ProfilerScope()
        defer { scope.end("recomputation", .range) }
        let now = draws.map(\.generator.state)
        for draw in draws { draw.generator.state = draw.state }
        defer { for (draw, state) in zip(draws, now) { draw.generator.state = state } }
        var next = 0
        Recomputation.with(nil) {
            withGrad {
                SavedTensorHooks.with(
                    pack: { tensor in
                        self.values[next] = tensor
                        next += 1
                        return tensor
                    }, unpack: { $0 as! Tensor }
                ) { _ = function() }
            }
        }
        if next != count {
            trap(
                "checkpoint",
                "the function saved \(count) tensors at first and \(next) when run again: it must do the same both "
                    + "times"
            )
        }
        hasRun = true
    }
}
