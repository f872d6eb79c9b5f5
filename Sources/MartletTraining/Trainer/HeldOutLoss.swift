public import Martlet
public import MartletData
public import MartletModels
internal import MartletNN

// The loss of held-out text.
#if canImport(Glibc)
private import Glibc
#endif

/// How well a model predicts a text.
public struct HeldOutLoss: Sendable, Equatable {
    /// The sum of -log p over all tokens, in nats.
    public var nats: Double
    public var tokens: Int
    /// UTF-8 bytes of the text that the tokens stand for. Of a part of a file, the file's average a token is taken.
    public var bytes: Double

    /// Nats a token.
    public var loss: Double { nats / Double(max(1, tokens)) }
    public var perplexity: Double { exp(loss) }
    /// Bits a byte of text: comparable between tokenizers and with compressors.
    public var bitsPerByte: Double { nats / log(2) / max(1, bytes) }

    public init(nats: Double = 0, tokens: Int = 0, bytes: Double = 0) {
        self.nats = nats
        self.tokens = tokens
        self.bytes = bytes
    }

    public static func + (a: HeldOutLoss, b: HeldOutLoss) -> HeldOutLoss {
        HeldOutLoss(nats: a.nats + b.nats, tokens: a.tokens + b.tokens, bytes: a.bytes + b.bytes)
    }

    /// The loss of each target of `batch`, [rows, columns], in nats.
    public static func tokenLosses(_ model: any LanguageModel, _ batch: TokenBatch) -> Tensor {
        noGrad {
            let (inputs, targets) = batch.tensors
            let hidden = model.hiddenStates(inputs, cache: nil)
            // Logits of a few rows at a time: a large vocabulary's would be the largest tensor by far.
            let rows = max(1, (8 << 20) / max(1, model.vocabularySize * batch.columns))
            var parts: [Tensor] = []
            var start = 0
            while start < batch.rows {
                let n = min(rows, batch.rows - start)
                let logits = model.logits(ofHidden: hidden.narrow(0, start: start, length: n))
                parts.append(
                    logits.crossEntropy(targets.narrow(0, start: start, length: n), reduction: .none))
                start += n
            }
            return parts.count == 1 ? parts[0] : Tensor.cat(parts)
        }
    }

    /// Measures a token file, or its first `batches` batches.
    ///
    /// - Parameter stride: new tokens in a window; below the sequence length windows overlap and every token but the
    ///   first ones has context (slower, and lower losses).
    public static func measure(
        _ model: any LanguageModel, _ dataset: TokenDataset, sequenceLength: Int, batchSize: Int, batches: Int? = nil,
        stride: Int? = nil
    ) throws -> HeldOutLoss {
        let training = model.isTraining
        model.eval()
        defer { model.train(training) }
        let all = try EvaluationBatches(dataset, sequenceLength: sequenceLength, batchSize: batchSize, stride: stride)
        let (rows, columns) = all.largestShape
        try Memory.require(
            model.evaluationBytes(rows: rows, time: columns),
            for: "measuring the loss of \(rows) window\(rows == 1 ? "" : "s") of \(columns) tokens at once",
            remedy: "take shorter windows, or fewer at once")
        var result = HeldOutLoss()
        for i in 0..<min(all.count, batches ?? all.count) {
            let batch = try all[i]
            let losses = tokenLosses(model, batch.tokens).narrow(
                1, start: batch.counted.lowerBound, length: batch.counted.count)
            result.nats += losses.to(.float64).sum().item()
            result.tokens += losses.count
        }
        result.bytes =
            result.tokens == dataset.tokenCount
            ? Double(dataset.textByteCount)
            : Double(dataset.textByteCount) * Double(result.tokens) / Double(max(1, dataset.tokenCount))
        return result
    }

    /// Measures each document of a token file by itself, as a text that follows an `[eod]`.
    public static func measureDocuments(
        _ model: any LanguageModel, _ dataset: TokenDataset, sequenceLength: Int
    ) throws -> [HeldOutLoss] {
        model.eval()
        return try (0..<dataset.documentCount).map { index in
            let tokens = try dataset.tokens(ofDocument: index)
            var result = HeldOutLoss(tokens: tokens.count, bytes: Double(try dataset.textByteCount(ofDocument: index)))
            let context = [dataset.eodID] + tokens
            var start = 0
            while start < tokens.count {
                let n = min(sequenceLength, tokens.count - start)
                let batch = TokenBatch(
                    inputs: Array(context[start..<start + n]), targets: Array(tokens[start..<start + n]), rows: 1,
                    columns: n)
                result.nats += tokenLosses(model, batch).to(.float64).sum().item()
                start += n
            }
            return result
        }
    }
}
