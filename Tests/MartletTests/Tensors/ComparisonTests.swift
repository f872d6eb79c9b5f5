import Martlet
import Testing

/// Comparisons of tensors with Swift's numbers.
@Suite struct ComparisonTests {
    static let types: [DType] = [.int64, .int32, .int16, .int8, .uint8, .bool]

    /// The six comparisons, which hold of each element: in the order ==, !=, <, <=, >, >=.
    private func compare(_ x: Tensor, _ value: Double) -> [[Bool]] {
        [x .== value, x .!= value, x .< value, x .<= value, x .> value, x .>= value].map { $0.toArray(Bool.self) }
    }
    private func compare(_ x: Tensor, _ value: Int) -> [[Bool]] {
        [x .== value, x .!= value, x .< value, x .<= value, x .> value, x .>= value].map { $0.toArray(Bool.self) }
    }
    private func expected<T: Comparable>(_ x: [T], _ value: T) -> [[Bool]] {
        [
            x.map { $0 == value }, x.map { $0 != value }, x.map { $0 < value }, x.map { $0 <= value },
            x.map { $0 > value }, x.map { $0 >= value },
        ]
    }

    @Test(arguments: types) func numbersOutsideTheRange(_ type: DType) {
        let x = Tensor([0, 1, 44, 100]).to(type)
        let numbers = x.toArray(Double.self)
        let limits = [255.0, 256, 300, -1, -128, -129, 32768, 65836, 4_294_967_340, -4_294_967_252]
        let fractions = [0.5, -0.5, 43.5, 44.5, 255.5, 1e-300]
        for value in limits + fractions + [1e19, -1e19, 0x1p63, -0x1p63, .infinity, -.infinity, .nan] {
            #expect(compare(x, value) == expected(numbers, value), "\(type) with \(value)")
        }
        for value in limits.map({ Int($0) }) + [Int.max, Int.min] {
            #expect(compare(x, value) == expected(x.toArray(Int.self), value), "\(type) with \(value)")
        }
    }

    @Test func wholeNumbersAreNotRounded() {
        // Neither float32 nor float64 tells these apart.
        let x = Tensor([Int.max, Int.max - 1, 1 << 53, 1 << 53 + 1, Int.min])
        let values = x.toArray(Int.self)
        for value in values { #expect(compare(x, value) == expected(values, value)) }
        #expect((x .< 0x1p63).all().item() == 1)
        #expect((x .== -0x1p63).toArray(Bool.self) == [false, false, false, false, true])
        let y = Tensor([16_777_216, 16_777_217])
        #expect((y .> 16_777_216.5).toArray(Bool.self) == [false, true])
    }

    @Test func floatingPoint() {
        let x = Tensor([-1, 0, 2.5, .nan, .infinity])
        #expect((x .== 2.5).toArray(Bool.self) == [false, false, true, false, false])
        #expect((x .< 0).toArray(Bool.self) == [true, false, false, false, false])
        #expect((x .== .infinity).toArray(Bool.self) == [false, false, false, false, true])
        #expect((x .!= .nan).all().item() == 1)
    }
}
