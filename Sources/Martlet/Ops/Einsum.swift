// Einstein summation: any contraction of tensors, composed of views, products and sums.

/// What an equation says, with every label as a number: letters first, then the dimensions that ellipses stand for.
private struct EinsumPlan {
    let equation: String
    var inputs: [[Int]] = []
    var output: [Int] = []
    /// The size of each label: 1 only where all operands have 1.
    var sizes: [Int: Int] = [:]
    private var ellipsisRank = 0

    private static let ellipsisBase = 128

    private func fail(_ message: String) -> Never { trap("einsum", "\"\(equation)\": \(message)") }

    init(_ equation: String, _ operands: [Tensor]) {
        self.equation = equation
        let text = equation.utf8.filter { $0 != UInt8(ascii: " ") }
        let (left, right) = split(text)
        let terms = left.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { parse(Array($0)) }
        if terms.count != operands.count {
            fail("it has \(terms.count) operands, \(operands.count) were given")
        }
        for (i, (term, tensor)) in zip(terms, operands).enumerated() {
            let letters = term.filter { $0 != nil }.count
            if tensor.rank < letters || (tensor.rank > letters && letters == term.count) {
                fail("operand \(i) has \(letters) labels, but the shape \(tensor.dims.text)")
            }
            if letters < term.count { ellipsisRank = max(ellipsisRank, tensor.rank - letters) }
        }
        for (term, tensor) in zip(terms, operands) {
            inputs.append(expandEllipsis(term, tensor.rank - term.filter { $0 != nil }.count))
        }
        measure(operands)
        if let right {
            let term = parse(right)
            output = expandEllipsis(term, ellipsisRank)
            for (i, label) in output.enumerated() {
                if output[..<i].contains(label) { fail("the output has the label \(name(label)) twice") }
                if sizes[label] == nil { fail("the output's label \(name(label)) is in no operand") }
            }
        } else {
            // Labels that occur once, in alphabetical order (capitals first), after the ellipsis.
            var occurrences: [Int: Int] = [:]
            for label in inputs.joined() { occurrences[label, default: 0] += 1 }
            output =
                ellipsisLabels(ellipsisRank)
                + occurrences.filter { $0.value == 1 && $0.key < EinsumPlan.ellipsisBase }.map(\.key).sorted()
        }
    }

    private func split(_ text: [UInt8]) -> ([UInt8], [UInt8]?) {
        guard let arrow = text.firstIndex(of: UInt8(ascii: "-")) else { return (text, nil) }
        if arrow + 1 == text.count || text[arrow + 1] != UInt8(ascii: ">") { fail("'-' is not followed by '>'") }
        return (Array(text[..<arrow]), Array(text[(arrow + 2)...]))
    }

    /// The labels of one term, nil for the ellipsis.
    private func parse(_ term: [UInt8]) -> [Int?] {
        var labels: [Int?] = []
        var i = 0
        while i < term.count {
            switch term[i] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"):
                labels.append(Int(term[i]))
                i += 1
            case UInt8(ascii: "."):
                if !term[i...].starts(with: "...".utf8) { fail("an ellipsis is three dots") }
                if labels.contains(nil) { fail("a term has two ellipses") }
                labels.append(nil)
                i += 3
            default:
                fail("labels are letters, found '\(String(decoding: term[i...], as: UTF8.self).first!)'")
            }
        }
        return labels
    }

    /// Labels of the last `count` dimensions of the widest ellipsis: shorter ones broadcast to it from the right.
    private func ellipsisLabels(_ count: Int) -> [Int] {
        (0..<count).map { EinsumPlan.ellipsisBase + ellipsisRank - count + $0 }
    }

    private func expandEllipsis(_ term: [Int?], _ count: Int) -> [Int] {
        term.flatMap { label in label.map { [$0] } ?? ellipsisLabels(count) }
    }

    private func name(_ label: Int) -> String {
        label < EinsumPlan.ellipsisBase ? String(Character(Unicode.Scalar(UInt8(label)))) : "..."
    }

    private mutating func measure(_ operands: [Tensor]) {
        var source: [Int: Int] = [:]
        for (i, (labels, tensor)) in zip(inputs, operands).enumerated() {
            for (d, label) in labels.enumerated() {
                let size = tensor.dims[d]
                if let first = labels[..<d].firstIndex(of: label), tensor.dims[first] != size {
                    fail(
                        "label \(name(label)) is both \(tensor.dims[first]) and \(size) in operand \(i), "
                            + tensor.dims.text
                    )
                }
                guard let known = sizes[label], known != 1 else {
                    sizes[label] = size
                    source[label] = i
                    continue
                }
                if size != known && size != 1 {
                    let first = source[label]!
                    fail(
                        "label \(name(label)) is \(known) in operand \(first), \(describe(operands[first])), "
                            + "and \(size) in operand \(i), \(describe(tensor))")
                }
            }
        }
    }
}

/// A tensor with a label for each dimension, no label twice.
private struct LabelledTensor {
    var tensor: Tensor
    var labels: [Int]

    /// The sum over some dimensions, in this tensor's type.
    mutating func sum(_ gone: [Int]) {
        if gone.isEmpty { return }
        tensor = tensor.sum(dims: gone.map { labels.firstIndex(of: $0)! }, dtype: tensor.dtype)
        labels.removeAll { gone.contains($0) }
    }

    /// The dimensions in the order of `order`, which names all of them.
    mutating func permute(_ order: [Int]) {
        if order == labels { return }
        tensor = tensor.permute(order.map { labels.firstIndex(of: $0)! })
        labels = order
    }

    /// The sizes of some labels, which must be among these.
    func sizes(_ list: [Int]) -> [Int] { list.map { tensor.dims[labels.firstIndex(of: $0)!] } }
}

extension Tensor {
    /// Einstein summation: multiplies the operands along labels that they share and sums over the labels that the
    /// output does not have.
    ///
    /// ```swift
    /// Tensor.einsum("ij,jk->ik", a, b)             // matrix product
    /// Tensor.einsum("bthd,bshd->bhts", q, k)       // attention scores
    /// Tensor.einsum("...ii->...", x)               // traces
    /// Tensor.einsum("i,j", u, v)                   // outer product
    /// ```
    ///
    /// - Parameters:
    ///   - equation: one letter for each dimension, terms separated by commas. A letter twice in a term takes the
    ///     diagonal. `...` stands for any further dimensions, which broadcast; so do sizes of 1. Without `->` the
    ///     output has the ellipsis and then the labels that occur once, in alphabetical order.
    ///   - operands: tensors of any numeric types, which are promoted to one. They are multiplied from left to right,
    ///     as matrix products wherever labels are summed.
    public static func einsum(_ equation: String, _ operands: Tensor...) -> Tensor { einsum(equation, operands) }

    /// Einstein summation of an array of operands.
    public static func einsum(_ equation: String, _ operands: [Tensor]) -> Tensor {
        if operands.isEmpty { trap("einsum", "\"\(equation)\": at least one operand is needed") }
        let plan = EinsumPlan(equation, operands)
        let type = operands.dropFirst().reduce(operands[0].dtype) { DType.promote($0, $1.dtype) }
        if type == .bool {
            trap("einsum", "\"\(equation)\": bool tensors have no products and sums: convert them first")
        }

        var terms = zip(operands, plan.inputs).map { tensor, labels in
            prepared(LabelledTensor(tensor: tensor.to(type), labels: labels), plan)
        }
        var result = terms.removeFirst()
        while !terms.isEmpty {
            let next = terms.removeFirst()
            let needed = Set(plan.output).union(terms.flatMap(\.labels))
            result = contracted(result, next, needed)
        }
        result.sum(result.labels.filter { !plan.output.contains($0) })
        // A label of size 1 that was dropped everywhere comes back as a dimension of size 1.
        for label in plan.output where !result.labels.contains(label) {
            result.tensor = result.tensor.unsqueeze(-1)
            result.labels.append(label)
        }
        result.permute(plan.output)
        return result.tensor
    }

    /// The operand with diagonals taken, and without dimensions of size 1: these multiply nothing.
    private static func prepared(_ operand: LabelledTensor, _ plan: EinsumPlan) -> LabelledTensor {
        var out = operand
        var d = 0
        while d < out.labels.count {
            let label = out.labels[d]
            if let first = out.labels[..<d].firstIndex(of: label) {
                out.tensor = out.tensor.diagonal(0, dim1: first, dim2: d)
                out.labels.remove(at: d)
                out.labels.remove(at: first)
                out.labels.append(label)
                d = 0
            } else {
                d += 1
            }
        }
        for (d, label) in out.labels.enumerated().reversed() where out.tensor.dims[d] == 1 {
            // A single operand keeps them: nothing is to be gained.
            if plan.inputs.count == 1 && plan.output.contains(label) { continue }
            out.tensor = out.tensor.squeeze(d)
            out.labels.remove(at: d)
        }
        return out
    }

    /// The product of two operands, summed over every label that is not `needed` after it.
    private static func contracted(_ a: LabelledTensor, _ b: LabelledTensor, _ needed: Set<Int>) -> LabelledTensor {
        var a = a
        var b = b
        a.sum(a.labels.filter { !needed.contains($0) && !b.labels.contains($0) })
        b.sum(b.labels.filter { !needed.contains($0) && !a.labels.contains($0) })
        let shared = a.labels.filter { b.labels.contains($0) }
        let batch = shared.filter { needed.contains($0) }
        let inner = shared.filter { !needed.contains($0) }
        let left = a.labels.filter { !shared.contains($0) }
        let right = b.labels.filter { !shared.contains($0) }

        let batchSizes = a.sizes(batch)
        let leftSizes = a.sizes(left)
        let rightSizes = b.sizes(right)
        func product(_ list: [Int]) -> Int { list.reduce(1, *) }
        let (m, k, n) = (product(leftSizes), product(a.sizes(inner)), product(rightSizes))

        // Without anything to sum, or with one number for each of many batches, a product of elements is cheaper than
        // matrix products; nothing at all has no matrix product.
        let isElementwise = inner.isEmpty || (m == 1 && n == 1 && product(batchSizes) > 1)
        if isElementwise || product(batchSizes) * m * k * n == 0 {
            return multiplied(a, b, batch: batch, left: left, right: right, inner: inner)
        }
        a.permute(batch + left + inner)
        b.permute(batch + inner + right)
        let x = a.tensor.reshape(batchSizes + [m, k])
        let y = b.tensor.reshape(batchSizes + [k, n])
        return LabelledTensor(
            tensor: x.matmul(y).reshape(batchSizes + leftSizes + rightSizes), labels: batch + left + right)
    }

    private static func multiplied(
        _ a: LabelledTensor, _ b: LabelledTensor, batch: [Int], left: [Int], right: [Int], inner: [Int]
    ) -> LabelledTensor {
        var a = a
        var b = b
        a.permute(batch + left + inner)
        b.permute(batch + right + inner)
        var x = a.tensor
        var y = b.tensor
        let start = batch.count
        for _ in right { x = x.unsqueeze(start + left.count) }
        for _ in left { y = y.unsqueeze(start) }
        var out = LabelledTensor(tensor: x * y, labels: batch + left + right + inner)
        out.sum(inner)
        return out
    }
}
