/// How many steps fit into a time: what a recipe's `minutes` become.
public enum StepPlan {
    /// The largest number of steps whose training, evaluations and checkpoints take at most `minutes`, and at least 1.
    ///
    /// An evaluation follows each `evaluationEvery` steps and a checkpoint each `checkpointEvery`, and one of each the last
    /// step.
    ///
    /// - Parameters:
    ///   - stepSeconds: The time of a step, from trial steps.
    ///   - evaluationSeconds: The time of one evaluation with its samples.
    ///   - checkpointSeconds: The time to save one checkpoint.
    public static func steps(
        minutes: Double, stepSeconds: Double, evaluationSeconds: Double = 0, evaluationEvery: Int = .max,
        checkpointSeconds: Double = 0, checkpointEvery: Int = .max
    ) -> Int {
        precondition(stepSeconds > 0, "[StepPlan.steps] stepSeconds must be above 0, found \(stepSeconds)")
        func occasions(_ steps: Int, every interval: Int) -> Int {
            steps / interval + (steps % interval == 0 ? 0 : 1)
        }
        func seconds(_ steps: Int) -> Double {
            Double(steps) * stepSeconds
                + Double(occasions(steps, every: evaluationEvery)) * evaluationSeconds
                + Double(occasions(steps, every: checkpointEvery)) * checkpointSeconds
        }
        let budget = minutes * 60
        var low = 1
        var high = max(1, Int(min(budget / stepSeconds, 1e12)) + 1)
        while low < high {
            let middle = low + (high - low + 1) / 2
            if seconds(middle) <= budget { low = middle } else { high = middle - 1 }
        }
        return low
    }
}
