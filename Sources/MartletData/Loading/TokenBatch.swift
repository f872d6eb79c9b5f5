/// Sequences of tokens and, at each position, the token that comes next.
public struct TokenBatch: Sendable, Equatable {
    /// [rows, columns] in row-major order.
    public let inputs: [Int32]
    /// [rows, columns]: `targets[r, c]` follows `inputs[r, c]` in the text.
    public let targets: [Int32]
    /// Sequences.
    public let rows: Int
    /// Tokens in a sequence.
    public let columns: Int

    public init(inputs: [Int32], targets: [Int32], rows: Int, columns: Int) {
        precondition(
            inputs.count == rows * columns && targets.count == rows * columns,
            "[TokenBatch] \(inputs.count) inputs and \(targets.count) targets are not [\(rows), \(columns)]")
        self.inputs = inputs
        self.targets = targets
        self.rows = rows
        self.columns = columns
    }

    /// `[rows, columns]`
    public var shape: [Int] { [rows, columns] }

    /// The given rows, for example a micro-batch.
    public func rows(_ range: Range<Int>) -> TokenBatch {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "[TokenBatch] \(range) of \(rows) rows")
        let part = range.lowerBound * columns..<range.upperBound * columns
        return TokenBatch(
            inputs: Array(inputs[part]), targets: Array(targets[part]), rows: range.count, columns: columns)
    }
}

/// Collects windows of `columns + 1` tokens into a batch.
struct TokenBatchBuilder {
    private var inputs: [Int32] = []
    private var targets: [Int32] = []
    private var window: [Int32]
    private let columns: Int
    private var rows = 0

    init(rows: Int, columns: Int) {
        self.columns = columns
        window = [Int32](repeating: 0, count: columns + 1)
        inputs.reserveCapacity(rows * columns)
        targets.reserveCapacity(rows * columns)
    }

    /// Appends the window of `dataset` that begins at token `start`. Where `first` is given, it stands before the
    /// window's first token, and the window is one token shorter.
    mutating func append(_ dataset: TokenDataset, start: Int, first: Int32? = nil) throws {
        try window.withUnsafeMutableBufferPointer { window in
            if let first {
                window[0] = first
                try dataset.copyTokens(
                    in: start..<start + columns, to: UnsafeMutableBufferPointer(rebasing: window[1...]))
            } else {
                try dataset.copyTokens(in: start..<start + columns + 1, to: window)
            }
        }
        inputs.append(contentsOf: window[..<columns])
        targets.append(contentsOf: window[1...])
        rows += 1
    }

    func finish() -> TokenBatch {
        TokenBatch(inputs: inputs, targets: targets, rows: rows, columns: columns)
    }
}
