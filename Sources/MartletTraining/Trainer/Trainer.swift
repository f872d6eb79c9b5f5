internal import Martlet
public import MartletData
public import MartletModels
internal import MartletNN

// Training as a recipe says.
#if canImport(FoundationEssentials)
internal import FoundationEssentials
#else
internal import Foundation
#endif

/// Trains a model by a recipe: batches, optimizer, evaluation, checkpoints, metrics.
///
/// ```swift
/// let trainer = try Trainer(try Recipe.load("recipe.yaml"))
/// let result = try trainer.run()
/// print(result.step, result.checkpoint)
/// ```
///
/// Two runs of a recipe on one machine give the same losses bit for bit, and a run that was stopped anywhere and resumed
/// gives those of one that was not.
public final class Trainer {
    /// What to do about checkpoints that are there already.
    public enum Start: Sendable, Equatable {
        /// A new run; refuses a folder that holds one.
        case new
        /// Goes on from the last checkpoint, or begins where there is none.
        case resume
        /// The same, and where the last checkpoint is damaged takes the one before.
        case resumeFallingBack
        /// Goes back to the checkpoint of a step and on from there; later checkpoints are set aside.
        case resumeAt(step: Int)
        /// Deletes the run in the folder and begins.
        case overwrite
    }

    /// How a run ended.
    public struct Result: Sendable {
        public var step: Int
        /// The last step's training loss, in nats a token; nil when no step was left to do.
        public var loss: Double?
        /// The last measurement of the held-out text, when there was one.
        public var heldOut: HeldOutLoss?
        /// Seconds of training over all starts.
        public var seconds: Double
        public var tokens: Int
        /// The signal that ended the run early, if one did.
        public var signal: String?
        /// Whether all steps were done.
        public var isComplete: Bool
        /// The last checkpoint.
        public var checkpoint: String
        public var parameters: Int
    }

    /// The recipe with everything spelt out: steps, and the presets' values.
    public private(set) var recipe: Recipe
    public let tokenizer: any Tokenizer
    public private(set) var model: PaLM
    private var optimizer: Optimizer
    private var average: ExponentialMovingAverage?
    private var batches: LanguageModelBatches
    private let trainingFiles: [WeightedTokens]
    private let validationFiles: [TokenDataset]
    private let store: CheckpointStore
    private let lock: RunLock
    private var state: TrainingState
    private let progress: ProgressLine
    private let say: (String) -> Void
    private var prefetched: PrefetchedBatches?
    private var lastHeldOut: HeldOutLoss?
    private var steps: Int

    /// Prepares a run: checks the recipe and its files, makes or loads the model.
    ///
    /// - Parameter say: takes lines for people: what is trained, what was found, evaluations and samples.
    public init(_ given: Recipe, start: Start = .new, say: ((String) -> Void)? = nil) throws {
        try given.validate()
        try given.checkFiles()
        let progress = ProgressLine(printEverySteps: given.logging.printEverySteps)
        self.progress = progress
        let say = say ?? { progress.message($0) }
        self.say = say
        tokenizer = try loadTokenizer(given.tokenizer)
        let tokenizer = self.tokenizer
        trainingFiles = try given.data.train.map {
            WeightedTokens(try TokenDataset(path: $0.path, tokenizer: tokenizer), weight: $0.weight)
        }
        validationFiles = try given.data.validation.map { try TokenDataset(path: $0.path, tokenizer: tokenizer) }
        if given.data.verify {
            for file in trainingFiles { try file.dataset.verify() }
            for file in validationFiles { try file.verify() }
        }
        let configuration = try given.model.configuration(tokenizer: tokenizer)
        do { try Trainer.sampleRequest(given)?.validate() } catch let error as MartletError {
            throw MartletError(error.kind, "'sample': \(error.message)")
        }

        try FileIO.makeFolder(given.output)
        lock = try RunLock(folder: given.output)
        store = CheckpointStore(folder: given.output + "/checkpoints")
        try store.clean()
        let existing = try store.steps()
        if start == .new && !existing.isEmpty {
            throw MartletError(
                .configuration,
                "\(given.output) holds a run already (its last checkpoint is of step \(existing.last!)): resume it (--resume), "
                    + "overwrite it (--overwrite), or give another 'output'")
        }

        var recipe = given
        var loaded: Checkpoint?
        if start == .resume || start == .resumeFallingBack, !existing.isEmpty {
            let (checkpoint, passedOver) = try Trainer.openLast(store, existing, fallBack: start == .resumeFallingBack)
            for problem in passedOver { say("passed over a damaged checkpoint: \(problem)") }
            loaded = checkpoint
        } else if case .resumeAt(let step) = start {
            loaded = try store.open(.step(step)).checkpoint
        }
        if let checkpoint = loaded {
            let saved = try Recipe.load(checkpoint.folder + "/" + CheckpointFiles.recipe)
            if recipe.steps == nil { (recipe.steps, recipe.minutes) = (saved.steps, nil) }
            try Trainer.checkSameRun(saved, recipe, checkpoint.folder)
        }
        try Trainer.checkMemory(recipe, configuration)

        model = Trainer.makeModel(recipe, configuration, tokenizer)
        if loaded == nil, recipe.steps == nil {
            recipe.steps = try Trainer.planSteps(
                recipe, model, trainingFiles, validationFiles, tokenizer, store, say)
            recipe.minutes = nil
            // Trial steps have changed this one.
            model = Trainer.makeModel(recipe, configuration, tokenizer)
        }
        steps = recipe.steps!
        self.recipe = recipe
        optimizer = Trainer.makeOptimizer(recipe, model, steps)
        average = recipe.emaDecay.map { [model] in ExponentialMovingAverage(model, decay: $0) }
        state = TrainingState(
            sequence: BatchSequence(skipping: recipe.spikes.skip),
            spikes: SpikeDetector(threshold: recipe.spikes.threshold, window: recipe.spikes.window),
            data: trainingFiles.map { TrainingData($0.dataset) })
        batches = try Trainer.makeBatches(recipe, trainingFiles, state.sequence)
        if let loaded {
            try restore(loaded.folder)
            // Ranges that were added to the recipe since are skipped, too.
            for range in recipe.spikes.skip { try Trainer.add(range, to: &state) }
            batches = try Trainer.makeBatches(recipe, trainingFiles, state.sequence)
        }
        // Nothing that can fail comes after: a mistake in the new recipe must not cost the old run.
        if start == .overwrite { try Trainer.removeRun(given.output, store) }
        if case .resumeAt(let step) = start, let (folder, steps) = try store.setAside(after: step) {
            say(
                "set aside in \(folder): the checkpoints of the steps \(steps.map(String.init).joined(separator: ", "))"
            )
        }
    }

    static func makeModel(_ recipe: Recipe, _ configuration: PaLMConfiguration, _ tokenizer: any Tokenizer)
        -> PaLM
    {
        // The global generator serves dropout; its position is part of every checkpoint.
        Generator.default.manualSeed(UInt64(recipe.seed))
        let model = PaLM(configuration, generator: Generator(seed: UInt64(recipe.seed)))
        model.documentEnd = Int(tokenizer.eodID)
        model.checkpointsActivations = recipe.activationCheckpointing
        if recipe.precision.dtype != .float32 { model.to(recipe.precision.dtype) }
        return model
    }

    static func makeOptimizer(_ recipe: Recipe, _ model: PaLM, _ steps: Int) -> Optimizer {
        recipe.optimizer.optimizer(
            model, schedule: recipe.schedule.schedule(peak: recipe.optimizer.learningRate, steps: steps))
    }

    static func makeBatches(
        _ recipe: Recipe, _ files: [WeightedTokens], _ sequence: BatchSequence
    ) throws -> LanguageModelBatches {
        try LanguageModelBatches(
            sources: files, sequenceLength: recipe.data.sequenceLength,
            batchSize: recipe.batch.sequences.loaderSchedule(), seed: UInt64(recipe.seed),
            skippedBatches: sequence.skipped.map { $0.from - 1..<$0.to })
    }

    // MARK: - Checkpoints

    private func save() throws -> String {
        state.randomSeed = Generator.default.state.seed
        state.randomOffset = Generator.default.state.offset
        let checkpoint = try store.save(
            step: state.step, validationLoss: lastHeldOut.flatMap { lastHeldOutStep == state.step ? $0.loss : nil },
            keepLast: recipe.checkpoint.keepLast, keepBest: recipe.checkpoint.keepBest,
            interval: recipe.checkpoint.everySteps
        ) { folder in
            try CheckpointFiles.write(
                model: model, optimizer: optimizer, average: average, state: state, recipe: recipe,
                tokenizer: tokenizer,
                to: folder)
        }
        lastSaved = checkpoint.folder
        lastSavedStep = state.step
        return checkpoint.folder
    }

    private var lastSaved = ""
    private var lastSavedStep = -1
    private var lastHeldOutStep = -1

    private func restore(_ folder: String) throws {
        let configuration = try ModelFolder.configuration(folder)
        if configuration.model != model.configuration {
            throw MartletError(.mismatch, "the checkpoint \(folder) is of another model: \(configuration.model)")
        }
        let restored = try CheckpointFiles.readState(folder)
        for (i, file) in trainingFiles.enumerated() where i < restored.data.count {
            let (was, now) = (restored.data[i], TrainingData(file.dataset))
            if was != now {
                throw MartletError(
                    .mismatch,
                    "\(file.dataset.path) is not what the run in \(folder) was trained on: it had \(was.tokens) tokens with "
                        + "checksum \(String(was.checksum, radix: 16)), the file has \(now.tokens) with "
                        + "\(String(now.checksum, radix: 16)). Bring the file back, or start another run")
            }
        }
        _ = try model.load(from: folder + "/" + ModelFolder.weightsName, strict: true)
        try optimizer.load(from: folder + "/" + CheckpointFiles.optimizer)
        if let average {
            let file = try SafeTensors.load(folder + "/" + CheckpointFiles.average)
            try average.load(file.names.map { ($0, file.tensors[$0]!) })
        }
        state = restored
        Generator.default.state = Generator.State(seed: state.randomSeed, offset: state.randomOffset)
        lastSaved = folder
        lastSavedStep = state.step
        prefetched = nil
    }

    // MARK: - Running

    /// Trains until all steps are done, the time is up, or a signal asks to stop; saves a checkpoint before it returns.
    ///
    /// - Parameter profiled: steps to profile; `profile.json` (Chrome's trace format) and `profile.txt` (tables) are
    ///   written to the recipe's output folder when they are done. Losses and weights are the same with it or without.
    public func run(profiling profiled: ProfiledSteps? = nil) throws -> Result {
        let folder = recipe.output
        try AtomicFile.write(recipe.yaml(), to: folder + "/recipe.yaml")
        let first = state.step
        let resumed = lastSavedStep >= 0
        let metrics =
            recipe.logging.metrics
            ? (resumed
                ? try MetricsWriter(path: folder + "/metrics.jsonl", resumingAfter: first)
                : try MetricsWriter(path: folder + "/metrics.jsonl")) : nil
        // What differs from run to run has a file of its own: metrics.jsonl is the same, byte by byte, for every run of a
        // recipe.
        let timings =
            recipe.logging.metrics
            ? (resumed
                ? try MetricsWriter(path: folder + "/timings.jsonl", resumingAfter: first)
                : try MetricsWriter(path: folder + "/timings.jsonl")) : nil
        let board =
            recipe.logging.tensorboard
            ? try TensorBoardWriter(folder: folder + "/tensorboard", resumingAfter: resumed ? first : nil) : nil
        let signals = SignalWatcher()
        defer { signals.stop() }
        announce(resumed)
        let peak = recipe.logging.peakFLOPs.map { PeakFLOPs(given: $0) } ?? Trainer.measurePeak(recipe.precision.dtype)
        say("peak for MFU: \(peak)")
        let started = ContinuousClock.now
        var lastLoss: Double?
        var recent: [(seconds: Double, tokens: Int)] = []
        model.train()
        var profile = profiled.map { TrainingProfile($0, stepsLeft: steps - first, folder: folder) }
        defer { profile?.abandon() }
        while state.step < steps {
            if signals.shouldStop { break }
            if let limit = recipe.maxMinutes, started.duration(to: .now).inSeconds > limit * 60 { break }
            if let text = try profile?.beforeStep(state.step + 1) { say(text) }
            let scope = ProfilerScope()
            defer { scope.end("step", .range) }
            let clock = ContinuousClock.now
            let step = state.step + 1
            let batch = try Profiler.range("data") { try nextBatch(step) }
            let outcome = try computeGradients(batch)
            let isSpike = recipe.spikes.automatic && state.spikes.isSpike(outcome.entropy)
            if !outcome.loss.isFinite || !outcome.norm.isFinite || isSpike {
                if recipe.spikes.automatic, state.restarts < recipe.spikes.maxRestarts, try rewind(step, outcome) {
                    continue
                }
                if !outcome.loss.isFinite || !outcome.norm.isFinite {
                    progress.finish()
                    throw MartletError(
                        .resources,
                        "training stopped at step \(step): the \(outcome.loss.isFinite ? "gradient's norm" : "loss") is "
                            + "\(outcome.loss.isFinite ? outcome.norm : outcome.loss); \(NumericsReport.find(model, batch)). "
                            + (lastSaved.isEmpty
                                ? "No checkpoint was saved yet." : "The last checkpoint is \(lastSaved)."))
                }
            }
            optimizer.step(gradientScale: recipe.gradientClip.map { clippingScale(outcome.norm, maxNorm: $0) } ?? 1)
            optimizer.zeroGrad()
            average?.update()
            state.step = step
            state.tokens += batch.inputs.count
            lastLoss = outcome.entropy
            let seconds = clock.duration(to: .now).inSeconds
            state.seconds += seconds
            recent.append((seconds, batch.inputs.count))
            if recent.count > 20 { recent.removeFirst() }
            let rate = Double(recent.reduce(0) { $0 + $1.tokens }) / max(1e-9, recent.reduce(0) { $0 + $1.seconds })
            let flops = model.trainingFLOPsPerToken(sequenceLength: recipe.data.sequenceLength)
            let mfu = rate * flops / peak.perSecond

            var evaluated: HeldOutLoss?
            if step % recipe.evaluation.everySteps == 0 || step == steps {
                if !validationFiles.isEmpty { evaluated = try Profiler.range("evaluation") { try evaluate() } }
                try Profiler.range("samples") { try writeSamples(step, board) }
            }
            try timings?.write(
                MetricsRecord(
                    step: step,
                    [
                        "seconds": .number(seconds), "tokensPerSecond": .number(rate), "mfu": .number(mfu),
                        "tensorBytes": .integer(Memory.statistics.peak),
                        "residentBytes": .integer(ProcessMemory.resident ?? 0),
                    ]))
            try log(metrics, board, step, outcome, evaluated, rate, mfu)
            let left = Double(steps - step) * recent.reduce(0) { $0 + $1.seconds } / Double(recent.count)
            progress.update(
                ProgressReport(
                    step: step, totalSteps: steps, loss: outcome.entropy, learningRate: optimizer.learningRate,
                    tokensPerSecond: rate, utilisation: mfu, memory: ProcessMemory.resident, secondsLeft: left))
            if let evaluated {
                say(
                    "step \(step): held-out loss \(Format.fixed(evaluated.loss, 4)), perplexity "
                        + "\(Format.fixed(evaluated.perplexity, 2)), \(Format.fixed(evaluated.bitsPerByte, 4)) bits per byte"
                )
                try writePlot()
            }
            let isBest = try evaluated.map { try store.isAmongBest($0.loss, of: recipe.checkpoint.keepBest) } ?? false
            if step < steps && (isBest || step % recipe.checkpoint.everySteps == 0) {
                try metrics?.synchronize()
                _ = try Profiler.range("checkpoint") { try save() }
            }
        }
        if let text = try profile?.finish() { say(text) }
        progress.finish()
        try metrics?.synchronize()
        try board?.synchronize()
        if lastSavedStep != state.step { _ = try save() }
        try writePlot()
        return Result(
            step: state.step, loss: lastLoss, heldOut: lastHeldOut, seconds: state.seconds, tokens: state.tokens,
            signal: signals.signal, isComplete: state.step >= steps, checkpoint: lastSaved,
            parameters: model.parameterCount)
    }

    private func announce(_ resumed: Bool) {
        let c = model.configuration
        say(
            "\(resumed ? "resuming" : "training") \(recipe.name): PaLM of \(Format.count(Double(c.parameterCount))) parameters "
                + "(\(c.layers) layers, width \(c.width), \(c.heads) heads of \(c.headDim), vocabulary \(c.vocabularySize)), "
                + "\(recipe.precision.rawValue), \(steps) steps"
                + (resumed ? " from step \(state.step)" : ""))
    }

    private func nextBatch(_ step: Int) throws -> TokenBatch {
        if prefetched == nil || prefetched!.step != step - 1 {
            prefetched = try batches.prefetched(steps: step - 1..<max(steps, step))
        }
        guard let batch = try prefetched!.next() else {
            throw MartletError(.resources, "the data ended before step \(step)")
        }
        return batch
    }

    private struct Outcome {
        var loss: Double
        var entropy: Double
        var norm: Double
    }

    /// Forward and backward over the batch in micro-batches. Gradients are those of the mean over the whole batch.
    private func computeGradients(_ batch: TokenBatch) throws -> Outcome {
        let parameters = model.parameters
        let size = recipe.batch.microBatch ?? batch.rows
        let divisor = Double(batch.inputs.count)
        func pass(_ part: TokenBatch) -> (Double, Double) {
            let (inputs, targets) = part.tensors
            let (loss, entropy) = Profiler.range("forward") {
                model.loss(
                    inputs, targets: targets, zLoss: recipe.zLoss, labelSmoothing: recipe.labelSmoothing,
                    divisor: divisor)
            }
            loss.backward()
            return (loss.item(), entropy.item())
        }
        let total: (loss: Double, entropy: Double)
        if size >= batch.rows {
            let (loss, entropy) = pass(batch)
            total = (loss, entropy)
        } else {
            var tree = GradientTree(parameters)
            for start in stride(from: 0, to: batch.rows, by: size) {
                let (loss, entropy) = pass(batch.rows(start..<min(start + size, batch.rows)))
                tree.add(loss: loss, entropy: entropy)
            }
            total = tree.finish()
        }
        return Outcome(loss: total.loss, entropy: total.entropy, norm: gradientNorm(parameters))
    }

    // MARK: - Spikes

    /// Goes back to a checkpoint before a spike and leaves out batches from there (PaLM, section 5.1).
    /// - Returns: false when there is no checkpoint to go back to.
    private func rewind(_ step: Int, _ outcome: Outcome) throws -> Bool {
        let saved = try store.steps()
        // The last one far enough back, or the first where none is.
        let earlier = saved.last { $0 <= step - recipe.spikes.rewindSteps }
        guard let target = earlier ?? saved.first else { return false }
        optimizer.zeroGrad()
        let kept = (state.sequence, state.restarts)
        try restore(store.path(step: target))
        (state.sequence, state.restarts) = (kept.0, kept.1 + 1)
        state.sequence.skip(recipe.spikes.skipBatches, afterStep: target)
        batches = try Trainer.makeBatches(recipe, trainingFiles, state.sequence)
        try store.removeAll(after: target)
        say(
            "spike at step \(step) (loss \(Format.fixed(outcome.entropy, 3))): back to step \(target), leaving out "
                + "\(recipe.spikes.skipBatches) batches")
        return true
    }

    // MARK: - Evaluation, samples, records

    private func withAverages<R>(_ body: () throws -> R) rethrows -> R {
        if let average { return try average.withAverages(body) }
        return try body()
    }

    private func evaluate() throws -> HeldOutLoss {
        let result = try withAverages {
            var sum = HeldOutLoss()
            for file in validationFiles {
                let part = try HeldOutLoss.measure(
                    model, file, sequenceLength: recipe.data.sequenceLength,
                    batchSize: recipe.batch.microBatch ?? recipe.batch.sequences.sequences(inBatch: max(1, state.step)),
                    batches: recipe.evaluation.batches)
                sum = sum + part
            }
            return sum
        }
        model.train()
        lastHeldOut = result
        lastHeldOutStep = state.step
        return result
    }

    private func writeSamples(_ step: Int, _ board: TensorBoardWriter?) throws {
        guard let request = Trainer.sampleRequest(recipe) else { return }
        let texts = try withAverages { try TextGenerator(model: model, tokenizer: tokenizer).generate(request) }
        model.train()
        for (prompt, sample) in zip(recipe.sample.prompts, texts) {
            say("--- sample at step \(step) ---\n\(prompt)\(sample.text)\n---")
            try board?.text("```\n\(prompt)\(sample.text)\n```", name: "samples", step: step)
        }
    }

    private func log(
        _ metrics: MetricsWriter?, _ board: TensorBoardWriter?, _ step: Int, _ outcome: Outcome,
        _ evaluated: HeldOutLoss?,
        _ rate: Double, _ mfu: Double
    ) throws {
        if step % recipe.logging.everySteps != 0 && evaluated == nil && step != steps { return }
        var fields: [MetricsRecord.Field] = [
            .init(name: "loss", value: .number(outcome.entropy)),
            .init(name: "objective", value: .number(outcome.loss)),
            .init(name: "gradientNorm", value: .number(outcome.norm)),
            .init(name: "learningRate", value: .number(optimizer.learningRate)),
            .init(name: "tokens", value: .integer(state.tokens)),
            .init(name: "batch", value: .integer(state.sequence.batch(forStep: step))),
        ]
        if let evaluated {
            fields += [
                .init(name: "validationLoss", value: .number(evaluated.loss)),
                .init(name: "validationPerplexity", value: .number(evaluated.perplexity)),
                .init(name: "validationBitsPerByte", value: .number(evaluated.bitsPerByte)),
            ]
        }
        try metrics?.write(MetricsRecord(step: step, fields: fields))
        var scalars: [(name: String, value: Double)] = [
            ("loss/train", outcome.entropy), ("gradient/norm", outcome.norm),
            ("schedule/learningRate", optimizer.learningRate),
            ("speed/tokensPerSecond", rate), ("speed/mfu", mfu),
        ]
        if let evaluated {
            scalars += [("loss/validation", evaluated.loss), ("bitsPerByte/validation", evaluated.bitsPerByte)]
        }
        try board?.scalars(scalars, step: step)
    }

    private func writePlot() throws {
        guard recipe.logging.plot, recipe.logging.metrics else { return }
        let records = try MetricsFile.read(recipe.output + "/metrics.jsonl")
        if records.isEmpty { return }
        try AtomicFile.write(LossPlot(title: recipe.name, records: records).svg(), to: recipe.output + "/loss.svg")
    }
}
