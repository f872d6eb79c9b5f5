internal import Martlet

/// Which steps of a run are profiled.
public struct ProfiledSteps: Sendable, Equatable {
    /// How many.
    public var count: Int
    /// Steps of this start that come before: the first ones pay for preparations that later ones do not. A run that
    /// has too few steps left has fewer.
    public var warmUp: Int

    public init(count: Int = 3, warmUp: Int = 4) {
        self.count = count
        self.warmUp = warmUp
    }
}

/// The profile of some steps of a run.
struct TrainingProfile {
    static let files = ["profile.json", "profile.txt"]

    private let folder: String
    private let warmUp: Int
    private let count: Int
    /// Steps begun in this start, repeated ones included.
    private var begun = 0
    private var steps: (first: Int, last: Int)?

    init(_ wanted: ProfiledSteps, stepsLeft: Int, folder: String) {
        self.folder = folder
        count = min(wanted.count, stepsLeft)
        warmUp = min(wanted.warmUp, stepsLeft - count)
    }

    /// Begins the recording before its first step and ends it after its last.
    /// - Returns: what people want to see of a profile that ended.
    mutating func beforeStep(_ step: Int) throws -> String? {
        defer { begun += 1 }
        if begun == warmUp {
            steps = (step, step)
            Profiler.start()
        } else if begun == warmUp + count {
            return try finish()
        } else if steps != nil {
            steps!.last = step
        }
        return nil
    }

    /// Ends a recording that goes on, and writes it.
    mutating func finish() throws -> String? {
        guard let (first, last) = steps else {
            return begun > warmUp ? nil : "nothing was profiled: the run ended before step \(warmUp + 1) of this start"
        }
        steps = nil
        let profile = Profiler.stop()
        let title = first == last ? "profile of step \(first)" : "profile of the steps \(first) to \(last)"
        try profile.write(to: folder + "/profile.json")
        try AtomicFile.write(
            "\(title): \(profile.table(limit: nil))\nby operands\n\(profile.table(groupedBy: .shapes, limit: nil))\n"
                + "by module\n\(profile.table(groupedBy: .module, limit: nil))",
            to: folder + "/profile.txt")
        return "\(title): \(profile.table(limit: 25))written to \(folder)/profile.json and \(folder)/profile.txt"
    }

    /// Ends a recording that a failed run left.
    mutating func abandon() {
        if steps != nil { _ = Profiler.stop() }
        steps = nil
    }
}
