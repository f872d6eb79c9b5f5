"""Reference semantics of every op, written with PyTorch primitives (float64 in, float64 out).

`OPS[name](inputs, args)` returns a tensor or a tuple of tensors. The docstring of each entry is the meaning a framework
under test has to implement; `args` is the JSON object stored with every case.
"""

import torch
import torch.nn.functional as F

OPS = {}
# Ops whose forward result must be equal bit for bit: they move, compare or count, and round nothing.
EXACT = set()

DTYPES = {
    "float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16,
    "int64": torch.int64, "int32": torch.int32, "int16": torch.int16, "int8": torch.int8, "uint8": torch.uint8,
    "bool": torch.bool,
}
DTYPE_NAMES = {v: k for k, v in DTYPES.items()}


def op(name, exact=False):
    def register(function):
        assert name not in OPS, name
        OPS[name] = function
        if exact:
            EXACT.add(name)
        return function
    return register


def number(value):
    """JSON has no infinities: they are the strings "inf", "-inf" and "nan"."""
    return float(value) if isinstance(value, str) else value


# ---- elementwise, one operand: args {} -----------------------------------------------------------------------------

UNARY = {
    "neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "square": torch.square, "exp": torch.exp,
    "exp2": torch.exp2, "expm1": torch.expm1, "log": torch.log, "log2": torch.log2, "log10": torch.log10,
    "log1p": torch.log1p, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "reciprocal": torch.reciprocal, "sin": torch.sin,
    "cos": torch.cos, "tan": torch.tan, "asin": torch.asin, "acos": torch.acos, "atan": torch.atan, "sinh": torch.sinh,
    "cosh": torch.cosh, "tanh": torch.tanh, "asinh": torch.asinh, "acosh": torch.acosh, "atanh": torch.atanh,
    "erf": torch.erf, "erfc": torch.erfc, "erfinv": torch.erfinv, "sigmoid": torch.sigmoid, "logSigmoid": F.logsigmoid,
    "relu": torch.relu, "silu": F.silu, "gelu": F.gelu, "geluTanh": lambda x: F.gelu(x, approximate="tanh"),
    "floor": torch.floor, "ceil": torch.ceil, "round": torch.round, "trunc": torch.trunc, "frac": torch.frac,
    "isNaN": torch.isnan, "isInf": torch.isinf, "isFinite": torch.isfinite, "logicalNot": torch.logical_not,
    "bitwiseNot": torch.bitwise_not,
    # Without a linear branch past a threshold: PyTorch's own softplus cuts at 20, which costs 2e-9 relative there.
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
}
UNARY_EXACT = {"neg", "abs", "sign", "floor", "ceil", "round", "trunc", "isNaN", "isInf", "isFinite", "logicalNot",
               "bitwiseNot", "relu"}
for _name, _function in UNARY.items():
    op(_name, _name in UNARY_EXACT)(lambda inputs, args, f=_function: f(inputs[0]))


@op("leakyRelu")
def _(inputs, args):
    """x > 0 ? x : slope * x. args: slope."""
    return F.leaky_relu(inputs[0], args["slope"])


@op("elu")
def _(inputs, args):
    """x > 0 ? x : alpha * (exp(x) - 1). args: alpha."""
    return F.elu(inputs[0], args["alpha"])


@op("clamp")
def _(inputs, args):
    """Limits to [min, max]; either may be null. The gradient passes where min < x < max, not at the ends."""
    return torch.clamp(inputs[0], args["min"], args["max"])


@op("cast", exact=True)
def _(inputs, args):
    """Conversion to args.dtype: to a narrower float round to nearest even, float to integer truncates, integer to a
    narrower integer wraps, to bool is != 0."""
    return inputs[0].to(DTYPES[args["dtype"]])


# ---- elementwise, two operands with broadcasting and promotion ------------------------------------------------------
# args {} with two inputs; or one input and {"scalar": number, "scalarOnLeft": bool}.

BINARY = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.true_divide, "floorDivide": torch.floor_divide,
    "remainder": torch.remainder, "fmod": torch.fmod, "pow": torch.pow, "maximum": torch.maximum,
    "minimum": torch.minimum, "atan2": torch.atan2, "hypot": torch.hypot,
    "equal": torch.eq, "notEqual": torch.ne, "less": torch.lt, "lessEqual": torch.le, "greater": torch.gt,
    "greaterEqual": torch.ge,
    "logicalAnd": torch.logical_and, "logicalOr": torch.logical_or, "logicalXor": torch.logical_xor,
    "bitwiseAnd": torch.bitwise_and, "bitwiseOr": torch.bitwise_or, "bitwiseXor": torch.bitwise_xor,
    "shiftLeft": torch.bitwise_left_shift, "shiftRight": torch.bitwise_right_shift,
}
BINARY_EXACT = {"maximum", "minimum", "equal", "notEqual", "less", "lessEqual", "greater", "greaterEqual", "logicalAnd",
                "logicalOr", "logicalXor", "bitwiseAnd", "bitwiseOr", "bitwiseXor", "shiftLeft", "shiftRight"}


def binary(function, inputs, args):
    if "scalar" not in args:
        return function(inputs[0], inputs[1])
    scalar = number(args["scalar"])
    # As a tensor it must not be rounded to float32, PyTorch's default.
    tensor = torch.tensor(scalar, dtype=torch.float64 if isinstance(scalar, float) else None)
    if args["scalarOnLeft"]:
        return function(tensor, inputs[0])
    needs_tensor = function in (torch.maximum, torch.minimum, torch.atan2, torch.hypot, torch.logical_and,
                                torch.logical_or)
    return function(inputs[0], tensor if needs_tensor else scalar)


for _name, _function in BINARY.items():
    op(_name, _name in BINARY_EXACT)(lambda inputs, args, f=_function: binary(f, inputs, args))


@op("where", exact=True)
def _(inputs, args):
    """inputs: condition (bool), a, b; all broadcast."""
    return torch.where(inputs[0], inputs[1], inputs[2])


@op("addcmul")
def _(inputs, args):
    """a + value * b * c."""
    return torch.addcmul(inputs[0], inputs[1], inputs[2], value=args["value"])


@op("addcdiv")
def _(inputs, args):
    """a + value * b / c."""
    return torch.addcdiv(inputs[0], inputs[1], inputs[2], value=args["value"])


@op("lerp")
def _(inputs, args):
    """a + weight * (b - a); the weight is args.weight, or a third input."""
    return torch.lerp(inputs[0], inputs[1], inputs[2] if len(inputs) == 3 else args["weight"])


# ---- reductions: args dim (null = all, integer, or list) and keepDim ------------------------------------------------

def dims_of(args, rank):
    dim = args.get("dim")
    if dim is None:
        return list(range(rank))
    return [dim] if isinstance(dim, int) else list(dim)


def reducer(function):
    return lambda inputs, args: function(inputs[0], dims_of(args, inputs[0].dim()), args.get("keepDim", False))


op("sum")(reducer(lambda x, d, k: torch.sum(x, d, keepdim=k)))
op("mean")(reducer(lambda x, d, k: torch.mean(x, d, keepdim=k)))
op("amax", exact=True)(reducer(lambda x, d, k: torch.amax(x, d, keepdim=k)))
op("amin", exact=True)(reducer(lambda x, d, k: torch.amin(x, d, keepdim=k)))
op("any", exact=True)(reducer(lambda x, d, k: torch.any(x, d, keepdim=k)))
op("all", exact=True)(reducer(lambda x, d, k: torch.all(x, d, keepdim=k)))
op("logSumExp")(reducer(lambda x, d, k: torch.logsumexp(x, d, keepdim=k)))


@op("prod")
def _(inputs, args):
    x, keep = inputs[0], args.get("keepDim", False)
    dims = sorted((d % x.dim() for d in dims_of(args, x.dim())), reverse=True)
    for d in dims:
        x = torch.prod(x, d, keepdim=keep)
    return x


@op("countNonzero", exact=True)
def _(inputs, args):
    """Number of elements that are not zero, int64. args: dim, keepDim."""
    return torch.sum(inputs[0] != 0, dims_of(args, inputs[0].dim()), keepdim=args.get("keepDim", False))


@op("var")
def _(inputs, args):
    """Sum of squared deviations / (n - correction). args: dim, keepDim, correction."""
    return torch.var(inputs[0], dims_of(args, inputs[0].dim()), correction=args["correction"], keepdim=args["keepDim"])


@op("std")
def _(inputs, args):
    """Square root of var. args: dim, keepDim, correction."""
    return torch.std(inputs[0], dims_of(args, inputs[0].dim()), correction=args["correction"], keepdim=args["keepDim"])


@op("norm")
def _(inputs, args):
    """Vector norm over dims. args: p (a number, or "inf"), dim, keepDim. The gradient at the zero vector is zero."""
    return torch.linalg.vector_norm(inputs[0], number(args["p"]), args.get("dim"), args["keepDim"])


def extreme(function):
    def evaluate(inputs, args):
        if args.get("dim") is None:
            return function(inputs[0])
        return tuple(function(inputs[0], args["dim"], keepdim=args["keepDim"]))
    evaluate.__doc__ = "dim null: the value alone. dim an integer: two outputs, values and int64 indices (the first's)."
    return evaluate


op("max", exact=True)(extreme(torch.max))
op("min", exact=True)(extreme(torch.min))
op("median", exact=True)(extreme(torch.median))  # of an even number: the lower of the two in the middle


@op("argmax", exact=True)
def _(inputs, args):
    """dim null: index into the flattened tensor."""
    return torch.argmax(inputs[0], args.get("dim"), keepdim=args["keepDim"])


@op("argmin", exact=True)
def _(inputs, args):
    return torch.argmin(inputs[0], args.get("dim"), keepdim=args["keepDim"])


op("cumsum")(lambda inputs, args: torch.cumsum(inputs[0], args["dim"]))
op("cumprod")(lambda inputs, args: torch.cumprod(inputs[0], args["dim"]))
op("logCumSumExp")(lambda inputs, args: torch.logcumsumexp(inputs[0], args["dim"]))
op("cummax", exact=True)(lambda inputs, args: torch.cummax(inputs[0], args["dim"]).values)
op("cummin", exact=True)(lambda inputs, args: torch.cummin(inputs[0], args["dim"]).values)


@op("sort", exact=True)
def _(inputs, args):
    """Stable. args: dim, descending. Outputs: values, int64 indices."""
    return tuple(torch.sort(inputs[0], dim=args["dim"], descending=args["descending"], stable=True))


@op("argsort", exact=True)
def _(inputs, args):
    """Stable. args: dim, descending."""
    return torch.argsort(inputs[0], dim=args["dim"], descending=args["descending"], stable=True)


@op("topk", exact=True)
def _(inputs, args):
    """In sorted order. args: k, dim, largest. Outputs: values, int64 indices."""
    return tuple(torch.topk(inputs[0], args["k"], dim=args["dim"], largest=args["largest"], sorted=True))


# ---- products -------------------------------------------------------------------------------------------------------

op("matmul")(lambda inputs, args: torch.matmul(inputs[0], inputs[1]))
op("einsum")(lambda inputs, args: torch.einsum(args["equation"], *inputs))
op("outer")(lambda inputs, args: torch.outer(inputs[0], inputs[1]))
op("dot")(lambda inputs, args: torch.dot(inputs[0], inputs[1]))
op("mm")(lambda inputs, args: torch.mm(inputs[0], inputs[1]))
op("bmm")(lambda inputs, args: torch.bmm(inputs[0], inputs[1]))


@op("linear")
def _(inputs, args):
    """x [..., in] times the transpose of weight [out, in], plus bias [out] if there is a third input."""
    return F.linear(*inputs)


# ---- shape and movement ---------------------------------------------------------------------------------------------

op("reshape", exact=True)(lambda inputs, args: torch.reshape(inputs[0], args["shape"]))
op("transpose", exact=True)(lambda inputs, args: torch.transpose(inputs[0], args["dim0"], args["dim1"]))
op("permute", exact=True)(lambda inputs, args: inputs[0].permute(args["dims"]))
op("expand", exact=True)(lambda inputs, args: inputs[0].expand(args["shape"]))
op("squeeze", exact=True)(
    lambda inputs, args: inputs[0].squeeze() if args["dim"] is None else inputs[0].squeeze(args["dim"]))
op("unsqueeze", exact=True)(lambda inputs, args: inputs[0].unsqueeze(args["dim"]))
op("flatten", exact=True)(lambda inputs, args: inputs[0].flatten(args["startDim"], args["endDim"]))
op("unflatten", exact=True)(lambda inputs, args: inputs[0].unflatten(args["dim"], args["sizes"]))
op("moveDim", exact=True)(lambda inputs, args: torch.movedim(inputs[0], args["source"], args["destination"]))
op("narrow", exact=True)(lambda inputs, args: torch.narrow(inputs[0], args["dim"], args["start"], args["length"]))
op("select", exact=True)(lambda inputs, args: torch.select(inputs[0], args["dim"], args["index"]))
op("unbind", exact=True)(lambda inputs, args: tuple(torch.unbind(inputs[0], args["dim"])))
op("cat", exact=True)(lambda inputs, args: torch.cat(inputs, args["dim"]))
op("stack", exact=True)(lambda inputs, args: torch.stack(inputs, args["dim"]))


@op("split", exact=True)
def _(inputs, args):
    """args: dim and size (an integer: pieces of that size, the last may be smaller; a list: the pieces' sizes)."""
    return tuple(torch.split(inputs[0], args["size"], args["dim"]))


@op("chunk", exact=True)
def _(inputs, args):
    """args: chunks, dim. Pieces of size ceil(n / chunks); there may be fewer of them than asked."""
    return tuple(torch.chunk(inputs[0], args["chunks"], args["dim"]))


@op("pad", exact=True)
def _(inputs, args):
    """args: padding [[before, after] for each dimension, first dimension first], mode ("constant", "reflect",
    "replicate", "circular"), value (constant only). The padding may be negative in constant mode: it crops."""
    flat = [n for pair in reversed(args["padding"]) for n in pair]
    if args["mode"] == "constant":
        return F.pad(inputs[0], flat, value=args["value"])
    x = inputs[0]
    for d, (before, after) in enumerate(args["padding"]):
        n = x.shape[d]
        index = torch.arange(-before, n + after)
        if args["mode"] == "replicate":
            index = index.clamp(0, n - 1)
        elif args["mode"] == "circular":
            index = index % n
        else:
            assert args["mode"] == "reflect" and before < n and after < n
            index = torch.where(index >= n, 2 * (n - 1) - index, index.abs())
        x = x.index_select(d, index)
    return x


op("flip", exact=True)(lambda inputs, args: torch.flip(inputs[0], args["dims"]))


@op("roll", exact=True)
def _(inputs, args):
    """args: shifts, dims (lists of one length), or dims null with one shift: rolls the flattened tensor."""
    return torch.roll(inputs[0], args["shifts"], args["dims"])


op("tile", exact=True)(lambda inputs, args: torch.tile(inputs[0], args["repeats"]))


@op("repeatInterleave", exact=True)
def _(inputs, args):
    """args: repeats (an integer or one for each position of dim), dim (null: of the flattened tensor)."""
    repeats = args["repeats"]
    return torch.repeat_interleave(
        inputs[0], repeats if isinstance(repeats, int) else torch.tensor(repeats), dim=args["dim"])


@op("unfold", exact=True)
def _(inputs, args):
    """Windows of `size` every `step` along dim; the window becomes the last dimension."""
    return inputs[0].unfold(args["dim"], args["size"], args["step"])


op("tril", exact=True)(lambda inputs, args: torch.tril(inputs[0], args["diagonal"]))
op("triu", exact=True)(lambda inputs, args: torch.triu(inputs[0], args["diagonal"]))


@op("diagonal", exact=True)
def _(inputs, args):
    """args: offset, dim1, dim2. The diagonal becomes the last dimension."""
    return torch.diagonal(inputs[0], args["offset"], args["dim1"], args["dim2"])


# ---- indexing -------------------------------------------------------------------------------------------------------
# args.index is a list of items, with Python's and NumPy's meaning:
#   {"int": i}  {"slice": [start, stop, step]} (null where left out, steps may be negative)  {"ellipsis": true}
#   {"newAxis": true}  {"tensor": k} (input number k: int64, or a bool mask)

def python_index(index, inputs):
    items = []
    for item in index:
        (kind, value), = item.items()
        items.append({"int": lambda: value, "slice": lambda: slice(*value), "ellipsis": lambda: Ellipsis,
                      "newAxis": lambda: None, "tensor": lambda: inputs[value]}[kind]())
    return tuple(items)


def without_negative_steps(x, index):
    """PyTorch refuses negative steps: each is a flip of its dimension and the mirrored slice with a positive step."""
    consumed = sum((i.dim() if i.dtype == torch.bool else 1) if torch.is_tensor(i) else int(i is not None)
                   for i in index if i is not Ellipsis)
    out, axis = [], 0
    for item in index:
        if item is Ellipsis:
            axis += x.dim() - consumed
        elif torch.is_tensor(item):
            axis += item.dim() if item.dtype == torch.bool else 1
        elif isinstance(item, slice) and item.step is not None and item.step < 0:
            n = x.shape[axis]
            start, stop, step = item.indices(n)
            x = torch.flip(x, [axis])
            item = slice(n - 1 - start, max(n - 1 - stop, n - 1 - start), -step)
            axis += 1
        elif item is not None:
            axis += 1
        out.append(item)
    return x, tuple(out)


@op("index", exact=True)
def _(inputs, args):
    """x[index] of input 0."""
    x, index = without_negative_steps(inputs[0], python_index(args["index"], inputs))
    return x[index].clone()


@op("indexAssign", exact=True)
def _(inputs, args):
    """A copy y of input 0 after y[index] = input 1 (broadcast); args.accumulate: y[index] += with repeats added up."""
    y = inputs[0].clone()
    index = python_index(args["index"], inputs)
    if args.get("accumulate"):
        return torch.index_put(y, index, inputs[1], accumulate=True)
    # The positions are found on an index tensor, so that negative steps work in assignments as well.
    positions = torch.arange(y.numel()).reshape(y.shape)
    positions, index = without_negative_steps(positions, index)
    positions = positions[index]
    flat = y.reshape(-1)
    source = inputs[1].expand(positions.shape)
    return torch.index_put(flat, (positions.reshape(-1),), source.reshape(-1)).reshape(y.shape)


@op("gather", exact=True)
def _(inputs, args):
    """inputs: x, index (int64, of the output's shape). args: dim."""
    return torch.gather(inputs[0], args["dim"], inputs[1])


@op("scatter", exact=True)
def _(inputs, args):
    """inputs: x, index, source. A copy of x with out[index] = source along dim."""
    return torch.scatter(inputs[0], args["dim"], inputs[1], inputs[2])


@op("scatterAdd")
def _(inputs, args):
    return torch.scatter_add(inputs[0], args["dim"], inputs[1], inputs[2])


@op("indexSelect", exact=True)
def _(inputs, args):
    return torch.index_select(inputs[0], args["dim"], inputs[1])


@op("indexAdd")
def _(inputs, args):
    """inputs: x, index [n], source. args: dim, alpha. x + alpha * source added at index along dim."""
    return torch.index_add(inputs[0], args["dim"], inputs[1], inputs[2], alpha=args["alpha"])


@op("indexCopy", exact=True)
def _(inputs, args):
    return torch.index_copy(inputs[0], args["dim"], inputs[1], inputs[2])


@op("maskedFill", exact=True)
def _(inputs, args):
    """inputs: x, mask (bool, broadcast to x). args: value."""
    return inputs[0].masked_fill(inputs[1], number(args["value"]))


@op("maskedSelect", exact=True)
def _(inputs, args):
    """inputs: x, mask (both broadcast). One-dimensional."""
    return torch.masked_select(inputs[0], inputs[1])


@op("oneHot", exact=True)
def _(inputs, args):
    """int64 [...] -> int64 [..., classes]."""
    return F.one_hot(inputs[0], args["classes"])


@op("take", exact=True)
def _(inputs, args):
    """Elements of the flattened input 0 at input 1."""
    return torch.take(inputs[0], inputs[1])


@op("nonzero", exact=True)
def _(inputs, args):
    """int64 [count, rank], row-major order."""
    return torch.nonzero(inputs[0])
