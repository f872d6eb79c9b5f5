// What the ops of composite_reference.py are in Martlet.
import Martlet

extension OpTable {
    static let algebra: [String: OpFunction] = [
        "mv": { x, _ in [x[0].mv(x[1])] },
        "addmm": { x, a in [x[0].addmm(x[1], x[2], beta: a.number("beta"), alpha: a.number("alpha"))] },
        "baddbmm": { x, a in [x[0].baddbmm(x[1], x[2], beta: a.number("beta"), alpha: a.number("alpha"))] },
        "trace": { x, _ in [x[0].trace()] },
        "diag": { x, a in [x[0].diag(a.int("offset"))] },
        "diagEmbed": { x, a in [x[0].diagEmbed(a.int("offset"))] },
        "kron": { x, _ in [x[0].kron(x[1])] },
        "tensordot": { x, a in
            if let count = a.json["dims"]!.intValue { return [x[0].tensordot(x[1], dims: count)] }
            let lists = a.json["dims"]!.arrayValue!.map { $0.arrayValue!.map { $0.intValue! } }
            return [x[0].tensordot(x[1], dims: (lists[0], lists[1]))]
        },
        "cross": { x, a in [x[0].cross(x[1], dim: a.int("dim"))] },
        "cdist": { x, a in [x[0].cdist(x[1], p: a.number("p"))] },
        "normalize": { x, a in [x[0].normalize(p: a.number("p"), dim: a.int("dim"), eps: a.number("eps"))] },
        "pairwiseDistance": { x, a in
            [x[0].pairwiseDistance(x[1], p: a.number("p"), eps: a.number("eps"), keepDim: a.bool("keepDim"))]
        },
        "hstack": { x, _ in [Tensor.hstack(x)] }, "vstack": { x, _ in [Tensor.vstack(x)] },
        "dstack": { x, _ in [Tensor.dstack(x)] },
        "meshgrid": { x, a in Tensor.meshgrid(x, indexing: Tensor.GridIndexing(rawValue: a.text("indexing"))!) },
        "rot90": { x, a in [x[0].rot90(a.int("k"), dims: a.ints("dims"))] },
        "diff": { x, a in
            [
                x[0].diff(
                    a.int("n"), dim: a.int("dim"), prepend: a.bool("prepend") ? x[1] : nil,
                    append: a.bool("append") ? x[x.count - 1] : nil)
            ]
        },
        "takeAlongDim": { x, a in [x[0].takeAlongDim(x[1], dim: a.has("dim") ? a.int("dim") : nil)] },
        "scatterReduce": { x, a in
            [
                x[0].scatterReduce(
                    a.int("dim"), x[1], x[2], ScatterReduction(rawValue: a.text("reduce"))!,
                    includeSelf: a.bool("includeSelf"))
            ]
        },
    ]

    static let statistics: [String: OpFunction] = [
        "quantile": { x, a in
            let dim = a.has("dim") ? a.int("dim") : nil
            let interpolation = QuantileInterpolation(rawValue: a.text("interpolation"))!
            if let list = a.json["q"]!.arrayValue {
                let q = list.map { $0.doubleValue! }
                return [x[0].quantile(q, dim: dim, keepDim: a.bool("keepDim"), interpolation: interpolation)]
            }
            return [x[0].quantile(a.number("q"), dim: dim, keepDim: a.bool("keepDim"), interpolation: interpolation)]
        },
        "kthValue": { x, a in
            let (values, indices) = x[0].kthValue(a.int("k"), dim: a.int("dim"), keepDim: a.bool("keepDim"))
            return [values, indices]
        },
        "mode": { x, a in
            let (values, indices) = x[0].mode(dim: a.int("dim"), keepDim: a.bool("keepDim"))
            return [values, indices]
        },
        "bincount": { x, a in
            [x[0].bincount(weights: x.count > 1 ? x[1] : nil, minLength: a.int("minLength"))]
        },
        "histc": { x, a in [x[0].histc(bins: a.int("bins"), min: a.number("min"), max: a.number("max"))] },
        "varMean": { x, a in
            let (variance, mean) = x[0].varMean(
                dims: a.dims(), correction: a.int("correction"), keepDim: a.bool("keepDim"))
            return [variance, mean]
        },
        "stdMean": { x, a in
            let (std, mean) = x[0].stdMean(
                dims: a.dims(), correction: a.int("correction"), keepDim: a.bool("keepDim"))
            return [std, mean]
        },
        "aminmax": { x, a in
            let (min, max) = x[0].aminmax(dim: a.has("dim") ? a.int("dim") : nil, keepDim: a.bool("keepDim"))
            return [min, max]
        },
        "nanSum": { x, a in [x[0].nanSum(dims: a.dims(), keepDim: a.bool("keepDim"))] },
        "nanMean": { x, a in [x[0].nanMean(dims: a.dims(), keepDim: a.bool("keepDim"))] },
        "nanToNum": { x, a in
            [
                x[0].nanToNum(
                    nan: a.number("nan"), posInf: a.optionalNumber("posInf"), negInf: a.optionalNumber("negInf"))
            ]
        },
        "logAddExp": { x, _ in [x[0].logAddExp(x[1])] },
        "searchsorted": { x, a in [x[0].searchsorted(x[1], right: a.bool("right"))] },
        "bucketize": { x, a in [x[0].bucketize(x[1], right: a.bool("right"))] },
        "isIn": { x, a in [x[0].isIn(x[1], invert: a.bool("invert"))] },
        "unique": { x, _ in [x[0].unique()] },
        "isClose": { x, a in [x[0].isClose(x[1], rtol: a.number("rtol"), atol: a.number("atol"))] },
        "uniqueConsecutive": { x, _ in
            let (values, inverse, counts) = x[0].uniqueConsecutive()
            return [values, inverse, counts]
        },
    ]

    static let activations: [String: OpFunction] = [
        "selu": { x, _ in [x[0].selu()] }, "celu": { x, a in [x[0].celu(a.number("alpha"))] },
        "mish": { x, _ in [x[0].mish()] }, "hardswish": { x, _ in [x[0].hardswish()] },
        "hardsigmoid": { x, _ in [x[0].hardsigmoid()] },
        "hardtanh": { x, a in [x[0].hardtanh(min: a.number("min"), max: a.number("max"))] },
        "relu6": { x, _ in [x[0].relu6()] }, "prelu": { x, _ in [x[0].prelu(x[1])] },
        "glu": { x, a in [x[0].glu(dim: a.int("dim"))] }, "softsign": { x, _ in [x[0].softsign()] },
        "softmin": { x, a in [x[0].softmin(dim: a.int("dim"))] },
        "threshold": { x, a in [x[0].threshold(a.number("threshold"), a.number("value"))] },
        "groupNorm": { x, a in
            [
                x[0].groupNorm(
                    a.int("groups"), weight: a.bool("affine") ? x[1] : nil, bias: a.bool("affine") ? x[2] : nil,
                    eps: a.number("eps"))
            ]
        },
    ]

    static let moreLosses: [String: OpFunction] = [
        "hingeEmbeddingLoss": { x, a in
            [x[0].hingeEmbeddingLoss(x[1], margin: a.number("margin"), reduction: a.reduction)]
        },
        "marginRankingLoss": { x, a in
            [x[0].marginRankingLoss(x[1], x[2], margin: a.number("margin"), reduction: a.reduction)]
        },
        "tripletMarginLoss": { x, a in
            [
                x[0].tripletMarginLoss(
                    positive: x[1], negative: x[2], margin: a.number("margin"), p: a.number("p"),
                    eps: a.number("eps"), swap: a.bool("swap"), reduction: a.reduction)
            ]
        },
        "cosineEmbeddingLoss": { x, a in
            [x[0].cosineEmbeddingLoss(x[1], x[2], margin: a.number("margin"), reduction: a.reduction)]
        },
        "gaussianNLLLoss": { x, a in
            [
                x[0].gaussianNLLLoss(
                    x[1], variance: x[2], full: a.bool("full"), eps: a.number("eps"), reduction: a.reduction)
            ]
        },
        "poissonNLLLoss": { x, a in
            [
                x[0].poissonNLLLoss(
                    x[1], logInput: a.bool("logInput"), full: a.bool("full"), eps: a.number("eps"),
                    reduction: a.reduction)
            ]
        },
    ]
}
