// What each op of the fixtures is in Martlet.
import Martlet

typealias OpFunction = @Sendable ([Tensor], OpArguments) -> [Tensor]

enum OpTable {
    static let all: [String: OpFunction] = {
        var table: [String: OpFunction] = [:]
        let parts = [
            unary, binary, reductions, movement, indexing, network, losses, algebra, statistics, activations,
            moreLosses,
        ]
        for part in parts {
            table.merge(part) { _, _ in fatalError("an op is defined twice") }
        }
        return table
    }()

    /// A function of the first input.
    private static func one(_ f: @escaping @Sendable (Tensor) -> Tensor) -> OpFunction { { x, _ in [f(x[0])] } }

    static let unary: [String: OpFunction] = [
        "neg": one { $0.neg() }, "abs": one { $0.abs() }, "sign": one { $0.sign() }, "square": one { $0.square() },
        "exp": one { $0.exp() }, "exp2": one { $0.exp2() }, "expm1": one { $0.expm1() }, "log": one { $0.log() },
        "log2": one { $0.log2() }, "log10": one { $0.log10() }, "log1p": one { $0.log1p() },
        "sqrt": one { $0.sqrt() }, "rsqrt": one { $0.rsqrt() }, "reciprocal": one { $0.reciprocal() },
        "sin": one { $0.sin() }, "cos": one { $0.cos() }, "tan": one { $0.tan() }, "asin": one { $0.asin() },
        "acos": one { $0.acos() }, "atan": one { $0.atan() }, "sinh": one { $0.sinh() }, "cosh": one { $0.cosh() },
        "tanh": one { $0.tanh() }, "asinh": one { $0.asinh() }, "acosh": one { $0.acosh() },
        "atanh": one { $0.atanh() }, "erf": one { $0.erf() }, "erfc": one { $0.erfc() },
        "erfinv": one { $0.erfinv() }, "sigmoid": one { $0.sigmoid() }, "logSigmoid": one { $0.logSigmoid() },
        "softplus": one { $0.softplus() }, "relu": one { $0.relu() }, "silu": one { $0.silu() },
        "gelu": one { $0.gelu() }, "geluTanh": one { $0.geluTanh() }, "floor": one { $0.floor() },
        "ceil": one { $0.ceil() }, "round": one { $0.round() }, "trunc": one { $0.trunc() },
        "frac": one { $0.frac() }, "isNaN": one { $0.isNaN() }, "isInf": one { $0.isInfinite() },
        "isFinite": one { $0.isFinite() }, "logicalNot": one { $0.logicalNot() },
        "bitwiseNot": one { $0.bitwiseNot() },
        "leakyRelu": { x, a in [x[0].leakyRelu(a.number("slope"))] },
        "elu": { x, a in [x[0].elu(a.number("alpha"))] },
        "clamp": { x, a in [x[0].clamp(min: a.optionalNumber("min"), max: a.optionalNumber("max"))] },
        "cast": { x, a in [x[0].to(DType(name: a.text("dtype"))!)] },
    ]

    /// An op of two tensors; `int` and `double` are called for a Swift number on the right, `left` for one on the left.
    /// Without them a number becomes a tensor of no dimension.
    private static func two(
        _ f: @escaping @Sendable (Tensor, Tensor) -> Tensor,
        int: (@Sendable (Tensor, Int) -> Tensor)? = nil,
        double: (@Sendable (Tensor, Double) -> Tensor)? = nil,
        left: (@Sendable (Double, Tensor) -> Tensor)? = nil
    ) -> OpFunction {
        { x, a in
            guard a.has("scalar") else { return [f(x[0], x[1])] }
            let value = a.number("scalar")
            if a.bool("scalarOnLeft") {
                return [left.map { $0(value, x[0]) } ?? f(Tensor(value, dtype: .float64), x[0])]
            }
            if let whole = a.json["scalar"]!.intValue, let int { return [int(x[0], whole)] }
            return [double.map { $0(x[0], value) } ?? f(x[0], Tensor(value, dtype: .float64))]
        }
    }

    static let binary: [String: OpFunction] = [
        "add": two({ $0 + $1 }, int: { $0 + $1 }, double: { $0 + $1 }, left: { $0 + $1 }),
        "sub": two({ $0 - $1 }, int: { $0 - $1 }, double: { $0 - $1 }, left: { $0 - $1 }),
        "mul": two({ $0 * $1 }, int: { $0 * $1 }, double: { $0 * $1 }, left: { $0 * $1 }),
        "div": two({ $0 / $1 }, int: { $0 / $1 }, double: { $0 / $1 }, left: { $0 / $1 }),
        "pow": two({ $0.pow($1) }, int: { $0.pow($1) }, double: { $0.pow($1) }),
        "floorDivide": two({ $0.floorDivide($1) }, int: { $0.floorDivide($1) }, double: { $0.floorDivide($1) }),
        "remainder": two({ $0.remainder($1) }, int: { $0.remainder($1) }, double: { $0.remainder($1) }),
        "fmod": two { $0.fmod($1) }, "maximum": two { $0.maximum($1) }, "minimum": two { $0.minimum($1) },
        "atan2": two { $0.atan2($1) }, "hypot": two { $0.hypot($1) },
        "equal": two({ $0 .== $1 }, double: { $0 .== $1 }),
        "notEqual": two({ $0 .!= $1 }, double: { $0 .!= $1 }),
        "less": two({ $0 .< $1 }, double: { $0 .< $1 }), "lessEqual": two({ $0 .<= $1 }, double: { $0 .<= $1 }),
        "greater": two({ $0 .> $1 }, double: { $0 .> $1 }),
        "greaterEqual": two({ $0 .>= $1 }, double: { $0 .>= $1 }),
        "logicalAnd": two { $0.logicalAnd($1) }, "logicalOr": two { $0.logicalOr($1) },
        "logicalXor": two { $0.logicalXor($1) }, "bitwiseAnd": two { $0.bitwiseAnd($1) },
        "bitwiseOr": two { $0.bitwiseOr($1) }, "bitwiseXor": two { $0.bitwiseXor($1) },
        "shiftLeft": two { $0.shiftLeft($1) }, "shiftRight": two { $0.shiftRight($1) },
        "where": { x, _ in [Tensor.where(x[0], x[1], x[2])] },
        "addcmul": { x, a in [x[0].addcmul(x[1], x[2], value: a.number("value"))] },
        "addcdiv": { x, a in [x[0].addcdiv(x[1], x[2], value: a.number("value"))] },
        "lerp": { x, a in [x.count == 3 ? x[0].lerp(x[1], x[2]) : x[0].lerp(x[1], a.number("weight"))] },
    ]

    /// A reduction over `dim` with `keepDim`.
    private static func reducing(_ f: @escaping @Sendable (Tensor, [Int]?, Bool) -> Tensor) -> OpFunction {
        { x, a in [f(x[0], a.dims(), a.bool("keepDim"))] }
    }

    /// Values and indices along `dim`, or the value alone.
    private static func extreme(
        _ whole: @escaping @Sendable (Tensor) -> Tensor,
        _ along: @escaping @Sendable (Tensor, Int, Bool) -> (values: Tensor, indices: Tensor)
    ) -> OpFunction {
        { x, a in
            guard a.has("dim") else { return [whole(x[0])] }
            let (values, indices) = along(x[0], a.int("dim"), a.bool("keepDim"))
            return [values, indices]
        }
    }

    static let reductions: [String: OpFunction] = [
        "sum": reducing { $0.sum(dims: $1, keepDim: $2) }, "mean": reducing { $0.mean(dims: $1, keepDim: $2) },
        "prod": reducing { $0.prod(dims: $1, keepDim: $2) }, "amax": reducing { $0.amax(dims: $1, keepDim: $2) },
        "amin": reducing { $0.amin(dims: $1, keepDim: $2) }, "any": reducing { $0.any(dims: $1, keepDim: $2) },
        "all": reducing { $0.all(dims: $1, keepDim: $2) },
        "logSumExp": reducing { $0.logSumExp(dims: $1, keepDim: $2) },
        "countNonzero": reducing { $0.countNonzero(dims: $1, keepDim: $2) },
        "var": { x, a in
            [x[0].variance(dims: a.dims(), correction: a.int("correction"), keepDim: a.bool("keepDim"))]
        },
        "std": { x, a in [x[0].std(dims: a.dims(), correction: a.int("correction"), keepDim: a.bool("keepDim"))] },
        "norm": { x, a in [x[0].norm(a.number("p"), dims: a.dims(), keepDim: a.bool("keepDim"))] },
        "max": extreme({ $0.max() }, { $0.max(dim: $1, keepDim: $2) }),
        "min": extreme({ $0.min() }, { $0.min(dim: $1, keepDim: $2) }),
        "median": extreme({ $0.median() }, { $0.median(dim: $1, keepDim: $2) }),
        "argmax": { x, a in [x[0].argmax(dim: a.dims()?[0], keepDim: a.bool("keepDim"))] },
        "argmin": { x, a in [x[0].argmin(dim: a.dims()?[0], keepDim: a.bool("keepDim"))] },
        "cumsum": { x, a in [x[0].cumsum(dim: a.int("dim"))] },
        "cumprod": { x, a in [x[0].cumprod(dim: a.int("dim"))] },
        "logCumSumExp": { x, a in [x[0].logCumSumExp(dim: a.int("dim"))] },
        "cummax": { x, a in [x[0].cummax(dim: a.int("dim")).values] },
        "cummin": { x, a in [x[0].cummin(dim: a.int("dim")).values] },
        "sort": { x, a in
            let (values, indices) = x[0].sort(dim: a.int("dim"), descending: a.bool("descending"))
            return [values, indices]
        },
        "argsort": { x, a in [x[0].argsort(dim: a.int("dim"), descending: a.bool("descending"))] },
        "topk": { x, a in
            let (values, indices) = x[0].topk(a.int("k"), dim: a.int("dim"), largest: a.bool("largest"))
            return [values, indices]
        },
    ]

    static let movement: [String: OpFunction] = [
        "matmul": { x, _ in [x[0].matmul(x[1])] }, "outer": { x, _ in [x[0].outer(x[1])] },
        "dot": { x, _ in [x[0].dot(x[1])] }, "mm": { x, _ in [x[0].mm(x[1])] },
        "bmm": { x, _ in [x[0].bmm(x[1])] },
        "linear": { x, _ in [x[0].linear(x[1], x.count == 3 ? x[2] : nil)] },
        "einsum": { x, a in [Tensor.einsum(a.text("equation"), x)] },
        "reshape": { x, a in [x[0].reshape(a.ints("shape"))] },
        "transpose": { x, a in [x[0].transpose(a.int("dim0"), a.int("dim1"))] },
        "permute": { x, a in [x[0].permute(a.ints("dims"))] },
        "expand": { x, a in [x[0].expand(a.ints("shape"))] },
        "squeeze": { x, a in [a.has("dim") ? x[0].squeeze(a.int("dim")) : x[0].squeeze()] },
        "unsqueeze": { x, a in [x[0].unsqueeze(a.int("dim"))] },
        "flatten": { x, a in [x[0].flatten(a.int("startDim"), a.int("endDim"))] },
        "unflatten": { x, a in [x[0].unflatten(a.int("dim"), a.ints("sizes"))] },
        "moveDim": { x, a in [x[0].moveDim(a.int("source"), a.int("destination"))] },
        "narrow": { x, a in [x[0].narrow(a.int("dim"), start: a.int("start"), length: a.int("length"))] },
        "select": { x, a in [x[0].select(a.int("dim"), a.int("index"))] },
        "unbind": { x, a in x[0].unbind(a.int("dim")) },
        "cat": { x, a in [Tensor.cat(x, dim: a.int("dim"))] },
        "stack": { x, a in [Tensor.stack(x, dim: a.int("dim"))] },
        "split": { x, a in
            if let size = a.json["size"]!.intValue { return x[0].split(size, dim: a.int("dim")) }
            return x[0].split(a.ints("size"), dim: a.int("dim"))
        },
        "chunk": { x, a in x[0].chunk(a.int("chunks"), dim: a.int("dim")) },
        "pad": { x, a in
            let padding = a.json["padding"]!.arrayValue!.map { pair in
                (before: pair.arrayValue![0].intValue!, after: pair.arrayValue![1].intValue!)
            }
            return [
                x[0].pad(padding, mode: PaddingMode(rawValue: a.text("mode"))!, value: a.optionalNumber("value") ?? 0)
            ]
        },
        "flip": { x, a in [x[0].flip(a.ints("dims"))] },
        "roll": { x, a in
            guard let dims = a.dims("dims") else { return [x[0].roll(a.dims("shifts")![0])] }
            return [x[0].roll(a.dims("shifts")!, dims: dims)]
        },
        "tile": { x, a in [x[0].tile(a.ints("repeats"))] },
        "repeatInterleave": { x, a in
            if let count = a.json["repeats"]!.intValue {
                return [a.has("dim") ? x[0].repeatInterleave(count, dim: a.int("dim")) : x[0].repeatInterleave(count)]
            }
            return [x[0].repeatInterleave(a.ints("repeats"), dim: a.int("dim"))]
        },
        "unfold": { x, a in [x[0].unfold(a.int("dim"), size: a.int("size"), step: a.int("step"))] },
        "tril": { x, a in [x[0].tril(a.int("diagonal"))] }, "triu": { x, a in [x[0].triu(a.int("diagonal"))] },
        "diagonal": { x, a in [x[0].diagonal(a.int("offset"), dim1: a.int("dim1"), dim2: a.int("dim2"))] },
    ]

    static let indexing: [String: OpFunction] = [
        "index": { x, a in [x[0].at(a.index(x))] },
        "indexAssign": { x, a in
            let y = x[0].clone()
            y.assign(a.index(x), x[1], accumulate: a.bool("accumulate"))
            return [y]
        },
        "gather": { x, a in [x[0].gather(a.int("dim"), x[1])] },
        "scatter": { x, a in [x[0].scatter(a.int("dim"), x[1], x[2])] },
        "scatterAdd": { x, a in [x[0].scatterAdd(a.int("dim"), x[1], x[2])] },
        "indexSelect": { x, a in [x[0].indexSelect(a.int("dim"), x[1])] },
        "indexAdd": { x, a in [x[0].indexAdd(a.int("dim"), x[1], x[2], alpha: a.number("alpha"))] },
        "indexCopy": { x, a in [x[0].indexCopy(a.int("dim"), x[1], x[2])] },
        "maskedFill": { x, a in [x[0].maskedFill(x[1], a.number("value"))] },
        "maskedSelect": { x, _ in [x[0].maskedSelect(x[1])] },
        "oneHot": { x, a in [x[0].oneHot(a.int("classes"))] },
        "take": { x, _ in [x[0].take(x[1])] }, "nonzero": { x, _ in [x[0].nonzero()] },
    ]

    static let network: [String: OpFunction] = [
        "softmax": { x, a in [x[0].softmax(dim: a.int("dim"))] },
        "logSoftmax": { x, a in [x[0].logSoftmax(dim: a.int("dim"))] },
        "layerNorm": { x, a in
            [
                x[0].layerNorm(
                    weight: a.bool("hasWeight") ? x[1] : nil, bias: a.bool("hasBias") ? x[x.count - 1] : nil,
                    eps: a.number("eps"))
            ]
        },
        "rmsNorm": { x, a in
            [
                x[0].rmsNorm(
                    weight: a.bool("hasWeight") ? x[1] : nil, eps: a.number("eps"),
                    weightOffset: a.optionalNumber("weightOffset") ?? 0)
            ]
        },
        "embedding": { x, a in [x[1].embedding(x[0], paddingIndex: a.has("paddingIndex") ? a.int("paddingIndex") : nil)]
        },
        "scaledDotProductAttention": { x, a in
            let bias = a.bool("hasBias") ? x[3] : nil
            return [
                Tensor.scaledDotProductAttention(
                    x[0], x[1], x[2], bias: bias, causal: a.bool("causal"), scale: a.optionalNumber("scale"),
                    window: a.has("window") ? a.int("window") : nil,
                    keyStart: a.bool("hasKeyStart") ? x[x.count - 1] : nil)
            ]
        },
        "rope": { x, a in
            let positions = a.bool("hasPositions") ? x[1] : nil
            let start = positions == nil ? a.int("start") : 0
            let length = positions.map { Int($0.max().item()) + 1 } ?? start + x[0].size(1)
            let tables = RotaryTables(
                length: length, rotary: a.int("rotaryDim"), theta: a.number("theta"), dtype: .float64)
            return [
                x[0].rope(
                    tables, start: start, positions: positions, interleaved: a.text("layout") == "interleaved")
            ]
        },
        "swiglu": { x, _ in [x[0].swiglu(x[1])] }, "geglu": { x, _ in [x[0].geglu(x[1])] },
        "gegluTanh": { x, _ in [x[0].gated(.geluTanh, x[1])] }, "reglu": { x, _ in [x[0].gated(.relu, x[1])] },
    ]

    static let losses: [String: OpFunction] = [
        "crossEntropy": { x, a in
            [
                x[0].crossEntropy(
                    x[1], ignoreIndex: a.int("ignoreIndex"), labelSmoothing: a.number("labelSmoothing"),
                    zLoss: a.number("zLoss"), logitScale: a.number("logitScale"),
                    weight: a.bool("hasWeight") ? x[2] : nil, reduction: a.reduction)
            ]
        },
        "linearCrossEntropy": { x, a in
            let (loss, crossEntropy) = x[0].linearCrossEntropy(
                weight: x[2], targets: x[1], ignoreIndex: a.int("ignoreIndex"),
                labelSmoothing: a.number("labelSmoothing"), zLoss: a.number("zLoss"),
                logitScale: a.number("logitScale"), divisor: a.optionalNumber("divisor"))
            return [loss, crossEntropy]
        },
        "nllLoss": { x, a in
            [
                x[0].nllLoss(
                    x[1], ignoreIndex: a.int("ignoreIndex"), weight: a.bool("hasWeight") ? x[2] : nil,
                    reduction: a.reduction)
            ]
        },
        "mseLoss": { x, a in [x[0].mseLoss(x[1], reduction: a.reduction)] },
        "l1Loss": { x, a in [x[0].l1Loss(x[1], reduction: a.reduction)] },
        "huberLoss": { x, a in [x[0].huberLoss(x[1], delta: a.number("delta"), reduction: a.reduction)] },
        "smoothL1Loss": { x, a in [x[0].smoothL1Loss(x[1], beta: a.number("beta"), reduction: a.reduction)] },
        "binaryCrossEntropy": { x, a in [x[0].binaryCrossEntropy(x[1], reduction: a.reduction)] },
        "binaryCrossEntropyWithLogits": { x, a in
            [
                x[0].binaryCrossEntropyWithLogits(
                    x[1], posWeight: a.bool("hasPosWeight") ? x[2] : nil, reduction: a.reduction)
            ]
        },
        "klDiv": { x, a in
            [x[0].klDivergence(x[1], logTarget: a.bool("logTarget"), reduction: a.reduction)]
        },
        "cosineSimilarity": { x, a in
            [x[0].cosineSimilarity(x[1], dim: a.int("dim"), eps: a.number("eps"))]
        },
    ]
}
