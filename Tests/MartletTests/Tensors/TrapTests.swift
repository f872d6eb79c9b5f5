import Martlet
import Testing

/// Programmers' mistakes stop the program with a message that names the operation and what it was given.
@Suite struct TrapTests {
    @Test func broadcasting() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3, 4]) + Tensor.zeros([5, 4])
        }
        expectMessage(result, "[add]", "[2, 3, 4] x [5, 4]", "3 != 5 in dimension -2")
    }

    @Test func innerDimensions() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).matmul(Tensor.zeros([4, 5]))
        }
        expectMessage(result, "[matmul]", "[2, 3] x [4, 5]", "3 != 4")
    }

    @Test func batchDimensions() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3, 4]).matmul(Tensor.zeros([5, 4, 6]))
        }
        expectMessage(result, "[matmul]", "batch", "[2, 3, 4] x [5, 4, 6]")
    }

    @Test func linearWithAName() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let weight = Parameter(Tensor.zeros([8, 5]))
            weight.name = "layers.3.feedForward.up.weight"
            ModulePath.with("layers.3") {
                ModulePath.with("feedForward.up") { _ = Tensor.zeros([2, 4]).linear(weight) }
            }
        }
        expectMessage(
            result, "[linear]", "[2, 4] x [8, 5]", "4 != 5", "(layers.3.feedForward.up.weight)",
            "(in layers.3.feedForward.up)")
    }

    @Test func reshaping() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).reshape([4, 2])
        }
        expectMessage(result, "[reshape]", "[2, 3] of 6 elements", "[4, 2] of 8")
        let unknown = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).reshape([4, -1])
        }
        expectMessage(unknown, "[reshape]", "[2, 3]", "[4, -1]")
    }

    @Test func viewsThatNeedACopy() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).T.view([6])
        }
        expectMessage(result, "[view]", "[3, 2]", "[1, 3]", "[6]", "reshape")
    }

    @Test func joining() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.cat([Tensor.zeros([2, 3]), Tensor.zeros([2, 4])], dim: 0)
        }
        expectMessage(result, "[cat]", "tensor 1", "[2, 4]", "[2, 3]", "dimension 1")
        let stacked = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.stack([Tensor.zeros([2, 3]), Tensor.zeros([3, 2])])
        }
        expectMessage(stacked, "[stack]", "[3, 2]", "[2, 3]")
    }

    @Test func dimensionsOutOfRange() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).sum(dim: 2)
        }
        expectMessage(result, "[sum]", "dimension 2", "[2, 3]")
        let twice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).mean(dims: [1, -1])
        }
        expectMessage(twice, "[mean]", "given twice", "[1, -1]")
    }

    @Test func indicesOutOfRange() async {
        let integer = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3])[1, 3]
        }
        expectMessage(integer, "[select]", "index 3", "size 3")
        let tensor = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3])[Tensor([0, -3])]
        }
        expectMessage(tensor, "index -3", "size 2")
        let pair = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3])[Tensor([0, 1]), Tensor([0, 5])]
        }
        expectMessage(pair, "[subscript]", "index 5", "dimension 1 of size 3", "[2, 3]")
        let many = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3])[0, 0, 0]
        }
        expectMessage(many, "[subscript]", "3 indices", "[2, 3]")
    }

    @Test func masksOfAnotherShape() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3])[Tensor([true, false, true])]
        }
        expectMessage(result, "[subscript]", "mask of shape [3]", "[2, 3]")
    }

    @Test func assignedShapes() async {
        let view = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor.zeros([2, 3])
            x[0] = Tensor.zeros([2])
        }
        expectMessage(view, "[copyInPlace]", "[2]", "[3]")
        let indexed = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor.zeros([2, 3])
            x[Tensor([0, 1, 0])] = Tensor.zeros([2, 3])
        }
        expectMessage(indexed, "[assign]", "[2, 3]", "[3, 3]")
    }

    @Test func operandsInPlace() async {
        let shape = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor.zeros([3])
            x += Tensor.zeros([2, 3])
        }
        expectMessage(shape, "[addInPlace]", "[2, 3]", "[3]")
        let type = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = Tensor([1, 2])
            x += Tensor([0.5, 1])
        }
        expectMessage(type, "[addInPlace]", "float32", "int64")
    }

    @Test func embeddings() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let table = Parameter(Tensor.zeros([10, 4]))
            table.name = "embedding.weight"
            _ = table.embedding(Tensor([3, 10]))
        }
        expectMessage(result, "[embedding]", "index 10", "[10, 4]", "embedding.weight")
        let type = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([10, 4]).embedding(Tensor([3.0, 1]))
        }
        expectMessage(type, "[embedding]", "integers", "float32")
    }

    @Test func attentionShapes() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let q = Tensor.zeros([1, 4, 3, 8])
            let k = Tensor.zeros([1, 4, 2, 8])
            _ = Tensor.scaledDotProductAttention(q, k, k)
        }
        expectMessage(result, "[scaledDotProductAttention]", "[1, 4, 3, 8] x [1, 4, 2, 8]", "multiple")
        let types = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let q = Tensor.zeros([1, 4, 2, 8])
            let k = Tensor.zeros([1, 4, 2, 8], dtype: .bfloat16)
            _ = Tensor.scaledDotProductAttention(q, k, k)
        }
        expectMessage(types, "float32", "bfloat16")
    }

    @Test func lossTargets() async {
        let range = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 5]).crossEntropy(Tensor([1, 5]))
        }
        expectMessage(range, "[crossEntropy]", "target 5", "0..<5", "-100")
        let shape = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 5]).crossEntropy(Tensor([1, 2, 3]))
        }
        expectMessage(shape, "[crossEntropy]", "[2, 5] x [3]")
        let fused = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 4]).linearCrossEntropy(weight: Tensor.zeros([7, 5]), targets: Tensor([1, 2]))
        }
        expectMessage(fused, "[linearCrossEntropy]", "[2, 4] x [7, 5]")
    }

    @Test func normalisationWeights() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 5]).layerNorm(weight: Tensor.ones([4]))
        }
        expectMessage(result, "[layerNorm]", "[5]", "[2, 5] x [4]")
    }

    @Test func typesThatAnOperationRefuses() async {
        let mean = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor([1, 2]).mean()
        }
        expectMessage(mean, "[mean]", "floating-point", "int64")
        let negative = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = -Tensor([true])
        }
        expectMessage(negative, "[neg]", "bool")
        let bits = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor([1.0]).bitwiseAnd(Tensor([1]))
        }
        expectMessage(bits, "[bitwiseAnd]", "float32", "int64")
        let condition = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.where(Tensor([1, 0]), Tensor([1.0]), Tensor([2.0]))
        }
        expectMessage(condition, "[where]", "bool", "int64")
    }

    @Test func scalarsOnly() async {
        let item = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).item()
        }
        expectMessage(item, "[item]", "[2, 3]")
        let backward = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            (Tensor.zeros([2, 3]).requiringGrad() * 2).backward()
        }
        expectMessage(backward, "[backward]", "[2, 3]", "not a scalar")
        let none = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            Tensor.zeros([2, 3]).sum().backward()
        }
        expectMessage(none, "[backward]", "does not require gradients")
        let seed = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            (Tensor.zeros([2, 3]).requiringGrad() * 2).backward(gradient: Tensor.zeros([3, 2]))
        }
        expectMessage(seed, "[backward]", "[3, 2]", "[2, 3]")
    }

    @Test func valuesAndShapes() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor([1.0, 2, 3], shape: [2, 2])
        }
        expectMessage(result, "[Tensor]", "3 values", "[2, 2]", "4 elements")
        let rows = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor([[1.0, 2], [3]])
        }
        expectMessage(rows, "[Tensor]", "row 1 has 1", "row 0 has 2")
        let size = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, -3])
        }
        expectMessage(size, "[zeros]", "-3")
    }

    @Test func expanding() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).expand([4, 3])
        }
        expectMessage(result, "[expand]", "[2, 3]", "[4, 3]", "2 != 4")
    }

    @Test func choosing() async {
        let top = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).topk(4)
        }
        expectMessage(top, "[topk]", "k = 4", "[2, 3]")
        let gathered = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).gather(1, Tensor([[0], [3]]))
        }
        expectMessage(gathered, "[gather]", "index 3", "size 3")
        let scattered = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).scatter(1, Tensor([[0], [1]]), Tensor.zeros([2, 2]))
        }
        expectMessage(scattered, "[scatter]", "[2, 2]", "[2, 1]")
    }

    /// Large ones are made strip by strip, where indices are looked at on the way.
    @Test func scatteringFar() async {
        let rows = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let index = Tensor.zeros([300, 2100], dtype: .int64)
            index[299, 2099] = Tensor(4096)
            _ = Tensor.zeros([4096, 2100]).scatterAdd(0, index, Tensor(1.0))
        }
        expectMessage(rows, "[scatterAdd]", "index 4096", "dimension 0 of size 4096")
        let columns = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let index = Tensor.zeros([4096, 300], dtype: .int64)
            index[7, 8] = Tensor(-2101)
            index[4000, 1] = Tensor(5000)
            _ = Tensor.zeros([4096, 2100]).scatterAdd(1, index, Tensor(1.0))
        }
        expectMessage(columns, "[scatterAdd]", "index -2101", "dimension 1 of size 2100")
    }

    @Test func memoryThatIsNotThere() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.empty([1 << 20, 1 << 20, 1 << 10])
        }
        expectMessage(result, "[memory]", "out of memory", "bytes were asked for")
    }

    @Test func padding() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).pad([(0, 0), (3, 0)], mode: .reflect)
        }
        expectMessage(result, "[pad]", "(3, 0)", "reflect", "[2, 3]", "0...2")
    }

    @Test func readOnlyMemory() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let x = OpFixtures.shared.tensors.tensors.values.first { $0.dtype == .float64 }!
            x += 1.0
        }
        expectMessage(result, "read-only", "clone()")
    }

    /// The line is that of the program, whatever of Martlet and of the standard library is in between.
    @Test func theCallersLine() async {
        let op = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { mistakenProduct() }
        expectMessage(op, "[matmul] inner dimensions differ", " at TrapTests.swift:\(firstMistake + 2)\n")
        let closure = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { mistakenSums() }
        expectMessage(closure, "[add]", " at TrapTests.swift:\(firstMistake + 7)\n")
        let pass = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { mistakenPass() }
        expectMessage(pass, "[backward]", "overwritten", " at TrapTests.swift:\(firstMistake + 15)\n")
    }
}

// Outside of the exit tests' bodies, which a macro moves to a file of its own.
private let firstMistake = #line
private func mistakenProduct() {
    _ = Tensor.zeros([2, 3]).matmul(Tensor.zeros([4, 5]))
}
private func mistakenSums() {
    noGrad {
        for size in [4, 5] {
            _ = Tensor.zeros([2, 3]) + Tensor.zeros([size])
        }
    }
}
private func mistakenPass() {
    let x = Tensor.zeros([3]).requiringGrad()
    let y = x.exp()
    noGrad { y.mulInPlace(2) }
    y.sum().backward()
}
