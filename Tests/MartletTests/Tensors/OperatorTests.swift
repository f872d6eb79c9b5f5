import Martlet
import Testing

/// Operators are the functions that the fixtures cover.
@Suite struct OperatorTests {
    @Test func bitwise() {
        let (a, b) = (Tensor([12, 7, -3, 0]), Tensor([10, 1, 2, 3]))
        func expectEqual(_ found: Tensor, _ expected: Tensor, _ location: SourceLocation = #_sourceLocation) {
            #expect(found.dtype == expected.dtype, sourceLocation: location)
            #expect(found.toArray(Int.self) == expected.toArray(Int.self), sourceLocation: location)
        }
        expectEqual(a & b, a.bitwiseAnd(b))
        expectEqual(a | b, a.bitwiseOr(b))
        expectEqual(a ^ b, a.bitwiseXor(b))
        expectEqual(~a, a.bitwiseNot())
        expectEqual(a << b, a.shiftLeft(b))
        expectEqual(a >> b, a.shiftRight(b))
        expectEqual(-a, a.neg())
        #expect((a & b).toArray(Int.self) == [8, 1, 0, 0] && (a | b).toArray(Int.self) == [14, 7, -1, 3])
        #expect((a ^ b).toArray(Int.self) == [6, 6, -1, 3] && (~a).toArray(Int.self) == [-13, -8, 2, -1])
    }
}
