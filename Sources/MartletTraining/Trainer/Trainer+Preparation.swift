internal import Martlet
internal import MartletData
internal import MartletModels
internal import MartletNN

// What is checked, measured and cleared away before a run begins.
#if canImport(FoundationEssentials)
internal import FoundationEssentials
#else
internal import Foundation
#endif

extension Trainer {
    static func openLast(
        _ store: CheckpointStore, _ steps: [Int], fallBack: Bool
    ) throws -> (Checkpoint, [CheckpointError]) {
        do { return try store.open(.latest, fallBack: fallBack) } catch let error as CheckpointError
            where !fallBack && steps.count > 1
        {
            throw MartletError(
                .file,
                "\(error). The checkpoint before it, of step \(steps[steps.count - 2]), is taken with --fall-back")
        }
    }

    /// Throws when the run cannot fit into memory, instead of being ended by the system hours later.
    static func checkMemory(_ recipe: Recipe, _ configuration: PaLMConfiguration) throws {
        let master = recipe.precision.dtype == .float32 ? 0 : 4
        let size = recipe.precision.dtype.byteSize
        let bytes = 2 * size + master + recipe.optimizer.stateBytesPerParameter + (recipe.emaDecay == nil ? 0 : 4)
        let rows = recipe.batch.microBatch ?? recipe.batch.sequences.stages.map(\.sequences).max()!
        let time = recipe.data.sequenceLength
        let training = configuration.trainingBytes(
            bytesPerParameter: bytes, activationBytes: size, rows: rows, time: time,
            recomputes: recipe.activationCheckpointing)
        // Gradients are gone when the held-out text is measured.
        let evaluation =
            recipe.data.validation.isEmpty
            ? 0
            : Double(configuration.parameterCount) * Double(bytes - size)
                + configuration.evaluationBytes(activationBytes: size, rows: rows, time: time)
        try Memory.require(
            max(training, evaluation),
            for: "training a model of \(Format.count(Double(configuration.parameterCount))) parameters with \(rows) "
                + "sequences of \(recipe.data.sequenceLength) tokens at once",
            remedy: "take a smaller model, a smaller batch.microBatch or activationCheckpointing")
    }

    static func removeRun(_ folder: String, _ store: CheckpointStore) throws {
        try store.removeEverything()
        for name in ["metrics.jsonl", "timings.jsonl", "loss.svg", "recipe.yaml"] + TrainingProfile.files {
            let path = folder + "/" + name
            if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
        }
        let events = folder + "/tensorboard"
        if FileManager.default.fileExists(atPath: events) { try FileManager.default.removeItem(atPath: events) }
    }

    /// What may differ between a run and its continuation: everything that does not decide the losses of steps already done.
    static func checkSameRun(_ saved: Recipe, _ given: Recipe, _ folder: String) throws {
        var a = saved
        var b = given
        // More steps continue a run, unless the learning rates that it had so far depended on their number.
        (a.schedule, b.schedule) = (
            saved.schedule.resolved(steps: saved.steps), given.schedule.resolved(steps: given.steps)
        )
        (a.steps, b.steps) = (nil, nil)
        for keyPath in [\Recipe.minutes, \Recipe.maxMinutes] {
            a[keyPath: keyPath] = nil
            b[keyPath: keyPath] = nil
        }
        (a.output, a.name, a.evaluation, a.checkpoint, a.logging, a.sample) = (
            "", "", .init(), .init(), .init(), .init()
        )
        (b.output, b.name, b.evaluation, b.checkpoint, b.logging, b.sample) = (
            "", "", .init(), .init(), .init(), .init()
        )
        (a.spikes, b.spikes) = (.init(), .init())
        (a.data.validation, b.data.validation) = ([], [])
        if a == b { return }
        let old = a.yaml().split(separator: "\n")
        let new = b.yaml().split(separator: "\n")
        let line = zip(old, new).first { $0 != $1 }
        throw MartletError(
            .mismatch,
            "the recipe is not the one that the run in \(folder) was made with"
                + (line.map { ": the run has '\($0.0.trimmed)', the recipe '\($0.1.trimmed)'" } ?? "")
                + ". Resume with the run's own recipe, or start another run")
    }

    /// Leaves out a range of batches from the next step on. Other batches than those that are meant would be left out in
    /// place of the ones that were trained on already.
    static func add(_ range: BatchRange, to state: inout TrainingState) throws {
        if state.sequence.skipped.contains(where: { $0.from <= range.from && range.to <= $0.to }) { return }
        let trained = state.sequence.batch(forStep: state.step)
        if range.from <= trained {
            throw MartletError(
                .configuration,
                "'spikes.skip': the batches from \(range.from) on are to be left out, but the checkpoint of step \(state.step) "
                    + "was trained on those up to \(trained): go on from an earlier checkpoint (--resume-at), or begin the "
                    + "range at \(trained + 1)")
        }
        state.sequence.skip(range)
    }

    /// What the recipe's samples ask for; nil where it wants none.
    static func sampleRequest(_ recipe: Recipe) -> TextGenerator.Request? {
        let sample = recipe.sample
        if sample.prompts.isEmpty { return nil }
        return TextGenerator.Request(
            prompts: sample.prompts, maxTokens: sample.maxTokens,
            sampling: SamplingOptions(
                temperature: sample.temperature, topK: sample.topK, topP: sample.topP < 1 ? sample.topP : nil,
                seed: UInt64(recipe.seed)))
    }

    static func measurePeak(_ dtype: DType) -> PeakFLOPs {
        noGrad {
            let most = 2048
            let a = Tensor.randn([most, most], generator: Generator(seed: 1)).to(dtype)
            return PeakFLOPs.measure(sizes: [512, 1024, 2048], seconds: 0.15) { n in
                let x = a.narrow(0, start: 0, length: n).narrow(1, start: 0, length: n).contiguous()
                _ = x.matmul(x)
            }
        }
    }

    /// How many steps fit into the recipe's minutes, by trial steps whose results are thrown away.
    static func planSteps(
        _ recipe: Recipe, _ model: PaLM, _ files: [WeightedTokens], _ validation: [TokenDataset],
        _ tokenizer: any Tokenizer, _ store: CheckpointStore, _ say: (String) -> Void
    ) throws -> Int {
        let optimizer = makeOptimizer(recipe, model, 1000)
        let batches = try makeBatches(recipe, files, BatchSequence(skipping: recipe.spikes.skip))
        var times: [Double] = []
        for step in 0..<8 {
            let clock = ContinuousClock.now
            let batch = try batches.batch(atStep: step)
            let size = recipe.batch.microBatch ?? batch.rows
            for start in stride(from: 0, to: batch.rows, by: size) {
                let (inputs, targets) = batch.rows(start..<min(start + size, batch.rows)).tensors
                model.loss(inputs, targets: targets, zLoss: recipe.zLoss, divisor: Double(batch.inputs.count)).loss
                    .backward()
            }
            optimizer.step(clippingNorm: recipe.gradientClip ?? 1e30)
            optimizer.zeroGrad()
            times.append(clock.duration(to: .now).inSeconds)
        }
        // The first step pays for creating primitives and filling the allocator's cache.
        let stepSeconds = times.dropFirst().sorted()[(times.count - 1) / 2]
        var clock = ContinuousClock.now
        for file in validation {
            _ = try HeldOutLoss.measure(
                model, file, sequenceLength: recipe.data.sequenceLength,
                batchSize: recipe.batch.microBatch ?? recipe.batch.sequences.sequences(inBatch: 1),
                batches: recipe.evaluation.batches)
        }
        if var request = sampleRequest(recipe) {
            // A model that has learnt nothing yet may end its text early.
            request.stopsAtDocumentEnd = false
            _ = try TextGenerator(model: model, tokenizer: tokenizer).generate(request)
        }
        let evaluation = clock.duration(to: .now).inSeconds
        clock = .now
        let average = recipe.emaDecay.map { ExponentialMovingAverage(model, decay: $0) }
        let state = TrainingState(
            sequence: BatchSequence(),
            spikes: SpikeDetector(threshold: recipe.spikes.threshold, window: recipe.spikes.window))
        try store.rehearse { folder in
            try CheckpointFiles.write(
                model: model, optimizer: optimizer, average: average, state: state, recipe: recipe,
                tokenizer: tokenizer, to: folder)
        }
        let checkpoint = clock.duration(to: .now).inSeconds
        // Early in a run most evaluations find a lower loss, which is saved.
        let savesBest = !validation.isEmpty && recipe.checkpoint.keepBest > 0
        let n = StepPlan.steps(
            minutes: recipe.minutes!, stepSeconds: stepSeconds,
            evaluationSeconds: evaluation + (savesBest ? checkpoint : 0), evaluationEvery: recipe.evaluation.everySteps,
            checkpointSeconds: checkpoint, checkpointEvery: recipe.checkpoint.everySteps)
        say(
            "a step takes \(Format.fixed(stepSeconds, 3)) s: \(n) steps fit into \(Format.fixed(recipe.minutes!, 1)) minutes"
        )
        return n
    }
}

extension Substring {
    fileprivate var trimmed: Substring { drop { $0 == " " } }
}
