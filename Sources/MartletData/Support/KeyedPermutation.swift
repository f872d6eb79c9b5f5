/// A pseudo-random permutation of `0..<count` that is computed element by element: no table, so its size does not
/// matter.
///
/// The permutation is a function of `count`, `seed` and `stream` only. It is a Feistel network over the next even power
/// of two; values past `count` are sent through again until they fall inside.
public struct KeyedPermutation: Sendable {
    /// The number of elements permuted.
    public let count: Int

    private let halfBits: UInt64
    private let mask: UInt64
    private let keys: [UInt64]

    /// - Parameters:
    ///   - count: Elements to permute, at least 1.
    ///   - seed: The seed of the run.
    ///   - stream: Tells apart the permutations of one seed, for example by epoch.
    public init(count: Int, seed: UInt64, stream: UInt64 = 0) {
        precondition(count > 0, "[KeyedPermutation] count must be at least 1, found \(count)")
        self.count = count
        let bits = count == 1 ? 1 : UInt64(Int.bitWidth - (count - 1).leadingZeroBitCount)
        halfBits = max(1, (bits + 1) / 2)
        mask = (1 << halfBits) - 1
        var state = mixBits(mixBits(seed) &+ stream &* 0x9E37_79B9_7F4A_7C15 &+ 0x6A09_E667_F3BC_C908)
        keys = (0..<8).map { _ in
            state &+= 0x9E37_79B9_7F4A_7C15
            return mixBits(state)
        }
    }

    /// The element at `position`, which must be in `0..<count`.
    public subscript(position: Int) -> Int {
        precondition(
            position >= 0 && position < count, "[KeyedPermutation] position \(position) is outside 0..<\(count)")
        var value = UInt64(position)
        repeat {
            var left = value >> halfBits
            var right = value & mask
            for key in keys {
                (left, right) = (right, left ^ (mixBits(right &+ key) & mask))
            }
            value = (left << halfBits) | right
        } while value >= UInt64(count)
        return Int(value)
    }
}

/// The finalizer of SplitMix64: a bijection of 64-bit words in which every input bit changes every output bit.
@inline(__always)
package func mixBits(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
}

/// A random number in [0, 1) that is a function of `seed`, `stream` and `index` only.
package func uniform(seed: UInt64, stream: UInt64, index: UInt64) -> Double {
    let bits = mixBits(mixBits(mixBits(seed) &+ stream &* 0x9E37_79B9_7F4A_7C15) ^ (index &* 0xD1B5_4A32_D192_ED03))
    return Double(bits >> 11) * 0x1p-53
}
