import Foundation
import Testing

/// `martlet bench`: what its lines hold, not how fast it is.
@Suite struct CLIBenchTests {
    private func rows(_ arguments: [String], in folder: String = "/") throws -> [[String: Any]] {
        try MartletProgram.succeed(["bench"] + arguments, in: folder).output.split(separator: "\n").map {
            try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    private let small = [
        "--width", "16", "--layers", "1", "--heads", "2", "--head-dim", "8", "--vocab", "64", "--dtype", "float32",
    ]

    @Test func palmTrain() throws {
        let shape = ["--batch", "2", "--sequence", "8", "--steps", "3", "--threads", "1"]
        let rows = try rows(["palm-train"] + shape + small)
        #expect(rows.count == 1)
        let row = rows[0]
        #expect(row["name"] as? String == "palm-train" && row["dtype"] as? String == "float32")
        #expect(row["head_dim"] as? Int == 8 && row["threads"] as? Int == 1)
        #expect((row["step_seconds"] as? [Double])?.count == 3)
        for key in ["tokens_per_second", "gflops", "peak_rss_bytes", "loss"] {
            #expect((row[key] as? Double ?? 0) > 0, "\(key)")
        }
    }

    @Test func generate() throws {
        let rows = try rows(["generate", "--prompt", "4", "--tokens", "4", "--repeats", "2"] + small)
        #expect(rows.count == 1)
        #expect(rows[0]["name"] as? String == "generate")
        #expect((rows[0]["decode_seconds"] as? [Double])?.count == 2)
        #expect((rows[0]["prompt_tokens_per_second"] as? Double ?? 0) > 0)
    }

    @Test func matmulTakesOneShapeOrSeveral() throws {
        let one = try rows(["matmul", "--dtype", "float32", "--m", "16", "--k", "8", "--n", "4", "--steps", "2"])
        #expect(one.count == 1 && one[0]["k"] as? Int == 8 && one[0]["transpose_b"] as? Bool == false)
        let two = try rows(["matmul", "--dtype", "f32", "--shape", "8x4x16nt", "--shape", "3x5x7tn", "--steps", "2"])
        #expect(two.count == 2)
        #expect(two[0]["transpose_a"] as? Bool == false && two[0]["transpose_b"] as? Bool == true)
        #expect(two[1]["transpose_a"] as? Bool == true && two[1]["n"] as? Int == 7)
    }

    @Test(arguments: [
        ["eager-overhead", "--filter", "add", "--seconds", "0.001"],
        ["ops", "--filter", "axis 1", "--seconds", "0.001"],
        ["ops", "--filter", "axis 1", "--seconds", "0.001", "--dtype", "bf16"],
    ])
    func opsPrintALineARow(_ arguments: [String]) throws {
        let rows = try rows(arguments)
        #expect(rows.count > 2)
        for row in rows {
            #expect(row["name"] as? String == arguments[0])
            #expect((row["op"] as? String)?.contains(arguments[2]) == true)
            #expect((row["seconds"] as? Double ?? 0) > 0)
        }
    }

    @Test func theLoaderReadsWhatItIsGiven() throws {
        try withTemporaryFolder { folder in
            let text = String(repeating: "the quick brown fox jumps over the lazy dog\n", count: 200)
            try store(text, at: folder + "/text.txt")
            let rows = try rows(
                [
                    "loader", "--tokenizer", "bytes", "--batch", "2", "--sequence", "32", "--repeats", "1", "--threads",
                    "2", "text.txt",
                ], in: folder)
            let measures = rows.map { $0["measure"] as? String }
            #expect(measures == ["tokenise", "tokenise", "prepare", "batches", "batches, prefetched"])
            #expect(rows[0]["text_bytes"] as? Int == text.utf8.count)
            #expect(rows[0]["tokens"] as? Int == text.utf8.count)
        }
    }

    @Test(arguments: [
        (["matmul", "--shape", "4x5"], "expected MxKxN"), (["ops", "--filter", "no such op"], "no op or shape"),
        (["eager-overhead", "--threads", "0"], "--threads must be at least 1"),
        (["palm-train", "--dtype", "int8"], "expected float32"),
        (
            ["matmul", "--m", "4611686018427387904", "--k", "4", "--n", "4"],
            "the product's M must be at most 2147483647"
        ),
        (["matmul", "--shape", "2000000000x2000000000x1"], "the product 2000000000 x 2000000000 x 1 needs at least"),
        (["matmul", "--m", "0"], "the product's M must be at least 1, it is 0"),
        (["palm-train", "--width", "9223372036854775807"], "--width must be at most"),
        (["palm-train", "--batch", "2000000000", "--sequence", "2000000000"], "needs at least"),
        (["generate", "--batch", "9223372036854775807"], "--batch must be at most"),
        (["generate", "--tokens", "2000000000", "--batch", "2000000000"], "needs at least"),
        (
            ["loader", "--tokenizer", "bytes", "--sequence", "9223372036854775807", "x.txt"],
            "--sequence must be at most"
        ),
        (["ops", "--threads", "5000000000"], "--threads must be at most 4096"),
    ])
    func badArgumentsAreNamed(_ arguments: [String], _ message: String) throws {
        let outcome = try MartletProgram.run(["bench"] + arguments, in: "/")
        #expect(outcome.status == 1)
        #expect(outcome.error.contains(message))
    }
}
