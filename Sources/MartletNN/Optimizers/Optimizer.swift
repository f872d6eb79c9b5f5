public import Martlet

/// Parameters that are updated with options of their own.
public struct ParameterGroup {
    public var name: String
    /// What the learning rate of the optimizer is multiplied with.
    public var learningRateScale: Double
    /// A learning rate apart from the optimizer's.
    public var learningRate: Schedule?
    /// In place of the optimizer's.
    public var weightDecay: Double?
    let contains: (_ name: String, _ parameter: Parameter) -> Bool

    /// - Parameter contains: whether the parameter of this dotted name is in the group. The first group that takes a
    ///   parameter has it.
    public init(
        _ name: String, learningRateScale: Double = 1, learningRate: Schedule? = nil, weightDecay: Double? = nil,
        where contains: @escaping (_ name: String, _ parameter: Parameter) -> Bool
    ) {
        self.name = name
        self.learningRateScale = learningRateScale
        self.learningRate = learningRate
        self.weightDecay = weightDecay
        self.contains = contains
    }
}

/// Changes parameters by their gradients.
///
/// ```swift
/// let optimizer = AdamW(model, schedule: .cosine(peak: 3e-4, warmupSteps: 100, totalSteps: 10_000))
/// for batch in batches {
///     let loss = model(batch.x).crossEntropy(batch.y)
///     loss.backward()
///     optimizer.step(clippingNorm: 1)
///     optimizer.zeroGrad()
/// }
/// ```
///
/// Half-precision parameters get a float32 master copy, which is what is updated; the parameter is its rounded image. A
/// parameter that something else writes between two steps (loading, averaging) is noticed and the master copy follows.
/// Parameters without a gradient, or frozen, are left alone, their state too.
///
/// An optimizer of one's own overrides ``slots(for:)`` and ``update(_:_:_:)``.
open class Optimizer: CustomStringConvertible {
    /// The learning rate; of the step that comes, or with a ``schedule`` of the one that was.
    public final var learningRate: Double
    /// Gives the learning rate of each step. nil: ``learningRate`` is what it was set to.
    public final var schedule: Schedule?
    /// Taken off the parameters in each step; how, is the optimizer's.
    public final var weightDecay: Double
    /// Steps done so far.
    public internal(set) final var stepCount = 0
    /// Groups with their own options, which may be changed between steps. Who is in a group is decided once.
    public final var groups: [ParameterGroup]

    final var entries: [ParameterState] = []

    /// - Parameters:
    ///   - parameters: names, which the saved state is told apart by, and parameters; each once.
    public init(
        _ parameters: [(name: String, parameter: Parameter)], learningRate: Double, schedule: Schedule? = nil,
        weightDecay: Double = 0, groups: [ParameterGroup] = []
    ) {
        if !(learningRate >= 0) { trap("Optimizer", "the learning rate must not be negative: \(learningRate)") }
        if !(weightDecay >= 0) { trap("Optimizer", "the weight decay must not be negative: \(weightDecay)") }
        self.learningRate = schedule?.value(at: 1) ?? learningRate
        self.schedule = schedule
        self.weightDecay = weightDecay
        self.groups = groups
        var names = Set<String>()
        var seen = Set<ObjectIdentifier>()
        for (name, p) in parameters {
            if !seen.insert(ObjectIdentifier(p)).inserted { trap("Optimizer", "the parameter \(name) is given twice") }
            if !names.insert(name).inserted { trap("Optimizer", "two parameters are called \(name)") }
            if !p.dtype.isFloatingPoint {
                trap("Optimizer", "the parameter \(name) is \(p.dtype), which cannot be learned")
            }
            entries.append(ParameterState(name, p, group: groups.firstIndex { $0.contains(name, p) }))
        }
    }

    /// The parameters that this optimizer updates.
    public final var parameters: [Parameter] { entries.map(\.parameter) }

    /// Drops all gradients.
    public final func zeroGrad() { for entry in entries { entry.parameter.grad = nil } }

    /// The norm of all gradients together.
    public final func gradientNorm() -> Double { MartletNN.gradientNorm(parameters.filter(\.requiresGrad)) }

    /// Updates every parameter that has a gradient.
    ///
    /// - Parameter gradientScale: what gradients are multiplied with first, in the same pass over memory: for clipping,
    ///   for means over micro-batches, and for taking back a scaled loss.
    public final func step(gradientScale: Double = 1) {
        let scope = ProfilerScope()
        defer { scope.end("\(type(of: self)) step", phase: .optimizer) }
        stepCount += 1
        if let schedule { learningRate = schedule.value(at: stepCount) }
        noGrad {
            for entry in entries where entry.parameter.requiresGrad {
                guard let gradient = entry.parameter.grad else { continue }
                entry.prepare(slots: slots(for: entry.parameter))
                entry.step += 1
                update(entry, gradient, options(of: entry, gradientScale))
                entry.noteWrite()
            }
        }
    }

    /// Updates every parameter with gradients whose norm together is limited to `clippingNorm`.
    /// - Returns: the norm before. When it is not finite nothing is updated and the step is not counted.
    @discardableResult
    public final func step(clippingNorm: Double) -> Double {
        let norm = gradientNorm()
        if norm.isFinite { step(gradientScale: clippingScale(norm, maxNorm: clippingNorm)) }
        return norm
    }

    private func options(of entry: ParameterState, _ gradientScale: Double) -> UpdateOptions {
        let group = entry.group.map { groups[$0] }
        let rate = group?.learningRate?.value(at: stepCount) ?? learningRate
        return UpdateOptions(
            learningRate: rate * (group?.learningRateScale ?? 1), weightDecay: group?.weightDecay ?? weightDecay,
            gradientScale: gradientScale)
    }

    /// The learning rate that a parameter's next update would have if made now.
    public final func learningRate(of parameter: Parameter) -> Double? {
        entries.first { $0.parameter === parameter }.map { options(of: $0, 1).learningRate }
    }

    // MARK: for subclasses

    /// The tensors kept for a parameter and their shapes. They start as zeros, in float32 (float64 for float64
    /// parameters).
    open func slots(for parameter: Parameter) -> [(name: String, shape: [Int])] { [] }

    /// Updates one parameter, and its master copy if it has one. Called under `noGrad`.
    open func update(_ state: ParameterState, _ gradient: Tensor, _ options: UpdateOptions) {
        trap("Optimizer", "\(type(of: self)) does not override update(_:_:_:)")
    }

    /// What `description` says about the options, after the learning rate.
    open var extraDescription: String { "weightDecay: \(weightDecay)" }

    public final var description: String {
        var text = "\(type(of: self))(learningRate: \(learningRate), \(extraDescription))"
        let rest = entries.filter { $0.group == nil }
        for (i, group) in groups.enumerated() {
            let members = entries.filter { $0.group == i }
            text += "\n  \(group.name): \(members.count) parameters, \(count(members)) values"
        }
        text += "\n  \(groups.isEmpty ? "all" : "the rest"): \(rest.count) parameters, \(count(rest)) values"
        return text
    }

    private func count(_ entries: [ParameterState]) -> String {
        Module.grouped(entries.reduce(0) { $0 + $1.parameter.count })
    }
}

/// What one update is made with.
public struct UpdateOptions: Sendable {
    public var learningRate: Double
    public var weightDecay: Double
    public var gradientScale: Double
}

/// What an optimizer keeps for one parameter.
public final class ParameterState {
    public let name: String
    public let parameter: Parameter
    /// Updates of this parameter, the one being made included.
    public internal(set) var step = 0
    /// The float32 copy of a half-precision parameter.
    public internal(set) var master: Tensor?
    /// Tensors by name.
    public internal(set) var slots: [(name: String, tensor: Tensor)] = []
    let group: Int?
    /// The memory and version that the last update left, to notice other writers.
    private weak var writtenStorage: Storage?
    private var writtenVersion = -1

    init(_ name: String, _ parameter: Parameter, group: Int?) {
        self.name = name
        self.parameter = parameter
        self.group = group
    }

    public subscript(_ slot: String) -> Tensor {
        guard let found = slots.first(where: { $0.name == slot }) else {
            trap("Optimizer", "there is no \(slot) for \(name), but: \(slots.map(\.name).joined(separator: ", "))")
        }
        return found.tensor
    }

    /// Makes state that is missing and brings it up to what happened to the parameter since the last update.
    func prepare(slots wanted: [(name: String, shape: [Int])]) {
        let type = parameter.dtype.accumulator
        if slots.isEmpty {
            slots = wanted.map { ($0.name, Tensor.zeros($0.shape, dtype: type)) }
        } else if let first = slots.first, first.tensor.dtype != type {
            // The parameter was converted.
            slots = slots.map { ($0.name, $0.tensor.to(type)) }
        }
        for (slot, want) in zip(slots, wanted) where slot.tensor.shape != want.shape {
            trap(
                "Optimizer",
                "the \(slot.name) of \(name) has the shape \(slot.tensor.shape), not \(want.shape): was the parameter "
                    + "replaced?"
            )
        }
        guard parameter.dtype.isHalf else {
            master = nil
            return
        }
        guard let old = master else {
            master = parameter.detach().to(.float32)
            return
        }
        if writtenStorage !== parameter.storage || writtenVersion != parameter.version {
            // Where the parameter still is the rounded master (it was saved and loaded, swapped out and in), the
            // master's further digits are kept.
            let current = parameter.detach()
            let same = old.to(parameter.dtype) .== current
            master = Tensor.select(same, old, current.to(.float32))
        }
    }

    func noteWrite() {
        writtenStorage = parameter.storage
        writtenVersion = parameter.version
    }

    /// Forgets who wrote last: the next update compares the master copy.
    func forgetWrite() { writtenStorage = nil }
}
