internal import Martlet

#if canImport(Glibc)
private import Glibc
#endif

/// A value that depends on the number of the update alone, such as a learning rate: a run that is resumed needs nothing
/// but its step to go on.
///
/// ```swift
/// let schedule = Schedule.cosine(peak: 3e-4, warmupSteps: 100, totalSteps: 10_000)
/// schedule.value(at: 1)       // 3e-6
/// schedule.value(at: 100)     // 3e-4
/// ```
public struct Schedule: Sendable, CustomStringConvertible {
    public let description: String
    private let function: @Sendable (Int) -> Double

    /// A schedule of one's own; the value must depend on the step alone.
    public init(_ description: String, _ function: @escaping @Sendable (_ step: Int) -> Double) {
        self.description = description
        self.function = function
    }

    /// The value for update `step`, counted from 1.
    public func value(at step: Int) -> Double { function(step) }

    // MARK: without warm-up

    /// The same value always.
    public static func constant(_ value: Double) -> Schedule { Schedule("constant(\(value))") { _ in value } }

    /// A straight line from `start` at step 0 to `end` at step `steps`, and `end` from there.
    public static func linear(from start: Double, to end: Double, steps: Int) -> Schedule {
        checkSteps("linear", steps, atLeast: 1)
        return Schedule("linear(\(start) to \(end) in \(steps) steps)") { step in
            step >= steps ? end : start + (end - start) * Double(max(0, step)) / Double(steps)
        }
    }

    /// Half a cosine from `start` at step 0 to `end` at step `steps`, and `end` from there (Loshchilov & Hutter 2017).
    public static func cosine(from start: Double, to end: Double = 0, steps: Int) -> Schedule {
        checkSteps("cosine", steps, atLeast: 1)
        return Schedule("cosine(\(start) to \(end) in \(steps) steps)") { step in
            step >= steps ? end : end + (start - end) * (1 + cos(.pi * Double(max(0, step)) / Double(steps))) / 2
        }
    }

    /// PaLM's: `peak` for the first `constantSteps` steps, then peak · sqrt(constantSteps / step). With the defaults
    /// 1 / sqrt(max(step, 10000)).
    public static func palm(peak: Double = 1e-2, constantSteps: Int = 10_000) -> Schedule {
        checkSteps("palm", constantSteps, atLeast: 1)
        return Schedule("palm(peak: \(peak), constantSteps: \(constantSteps))") { step in
            step <= constantSteps ? peak : peak * (Double(constantSteps) / Double(step)).squareRoot()
        }
    }

    /// `value`, multiplied by `factor` after every `interval` steps.
    public static func step(_ value: Double, factor: Double, every interval: Int) -> Schedule {
        checkSteps("step", interval, atLeast: 1)
        return Schedule("step(\(value), factor: \(factor), every: \(interval))") { step in
            value * pow(factor, Double(max(0, step - 1) / interval))
        }
    }

    /// Any function of the step, which must depend on nothing else.
    public static func lambda(_ function: @escaping @Sendable (_ step: Int) -> Double) -> Schedule {
        Schedule("lambda", function)
    }

    // MARK: with warm-up: step k of it has k / warmupSteps of the peak

    /// `peak` after a linear warm-up.
    public static func constant(_ peak: Double, warmupSteps: Int) -> Schedule {
        constant(peak).warmedUp(steps: warmupSteps)
    }

    /// A linear warm-up to `peak`, then a straight line to `final` at step `totalSteps`, the warm-up included.
    public static func linear(peak: Double, warmupSteps: Int = 0, totalSteps: Int, final: Double = 0) -> Schedule {
        checkTotal("linear", warmupSteps, totalSteps)
        return linear(from: peak, to: final, steps: totalSteps - warmupSteps).warmedUp(steps: warmupSteps)
    }

    /// A linear warm-up to `peak`, then half a cosine to `final` at step `totalSteps`, the warm-up included.
    public static func cosine(peak: Double, warmupSteps: Int = 0, totalSteps: Int, final: Double = 0) -> Schedule {
        checkTotal("cosine", warmupSteps, totalSteps)
        return cosine(from: peak, to: final, steps: totalSteps - warmupSteps).warmedUp(steps: warmupSteps)
    }

    /// A linear warm-up to `peak`, then peak · sqrt(warmupSteps / step).
    public static func inverseSquareRoot(peak: Double, warmupSteps: Int) -> Schedule {
        checkSteps("inverseSquareRoot", warmupSteps, atLeast: 1)
        return Schedule("inverseSquareRoot(peak: \(peak), warmupSteps: \(warmupSteps))") { step in
            step < warmupSteps
                ? peak * Double(max(0, step)) / Double(warmupSteps)
                : peak * (Double(warmupSteps) / Double(step)).squareRoot()
        }
    }

    // MARK: combined

    /// A linear rise over `steps` steps to this schedule's first value; this schedule counts its steps from there.
    public func warmedUp(steps: Int) -> Schedule {
        Schedule.checkSteps("warmedUp", steps, atLeast: 0)
        if steps == 0 { return self }
        return Schedule("\(description) after \(steps) steps of warm-up") { step in
            step < steps ? value(at: 0) * Double(max(0, step)) / Double(steps) : value(at: step - steps)
        }
    }

    /// This schedule for `steps` steps, then `next`, which counts its steps from there.
    public func followed(after steps: Int, by next: Schedule) -> Schedule {
        Schedule.checkSteps("followed", steps, atLeast: 0)
        return Schedule("\(description) for \(steps) steps, then \(next)") { step in
            step <= steps ? value(at: step) : next.value(at: step - steps)
        }
    }

    /// This schedule's values times `factor`.
    public func scaled(by factor: Double) -> Schedule {
        Schedule("\(factor) * \(description)") { value(at: $0) * factor }
    }

    private static func checkSteps(_ schedule: String, _ steps: Int, atLeast minimum: Int) {
        if steps < minimum { trap("Schedule.\(schedule)", "at least \(minimum) steps are needed, not \(steps)") }
    }

    private static func checkTotal(_ schedule: String, _ warmup: Int, _ total: Int) {
        if warmup < 0 || total <= warmup {
            trap("Schedule.\(schedule)", "the \(total) steps in all must be more than the \(warmup) of the warm-up")
        }
    }
}
