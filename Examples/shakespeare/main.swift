// A language model over bytes in one file: a small decoder-only transformer, its training, and samples of it.
//
// Reproduces: what a character-level transformer makes of Shakespeare in a few minutes: speakers, lines, English words.
// Command:    ../scripts/fetch-text.sh data/text
//             swift run -c release shakespeare data/text/train/shakespeare-*.txt
//             Any text will do, several files are read one after another; the last tenth is held out.
// Time:       45 seconds on two cores.
// Expected:   held-out loss 1.69 nats = 2.43 bits a byte after 800 steps (1.6 million bytes).

import Foundation
import Martlet
import MartletData
import MartletNN

let context = 128
let width = 128
let depth = 4
let heads = 4
let batchSize = 16
let steps = 800

/// A pre-norm block with rotary positions and a gated feed-forward network. [batch, time, width] -> the same.
final class Block: Module {
    let attentionNorm = RMSNorm(width)
    let attention = MultiHeadAttention(
        width, heads: heads, causal: true, rotary: RotaryEmbedding(width / heads), bias: false)
    let feedForwardNorm = RMSNorm(width)
    let feedForward = GatedFeedForward(width, hidden: 3 * width)

    override func forward(_ x: Tensor) -> Tensor {
        let y = x + attention(attentionNorm(x))
        return y + feedForward(feedForwardNorm(y))
    }
}

final class LanguageModel: Module {
    let embedding = Embedding(256, width)
    let blocks = (0..<depth).map { _ in Block() }
    let norm = RMSNorm(width)
    let head = Linear(width, 256, bias: false)

    /// Bytes [batch, time], integers -> logits of the byte after each, [batch, time, 256].
    override func forward(_ bytes: Tensor) -> Tensor {
        head(norm(blocks.reduce(embedding(bytes)) { x, block in block(x) }))
    }
}

/// The mean loss, in nats a byte, of the windows of `text` that begin at `starts` [batch].
func loss(_ model: LanguageModel, _ text: Tensor, _ starts: Tensor) -> Tensor {
    let windows = text[starts.unsqueeze(1) + Tensor.arange(context + 1)].long()
    return model(windows[.all, ..<context]).crossEntropy(windows[.all, 1...])
}

/// Prints `prompt` and `count` bytes that the model writes after it.
func sample(_ model: LanguageModel, prompt: String, count: Int, temperature: Double) throws {
    var bytes = prompt.utf8.map { Int32($0) }
    // Bytes make characters: the decoder holds back those of a character that is not whole yet.
    var decoder = StreamDecoder(ByteTokenizer())
    print(prompt, terminator: "")
    for _ in 0..<count {
        let logits = noGrad { model(Tensor(bytes.suffix(context), shape: [1, min(context, bytes.count)]))[0, -1] }
        let next = (logits / temperature).softmax(dim: -1).multinomial(1).item(Int64.self)
        bytes.append(Int32(next))
        print(try decoder.feed(Int32(next)), terminator: "")
        fflush(nil)
    }
    print(decoder.flush())
}

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data((message + "\n").utf8))
    exit(1)
}

let paths = CommandLine.arguments.dropFirst()
if paths.isEmpty { fail("usage: shakespeare FILE...   (text to train on)") }
var bytes: [UInt8] = []
for path in paths {
    do {
        bytes += try Data(contentsOf: URL(fileURLWithPath: path))
    } catch {
        fail("\(path) cannot be read: \(error.localizedDescription)")
    }
}
let least = 20 * (context + 1)
if bytes.count < least { fail("expected at least \(least) bytes of text, found \(bytes.count)") }

Tensor.manualSeed(1)
let text = Tensor(bytes)
let training = text[..<(bytes.count * 9 / 10)]
let heldOut = text[(bytes.count * 9 / 10)...]
let model = LanguageModel()
let optimizer = AdamW(
    model, schedule: .cosine(peak: 3e-3, warmupSteps: 50, totalSteps: steps, final: 3e-4), beta2: 0.99,
    weightDecay: 0.1)
print("\(model.parameterCount) parameters, \(training.count) bytes to train on, \(heldOut.count) held out")

let start = Date()
for i in 1...steps {
    let starts = Tensor.randint(0, training.count - context, [batchSize])
    let loss = loss(model, training, starts)
    optimizer.zeroGrad()
    loss.backward()
    optimizer.step(clippingNorm: 1)
    if i % 50 == 0 || i == 1 {
        let rate = Double(i * batchSize * context) / Date().timeIntervalSince(start)
        print(String(format: "step %3d  loss %.3f  %.0f bytes/s", i, loss.item(), rate))
        fflush(nil)
    }
}

// 128 windows, evenly spread over the held-out text.
model.eval()
let starts = Tensor.linspace(0, Double(heldOut.count - context - 1), 128, dtype: .float64).long()
let parts = starts.split(batchSize)
let heldOutLoss = noGrad { parts.map { loss(model, heldOut, $0).item() }.reduce(0, +) } / Double(parts.count)
print(String(format: "held-out loss %.3f nats a byte = %.3f bits a byte\n", heldOutLoss, heldOutLoss / log(2)))

try sample(model, prompt: "ROMEO.\n", count: 600, temperature: 0.8)
