import Foundation
import Martlet
import Testing

struct NumPyFileTests {
    @Test(arguments: ["stored.npz", "deflated.npz"])
    func readsWhatNumPyWrote(_ name: String) throws {
        let arrays = try Npz.load(ioFixture(name))
        #expect(
            arrays.map(\.name) == [
                "f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "u2", "u4", "b1", "scalar", "empty", "fortran", "big",
                "text",
            ])
        let byName = Dictionary(uniqueKeysWithValues: arrays.map { ($0.name, $0.tensor) })
        func check(_ name: String, _ dtype: DType, _ shape: [Int], _ values: [Double]) {
            let tensor = byName[name]!
            #expect(tensor.dtype == dtype && tensor.shape == shape && tensor.toArray(Double.self) == values, "\(name)")
        }
        check("f8", .float64, [2, 3], [0, 0.125, -0.25, 0.375, 0.5, -0.625])
        check("f4", .float32, [2, 3], [0, 0.125, -0.25, 0.375, 0.5, -0.625])
        check("f2", .float16, [5], [0, 0.125, -0.25, 0.375, 0.5])
        check("i8", .int64, [3], [0, 0x1p40, -0x1p41])
        check("i4", .int32, [3], [0, 1, -2])
        check("i2", .int16, [3], [0, 1, -2])
        check("i1", .int8, [3], [0, 1, -2])
        check("u1", .uint8, [7], [0, 1, 2, 3, 4, 5, 6])
        check("u2", .int32, [2], [0, 65535])
        check("u4", .int64, [2], [0, 4_294_967_295])
        check("b1", .bool, [3], [0, 1, 0])
        check("scalar", .float32, [], [2.5])
        check("empty", .float32, [0, 4], [])
        check(
            "fortran", .float32, [2, 3, 4], (0..<24).map { (i: Int) -> Double in i % 3 == 2 ? -Double(i) : Double(i) })
        check("big", .int32, [2, 3], [0, 1, -2, 3, 4, -5])
        check("text", .int16, [40, 50], (0..<2000).map { Double(Int16(truncatingIfNeeded: $0 * $0 / 7)) })
    }

    @Test func readsFilesOfOneArray() throws {
        let numbers = (0..<24).map { (i: Int) -> Float in i % 3 == 2 ? -Float(i) : Float(i) }
        for mapped in [false, true] {
            let fortran = try Npy.load(ioFixture("fortran.npy"), mapped: mapped)
            #expect(fortran.strides == [1, 2, 6])
            #expect(fortran.toArray() == numbers)
            #expect(
                try Npy.load(ioFixture("version3.npy"), mapped: mapped).toArray() == [
                    0, 0.125, -0.25, 0.375, 0.5, -0.625,
                ])
        }
        #expect(
            martletError { _ = try Npy.load(ioFixture("records.npy")) }?.message.contains("structured array") == true)
    }

    @Test func writesWhatItReads() throws {
        let folder = TemporaryFolder()
        let tensors =
            SafeTensorsTests.samples().filter { $0.1.dtype != .bfloat16 } + [
                ("scalar", Tensor(2.5)), ("empty", Tensor.zeros([0, 3])), ("turned", Tensor([[1, 2], [3, 4]]).T),
                ("vector", Tensor([1.0, 2.0])),
            ]
        for (name, tensor) in tensors {
            let path = folder.file("\(name).npy")
            try Npy.save(tensor, to: path)
            for mapped in [false, true] {
                let loaded = try Npy.load(path, mapped: mapped)
                #expect(loaded.dtype == tensor.dtype && difference(loaded, tensor) == nil, "\(name)")
            }
        }
        let path = folder.file("all.npz")
        try Npz.save(tensors, to: path)
        let loaded = try Npz.load(path)
        #expect(loaded.map(\.name) == tensors.map(\.0))
        for (found, (name, tensor)) in zip(loaded, tensors) {
            #expect(found.tensor.dtype == tensor.dtype && difference(found.tensor, tensor) == nil, "\(name)")
        }
        try Npz.save([], to: path)
        #expect(try Npz.load(path).isEmpty)
    }

    @Test func writesNumPysBytes() throws {
        let folder = TemporaryFolder()
        let path = folder.file("x.npy")
        // NumPy's own file but for the column-major order, which we do not write.
        try Npy.save(Npy.load(ioFixture("version3.npy")), to: path)
        var expected = readBytes(ioFixture("version3.npy"))
        expected.replaceSubrange(6..<12, with: [1, 0, 118, 0])
        #expect(readBytes(path).count == 128 + 24)
        #expect(readBytes(path).prefix(10) == expected.prefix(10))
        #expect(readBytes(path).suffix(24) == expected.suffix(24))
        #expect(
            String(decoding: readBytes(path)[10..<70], as: UTF8.self)
                == "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } ")
    }

    @Test func refusesWhatItCannotRead() throws {
        let folder = TemporaryFolder()
        let path = folder.file("x.npy")
        func npy(_ header: String, data: Int) -> [UInt8] {
            let text = Array(header.utf8) + [0x0a]
            return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(text.count), 0] + text
                + [UInt8](repeating: 0, count: data)
        }
        for (header, data, message) in [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 7, "takes 8 bytes, 7 are there"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 9, "takes 8 bytes, 9 are there"),
            ("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", 8, "the element type '<c8' is not supported"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 8, "'|O' is not supported"),
            ("{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }", 8, "'<u8' is not supported"),
            ("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", 4, "neither True nor False"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 4, "no whole number"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 4, "no whole number"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", 0, "too large"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", 4, "9 dimensions"),
            ("{'descr': '<f4', 'fortran_order': False, }", 4, "no 'shape'"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", 4, "unknown key 'x'"),
            ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 4, "'descr' twice"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", 4, "text after"),
            ("['descr']", 4, "lacks a '{'"), ("", 4, "lacks a '{'"),
        ] {
            writeBytes(npy(header, data: data), path)
            let error = martletError { _ = try Npy.load(path) }
            #expect(error?.kind == .format)
            #expect(
                error?.message.contains(message) == true && error?.message.hasPrefix(path) == true,
                "\(error?.message ?? "")")
        }
        #expect(
            martletError { try Npy.save(Tensor.zeros([1], dtype: .bfloat16), to: path) }?.message.contains("bfloat16")
                == true)
        #expect(
            martletError { _ = try Npz.load(ioFixture("fortran.npy")) }?.message.contains("not a valid zip file")
                == true)
        #expect(martletError { _ = try NpzFile(ioFixture("stored.npz")).tensor("no") }?.kind == .mismatch)
        let w = Tensor([1.0])
        #expect(martletError { try Npz.save([("w", w), ("w", w)], to: path) }?.kind == .format)
    }

    @Test(arguments: ["stored.npz", "deflated.npz"])
    func everyFlippedBitOfTheDataIsFound(_ name: String) throws {
        let folder = TemporaryFolder()
        let path = folder.file("x.npz")
        let original = readBytes(ioFixture(name))
        let last = try NpzFile(ioFixture(name)).names.last!
        let reference = try NpzFile(ioFixture(name)).tensor(last).toArray(Double.self)
        var random = FixedRandom(7)
        var refused = 0
        for _ in 0..<300 {
            var bytes = original
            // The last array's data ends before the directory; somewhere in its second half.
            let i = Int.random(in: (original.count - 2200)..<(original.count - 1400), using: &random)
            bytes[i] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            writeBytes(bytes, path)
            do {
                #expect(try NpzFile(path).tensor(last).toArray(Double.self) == reference)
            } catch {
                refused += 1
            }
        }
        #expect(refused == 300)
    }

    @Test(arguments: ["stored.npz", "deflated.npz", "fortran.npy"])
    func damagedFilesNeverCrash(_ name: String) throws {
        let folder = TemporaryFolder()
        let path = folder.file(name)
        var loaded = 0
        forEachDamage(of: readBytes(ioFixture(name)), count: 3000, seed: 3) { bytes in
            writeBytes(bytes, path)
            do {
                if name.hasSuffix(".npy") {
                    _ = try Npy.load(path, mapped: true).toArray(Double.self)
                    loaded += 1
                    return
                }
                let file = try NpzFile(path)
                for array in file.names {
                    if let tensor = try? file.tensor(array) {
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
