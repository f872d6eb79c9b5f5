import Foundation
import Glibc
import Martlet

/// A folder that goes, with what is in it, when the last reference to it does.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)")
        try! FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The path of a file in the folder.
    func file(_ name: String) -> String { "\(path)/\(name)" }

    var contents: [String] { (try! FileManager.default.contentsOfDirectory(atPath: path)).sorted() }
}

func readBytes(_ path: String) -> [UInt8] { Array(try! Data(contentsOf: URL(fileURLWithPath: path))) }

/// Writes a new file without waiting for the disk, as Foundation does: fuzzing writes thousands.
func writeBytes(_ bytes: [UInt8], _ path: String) {
    unlink(path)
    let file = fopen(path, "w")!
    defer { fclose(file) }
    precondition(fwrite(bytes, 1, bytes.count, file) == bytes.count)
}

/// A file of Tests/Fixtures/io, made by make_io_fixtures.py.
func ioFixture(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../Fixtures/io/\(name)")
        .standardized.path
}

/// Random numbers that are the same in every run (SplitMix64).
struct FixedRandom: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Calls `body` with copies of `bytes` that were damaged in every way that files are: cut off, extended, bits flipped,
/// bytes overwritten by extreme values, ranges removed, repeated and exchanged.
func forEachDamage(of bytes: [UInt8], count: Int, seed: UInt64, _ body: ([UInt8]) -> Void) {
    var random = FixedRandom(seed)
    for _ in 0..<count {
        var damaged = bytes
        for _ in 0..<Int.random(in: 1...3, using: &random) where !damaged.isEmpty {
            // Headers are where the damage matters: half of it goes to the first and the last 200 bytes.
            let n = damaged.count
            var i = Int.random(in: 0..<n, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: i = min(i, Int.random(in: 0..<200, using: &random))
            case 1: i = max(i, n - 1 - Int.random(in: 0..<200, using: &random))
            default: break
            }
            i = max(0, min(i, n - 1))
            let j = min(n, i + Int.random(in: 1...16, using: &random))
            switch Int.random(in: 0..<8, using: &random) {
            case 0: damaged[i] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: damaged[i] = UInt8.random(in: 0...255, using: &random)
            case 2: for k in i..<j { damaged[k] = 0xff }
            case 3: for k in i..<j { damaged[k] = UInt8.random(in: 0x20..<0x7f, using: &random) }
            case 4: damaged.removeLast(n - i)
            case 5: damaged.removeSubrange(i..<j)
            case 6: damaged.insert(contentsOf: damaged[i..<j], at: i)
            default: damaged[i] = UInt8(ascii: ["0", "9", "-", "\"", "}", ","][Int.random(in: 0..<6, using: &random)])
            }
        }
        body(damaged)
    }
}

/// The error of an expression that must throw one of ours.
func martletError(_ body: () throws -> Void) -> MartletError? {
    do {
        try body()
        return nil
    } catch {
        return error as? MartletError
    }
}
