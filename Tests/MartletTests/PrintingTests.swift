import Foundation
import Martlet
import Testing

struct PrintingTests {
    /// PyTorch's text in our words.
    static func translated(_ text: String) -> String {
        text.replacingOccurrences(of: "dtype=torch.", with: "dtype=").replacingOccurrences(of: "True", with: "true")
            .replacingOccurrences(of: "False", with: "false").replacingOccurrences(
                of: "size=(0, 3)", with: "shape=[0, 3]")
    }

    @Test func printsAsPyTorchDoes() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../Fixtures/ops.json").standardized.path
        let cases = try JSONValue.load(path)["printing"]!.arrayValue!
        #expect(cases.count > 15)
        for test in cases {
            let name = test["name"]!.stringValue!
            let dtype = DType(name: test["dtype"]!.stringValue!)!
            let shape = test["shape"]!.arrayValue!.map { $0.intValue! }
            let tensor: Tensor
            if let values = test["values"]?.arrayValue {
                let numbers = values.map { value -> Double in
                    value.doubleValue ?? value.boolValue.map { $0 ? 1 : 0 } ?? Double(value.stringValue!)!
                }
                tensor = Tensor(numbers, shape: shape, dtype: .float64).to(dtype)
            } else {
                tensor = Tensor.arange(shape.reduce(1, *)).reshape(shape).to(dtype)
            }
            var expected = PrintingTests.translated(test["torch"]!.stringValue!)
            // PyTorch leaves these out of the columns; NumPy and we do not.
            if name == "special" { expected = "tensor([ nan,  inf, -inf,   1.], dtype=float64)" }
            #expect(tensor.description == expected, "\(name)")
        }
    }

    @Test func showsWhereATensorComesFrom() {
        let x = Tensor([1.0, 2.5])
        #expect("\(x)" == "tensor([1.0000, 2.5000])")
        x.requiresGrad = true
        #expect("\(x)" == "tensor([1.0000, 2.5000], requiresGrad=true)")
        #expect("\(x * 2)" == "tensor([2., 5.], gradFn=<mul>)")
        #expect(
            "\(Parameter(Tensor([[1.0], [2.0]])))"
                == "parameter tensor([[1.],\n                  [2.]], requiresGrad=true)")
    }

    @Test func printsEveryTypeAndLayout() {
        #expect("\(Tensor([1.5, -2], dtype: .bfloat16))" == "tensor([ 1.5000, -2.0000], dtype=bfloat16)")
        #expect("\(Tensor([1.5, -2], dtype: .float16))" == "tensor([ 1.5000, -2.0000], dtype=float16)")
        #expect("\(Tensor([1, -2] as [Int8]))" == "tensor([ 1, -2], dtype=int8)")
        #expect("\(Tensor([1, -2] as [Int16]))" == "tensor([ 1, -2], dtype=int16)")
        #expect("\(Tensor([1, -2] as [Int32]))" == "tensor([ 1, -2], dtype=int32)")
        #expect("\(Tensor([Int.max, Int.min]))" == "tensor([ 9223372036854775807, -9223372036854775808])")
        #expect("\(Tensor([true], shape: []))" == "tensor(true)")
        #expect("\(Tensor.zeros([2, 0, 3], dtype: .int32))" == "tensor([], shape=[2, 0, 3], dtype=int32)")
        #expect("\(Tensor([[1.0, 2.0], [3.0, 4.0]]).T)" == "tensor([[1., 3.],\n        [2., 4.]])")
        #expect("\(Tensor([0.0, 0.0]))" == "tensor([0., 0.])")
        #expect("\(Tensor([Double.nan, 1.5]))" == "tensor([   nan, 1.5000])")
        #expect("\(Tensor([-Double.infinity, 0]))" == "tensor([-inf,   0.])")
    }

    @Test func followsOptions() {
        let x = Tensor([1.23456789, 100], dtype: .float64)
        #expect(x.formatted(PrintOptions(precision: 2)) == "tensor([  1.23, 100.00], dtype=float64)")
        #expect(
            x.formatted(PrintOptions(precision: 1, scientific: true)) == "tensor([1.2e+00, 1.0e+02], dtype=float64)")
        #expect(
            Tensor([1.0, 1e6]).formatted(PrintOptions(precision: 1, scientific: false))
                == "tensor([      1., 1000000.])")
        #expect(
            Tensor.arange(10).formatted(PrintOptions(threshold: 5, edgeItems: 2)) == "tensor([0, 1,  ..., 8, 9])")
        #expect(
            Tensor.arange(6).formatted(PrintOptions(lineWidth: 16)) == "tensor([0, 1, 2,\n        3, 4, 5])")
        #expect(
            Tensor([1e300, -1e-300], dtype: .float64).formatted(PrintOptions(precision: 20, scientific: false)).count
                > 300)
    }

    @Test func largeTensorsPrintWithoutBeingRead() {
        // Far more elements than could be read in the time, or than there is memory.
        let x = Tensor.zeros([1]).expand([1 << 20, 1 << 20, 1 << 10])
        let text = x.description
        #expect(text.hasPrefix("tensor([[[0., 0., 0.,  ..., 0., 0., 0.],\n"))
        #expect(text.utf8.count < 3000)
    }
}
