import Glibc

extension Recipe {
    /// Checks what concerns several keys together, and what code may have set without reading it from YAML.
    ///
    /// - Throws: `RecipeError` with everything that is wrong.
    public func validate() throws(RecipeError) {
        var problems: [RecipeProblem] = []
        func check(_ condition: Bool, _ message: @autoclosure () -> String) {
            if !condition { problems.append(RecipeProblem(message())) }
        }

        // A value set in code has passed no reader yet: reading the recipe's own tree checks every limit.
        _ = Recipe.read(configNode, at: "", problems: &problems)
        guard problems.isEmpty else { throw RecipeError(problems) }

        check(
            !name.contains { $0 == "/" || $0.isNewline || $0 == "\0" } && name != "." && name != "..",
            "'name': expected a name without slashes, found '\(name)'")
        check(
            (steps == nil) != (minutes == nil),
            steps == nil
                ? "missing key 'steps': expected the number of updates, or 'minutes' to train for about that long"
                : "'steps' and 'minutes' exclude each other: steps is \(steps ?? 0), minutes is \(minutes ?? 0)")

        let validationPaths = Set(data.validation.map(\.path))
        for file in data.train where validationPaths.contains(file.path) {
            check(false, "'data.validation': \(file.path) is also in 'data.train', so its loss would not be held-out")
        }

        let ff = Double(model.width) * model.ffMultiplier
        check(
            ff == ff.rounded() && ff >= 1 && ff < 1e9,
            "'model.ffMultiplier': width * ffMultiplier must be a whole number, found \(model.width) * "
                + "\(model.ffMultiplier) = \(ff)")
        check(model.headDim % 2 == 0, "'model.headDim': expected an even number (rotary pairs), found \(model.headDim)")

        if case .sgd(let sgd) = optimizer, sgd.nesterov {
            check(
                sgd.momentum > 0 && sgd.dampening == 0,
                "'optimizer.nesterov': expected momentum above 0 and dampening 0, found momentum \(sgd.momentum) and "
                    + "dampening \(sgd.dampening)")
        }

        switch schedule {
        case .linear, .cosine:
            if let total = schedule.totalSteps ?? steps {
                check(
                    schedule.warmupSteps < total,
                    "'schedule.warmupSteps': expected less than the \(total) steps over which the rate falls, found "
                        + "\(schedule.warmupSteps)")
            }
        case .palm, .constant, .inverseSquareRoot: break
        }

        if let microBatch = batch.microBatch {
            for stage in batch.sequences.stages where stage.sequences % microBatch != 0 {
                check(
                    false,
                    "'batch.microBatch': expected a divisor of the batch size \(stage.sequences), found \(microBatch)")
            }
        }
        if let problem = batch.sequences.problem { check(false, "'batch.sequences': \(problem)") }

        var end = 0
        for (index, range) in spikes.skip.enumerated() {
            check(
                range.from <= range.to,
                "'spikes.skip.\(index)': expected from <= to, found from \(range.from) to \(range.to)")
            check(
                range.from > end,
                "'spikes.skip.\(index)': expected ranges in rising order that do not overlap, found \(range.from) after \(end)"
            )
            end = range.to
        }
        if spikes.automatic {
            let (product, overflow) = (checkpoint.keepLast - 1).multipliedReportingOverflow(by: checkpoint.everySteps)
            let reach = overflow ? Int.max : product
            check(
                reach >= spikes.rewindSteps,
                "'spikes.rewindSteps': going back \(spikes.rewindSteps) steps needs checkpoints that old, but the "
                    + "\(checkpoint.keepLast) kept, one each \(checkpoint.everySteps) steps, reach back only \(reach): "
                    + "raise checkpoint.keepLast to "
                    + "\((spikes.rewindSteps + checkpoint.everySteps - 1) / checkpoint.everySteps + 1)")
        }
        if !problems.isEmpty { throw RecipeError(problems) }
    }

    /// Checks that the files that the recipe names are there and can be read.
    ///
    /// - Throws: `RecipeError` with every file that is not.
    public func checkFiles() throws(RecipeError) {
        var files: [(key: String, path: String, remedy: String)] = []
        if tokenizer != "bytes" {
            files.append(("tokenizer", tokenizer, "train one with 'martlet tokenizer train'"))
        }
        for (key, list) in [("data.train", data.train), ("data.validation", data.validation)] {
            for (index, file) in list.enumerated() {
                files.append(("\(key).\(index).path", file.path, "make it with 'martlet data prepare'"))
            }
        }
        let problems = files.compactMap { file -> RecipeProblem? in
            guard let reason = FileIO.reasonNotReadable(file.path) else { return nil }
            return RecipeProblem("'\(file.key)': cannot read \(file.path): \(reason); \(file.remedy)")
        }
        if !problems.isEmpty { throw RecipeError(problems) }
    }
}
