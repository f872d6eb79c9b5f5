// Scattering with a choice of what happens to elements that meet, and its counterpart in reading.
internal import CMartletKernels

/// What ``Tensor/scatterReduce(_:_:_:_:includeSelf:)`` makes of elements for one place.
public enum ScatterReduction: String, Sendable, CaseIterable {
    case sum, prod, mean, amax, amin
}

extension Tensor {
    /// A copy in which the element at [index[i][j][k]][j][k] (for dim 0, and so on) is reduced with source[i][j][k];
    /// sources for one place are reduced together.
    ///
    /// - Parameters:
    ///   - index: integers, of this tensor's rank and the source's shape.
    ///   - includeSelf: whether this tensor's own element takes part where sources arrive. Elsewhere it stays.
    ///
    /// Means of integers are rounded down. Equal extremes share the gradient.
    public func scatterReduce(
        _ dim: Int, _ index: Tensor, _ source: Tensor, _ reduction: ScatterReduction, includeSelf: Bool = true
    ) -> Tensor {
        let op: StaticString = "scatterReduce"
        let d = normalize(dim, op)
        let index = index.indexTensor(op)
        let source = source.to(dtype)
        if source.dims != index.dims {
            trap("\(op)", "the source has the shape \(source.dims.text), the index \(index.dims.text)")
        }
        var base = self
        if !includeSelf {
            let isFloat = dtype.isFloatingPoint
            let neutral: Double =
                switch reduction {
                case .sum, .mean: 0
                case .prod: 1
                case .amax: isFloat ? -.infinity : Double(dtype.wholeRange.lowerBound)
                case .amin: isFloat ? .infinity : Double(dtype.wholeRange.upperBound)
                }
            base = scatter(d, index, Tensor.full(Dims(), neutral, dtype))
        }
        switch reduction {
        case .sum: return base.scatterAdd(d, index, source)
        case .mean:
            let total = base.scatterAdd(d, index, source)
            let n = noGrad {
                let own = includeSelf ? Tensor.full(dims, 1, .int64) : Tensor.zeros(dims, .int64)
                return own.scatterAdd(d, index, Tensor.full(index.dims, 1, .int64)).clamp(min: 1)
            }
            return dtype.isFloatingPoint ? total / n.to(dtype) : total.floorDivide(n.to(dtype))
        case .prod: return base.scatteredProduct(d, index, source)
        case .amax: return base.scatteredExtremum(MK_SCATTER_MAX, d, index, source)
        case .amin: return base.scatteredExtremum(MK_SCATTER_MIN, d, index, source)
        }
    }

    private func scatteredExtremum(_ mode: mk_scatter_mode, _ d: Int, _ index: Tensor, _ source: Tensor) -> Tensor {
        let (out, _, _) = scattered("scatterReduce", mode, d, index, source)
        out.record("scatterReduce", self, source) { node in
            node.save(self)
            node.save(source)
            node.save(index)
            node.saveOutput(out)
            return { ctx, g in
                let (x, s, index, y) = (ctx[0].detach(), ctx[1].detach(), ctx[2], ctx[3].detach())
                let own = (x .== y).to(g.dtype)
                let others = (s .== y.gather(d, index)).to(g.dtype)
                let share = g / own.scatterAdd(d, index, others).clamp(min: 1)
                ctx.give(0, own * share)
                ctx.give(1, others * share.gather(d, index))
            }
        }
        return out
    }

    private func scatteredProduct(_ d: Int, _ index: Tensor, _ source: Tensor) -> Tensor {
        let (out, _, _) = scattered("scatterReduce", MK_SCATTER_MUL, d, index, source)
        out.record("scatterReduce", self, source) { node in
            node.save(self)
            node.save(source)
            node.save(index)
            node.saveOutput(out)
            return { ctx, g in
                let (x, s, index, y) = (ctx[0], ctx[1], ctx[2], ctx[3])
                ctx.give(0, g * Tensor.full(x.dims, 1, x.dtype).scatteredProduct(d, index, s))
                guard ctx.needs(1) else { return }
                let one = Tensor.full(Dims(), 1, s.dtype)
                let isZero = s.detach() .== 0
                let safe = Tensor.select(isZero, one, s)
                let plain = (g * y).gather(d, index) / safe
                guard isZero.any().item() != 0 else {
                    ctx.give(1, plain)
                    return
                }
                // The only zero among the sources of a place has the product of the others, which no quotient gives.
                let zeros = Tensor.zeros(x.dims, .int64).scatterAdd(d, index, isZero.to(.int64)).gather(d, index)
                let others = (g * x.scatteredProduct(d, index, safe)).gather(d, index)
                ctx.give(1, Tensor.select(isZero.logicalAnd(zeros .== 1), others, plain))
            }
        }
        return out
    }

    /// out[i][j][k] = self[index[i][j][k]][j][k] for dim 0, and so on: ``gather(_:_:)`` whose operands broadcast in all
    /// other dimensions, to be used with the results of `argsort` and `argmax`. Without `dim` both are flattened.
    public func takeAlongDim(_ index: Tensor, dim: Int? = nil) -> Tensor {
        guard let dim else { return reshape([-1]).gather(0, index.reshape([-1])) }
        let d = normalize(dim, "takeAlongDim")
        if index.rank != rank {
            trap(
                "takeAlongDim", "the index has the shape \(index.dims.text), the tensor \(dims.text): the ranks differ"
            )
        }
        var (own, others) = (dims, index.dims)
        (own[d], others[d]) = (1, 1)
        guard let shared = Dims.broadcast(own, others) else {
            trap("takeAlongDim", "shapes do not broadcast apart from dimension \(dim): \(describe(self, index))")
        }
        (own, others) = (shared, shared)
        (own[d], others[d]) = (dims[d], index.dims[d])
        return expanded(own).gather(d, index.expanded(others))
    }
}
