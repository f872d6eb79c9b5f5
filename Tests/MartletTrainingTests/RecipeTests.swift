import Foundation
import MartletTraining
import Testing

private let minimal = """
    name: demo
    steps: 100
    data:
      train: train.tokens
    tokenizer: text.model
    model:
      preset: palm-1m

    """

/// The messages of the error that reading gives; empty where there is none.
private func problems(_ yaml: String, _ overrides: String...) -> [String] {
    do {
        _ = try Recipe(yaml: yaml, file: "r.yaml", overrides: overrides)
        return []
    } catch {
        return error.problems.map(\.description)
    }
}

@Suite struct RecipeReading {
    @Test func aByteOrderMarkIsNoText() throws {
        #expect(try Recipe(yaml: "\u{FEFF}" + minimal) == Recipe(yaml: minimal))
        #expect(try Recipe(yaml: "\u{FEFF}# a comment\r\n" + minimal) == Recipe(yaml: minimal))
        #expect(problems("\u{FEFF}" + minimal + "nonsense: 1\n") == problems(minimal + "nonsense: 1\n"))
    }

    @Test func minimalRecipeHasPaLMsDefaults() throws {
        let recipe = try Recipe(yaml: minimal)
        #expect(recipe.name == "demo")
        #expect(recipe.output == "runs/demo")
        #expect(recipe.data.train == [TokenFile(path: "train.tokens")])
        #expect(recipe.data.sequenceLength == 2048)
        #expect(recipe.zLoss == 1e-4)
        #expect(recipe.gradientClip == 1)
        #expect(recipe.labelSmoothing == 0)
        #expect(recipe.model.width == 128)
        #expect(recipe.model.vocabulary == nil)
        guard case .adafactor(let adafactor) = recipe.optimizer else {
            Issue.record("expected adafactor")
            return
        }
        #expect(adafactor.learningRate == 0.01)
        #expect(adafactor.beta1 == 0.9)
        #expect(adafactor.decayExponent == 0.8)
        #expect(!adafactor.factored)
        #expect(adafactor.weightDecayExponent == 2)
        #expect(recipe.schedule == .palm(PaLMScheduleRecipe()))
    }

    @Test func everySectionIsRead() throws {
        let recipe = try Recipe(
            yaml: """
                name: full
                seed: 7
                precision: bfloat16
                output: /data/full
                steps: 1e4
                maxMinutes: 90
                data:
                  train:
                    - {path: a.tokens, weight: 0.75}
                    - b.tokens
                  validation: [c.tokens]
                  sequenceLength: 1_024
                tokenizer: bytes
                model:
                  width: 96
                  layers: 3
                  heads: 2
                  headDim: 32
                  ffMultiplier: 2.5
                  vocabulary: 300
                  norm: rmsnorm
                  normEps: 1e-5
                  ropeTheta: 500000
                  ropeLayout: interleaved
                  attentionScale: none
                  logitScale: none
                  tieEmbeddings: false
                  qkNorm: true
                  residualScale: 0.5
                  crossDocumentAttention: false
                  dropout: 0.1
                optimizer:
                  name: adamw
                  learningRate: 3e-4
                  weightDecay: 0
                schedule:
                  name: cosine
                  warmupSteps: 50
                  minimumRatio: 0
                batch:
                  sequences:
                    - untilStep: 100
                      sequences: 16
                    - sequences: 32
                  microBatch: 8
                gradientClip: null
                zLoss: 0
                labelSmoothing: 0.1
                emaDecay: 0.999
                activationCheckpointing: true
                evaluation: {everySteps: 10, batches: 4}
                checkpoint:
                  everySteps: 20
                  keepLast: 10
                  keepBest: 2
                spikes:
                  automatic: true
                  skip:
                    - {from: 5, to: 6}
                  rewindSteps: 100
                logging:
                  everySteps: 2
                  tensorboard: false
                  peakFLOPs: 2e11
                sample:
                  prompts: ["To be,", 'no', no, "12"]
                  topK: 40
                """)
        #expect(recipe.precision == .bfloat16)
        #expect(recipe.steps == 10_000)
        #expect(recipe.data.train == [TokenFile(path: "a.tokens", weight: 0.75), TokenFile(path: "b.tokens")])
        #expect(recipe.data.sequenceLength == 1024)
        #expect(recipe.model.feedForwardWidth == 240)
        #expect(recipe.model.norm == .rmsnorm)
        #expect(recipe.optimizer.learningRate == 3e-4)
        #expect(recipe.optimizer.name == "adamw")
        #expect(recipe.schedule.warmupSteps == 50)
        #expect(recipe.batch.sequences.stages.count == 2)
        #expect(recipe.gradientClip == nil)
        #expect(recipe.evaluation.batches == 4)
        #expect(recipe.spikes.skip == [BatchRange(from: 5, to: 6)])
        #expect(recipe.logging.peakFLOPs == 2e11)
        #expect(recipe.sample.prompts == ["To be,", "no", "no", "12"])
        #expect(try Recipe(yaml: recipe.yaml()) == recipe)
    }

    @Test func yamlSpellsOutEveryKeyAndReadsBack() throws {
        let recipe = try Recipe(yaml: minimal)
        let yaml = recipe.yaml()
        #expect(try Recipe(yaml: yaml) == recipe)
        #expect(try Recipe(yaml: yaml).yaml() == yaml)
        for key in ["seed: 0", "eps1: 1.0e-30", "constantSteps: 10000", "width: 128", "keepBest: 1", "prompts: []"] {
            #expect(yaml.contains(key), "\(key) is not in\n\(yaml)")
        }
    }

    @Test func jsonReadsBack() throws {
        let recipe = try Recipe(
            yaml: minimal, overrides: ["sample.prompts=[\"null\", \"12\", x]", "gradientClip=null"])
        let data = try JSONEncoder().encode(recipe)
        #expect(try JSONDecoder().decode(Recipe.self, from: data) == recipe)
        #expect(throws: RecipeError.self) {
            try JSONDecoder().decode(Recipe.self, from: Data(#"{"name": "x", "stepz": 1}"#.utf8))
        }
        let optimizer = OptimizerRecipe.sgd(SGDRecipe())
        #expect(try JSONDecoder().decode(OptimizerRecipe.self, from: try JSONEncoder().encode(optimizer)) == optimizer)
    }

    @Test(arguments: [
        "plain", "true", "no", "null", "~", "", "12", "1e5", "- a", "a: b", "#c", " lead", "trail ", "\"q\"", "it's",
        "\\",
        "two\nlines", "tab\t", "é 漢字 🙂", "\u{0}", "\u{1B}[0m", "\u{85}\u{2028}", "*a", "&a", "%x", "@x", "[1]",
        "{a: 1}", "? x", "e5",
        "y", "/absolute/path-1.tokens", "--- x", "...", "=", "<<", "0x1F", "1_000", ".inf",
    ])
    func everyTextSurvivesYAML(_ prompt: String) throws {
        var recipe = try Recipe(yaml: minimal)
        recipe.sample.prompts = [prompt, prompt]
        if !prompt.isEmpty { recipe.tokenizer = prompt }
        #expect(try Recipe(yaml: recipe.yaml()) == recipe)
    }

    @Test(arguments: [0.1, 1e-30, 2.5e-308, 1e22, 123456789.123, 1 / 3.0, 1e-5, 1])
    func everyNumberSurvivesYAML(_ value: Double) throws {
        var recipe = try Recipe(yaml: minimal)
        recipe.zLoss = value
        #expect(try Recipe(yaml: recipe.yaml()).zLoss == value)
    }

    @Test func presetsHaveThePapersShapes() throws {
        let big = try #require(ModelRecipe(preset: "palm-540b"))
        let shape = [big.width, big.layers, big.heads, big.headDim, big.feedForwardWidth]
        #expect(shape == [18432, 118, 48, 256, 73728])
        #expect(big.vocabulary == 256_000)
        #expect(ModelRecipe(preset: "palm-9b") == nil)
        let changed = try Recipe(yaml: minimal, overrides: ["model.preset=palm-8b", "model.layers=2"])
        #expect(changed.model.width == 4096)
        #expect(changed.model.layers == 2)
        #expect(try Recipe(yaml: changed.yaml()) == changed)
    }

    @Test func aliasesWork() throws {
        let recipe = try Recipe(yaml: minimal + "sample:\n  prompts: &p [a, b]\n", overrides: [])
        #expect(recipe.sample.prompts == ["a", "b"])
        #expect(try Recipe(yaml: minimal + "emaDecay: &d 0.5\nlabelSmoothing: *d\n").labelSmoothing == 0.5)
    }

    @Test func emptySectionsAreDefaults() throws {
        #expect(try Recipe(yaml: minimal + "sample:\nspikes:\n  # nothing\n").sample == SampleRecipe())
    }
}

@Suite struct RecipeErrors {
    @Test func unknownKeysNameLineAndNearest() {
        #expect(
            problems(minimal + "optimiser:\n  name: sgd\n")
                == ["r.yaml:8: unknown key 'optimiser'; did you mean 'optimizer'?"])
        #expect(
            problems(minimal + "optimizer:\n  name: adamw\n  learningRat: 1\n")
                == ["r.yaml:10: unknown key 'optimizer.learningRat'; did you mean 'learningRate'?"])
        #expect(
            problems(minimal + "gradient_clip: 1\n") == [
                "r.yaml:8: unknown key 'gradient_clip'; did you mean 'gradientClip'?"
            ])
        #expect(
            problems(minimal + "warmup: 1\n") == ["r.yaml:8: unknown key 'warmup'; the keys of a recipe are \(keys)"])
        #expect(
            problems(minimal + "learningRate: 1\n")
                == ["r.yaml:8: unknown key 'learningRate'; did you mean 'optimizer.learningRate'?"])
        #expect(
            problems(minimal + "data2: 1\n") == ["r.yaml:8: unknown key 'data2'; did you mean 'data'?"])
    }

    private var keys: String {
        "name, seed, precision, output, steps, minutes, maxMinutes, data, tokenizer, model, optimizer, schedule, batch, "
            + "gradientClip, zLoss, labelSmoothing, emaDecay, activationCheckpointing, evaluation, checkpoint, spikes, "
            + "logging, sample"
    }

    @Test func keysOfAnotherChoiceAreExplained() {
        #expect(
            problems(minimal + "optimizer:\n  name: adamw\n  momentum: 0.9\n")
                == [
                    "r.yaml:10: unknown key 'optimizer.momentum'; it belongs to sgd; 'adamw' has learningRate, beta1, beta2, "
                        + "eps, weightDecay"
                ])
        #expect(
            problems(minimal + "schedule: {name: cosin}\n")
                == [
                    "r.yaml:8: 'schedule.name': expected one of palm, constant, linear, cosine, inverseSquareRoot, found "
                        + "'cosin'; did you mean 'cosine'?"
                ])
        #expect(
            problems(minimal + "optimizer: adamw\n")
                == [
                    "r.yaml:8: 'optimizer': expected a mapping whose key 'name' is one of adafactor, adamw, adam, sgd, found "
                        + "the text 'adamw'"
                ])
    }

    @Test func theFirstChoiceIsMeantWithoutAName() throws {
        let recipe = try Recipe(yaml: minimal, overrides: ["optimizer.learningRate=0.02", "schedule.constantSteps=50"])
        #expect(recipe.optimizer.name == "adafactor")
        #expect(recipe.optimizer.learningRate == 0.02)
        #expect(recipe.schedule.name == "palm")
    }

    @Test(arguments: [
        ("seed: x", "'seed': expected a whole number at least 0, found the text 'x'"),
        ("seed: 1.5", "'seed': expected a whole number at least 0, found 1.5"),
        ("seed: -1", "'seed': expected a whole number at least 0, found -1"),
        ("seed: \"1\"", "'seed': expected a whole number at least 0, found the text \"1\""),
        ("seed: 99999999999999999999", "'seed': expected a whole number at least 0, found 99999999999999999999"),
        ("seed: [1]", "'seed': expected a whole number at least 0, found a list of 1 element"),
        ("seed:", "'seed': expected a whole number at least 0, found nothing"),
        ("zLoss: .nan", "'zLoss': expected a finite number, found .nan"),
        ("zLoss: -1e-4", "'zLoss': expected a number at least 0, found -1e-4"),
        ("labelSmoothing: 1", "'labelSmoothing': expected a number from 0 to below 1, found 1"),
        ("activationCheckpointing: yes", "'activationCheckpointing': expected true or false, found the text 'yes'"),
        ("activationCheckpointing: 1", "'activationCheckpointing': expected true or false, found 1"),
        (
            "precision: float16",
            "'precision': expected one of float32, bfloat16, found 'float16'; did you mean 'bfloat16'?"
        ),
        ("precision: 16", "'precision': expected one of float32, bfloat16, found '16'"),
        ("emaDecay: 1", "'emaDecay': expected a number above 0 and below 1 or null, found 1"),
        ("sample: {prompts: Hello}", "'sample.prompts': expected a list, each element text, found the text 'Hello'"),
        ("sample: {prompts: [a, [b]]}", "'sample.prompts.1': expected text, found a list of 1 element"),
        ("evaluation: [1]", "'evaluation': expected a mapping (key: value lines), found a list of 1 element"),
        (
            "batch: {sequences: 0}",
            "'batch.sequences': expected a whole number from 1 to 1048576, or a list of {untilStep, sequences} mappings, found 0"
        ),
        (
            "batch: {sequences: [{sequences: 1}, {sequences: 2}]}",
            "'batch.sequences': only the last stage may leave out untilStep: stage 0"
        ),
        (
            "batch: {sequences: [{untilStep: 9, sequences: 1}]}",
            "'batch.sequences': the last stage must have no untilStep, found untilStep 9"
        ),
        (
            "batch: {sequences: [{untilStep: 9, sequences: 1}, {untilStep: 9, sequences: 1}, {sequences: 2}]}",
            "'batch.sequences': untilStep must rise from stage to stage, found 9 and then 9"
        ),
        (
            "spikes: {skip: [{from: 3}]}",
            "missing key 'spikes.skip.0.to': expected a whole number at least 1 (The last batch)"
        ),
    ])
    func wrongValuesNameKeyExpectedAndFound(_ line: String, _ message: String) {
        #expect(problems(minimal + line + "\n") == ["r.yaml:8: " + message])
    }

    @Test func everyProblemIsReportedAtOnce() {
        let found = problems("name: x\nstep: 5\ndata: {train: []}\nmodel: {preset: palm-9b, width: wide}\n")
        #expect(found.count == 5)
        #expect(found[0] == "r.yaml:2: unknown key 'step'; did you mean 'steps'?")
        #expect(
            found[1].hasPrefix(
                "r.yaml:3: 'data.train': expected a path, or a list of paths or of {path, weight} mappings (at least one), found a list of 0 elements"
            ))
        #expect(found[2].hasSuffix("found 'palm-9b'; did you mean 'palm-8b'?"))
        #expect(found[3].hasPrefix("r.yaml:4: 'model.width': expected a whole number"))
        #expect(found[4].hasPrefix("r.yaml:1: missing key 'tokenizer': expected text that is not empty"))
    }

    @Test func missingShapeIsReportedWithoutAPreset() {
        let found = problems("name: x\nsteps: 1\ntokenizer: t\ndata: {train: a}\nmodel: {width: 8}\n")
        #expect(
            found == [
                "r.yaml:5: missing key 'model.layers': expected a whole number from 1 to 16384 (The number of blocks)",
                "r.yaml:5: missing key 'model.heads': expected a whole number from 1 to 4096 (Query heads)",
                "r.yaml:5: missing key 'model.headDim': expected a whole number from 2 to 4096 "
                    + "(The length of a head's vector, an even number (256 in the paper))",
            ])
    }

    @Test func textThatIsNoRecipe() {
        #expect(problems("") == ["r.yaml: expected a recipe (key: value lines), found an empty file"])
        #expect(problems("- a\n") == ["r.yaml:1: expected a recipe (key: value lines), found a list of 1 element"])
        #expect(problems("hello") == ["r.yaml:1: expected a recipe (key: value lines), found the text 'hello'"])
        #expect(problems("name: x\nname: y\n").first?.contains("'name' stands here twice") == true)
        #expect(problems("name: [a\n").first?.hasPrefix("r.yaml:") == true)
        #expect(problems("name: x\n  bad: indent\n").first?.hasPrefix("r.yaml:2: not valid YAML") == true)
        #expect(problems("name: *nowhere\n").first?.contains("not valid YAML") == true)
        #expect(problems("? [a]\n: b\n").first?.contains("a key must be a word") == true)
        #expect(problems("name: \u{7}x\n").first?.hasPrefix("r.yaml: not valid YAML") == true)
        #expect(problems(minimal + "---\nname: two\n").first?.contains("not valid YAML") == true)
    }

    @Test func expandingAliasesStop() {
        var yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...12 {
            let above = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            yaml += "a\(level): &a\(level) [\(above)]\n"
        }
        #expect(problems(yaml).first?.contains("more than 100000 values") == true)
    }

    @Test func filesThatCannotBeRead() throws {
        try withTemporaryFolder { folder in
            #expect(throws: RecipeError.self) { try Recipe.load(folder + "/none.yaml") }
            do throws(RecipeError) {
                _ = try Recipe.load(folder)
            } catch {
                #expect(error.description == "cannot read \(folder): it is a folder")
            }
            try store([0x6E, 0xFF, 0xFE], at: folder + "/bad.yaml")
            do throws(RecipeError) {
                _ = try Recipe.load(folder + "/bad.yaml")
            } catch {
                #expect(
                    error.description
                        == "\(folder)/bad.yaml: expected a recipe in YAML, found bytes that are not UTF-8 text")
            }
            try store(minimal, at: folder + "/good.yaml")
            #expect(try Recipe.load(folder + "/good.yaml").name == "demo")
        }
    }
}

@Suite struct RecipeOverrides {
    @Test func valuesAreSet() throws {
        let recipe = try Recipe(
            yaml: minimal,
            overrides: [
                "optimizer.name=adamw", "optimizer.learningRate=3e-4", "data.train=[a, {path: b, weight: 3}]",
                "data.train.1.weight=5", "data.train.0=c", "sample.prompts=[x=y]", "emaDecay=0.9", "emaDecay=null",
                "name=other",
            ])
        #expect(recipe.optimizer.learningRate == 3e-4)
        #expect(recipe.data.train == [TokenFile(path: "c"), TokenFile(path: "b", weight: 5)])
        #expect(recipe.sample.prompts == ["x=y"])
        #expect(recipe.emaDecay == nil)
        #expect(recipe.output == "runs/other")
    }

    @Test(arguments: [
        (
            "optimiser.learningRate=1",
            "--set optimiser.learningRate=1: unknown key 'optimiser'; did you mean 'optimizer'?"
        ),
        ("steps=abc", "--set steps=abc: 'steps': expected a whole number at least 1 or null, found the text 'abc'"),
        ("steps=", "--set steps=: 'steps': expected a whole number at least 1 or null, found the text \"\""),
        ("steps", "--set steps: expected key.path=value, found 'steps'"),
        ("=5", "--set =5: expected key.path=value, found '=5'"),
        ("data..train=5", "--set data..train=5: expected key.path=value, found an empty name in 'data..train'"),
        ("data.train.0=x", "--set data.train.0=x: 'data.train' is the text 'train.tokens', which has no '0'"),
        (
            "sample.prompts.0=x",
            "--set sample.prompts.0=x: 'sample.prompts' is not in the recipe, so it has no element 0: set the whole list, sample.prompts=[...]"
        ),
        ("steps.x=1", "--set steps.x=1: 'steps' is 100, which has no 'x'"),
    ])
    func wrongOverridesNameThemselves(_ override: String, _ message: String) {
        #expect(problems(minimal, override) == [message])
    }

    @Test func listIndexesAreChecked() {
        let yaml = minimal + "sample: {prompts: [a, b]}\n"
        #expect(
            problems(yaml, "sample.prompts.2=c") == [
                "--set sample.prompts.2=c: 'sample.prompts' has 2 elements: there is none with index 2 (they are counted from 0)"
            ])
        #expect(
            problems(yaml, "sample.prompts.first=c") == [
                "--set sample.prompts.first=c: 'sample.prompts' is a list: expected the index of an element, found 'first'"
            ])
        #expect(problems(yaml, "sample.prompts=[a").first?.contains("the value is not YAML") == true)
    }
}

@Suite struct RecipeValidation {
    @Test(arguments: [
        (
            ["steps=null"],
            "missing key 'steps': expected the number of updates, or 'minutes' to train for about that long"
        ),
        (["minutes=5"], "'steps' and 'minutes' exclude each other: steps is 100, minutes is 5.0"),
        (
            ["data.validation=train.tokens"],
            "'data.validation': train.tokens is also in 'data.train', so its loss would not be held-out"
        ),
        (
            ["model.ffMultiplier=1.003"],
            "'model.ffMultiplier': width * ffMultiplier must be a whole number, found 128 * 1.003 = 128.384"
        ),
        (["model.headDim=3"], "'model.headDim': expected an even number (rotary pairs), found 3"),
        (
            ["schedule={name: cosine, warmupSteps: 100}"],
            "'schedule.warmupSteps': expected less than the 100 steps over which the rate falls, found 100"
        ),
        (
            ["batch.sequences=12", "batch.microBatch=8"],
            "'batch.microBatch': expected a divisor of the batch size 12, found 8"
        ),
        (
            ["optimizer={name: sgd, nesterov: true}"],
            "'optimizer.nesterov': expected momentum above 0 and dampening 0, found momentum 0.0 and dampening 0.0"
        ),
        (["spikes.skip=[{from: 5, to: 4}]"], "'spikes.skip.0': expected from <= to, found from 5 to 4"),
        (
            ["spikes.skip=[{from: 5, to: 9}, {from: 9, to: 10}]"],
            "'spikes.skip.1': expected ranges in rising order that do not overlap, found 9 after 9"
        ),
        (
            ["spikes.automatic=true", "checkpoint.everySteps=40", "checkpoint.keepLast=3"],
            "'spikes.rewindSteps': going back 100 steps needs checkpoints that old, but the 3 kept, one each 40 steps, reach back only 80: raise checkpoint.keepLast to 4"
        ),
        (["name=a/b"], "'name': expected a name without slashes, found 'a/b'"),
    ])
    func keysThatDoNotGoTogether(_ overrides: [String], _ message: String) {
        do {
            _ = try Recipe(yaml: minimal, overrides: overrides)
            Issue.record("expected an error for \(overrides)")
        } catch {
            #expect(error.problems.map(\.description) == [message])
        }
    }

    @Test func valuesSetInCodeAreChecked() throws {
        var recipe = Recipe(
            name: "x", steps: 10, data: DataRecipe(train: [TokenFile(path: "a")]), tokenizer: "bytes",
            model: ModelRecipe(width: 8, layers: 1, heads: 1, headDim: 8))
        try recipe.validate()
        recipe.zLoss = .nan
        recipe.model.heads = 0
        do {
            try recipe.validate()
            Issue.record("expected an error")
        } catch {
            #expect(error.problems.count == 2)
        }
        #expect(throws: RecipeError.self) { try Recipe().validate() }
    }

    @Test func minutesNeedNoSteps() throws {
        let recipe = try Recipe(
            yaml: minimal, overrides: ["steps=null", "minutes=5", "schedule={name: cosine, warmupSteps: 100}"])
        #expect(recipe.minutes == 5)
        #expect(recipe.schedule.totalSteps == nil)
    }

    @Test func missingFilesAreNamed() throws {
        try withTemporaryFolder { folder in
            var recipe = try Recipe(yaml: minimal)
            recipe.data.train = [TokenFile(path: folder + "/a.tokens")]
            recipe.data.validation = [TokenFile(path: folder)]
            recipe.tokenizer = "bytes"
            do throws(RecipeError) {
                try recipe.checkFiles()
                Issue.record("expected an error")
            } catch {
                #expect(
                    error.problems.map(\.description) == [
                        "'data.train.0.path': cannot read \(folder)/a.tokens: no such file or folder; make it with 'martlet data prepare'",
                        "'data.validation.0.path': cannot read \(folder): it is a folder; make it with 'martlet data prepare'",
                    ])
            }
            try store("x", at: folder + "/a.tokens")
            recipe.data.validation = []
            try recipe.checkFiles()
        }
    }
}

@Suite struct RecipeExplanation {
    @Test func theWholeIsATemplate() throws {
        var yaml = try Recipe.explain()
        for (key, value) in [("name:", "x"), ("train:", "a"), ("tokenizer:", "t")] {
            yaml = yaml.replacingOccurrences(of: "\(key)\n", with: "\(key) \(value)\n")
        }
        yaml = yaml.replacingOccurrences(of: "preset: null", with: "preset: palm-1m")
        for key in ["width", "layers", "heads", "headDim"] {
            yaml = yaml.replacingOccurrences(of: "  \(key):\n", with: "")
        }
        let recipe = try Recipe(
            yaml: yaml, overrides: ["steps=100"])
        let expected = try Recipe(
            yaml: "name: x\nsteps: 100\ndata: {train: a}\ntokenizer: t\nmodel: {preset: palm-1m}\n")
        #expect(recipe == expected)
    }

    @Test func oneSection() throws {
        let text = try Recipe.explain("optimizer")
        #expect(text.contains("name: adafactor"))
        #expect(text.contains("# name: sgd"))
        #expect(try Recipe.explain("optimizer.momentum").contains("Decay of the momentum"))
        #expect(throws: RecipeError.self) { try Recipe.explain("optimizer.momentun") }
        #expect(throws: RecipeError.self) { try Recipe.explain("seed.x") }
    }
}

@Suite struct Batches {
    @Test func sizesAndPlacesFollowTheStages() {
        let schedule = BatchSchedule(stages: [
            .init(untilStep: 3, sequences: 2), .init(untilStep: 5, sequences: 4), .init(untilStep: nil, sequences: 8),
        ])
        #expect((1...7).map { schedule.sequences(inBatch: $0) } == [2, 2, 2, 4, 4, 8, 8])
        var sum = 0
        for batch in 1...20 {
            #expect(schedule.sequences(beforeBatch: batch) == sum)
            sum += schedule.sequences(inBatch: batch)
        }
        #expect(BatchSchedule(5).sequences(beforeBatch: 4) == 15)
    }

    @Test func palm540BTokens() {
        let schedule = BatchSchedule(stages: [
            .init(untilStep: 50_000, sequences: 512), .init(untilStep: 115_000, sequences: 1024),
            .init(untilStep: nil, sequences: 2048),
        ])
        #expect(abs(Double(schedule.sequences(beforeBatch: 255_001)) * 2048 / 1e9 - 775.9) < 0.05)
    }

    @Test func skippedBatchesMoveLaterOnesUp() throws {
        var sequence = BatchSequence(skipping: [BatchRange(from: 3, to: 4)])
        #expect((1...4).map { sequence.batch(forStep: $0) } == [1, 2, 5, 6])
        sequence.skip(3, afterStep: 1)
        // Batches 2, 5 and 6 are skipped besides 3 and 4.
        #expect((1...4).map { sequence.batch(forStep: $0) } == [1, 7, 8, 9])
        #expect(sequence.skipped == [BatchRange(from: 2, to: 6)])
        sequence.skip(BatchRange(from: 10, to: 11))
        sequence.skip(1_000_000_000_000, afterStep: 2)
        #expect(sequence.skipped == [BatchRange(from: 2, to: 6), BatchRange(from: 8, to: 1_000_000_000_009)])
        let data = try JSONEncoder().encode(sequence)
        #expect(try JSONDecoder().decode(BatchSequence.self, from: data) == sequence)
    }
}
