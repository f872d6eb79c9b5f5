import ArgumentParser
import Foundation
import Martlet
import MartletData
import MartletModels
import MartletTraining

struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Continues prompts.",
        discussion: """
            The text appears as it is generated; with several prompts or samples, when all are done. The same seed gives the \
            same text.

            Example: martlet generate --checkpoint runs/demo --prompt "ROMEO." --max-tokens 200 --temperature 0.8 --top-p 0.95
            """)

    @OptionGroup var model: CheckpointOption
    @Option(
        parsing: .unconditionalSingleValue, help: "A prompt; may be given several times. Standard input when left out.")
    var prompt: [String] = []
    @Option(parsing: .unconditional, help: "Tokens to generate at most.")
    var maxTokens = 200
    @Option(parsing: .unconditional, help: "0 takes the best token always; 1 samples from the model's distribution.")
    var temperature = 1.0
    @Option(parsing: .unconditional, help: "Sample from the k best tokens only.")
    var topK: Int?
    @Option(parsing: .unconditional, help: "Sample from the fewest best tokens whose probabilities reach p together.")
    var topP: Double?
    @Option(parsing: .unconditional, help: "Sample from tokens at least this fraction as probable as the best.")
    var minP: Double?
    @Option(parsing: .unconditional, help: "Above 1: makes tokens that occurred less probable.")
    var repetitionPenalty = 1.0
    @Option(parsing: .unconditional, help: "Decides all draws.")
    var seed: UInt64 = 0
    @Option(parsing: .unconditional, help: "Continuations of each prompt.")
    var samples = 1
    @Option(parsing: .unconditionalSingleValue, help: "A text that ends a continuation; may be given several times.")
    var stop: [String] = []
    @Flag(help: "Go on past the end of a document.")
    var ignoreEnd = false
    @Flag(help: "Print one JSON object a continuation instead of text.")
    var json = false
    @Flag(help: "Leave the prompt out of the output.")
    var noEcho = false

    struct Record: Encodable {
        let prompt: String
        let sample: Int
        let text: String
        let tokens: [Int32]
        let promptTokens: Int
        let finish: String
    }

    func run() throws {
        let contents = try model.load()
        guard let tokenizer = contents.tokenizer else {
            throw MartletError(.file, "\(try model.folder()) has no tokenizer, which generating text needs")
        }
        var prompts = prompt
        if prompts.isEmpty {
            guard let text = String(validating: try StandardStreams.readInput(), as: UTF8.self) else {
                throw MartletError(.format, "the prompt on standard input is not UTF-8 text")
            }
            prompts = [text]
        }
        let request = TextGenerator.Request(
            prompts: prompts, samples: samples, maxTokens: maxTokens,
            sampling: SamplingOptions(
                temperature: temperature, topK: topK, topP: topP, minP: minP, repetitionPenalty: repetitionPenalty,
                seed: seed), stop: stop, stopsAtDocumentEnd: !ignoreEnd)
        try request.validate()
        let generator = TextGenerator(model: contents.model, tokenizer: tokenizer)
        let streams = prompts.count == 1 && samples == 1 && !json
        // With the first of the text: until then the request may be refused.
        var hasEchoed = !streams || noEcho
        func echo() {
            if !hasEchoed { Terminal.print(prompts[0], terminator: "") }
            hasEchoed = true
        }
        func stream(_ row: Int, _ text: String) {
            echo()
            Terminal.print(text, terminator: "")
        }
        let results = try generator.generate(request, onText: streams ? stream : nil)
        if streams {
            echo()
            Terminal.print("")
        } else if json {
            for r in results {
                Terminal.print(
                    try Terminal.json(
                        Record(
                            prompt: prompts[r.prompt], sample: r.sample, text: r.text, tokens: r.tokens,
                            promptTokens: r.promptTokens, finish: r.finish.rawValue)))
            }
        } else {
            for (i, r) in results.enumerated() {
                Terminal.print("=== prompt \(r.prompt + 1), sample \(r.sample + 1) ===")
                Terminal.print((noEcho ? "" : prompts[r.prompt]) + r.text)
                if i + 1 < results.count { Terminal.print("") }
            }
        }
        let t = generator.timing
        Terminal.error(
            "prompt: \(t.promptTokens) tokens in \(Format.fixed(t.promptSeconds, 3)) s; generated: \(t.generatedTokens) tokens, "
                + "\(Format.fixed(Double(t.generatedTokens) / max(1e-9, t.generationSeconds), 1)) a second")
    }
}
