// The reference values of Tests/Fixtures/ops.json and ops.safetensors; make_op_fixtures.py documents their format.
import Foundation
import Martlet

struct OpFixtures: Sendable {
    struct Operand: Sendable {
        let dtype: DType
        let shape: [Int]
        let hasGrad: Bool

        init(_ json: JSONValue) {
            dtype = DType(name: json["dtype"]!.stringValue!)!
            shape = json["shape"]!.arrayValue!.map { $0.intValue! }
            hasGrad = json["grad"]!.boolValue!
        }
    }

    struct Case: Sendable, CustomStringConvertible {
        let name: String
        let op: String
        let arguments: OpArguments
        let inputs: [Operand]
        let outputs: [Operand]
        let hasBackward: Bool
        let hasSecond: Bool
        let isExact: Bool

        init(_ json: JSONValue) {
            name = json["name"]!.stringValue!
            op = json["op"]!.stringValue!
            arguments = OpArguments(json: json["args"]!)
            inputs = json["inputs"]!.arrayValue!.map(Operand.init)
            outputs = json["outputs"]!.arrayValue!.map(Operand.init)
            hasBackward = json["backward"]!.boolValue!
            hasSecond = json["second"]!.boolValue!
            isExact = json["exact"]!.boolValue!
        }

        var description: String { name }
    }

    let cases: [Case]
    let byOp: [String: [Case]]
    let promotion: JSONValue
    let tensors: SafeTensors.Contents

    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fixtures")

    static let shared: OpFixtures = {
        do {
            let path = folder.appending(path: "ops.json")
            let json = try JSONValue.parse([UInt8](Data(contentsOf: path)), source: "ops.json")
            let cases = json["cases"]!.arrayValue!.map(Case.init)
            return OpFixtures(
                cases: cases, byOp: Dictionary(grouping: cases, by: \.op), promotion: json["promotion"]!,
                tensors: try SafeTensors.load(folder.appending(path: "ops.safetensors").path()))
        } catch {
            fatalError("\(error)")
        }
    }()

    func tensor(_ name: String) -> Tensor { tensors[name]!.clone() }
}

/// The arguments of a case.
struct OpArguments: Sendable {
    let json: JSONValue

    func has(_ name: String) -> Bool { json[name].map { !$0.isNull } ?? false }
    func int(_ name: String) -> Int { json[name]!.intValue! }
    func bool(_ name: String) -> Bool { json[name]?.boolValue ?? false }
    func text(_ name: String) -> String { json[name]!.stringValue! }
    func ints(_ name: String) -> [Int] { json[name]!.arrayValue!.map { $0.intValue! } }

    func number(_ name: String) -> Double {
        switch json[name]!.stringValue {
        case "inf": .infinity
        case "-inf": -.infinity
        case "nan": .nan
        default: json[name]!.doubleValue!
        }
    }

    func optionalNumber(_ name: String) -> Double? { has(name) ? number(name) : nil }

    /// An argument that is null, an integer or a list of integers.
    func dims(_ name: String = "dim") -> [Int]? {
        guard has(name) else { return nil }
        return json[name]!.intValue.map { [$0] } ?? ints(name)
    }

    var reduction: Reduction { Reduction(rawValue: text("reduction"))! }

    /// The items of `index`; index tensors are among `inputs`.
    func index(_ inputs: [Tensor]) -> [TensorIndex] {
        json["index"]!.arrayValue!.map { item in
            if let i = item["int"] { return .at(i.intValue!) }
            if let k = item["tensor"] { return .tensor(inputs[k.intValue!]) }
            if item["ellipsis"] != nil { return .rest }
            if item["newAxis"] != nil { return .newDimension }
            let parts = item["slice"]!.arrayValue!.map(\.intValue)
            return .range(start: parts[0], end: parts[1], step: parts[2] ?? 1)
        }
    }
}
