import Foundation
import Martlet
import MartletData
import MartletModels
import MartletNN
import Testing

@Suite struct ModelFolderTests {
    private func edit(_ path: String, _ change: (inout [String: Any]) -> Void) throws {
        let url = URL(fileURLWithPath: path)
        var object = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
        change(&object)
        try JSONSerialization.data(withJSONObject: object).write(to: url)
    }

    @Test(arguments: [DType.float32, .bfloat16, .float64])
    func roundTrip(_ dtype: DType) throws {
        try withTemporaryFolder { folder in
            let model = tinyModel {
                $0.norm = .rmsnorm
                $0.tieEmbeddings = false
                $0.qkNorm = true
                $0.ropeTheta = 5000
            }
            model.to(dtype).eval()
            try ModelFolder.save(model, tokenizer: ByteTokenizer(), to: folder + "/m")
            let loaded = try ModelFolder.load(folder + "/m")
            loaded.model.eval()
            #expect(loaded.configuration == model.configuration)
            #expect(loaded.tokenizer is ByteTokenizer)
            #expect(loaded.model.documentEnd == 256)
            let pairs = zip(model.namedParameters(), loaded.model.namedParameters())
            for (a, b) in pairs {
                #expect(a.name == b.name && b.parameter.dtype == dtype)
                #expect(a.parameter.doubles == b.parameter.doubles)
            }
            let tokens = Tensor([3, 1, 4, 1, 5], shape: [1, 5])
            #expect(noGrad { model(tokens).doubles == loaded.model(tokens).doubles })
            // The same model gives the same bytes.
            try ModelFolder.save(loaded.model, tokenizer: ByteTokenizer(), to: folder + "/again")
            for name in ["config.json", "model.safetensors"] {
                #expect(
                    FileManager.default.contents(atPath: folder + "/m/" + name)
                        == FileManager.default.contents(atPath: folder + "/again/" + name))
            }
        }
    }

    @Test func convertsOnLoading() throws {
        try withTemporaryFolder { folder in
            try ModelFolder.save(tinyModel(), tokenizer: nil, to: folder)
            let loaded = try ModelFolder.load(folder, dtype: .bfloat16)
            #expect(loaded.model.embedding.weight.dtype == .bfloat16)
            #expect(loaded.tokenizer == nil)
        }
    }

    @Test func weightsHaveTheNamesOfTheFixtures() throws {
        let file = try SafeTensorsFile(fixtures + "/palm/layernorm-half/model.safetensors")
        try withTemporaryFolder { folder in
            let model = try loadFixture(fixtures + "/palm/layernorm-half", dtype: .float32)
            try ModelFolder.save(model, tokenizer: nil, to: folder)
            #expect(try Set(SafeTensorsFile(folder + "/model.safetensors").names) == Set(file.names))
        }
    }

    @Test func problemsAreNamed() throws {
        try withTemporaryFolder { folder in
            #expect(
                message { _ = try ModelFolder.load(folder + "/none") }.contains(
                    "holds no model: expected the file config.json"))
            try ModelFolder.save(tinyModel(), tokenizer: ByteTokenizer(), to: folder)
            let path = folder + "/config.json"
            let good = try Data(contentsOf: URL(fileURLWithPath: path))
            func problem(_ change: @escaping (inout [String: Any]) -> Void) throws -> String {
                try good.write(to: URL(fileURLWithPath: path))
                try edit(path, change)
                return message { _ = try ModelFolder.load(folder) }
            }
            func model(_ change: @escaping (inout [String: Any]) -> Void) throws -> String {
                try problem {
                    var inner = $0["model"] as! [String: Any]
                    change(&inner)
                    $0["model"] = inner
                }
            }
            #expect(try problem { _ in } == "no error")
            #expect(try problem { $0["architecture"] = "gpt" }.contains("architecture 'gpt'; expected 'palm'"))
            #expect(try problem { $0["architecture"] = nil }.contains("(none given)"))
            #expect(try model { $0["width"] = nil }.contains("the key 'model.width' is missing"))
            #expect(try model { $0["width"] = "wide" }.contains("'model.width' is not of type Int"))
            #expect(try model { $0["norm"] = "batch" }.contains("model.norm"))
            #expect(try model { $0["headDim"] = 3 }.contains("must be even"))
            // The weights of another model.
            #expect(try model { $0["layers"] = 3 }.contains("describes a model of"))
            #expect(try model { $0["feedForward"] = 48 }.contains("model.safetensors holds"))
            let other = ["kind": "bytes", "fingerprint": String(repeating: "0", count: 64)]
            #expect(
                try problem { $0["tokenizer"] = other }.contains(
                    "is not the model's: expected fingerprint 000000000000"))
            try Data("{".utf8).write(to: URL(fileURLWithPath: path))
            #expect(message { _ = try ModelFolder.load(folder) }.contains("is not a JSON object"))
            try good.write(to: URL(fileURLWithPath: path))
            try FileManager.default.removeItem(atPath: folder + "/model.safetensors")
            #expect(message { _ = try ModelFolder.load(folder) }.contains("model.safetensors"))
        }
    }
}
