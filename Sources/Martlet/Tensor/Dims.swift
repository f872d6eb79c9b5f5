internal import CMartletKernels

/// The sizes or strides of a tensor, stored inline: making a tensor allocates nothing for its shape.
package struct Dims: Sendable, Equatable, RandomAccessCollection {
    package static let maximum = 8

    package var count: Int
    @usableFromInline var values: InlineArray<8, Int>

    @inline(__always) package init() {
        count = 0
        values = InlineArray(repeating: 0)
    }

    @inline(__always) package init(repeating value: Int, count: Int) {
        self.count = count
        values = InlineArray(repeating: value)
    }

    package init(_ array: some Collection<Int>) {
        self.init()
        for value in array { append(value) }
    }

    package var startIndex: Int { 0 }
    package var endIndex: Int { count }

    package subscript(i: Int) -> Int {
        @inline(__always) get { values[unchecked: i] }
        @inline(__always) set { values[unchecked: i] = newValue }
    }

    package mutating func append(_ value: Int) {
        if count >= Dims.maximum { trap("tensor", "tensors have at most \(Dims.maximum) dimensions") }
        values[count] = value
        count += 1
    }

    package mutating func remove(at i: Int) {
        for j in i..<(count - 1) { self[j] = self[j + 1] }
        count -= 1
    }

    package mutating func insert(_ value: Int, at i: Int) {
        append(0)
        var j = count - 1
        while j > i {
            self[j] = self[j - 1]
            j -= 1
        }
        self[i] = value
    }

    /// The number of elements of a shape.
    @inline(__always) package var product: Int {
        var p = 1
        for i in 0..<count { p &*= values[unchecked: i] }
        return p
    }

    /// The bytes of this shape's elements. Traps for a negative size, and where `Int` cannot count the bytes.
    @inline(__always) package func byteCount(of dtype: DType, _ op: StaticString) -> Int {
        var total = dtype.byteSize
        var signs = 0
        for i in 0..<count {
            let (product, overflow) = total.multipliedReportingOverflow(by: values[unchecked: i])
            if overflow { return exceptionalByteCount(of: dtype, op) }
            signs |= values[unchecked: i]
            total = product
        }
        return signs < 0 ? exceptionalByteCount(of: dtype, op) : total
    }

    /// Sizes whose product overflows are no mistake where one of them is 0.
    @inline(never) private func exceptionalByteCount(of dtype: DType, _ op: StaticString) -> Int {
        if let bad = first(where: { $0 < 0 }) { trap("\(op)", "a size may not be negative: \(bad) in \(text)") }
        if contains(0) { return 0 }
        trap("\(op)", "a tensor of shape \(text) and type \(dtype) has more bytes than can be counted")
    }

    @inline(__always) package static func == (a: Dims, b: Dims) -> Bool {
        if a.count != b.count { return false }
        for i in 0..<a.count where a.values[unchecked: i] != b.values[unchecked: i] { return false }
        return true
    }

    /// Row-major strides of this shape, in elements.
    @inline(__always) package var contiguousStrides: Dims {
        var strides = Dims(repeating: 1, count: count)
        var step = 1
        var i = count - 1
        while i >= 0 {
            strides[i] = step
            step &*= Swift.max(values[unchecked: i], 1)
            i -= 1
        }
        return strides
    }

    /// "[2, 3]".
    package var text: String { "[" + map(String.init).joined(separator: ", ") + "]" }

    package var array: [Int] { Array(self) }

    /// The shape that two shapes broadcast to, or nil.
    @inline(__always) package static func broadcast(_ a: Dims, _ b: Dims) -> Dims? {
        if a == b { return a }
        var out = a.count >= b.count ? a : b
        let other = a.count >= b.count ? b : a
        let shift = out.count - other.count
        for i in 0..<other.count {
            let x = out[i + shift]
            let y = other[i]
            if x == y { continue }
            if x == 1 {
                out[i + shift] = y
            } else if y != 1 {
                return nil
            }
        }
        return out
    }

    /// Strides with which a tensor of `shape` and `strides` reads as `target`: 0 where it is repeated.
    @inline(__always) package static func broadcastStrides(_ shape: Dims, _ strides: Dims, to target: Dims) -> Dims {
        var out = Dims(repeating: 0, count: target.count)
        let shift = target.count - shape.count
        for i in 0..<shape.count {
            out[i + shift] = shape[i] == 1 && target[i + shift] != 1 ? 0 : strides[i]
        }
        return out
    }
}

/// The product of two sizes; traps where it overflows.
@inline(__always) func sizeProduct(_ a: Int, _ b: Int, _ op: StaticString) -> Int {
    let (product, overflow) = a.multipliedReportingOverflow(by: b)
    if overflow { trap("\(op)", "the size \(a) * \(b) is larger than can be counted") }
    return product
}

/// The sum of two sizes; traps where it overflows.
@inline(__always) func sizeSum(_ a: Int, _ b: Int, _ op: StaticString) -> Int {
    let (sum, overflow) = a.addingReportingOverflow(b)
    if overflow { trap("\(op)", "the size \(a) + \(b) is larger than can be counted") }
    return sum
}
