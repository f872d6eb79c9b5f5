import Foundation
import Martlet
import Testing

struct SafeTensorsTests {
    /// One tensor of each type, with values that all types can hold.
    static func samples() -> [(String, Tensor)] {
        DType.allCases.map { dtype in
            ("t.\(dtype)", Tensor([0, 1, 1, 0, 1, 0], shape: [2, 3], dtype: .float64).to(dtype))
        }
    }

    /// A file of `header` and zeros.
    static func file(_ header: String, data: Int, length: UInt64? = nil) -> [UInt8] {
        let text = Array(header.utf8)
        return withUnsafeBytes(of: (length ?? UInt64(text.count)).littleEndian) { Array($0) } + text
            + [UInt8](repeating: 0, count: data)
    }

    @Test func readsWhatPythonWrote() throws {
        let file = try SafeTensorsFile(ioFixture("python.safetensors"))
        #expect(file.metadata == ["format": "pt", "note": "a \"quoted\" one"])
        func check(_ name: String, _ dtype: DType, _ shape: [Int], _ values: [Double]) throws {
            let tensor = try file.tensor(name)
            #expect(tensor.dtype == dtype && tensor.shape == shape && tensor.toArray(Double.self) == values, "\(name)")
        }
        try check("f64", .float64, [2, 3], [0, 0.125, -0.25, 0.375, 0.5, -0.625])
        try check("f32", .float32, [2, 3], [0, 0.125, -0.25, 0.375, 0.5, -0.625])
        try check("f16", .float16, [5], [0, 0.125, -0.25, 0.375, 0.5])
        try check("bf16", .bfloat16, [5], [0, 0.125, -0.25, 0.375, 0.5])
        try check("i64", .int64, [3], [0, 0x1p40, -0x1p41])
        try check("i32", .int32, [3], [0, 1, -2])
        try check("i16", .int16, [3], [0, 1, -2])
        try check("i8", .int8, [3], [0, 1, -2])
        try check("u8", .uint8, [7], [0, 1, 2, 3, 4, 5, 6])
        try check("bool", .bool, [3], [0, 1, 0])
        try check("scalar", .float32, [], [2.5])
        try check("empty", .float32, [0, 4], [])
        try check("größe", .float32, [1], [1])
        try check("u16", .int32, [2], [0, 65535])
        let error = martletError { _ = try file.tensor("f8") }
        #expect(error?.message.contains("\"f8\" has the element type F8_E4M3, which is not supported") == true)
        #expect(file.entry("f8")?.dtype == nil)
        #expect(martletError { _ = try file.tensor("nope") }?.kind == .mismatch)
    }

    @Test func writesWhatItReads() throws {
        let folder = TemporaryFolder()
        let path = folder.file("all.safetensors")
        let tensors =
            SafeTensorsTests.samples() + [
                ("scalar", Tensor(2.5)), ("empty", Tensor.zeros([0, 3])), ("turned", Tensor([[1, 2], [3, 4]]).T),
                ("quote \" and 😀", Tensor([1.0])),
            ]
        try SafeTensors.save(tensors, to: path, metadata: ["b": "2", "a": "1"], sync: true)
        let loaded = try SafeTensors.load(path)
        #expect(loaded.names == tensors.map(\.0))
        #expect(loaded.metadata == ["a": "1", "b": "2"])
        for (name, tensor) in tensors {
            let found = try #require(loaded[name])
            #expect(found.dtype == tensor.dtype)
            #expect(difference(found, tensor) == nil, "\(name)")
            // In place: nothing but an empty range is a copy.
            #expect(Int(bitPattern: found.dataPointer) % found.dtype.byteSize == 0)
        }
        #expect(folder.contents == ["all.safetensors"])
    }

    @Test func writesTheseBytes() throws {
        let folder = TemporaryFolder()
        let path = folder.file("x.safetensors")
        try SafeTensors.save([("b", Tensor([1, 2] as [UInt8])), ("w", Tensor([1.0]))], to: path, metadata: ["k": "v"])
        let header =
            #"{"__metadata__":{"k":"v"},"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},"#
            + #""w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
        let padded = header + String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
        #expect(
            readBytes(path) == SafeTensorsTests.file(padded, data: 0) + [0, 0, 0x80, 0x3f, 1, 2])
    }

    @Test func loadedTensorsReadTheFileAndOutliveItsReplacement() throws {
        let folder = TemporaryFolder()
        let path = folder.file("x.safetensors")
        try SafeTensors.save(["w": Tensor([1.0, 2.0])], to: path)
        let w = try SafeTensors.load(path)["w"]!
        // Saving what was loaded over the file it is mapped from.
        try SafeTensors.save(["w": w, "v": w * 2], to: path)
        #expect(w.toArray() == [1, 2])
        #expect(try SafeTensors.load(path)["v"]!.toArray() == [2, 4])
        try SafeTensors.save(["w": Tensor.zeros([2])], to: path)
        #expect(w.toArray() == [1, 2])
    }

    @Test func misalignedTensorsAreCopied() throws {
        let folder = TemporaryFolder()
        let path = folder.file("x.safetensors")
        let header =
            #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]},"#
            + #""c":{"dtype":"BOOL","shape":[2],"data_offsets":[5,7]}}"#
        var bytes = SafeTensorsTests.file(header, data: 7)
        bytes.replaceSubrange((bytes.count - 7)..., with: [9, 0, 0, 0x80, 0x3f, 2, 0])
        writeBytes(bytes, path)
        let loaded = try SafeTensors.load(path)
        #expect(loaded["a"]!.toArray() == [9])
        #expect(loaded["b"]!.toArray() == [1])
        #expect(loaded["c"]!.toArray(Bool.self) == [true, false])
    }

    @Test(arguments: [
        (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, "takes 8 bytes, it has 4"),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 3, "may be cut off"),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 5, "cut off or added to"),
        (
            #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
            3,
            "overlaps"
        ),
        (
            #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}"#,
            3,
            "leaves a gap"
        ),
        (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}"#, 1, "are not within"),
        (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}"#, 1, "are not within"),
        (#"{"a":{"dtype":"U8","shape":[4611686018427387904,4,2],"data_offsets":[0,0]}}"#, 0, "too large"),
        (#"{"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,0]}}"#, 0, "too large"),
        (#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}}"#, 0, "no whole number"),
        (#"{"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}}"#, 1, "no whole number"),
        (#"{"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}}"#, 1, "no shape array"),
        (#"{"a":{"shape":[1],"data_offsets":[0,1]}}"#, 1, "no dtype"),
        (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}"#, 1, "no data_offsets"),
        (
            #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
            1,
            "two members named \"a\""
        ),
        (#"{"a":7}"#, 0, "is an integer, not an object"),
        (#"{"__metadata__":{"a":1}}"#, 0, "not a string"),
        (#"{"__metadata__":[]}"#, 0, "not an object"),
        (#"["a"]"#, 0, "does not begin with '{'"),
        (#"{"a""#, 0, "not valid JSON"),
        ("", 0, "does not begin with '{'"),
    ])
    func refusesDamagedHeaders(_ header: String, _ data: Int, _ message: String) {
        let folder = TemporaryFolder()
        let path = folder.file("bad.safetensors")
        writeBytes(SafeTensorsTests.file(header, data: data), path)
        let error = martletError { _ = try SafeTensors.load(path) }
        #expect(error?.kind == .format)
        #expect(
            error?.message.contains(message) == true && error?.message.contains(path) == true, "\(error?.message ?? "")"
        )
    }

    @Test func refusesImpossibleLengthsAndMissingFiles() throws {
        let folder = TemporaryFolder()
        let path = folder.file("bad.safetensors")
        for (bytes, message) in [
            (SafeTensorsTests.file("{}", data: 0, length: .max), "at most 100000000"),
            (SafeTensorsTests.file("{}", data: 0, length: 3), "has 2 bytes after it"), ([1, 2, 3], "has 3 bytes"),
            ([], "has 0 bytes"),
        ] as [([UInt8], String)] {
            writeBytes(bytes, path)
            #expect(martletError { _ = try SafeTensors.load(path) }?.message.contains(message) == true)
        }
        let missing = martletError { _ = try SafeTensors.load(folder.file("none.safetensors")) }
        #expect(missing?.kind == .file)
        #expect(missing?.message == "cannot open \(folder.file("none.safetensors")): No such file or directory")
        #expect(martletError { _ = try SafeTensorsFile(folder.path) }?.message.contains("it is a directory") == true)
        #expect(
            martletError { try SafeTensors.save([:], to: folder.path) }?.message.contains("it is a directory") == true)
        #expect(martletError { try SafeTensors.save([:], to: folder.file("no/x")) }?.kind == .file)
        #expect(martletError { try SafeTensors.save([:], to: "/dev/null") }?.kind == .file)
        let w = Tensor([1.0])
        #expect(
            martletError { try SafeTensors.save([("w", w), ("w", w)], to: path) }?.message.contains("two tensors")
                == true)
        #expect(martletError { try SafeTensors.save(["__metadata__": w], to: path) }?.kind == .format)
        // A failed save leaves what was there, and nothing else.
        #expect(folder.contents == ["bad.safetensors"])
        // Ranks that the format allows but tensors do not have.
        writeBytes(
            SafeTensorsTests.file(#"{"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}}"#, data: 1),
            path)
        #expect(martletError { _ = try SafeTensors.load(path) }?.message.contains("has 9 dimensions") == true)
    }

    @Test func shards() throws {
        let folder = TemporaryFolder()
        let tensors = (0..<5).map { ("layer.\($0)", Tensor.full([10], Double($0))) }
        try SafeTensors.saveSharded(tensors, to: folder.path, shardLimit: 80, metadata: ["format": "pt"])
        #expect(
            folder.contents == [
                "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                "model-00003-of-00003.safetensors",
                "model.safetensors.index.json",
            ])
        let index = try JSONValue.load(folder.file("model.safetensors.index.json"))
        #expect(index["metadata"]!["total_size"] == 200)
        #expect(index["weight_map"]!["layer.2"] == "model-00002-of-00003.safetensors")
        for path in [folder.path, folder.file("model.safetensors.index.json")] {
            let loaded = try SafeTensors.load(path)
            #expect(loaded.names == tensors.map(\.0))
            #expect(loaded.metadata == ["format": "pt"])
            for (name, tensor) in tensors { #expect(loaded[name]!.toArray() == tensor.toArray()) }
        }

        let shard = folder.file("model-00002-of-00003.safetensors")
        let bytes = readBytes(shard)
        try FileManager.default.removeItem(atPath: shard)
        #expect(
            martletError { _ = try SafeTensors.load(folder.path) }?.message.contains("model-00002-of-00003") == true)
        try SafeTensors.save(["layer.2": Tensor.zeros([10])], to: shard)
        #expect(
            martletError { _ = try SafeTensors.load(folder.path) }?.message.contains("\"layer.3\" is said to be in")
                == true)
        writeBytes(bytes, shard)

        let outside = #"{"weight_map":{"a":"../x.safetensors"}}"#
        writeBytes(Array(outside.utf8), folder.file("evil.index.json"))
        #expect(
            martletError { _ = try SafeTensors.load(folder.file("evil.index.json")) }?.message.contains(
                "no file beside")
                == true)

        // One file again: the index goes.
        try SafeTensors.saveSharded(tensors, to: folder.path)
        #expect(!folder.contents.contains("model.safetensors.index.json"))
        #expect(try SafeTensors.load(folder.path).names.count == 5)
    }

    @Test func damagedFilesNeverCrash() throws {
        let folder = TemporaryFolder()
        let path = folder.file("x.safetensors")
        for (seed, original) in [readBytes(ioFixture("python.safetensors"))].enumerated() {
            var loaded = 0
            forEachDamage(of: original, count: 20_000, seed: UInt64(seed)) { bytes in
                writeBytes(bytes, path)
                do {
                    let file = try SafeTensorsFile(path)
                    for name in file.names {
                        if let tensor = try? file.tensor(name) {
                            _ = tensor.toArray(Double.self)
                            loaded += 1
                        }
                    }
                } catch {
                    let error = error as? MartletError
                    #expect(error?.kind == .format && error?.message.hasPrefix(path) == true)
                }
            }
            #expect(loaded > 0)
        }
    }
}
