import Foundation
import Martlet
import MartletModels
import MartletNN
import Testing

/// 200 steps against PyTorch's, from the same weights and on the same batches.
@Suite struct PaLMLossCurveTests {
    struct Run: Decodable, Sendable, CustomTestStringConvertible {
        let optimizer: String
        let dtype: String
        let lr: Double
        let clip: Double
        let losses: [Double]
        let crossEntropy: [Double]
        let gradientNorms: [Double]
        let finalNorms: [String: Double]
        var testDescription: String { "\(optimizer) \(dtype)" }
    }
    struct Losses: Decodable { let runs: [Run] }

    static let folder = fixtures + "/palm-train"
    static let runs = try! decode(Losses.self, folder + "/losses.json").runs

    @Test func everyRunIsThere() {
        #expect(
            Set(Self.runs.map(\.testDescription)) == [
                "adafactor float32", "adafactor float64", "adamw float32", "adamw float64",
            ])
        #expect(Self.runs.allSatisfy { $0.losses.count == 200 })
    }

    @Test(arguments: runs)
    func lossesAgree(_ run: Run) throws {
        let model = try loadFixture(Self.folder, dtype: run.dtype == "float64" ? .float64 : .float32)
        let batches = try SafeTensors.load(Self.folder + "/batches.safetensors")["tokens"]!.to(.int64)
        let optimizer: Optimizer =
            run.optimizer == "adafactor"
            ? Adafactor(model, schedule: .palm(peak: run.lr))
            : AdamW(model, learningRate: run.lr, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1)
        let time = batches.size(2) - 1
        // The requirement is 1e-3; PyTorch's own float32 and float64 differ by less than 5e-6.
        let tolerance = run.dtype == "float64" ? 1e-8 : 1e-4
        var worst = 0.0
        var worstNorm = 0.0
        for step in 0..<run.losses.count {
            let tokens = batches.select(0, step)
            let (loss, crossEntropy) = model.loss(
                tokens.narrow(1, start: 0, length: time), targets: tokens.narrow(1, start: 1, length: time),
                zLoss: 1e-4)
            loss.backward()
            let norm = optimizer.step(clippingNorm: run.clip)
            optimizer.zeroGrad()
            worst = max(worst, abs(loss.item() - run.losses[step]))
            worst = max(worst, abs(crossEntropy.item() - run.crossEntropy[step]))
            worstNorm = max(worstNorm, abs(norm / run.gradientNorms[step] - 1))
        }
        #expect(worst < tolerance)
        #expect(worstNorm < 10 * tolerance)
        for (name, parameter) in model.namedParameters() {
            let norm = parameter.doubles.reduce(0) { $0 + $1 * $1 }.squareRoot()
            #expect(abs(norm / run.finalNorms[name]! - 1) < tolerance, "\(name)")
        }
        #expect(run.losses.last! < run.losses[0] - 1)
    }

    /// 500 steps on the fixture's batches, over and over: what bfloat16 costs is less than 1 % of the loss.
    @Test(arguments: ["adamw", "adafactor"]) func bfloat16FollowsFloat32(_ name: String) throws {
        let batches = try SafeTensors.load(Self.folder + "/batches.safetensors")["tokens"]!.to(.int64)
        let time = batches.size(2) - 1
        func losses(_ dtype: DType) throws -> [Double] {
            let model = try loadFixture(Self.folder, dtype: dtype)
            let optimizer: Optimizer =
                name == "adamw" ? AdamW(model, learningRate: 1e-3) : Adafactor(model, schedule: .palm(peak: 0.01))
            return (0..<500).map { step in
                let tokens = batches.select(0, step % batches.size(0))
                let (loss, crossEntropy) = model.loss(
                    tokens.narrow(1, start: 0, length: time), targets: tokens.narrow(1, start: 1, length: time),
                    zLoss: 1e-4)
                loss.backward()
                optimizer.step(clippingNorm: 1)
                optimizer.zeroGrad()
                return crossEntropy.item()
            }
        }
        let exact = try losses(.float32)
        let rounded = try losses(.bfloat16)
        #expect(exact.last! < exact[0] * 0.8)
        // Means of ten steps: a single batch is small, and its loss noisy.
        for i in stride(from: 0, to: 500, by: 10) {
            let a = exact[i..<(i + 10)].reduce(0, +)
            let b = rounded[i..<(i + 10)].reduce(0, +)
            #expect(abs(b / a - 1) < 0.01, "steps \(i)...: \(b / 10) in bfloat16, \(a / 10) in float32")
        }
    }
}
