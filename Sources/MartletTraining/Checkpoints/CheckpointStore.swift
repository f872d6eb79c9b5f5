import Glibc

/// One complete checkpoint on disk.
public struct Checkpoint: Sendable, Equatable {
    /// The folder, such as `runs/demo/checkpoints/step-00000500`.
    public let folder: String
    public let step: Int
    /// The validation loss at this step, where one was measured.
    public let validationLoss: Double?
}

/// The checkpoints of a run: a folder for each step, `step-00000500`, each with a `manifest.json` of sizes and checksums.
///
/// A checkpoint appears under its name only when it is complete and on the disk.
public struct CheckpointStore: Sendable {
    /// Which checkpoint is meant.
    public enum Selection: Sendable, Equatable {
        /// The one with the highest step.
        case latest
        /// The one with the lowest validation loss; the earlier of equals.
        case best
        case step(Int)
    }

    public let folder: String

    /// - Parameter folder: The folder of the checkpoints, such as `runs/demo/checkpoints`. It need not be there yet.
    public init(folder: String) {
        self.folder = folder
    }

    /// Removes what a killed process left half-written.
    ///
    /// - Returns: The names of what was removed.
    @discardableResult
    public func clean() throws(FileError) -> [String] {
        try AtomicDirectory.removeStaleTemporaries(in: folder)
    }

    // MARK: Saving

    /// Saves a checkpoint, replacing one of the same step, and then removes those that need not be kept.
    ///
    /// - Parameters:
    ///   - validationLoss: Ranks the checkpoint among the best; nil where none was measured.
    ///   - keepLast: How many of the newest to keep, at least 1.
    ///   - keepBest: How many of the lowest validation loss to keep besides.
    ///   - interval: Checkpoints of other steps than its multiples that have a validation loss were saved for that loss, and
    ///     do not count among the newest.
    ///   - write: Writes the checkpoint's files into the folder that it is given.
    /// - Throws: `FileError` or what `write` throws. Earlier checkpoints then are as they were.
    @discardableResult
    public func save(
        step: Int, validationLoss: Double? = nil, keepLast: Int, keepBest: Int = 0, interval: Int = 1,
        write: (_ folder: String) throws -> Void
    ) throws -> Checkpoint {
        precondition(step >= 0, "[CheckpointStore.save] step must be at least 0, found \(step)")
        precondition(keepLast >= 1, "[CheckpointStore.save] keepLast must be at least 1, found \(keepLast)")
        let path = path(step: step)
        let manifest = try AtomicDirectory.write(to: path) { temporary in
            try write(temporary)
            let manifest = try CheckpointManifest(step: step, validationLoss: validationLoss, folder: temporary)
            try AtomicFile.write(try manifest.encoded(), to: temporary + "/" + CheckpointManifest.fileName)
            return manifest
        }
        try prune(keepLast: keepLast, keepBest: keepBest, interval: interval)
        return Checkpoint(folder: path, step: step, validationLoss: manifest.validationLoss)
    }

    /// Removes all but the last and the best. The newest of all stays in any case.
    public func prune(keepLast: Int, keepBest: Int, interval: Int = 1) throws(FileError) {
        let steps = try steps()
        let ranked = try ranked().map(\.step)
        let best = Set(ranked.prefix(keepBest))
        let forTheirLoss = Set(ranked.filter { $0 % interval != 0 && ($0 != steps.last || best.contains($0)) })
        let kept = best.union(steps.filter { !forTheirLoss.contains($0) }.suffix(keepLast))
        for step in steps where !kept.contains(step) { try remove(step: step) }
    }

    /// Whether a checkpoint with this validation loss would be one of the `count` best.
    public func isAmongBest(_ validationLoss: Double, of count: Int) throws(FileError) -> Bool {
        guard validationLoss.isFinite else { return false }
        return try ranked().count { $0.validationLoss! <= validationLoss } < count
    }

    /// Removes the checkpoints after a step: those of a course that the run has left, after going back before a spike.
    public func removeAll(after step: Int) throws(FileError) {
        for later in try steps() where later > step { try remove(step: later) }
    }

    private static let asidePrefix = "aside-"

    /// Moves the checkpoints after a step into a folder of their own beside the others, `aside-1` or the next that is free.
    ///
    /// - Returns: The folder and the steps; nil where there is none after that step.
    @discardableResult
    public func setAside(after step: Int) throws(FileError) -> (folder: String, steps: [Int])? {
        let later = try steps().filter { $0 > step }
        if later.isEmpty { return nil }
        var number = 1
        while FileIO.exists("\(folder)/\(Self.asidePrefix)\(number)") { number += 1 }
        let target = "\(folder)/\(Self.asidePrefix)\(number)"
        try FileIO.makeFolder(target)
        for step in later.reversed() {
            let path = path(step: step)
            guard rename(path, target + "/" + FileIO.name(of: path)) == 0 else { throw FileError("move", path) }
        }
        try FileIO.synchronize(target)
        try FileIO.synchronize(folder)
        return (target, later)
    }

    /// Removes every checkpoint, those that were set aside, too.
    func removeEverything() throws(FileError) {
        try removeAll(after: -1)
        for name in try FileIO.names(in: folder) where name.hasPrefix(Self.asidePrefix) {
            try FileIO.remove(folder + "/" + name)
        }
    }

    /// Writes what a checkpoint consists of to the disk and removes it again: to see how long that takes.
    func rehearse(_ write: (_ folder: String) throws -> Void) throws {
        let path = TemporaryName.beside(path(step: 0))
        try AtomicDirectory.write(to: path) { temporary in
            try write(temporary)
            _ = try CheckpointManifest(step: 0, validationLoss: nil, folder: temporary)
        }
        try FileIO.remove(path)
    }

    private func remove(step: Int) throws(FileError) {
        // Out of the way in one step first, so that nobody finds half a checkpoint under a good name.
        let path = path(step: step)
        let temporary = TemporaryName.beside(path)
        guard rename(path, temporary) == 0 else { throw FileError("remove", path) }
        try FileIO.remove(temporary)
    }

    // MARK: Finding

    public func path(step: Int) -> String {
        let digits = String(step)
        return "\(folder)/step-\(String(repeating: "0", count: max(0, 8 - digits.count)))\(digits)"
    }

    /// The steps that have a checkpoint, rising. Whether it is sound is not looked at.
    public func steps() throws(FileError) -> [Int] {
        var steps: [Int] = []
        for name in try FileIO.names(in: folder) where name.hasPrefix("step-") {
            if let step = Int(name.dropFirst(5)), step >= 0, path(step: step) == folder + "/" + name {
                steps.append(step)
            }
        }
        return steps.sorted()
    }

    /// The readable checkpoints with a validation loss, the best first.
    private func ranked() throws(FileError) -> [Checkpoint] {
        var checkpoints: [Checkpoint] = []
        for step in try steps() {
            if let checkpoint = try? checkpoint(step: step), checkpoint.validationLoss != nil {
                checkpoints.append(checkpoint)
            }
        }
        return checkpoints.sorted { ($0.validationLoss!, $0.step) < ($1.validationLoss!, $1.step) }
    }

    private func checkpoint(step: Int) throws(CheckpointError) -> Checkpoint {
        try Self.checkpoint(folder: path(step: step))
    }

    private static func checkpoint(folder: String) throws(CheckpointError) -> Checkpoint {
        let manifest = try CheckpointManifest.read(fromCheckpoint: folder)
        return Checkpoint(folder: folder, step: manifest.step, validationLoss: manifest.validationLoss)
    }

    /// Finds a checkpoint and checks every byte of it.
    ///
    /// - Parameters:
    ///   - fallBack: Whether to take the one before where a checkpoint is damaged.
    ///   - notAfter: Looks at checkpoints up to this step only.
    /// - Returns: A sound checkpoint, and what was wrong with those that were passed over.
    /// - Throws: `CheckpointError` that names the damaged file, or says that there is no checkpoint.
    public func open(
        _ selection: Selection, fallBack: Bool = false, notAfter limit: Int = .max
    ) throws -> (checkpoint: Checkpoint, passedOver: [CheckpointError]) {
        let steps = try steps().filter { $0 <= limit }
        guard !steps.isEmpty else {
            throw CheckpointError(
                checkpoint: folder,
                problem: limit == .max ? "there is no checkpoint" : "there is no checkpoint up to step \(limit)")
        }
        let candidates: [Int]
        switch selection {
        case .latest: candidates = steps.reversed()
        case .best:
            candidates = try ranked().map(\.step).filter { $0 <= limit }
            guard !candidates.isEmpty else {
                throw CheckpointError(
                    checkpoint: folder, problem: "no checkpoint has a validation loss, so none is the best")
            }
        case .step(let step):
            guard steps.contains(step) else {
                throw CheckpointError(
                    checkpoint: folder,
                    problem:
                        "there is no checkpoint of step \(step), only of \(steps.map(String.init).joined(separator: ", "))"
                )
            }
            candidates = steps.reversed().filter { $0 <= step }
        }
        var passedOver: [CheckpointError] = []
        for step in candidates {
            do {
                return (try Self.verified(folder: path(step: step)), passedOver)
            } catch {
                guard fallBack else { throw error }
                passedOver.append(error)
            }
        }
        throw CheckpointError(
            checkpoint: folder,
            problem: "every checkpoint is damaged:\n" + passedOver.map { "  " + $0.description }.joined(separator: "\n")
        )
    }

    /// Checks every byte of a checkpoint.
    ///
    /// - Throws: `CheckpointError` that names the damaged file.
    public static func verified(folder: String) throws(CheckpointError) -> Checkpoint {
        let manifest = try CheckpointManifest.read(fromCheckpoint: folder)
        try manifest.verify(folder: folder)
        return Checkpoint(folder: folder, step: manifest.step, validationLoss: manifest.validationLoss)
    }

    /// Finds and checks the checkpoint that a path given by a user means: a checkpoint's folder, the folder of a run's
    /// checkpoints, or the run's folder.
    ///
    /// - Parameter selection: Which one to take where the path has several.
    /// - Throws: `CheckpointError`.
    public static func open(
        path: String, _ selection: Selection = .latest, fallBack: Bool = false
    ) throws -> (checkpoint: Checkpoint, passedOver: [CheckpointError]) {
        guard FileIO.exists(path) else { throw CheckpointError(checkpoint: path, problem: "there is no such folder") }
        // A checkpoint whose manifest is lost must be reported, not be taken for a folder of checkpoints.
        if FileIO.exists(path + "/" + CheckpointManifest.fileName) || FileIO.name(of: path).hasPrefix("step-") {
            return (try verified(folder: path), [])
        }
        for folder in [path, path + "/checkpoints"] {
            let store = CheckpointStore(folder: folder)
            if try !store.steps().isEmpty { return try store.open(selection, fallBack: fallBack) }
        }
        throw CheckpointError(
            checkpoint: path,
            problem: "expected a checkpoint, a folder of checkpoints or a run's folder, found none of them")
    }
}
