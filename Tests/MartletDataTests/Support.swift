import Foundation
import MartletData

/// A folder that goes with the object.
final class TemporaryFolder {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "martlet-tests-" + UUID().uuidString
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { path + "/" + name }

    @discardableResult
    func write(_ name: String, _ text: String) -> String { write(name, bytes: Array(text.utf8)) }

    @discardableResult
    func write(_ name: String, bytes: [UInt8]) -> String {
        let path = file(name)
        try! FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try! Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    func bytes(_ name: String) -> [UInt8] { [UInt8](try! Data(contentsOf: URL(fileURLWithPath: file(name)))) }

    var names: [String] { try! FileManager.default.contentsOfDirectory(atPath: path).sorted() }
}

func fixture(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/sentencepiece/\(name)").path
}

/// A simple generator for tests: the same numbers each time.
struct TestGenerator: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return mixBits(state)
    }
}

/// The bytes of a string, for comparisons: `==` on strings takes canonically equivalent ones for equal.
func utf8(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Texts that tokenizers tend to change.
let difficultTexts: [String] = [
    "", " ", "  ", "a  b   c    d ", " leading", "trailing ", "\t\ttabs\t and spaces \t", "one\ntwo\n\n\nthree\n",
    "dos\r\nline\r\n\r\nends\r", "12345 and 3.14, 1,000,000", "e\u{301}te\u{301} NFD", "\u{E9}t\u{E9} NFC",
    "\u{1112}\u{1161}\u{11AB} jamo", "😀👩‍👩‍👧‍👦🇩🇪👍🏽❤️", "\u{10FFFF}\u{0}\u{7F}\u{1B}", "灯台守 守灯塔 등대 منارة नानबाई",
    "\u{2581}looks\u{2581}like\u{2581}\u{2581}space ▁▂▃▄▅", "[eod] <unk> <0x41> </s>", "\u{FEFF}bom \u{FFFD}",
    "\u{2028}\u{2029}\u{85}\u{A0}\u{3000}", "def f(x):\n    return x ** 2\n", "ﬁ ｆｕｌｌ Å",
]
