/// What a PaLM of a configuration costs, by arithmetic: nothing is allocated.
extension PaLMConfiguration {
    /// A row of the parameter table.
    public struct ParameterGroup: Sendable, Equatable {
        /// The tensor's name, with `*` for the block's number.
        public let name: String
        public let shape: [Int]
        /// How many tensors of this kind there are.
        public let count: Int
        /// Numbers in all of them together.
        public var parameters: Int { shape.reduce(count, *) }
    }

    /// Every parameter tensor of the model.
    public var parameterTable: [ParameterGroup] {
        let attention = heads * headDim
        var table = [
            ParameterGroup(name: "embedding.weight", shape: [vocabularySize, width], count: 1),
            ParameterGroup(name: "layers.*.norm.weight", shape: [width], count: layers),
            ParameterGroup(name: "layers.*.attention.query.weight", shape: [attention, width], count: layers),
            ParameterGroup(name: "layers.*.attention.key.weight", shape: [headDim, width], count: layers),
            ParameterGroup(name: "layers.*.attention.value.weight", shape: [headDim, width], count: layers),
            ParameterGroup(name: "layers.*.attention.output.weight", shape: [width, attention], count: layers),
        ]
        if qkNorm {
            table.append(ParameterGroup(name: "layers.*.attention.queryNorm.weight", shape: [headDim], count: layers))
            table.append(ParameterGroup(name: "layers.*.attention.keyNorm.weight", shape: [headDim], count: layers))
        }
        table += [
            ParameterGroup(name: "layers.*.feedForward.gate.weight", shape: [feedForward, width], count: layers),
            ParameterGroup(name: "layers.*.feedForward.up.weight", shape: [feedForward, width], count: layers),
            ParameterGroup(name: "layers.*.feedForward.down.weight", shape: [width, feedForward], count: layers),
            ParameterGroup(name: "norm.weight", shape: [width], count: 1),
        ]
        if !tieEmbeddings {
            table.append(ParameterGroup(name: "head.weight", shape: [vocabularySize, width], count: 1))
        }
        return table
    }

    /// Bytes that training holds at least.
    ///
    /// - Parameters:
    ///   - bytesPerParameter: weights, gradients, the optimizer's state and copies.
    ///   - activationBytes: of one activation: 2 for bfloat16.
    ///   - rows: sequences that go through the model at once, of `time` tokens each.
    ///   - recomputes: whether blocks keep their inputs only.
    public func trainingBytes(bytesPerParameter: Int, activationBytes: Int, rows: Int, time: Int, recomputes: Bool)
        -> Double
    {
        // A block keeps its input, the norm's output, queries, keys, values and attention's output; and gate and up.
        let kept = Double(2 * width + 2 * heads * headDim + 2 * headDim + 2 * feedForward)
        let perToken =
            recomputes ? Double(layers) * Double(width) + kept : Double(layers) * kept
        return Double(parameterCount) * Double(bytesPerParameter)
            + Double(rows) * Double(time) * perToken * Double(activationBytes)
            + documentMaskBytes(rows: rows, time: time)
    }

    /// Bytes that measuring the losses of `rows` sequences of `time` tokens takes at least, besides the weights.
    ///
    /// - Parameter activationBytes: of one activation: 2 for bfloat16.
    public func evaluationBytes(activationBytes: Int, rows: Int, time: Int) -> Double {
        // After the blocks, the scores of a row at a time.
        let scores = Double(rows) * Double(time) * Double(width) + Double(time) * Double(vocabularySize)
        return max(
            blockBytes(activationBytes: activationBytes, rows: rows, time: time), scores * Double(activationBytes))
    }

    /// Bytes that one block takes at least when nothing is kept for derivatives, the mask of documents included.
    func blockBytes(activationBytes: Int, rows: Int, time: Int) -> Double {
        // The input, the norm's output, attention's output, gate and up.
        Double(rows) * Double(time) * Double((3 * width + 2 * feedForward) * activationBytes)
            + documentMaskBytes(rows: rows, time: time)
    }

    /// Bytes of the mask [rows, 1, time, time] in float32 that keeps documents apart; none where it is not needed.
    func documentMaskBytes(rows: Int, time: Int) -> Double {
        crossDocumentAttention ? 0 : 4 * Double(rows) * Double(time) * Double(time)
    }

    /// N: all parameters.
    public var parameterCount: Int { parameterTable.reduce(0) { $0 + $1.parameters } }

    /// All parameters but the scales of normalisations: the paper counts 540.35 billion so.
    public var parameterCountWithoutNorms: Int {
        parameterTable.filter { !$0.name.lowercased().contains("norm") }.reduce(0) { $0 + $1.parameters }
    }

    /// Floating-point operations to train on one token: 6 N + 12 L H Q T (PaLM, appendix B), forward and backward; attention
    /// is counted in full, not halved for the causal mask.
    public func trainingFLOPsPerToken(sequenceLength: Int) -> Double {
        6 * Double(parameterCountWithoutNorms)
            + 12 * Double(layers) * Double(heads) * Double(headDim) * Double(sequenceLength)
    }

    /// Floating-point operations of a forward pass for one token: a third of training's.
    public func forwardFLOPsPerToken(sequenceLength: Int) -> Double {
        trainingFLOPsPerToken(sequenceLength: sequenceLength) / 3
    }

    /// Bytes that one token adds to the cache of keys and values: one head of each a block.
    public func keyValueBytesPerToken(elementSize: Int = 2) -> Int { 2 * headDim * layers * elementSize }
}
