"""The cases of ops.safetensors: which op, on which shapes and values, with which arguments.

`CASES` is a list of dictionaries: name, op, args, make (a function of a `Draw` that returns the inputs, NumPy arrays),
grad (False: forward only; a list: the inputs with a gradient), second (False: no second derivative wanted).
"""

import numpy as np

CASES = []


class Draw:
    """Seeded input values of one case."""

    def __init__(self, rng):
        self.rng = rng

    def normal(self, *shape):
        return self.rng.standard_normal(shape)

    def uniform(self, low, high, *shape):
        return self.rng.uniform(low, high, shape)

    def away(self, *shape):
        """Values of both signs, none within 0.15 of zero: for ops with a kink there."""
        return self.rng.uniform(0.15, 2.0, shape) * self.rng.choice([-1.0, 1.0], shape)

    def distinct(self, *shape):
        """Values that differ by at least 0.05 from one another: for ops that compare."""
        n = int(np.prod(shape))
        return (self.rng.permutation(n) * 0.1 - n * 0.05 + self.rng.uniform(-0.02, 0.02, n)).reshape(shape)

    def integers(self, low, high, *shape, dtype=np.int64):
        return self.rng.integers(low, high, shape).astype(dtype)

    def mask(self, *shape):
        return self.rng.random(shape) < 0.5

    def probabilities(self, *shape):
        x = np.exp(self.rng.standard_normal(shape))
        return x / x.sum(-1, keepdims=True)


def case(op, suffix, make, args=None, grad=True, second=True):
    CASES.append(dict(name=f"{op}.{suffix}", op=op, args=args or {}, make=make, grad=grad, second=second))


def i64(*values):
    return np.array(values, dtype=np.int64)


# ---- elementwise, one operand ---------------------------------------------------------------------------------------

normal = lambda d: [d.normal(3, 5)]
between = lambda low, high: lambda d: [d.uniform(low, high, 3, 5)]
away = lambda d: [d.away(3, 5)]

SMOOTH = {
    "neg": normal, "square": normal, "exp": normal, "exp2": normal, "expm1": normal, "log": between(0.2, 4),
    "log2": between(0.2, 4), "log10": between(0.2, 4), "log1p": between(-0.8, 4), "sqrt": between(0.2, 4),
    "rsqrt": between(0.2, 4), "reciprocal": away, "sin": normal, "cos": normal, "tan": between(-1.3, 1.3),
    "asin": between(-0.9, 0.9), "acos": between(-0.9, 0.9), "atan": normal, "sinh": normal, "cosh": normal,
    "tanh": normal, "asinh": normal, "acosh": between(1.2, 4), "atanh": between(-0.9, 0.9), "erf": normal,
    "erfc": normal, "erfinv": between(-0.9, 0.9), "sigmoid": normal, "logSigmoid": normal, "softplus": normal,
    "silu": normal, "gelu": normal, "geluTanh": normal, "abs": away, "relu": away, "sign": away, "floor": away,
    "ceil": away, "trunc": away, "frac": away, "round": away,
}
for name, make in SMOOTH.items():
    case(name, "basic", make)

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-8, -1e-8, 30.0, -30.0, 1000.0, -1000.0,
                    np.inf, -np.inf, np.nan])
for name in [*SMOOTH, "isNaN", "isInf", "isFinite", "logicalNot"]:
    # Far from zero the argument reduction of single precision is another matter than that of double.
    keep = SPECIAL[np.abs(SPECIAL) < 999] if name in ("sin", "cos", "tan") else SPECIAL
    if name in ("silu", "gelu", "geluTanh", "sign"):  # PyTorch: 0 * inf in the first three, sign(nan) = 0; left open
        keep = SPECIAL[np.isfinite(SPECIAL)]
    case(name, "special", lambda d, x=keep: [x], grad=False)
TAILS = np.array([0.0, 1e-8, -1e-8, 5.0, -5.0, 12.0, -12.0, 25.0, -25.0, 50.0, -50.0, 800.0, -800.0])
for name in ["sigmoid", "logSigmoid", "softplus", "silu", "gelu", "geluTanh", "tanh", "erf", "erfc", "relu", "abs",
             "sign", "expm1", "asinh", "atan", "floor", "square"]:
    keep = TAILS[np.abs(TAILS) < 100] if name == "expm1" else TAILS
    case(name, "tails", lambda d, x=keep: [x], second=False)
case("tanh", "zeroDim", lambda d: [d.normal()])
case("exp", "empty", lambda d: [d.normal(0, 3)])
case("leakyRelu", "basic", away, {"slope": 0.1})
case("leakyRelu", "special", lambda d: [SPECIAL], {"slope": 0.01}, grad=False)
case("elu", "basic", away, {"alpha": 1.0})
case("elu", "alpha", away, {"alpha": 0.7})
case("elu", "tails", lambda d: [TAILS], {"alpha": 1.0}, second=False)
case("clamp", "both", lambda d: [d.distinct(4, 5)], {"min": -0.43, "max": 0.52})
case("clamp", "min", lambda d: [d.distinct(4, 5)], {"min": 0.11, "max": None})
case("clamp", "max", lambda d: [d.distinct(4, 5)], {"min": None, "max": -0.17})
case("clamp", "atEnds", lambda d: [np.array([-2.0, -1.0, 0.0, 1.0, 2.0])], {"min": -1.0, "max": 1.0}, second=False)
case("clamp", "special", lambda d: [SPECIAL], {"min": -2.0, "max": 20.0}, grad=False)
case("clamp", "int", lambda d: [d.integers(-9, 9, 12)], {"min": -3, "max": 4}, grad=False)

for dtype in ["int64", "int32", "int16", "int8"]:
    for name in ["neg", "abs", "sign", "square", "bitwiseNot"]:
        case(name, dtype, lambda d, t=dtype: [d.integers(-9, 10, 3, 4, dtype=t)], grad=False)
for name in ["bitwiseNot", "sign", "square", "neg"]:
    case(name, "uint8", lambda d: [d.integers(0, 16, 3, 4, dtype=np.uint8)], grad=False)
case("bitwiseNot", "bool", lambda d: [d.mask(3, 4)], grad=False)
case("logicalNot", "int", lambda d: [d.integers(-1, 2, 3, 4)], grad=False)
case("logicalNot", "bool", lambda d: [d.mask(3, 4)], grad=False)
case("exp", "int", lambda d: [d.integers(-3, 4, 6)], grad=False)  # float32: the default dtype
case("sqrt", "bool", lambda d: [d.mask(6)], grad=False)

halfway = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-9, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-12, 65504.0, 65519.0,
                    65520.0, 1e-8, 6e-8, 3e-8, 3.4e38, 3.3961e38, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1.0 / 3])
for dtype in ["float32", "bfloat16", "float16"]:
    case("cast", f"float64To_{dtype}", lambda d: [halfway], {"dtype": dtype}, grad=False)
    case("cast", f"float32To_{dtype}", lambda d: [halfway.astype(np.float32)], {"dtype": dtype}, grad=False)
    case("cast", f"int64To_{dtype}", lambda d: [i64(0, 1, -1, 257, 259, 2049, 2051, 16777217, 16777219, -70000)],
         {"dtype": dtype}, grad=False)
for dtype in ["int64", "int32", "int16", "int8"]:
    case("cast", f"float64To_{dtype}", lambda d: [np.array([0.0, 0.9, -0.9, 1.5, -1.5, 2.5, 126.99, -127.5])],
         {"dtype": dtype}, grad=False)
    case("cast", f"int64To_{dtype}",
         lambda d: [i64(0, 1, -1, 127, 128, -129, 255, 256, 65535, 65536, 2**31, 2**40 + 3)],
         {"dtype": dtype}, grad=False)
case("cast", "float64To_uint8", lambda d: [np.array([0.0, 0.9, 1.5, 2.5, 254.99])], {"dtype": "uint8"}, grad=False)
case("cast", "int64To_uint8", lambda d: [i64(0, 1, -1, 127, 128, 255, 256, 257)], {"dtype": "uint8"}, grad=False)
case("cast", "float64To_bool", lambda d: [np.array([0.0, -0.0, 1e-300, -2.0, np.nan, np.inf])], {"dtype": "bool"},
     grad=False)
case("cast", "boolTo_float64", lambda d: [d.mask(6)], {"dtype": "float64"}, grad=False)
case("cast", "boolTo_int8", lambda d: [d.mask(6)], {"dtype": "int8"}, grad=False)

# ---- elementwise, two operands ---------------------------------------------------------------------------------------

BROADCASTS = {"same": [(3, 4), (3, 4)], "row": [(3, 4), (4,)], "both": [(2, 1, 3), (4, 1)], "zeroDim": [(), (2, 3)],
              "empty": [(0, 3), (3,)]}
PAIRS = {
    "add": lambda d, a, b: [d.normal(*a), d.normal(*b)], "sub": lambda d, a, b: [d.normal(*a), d.normal(*b)],
    "mul": lambda d, a, b: [d.normal(*a), d.normal(*b)], "div": lambda d, a, b: [d.normal(*a), d.away(*b)],
    "pow": lambda d, a, b: [d.uniform(0.3, 2.5, *a), d.normal(*b)],
    "atan2": lambda d, a, b: [d.away(*a), d.away(*b)], "hypot": lambda d, a, b: [d.away(*a), d.away(*b)],
    "maximum": lambda d, a, b: [d.distinct(*a), d.distinct(*b) + 0.025],
    "minimum": lambda d, a, b: [d.distinct(*a), d.distinct(*b) + 0.025],
}
for name, make in PAIRS.items():
    for shape, (a, b) in BROADCASTS.items():
        if shape != "empty" or name in ("add", "mul"):
            case(name, shape, lambda d, m=make, a=a, b=b: m(d, a, b))
for name in ["remainder", "fmod", "floorDivide"]:
    for shape in ["same", "row", "both"]:
        a, b = BROADCASTS[shape]
        case(name, shape, lambda d, a=a, b=b: [3 * d.away(*a), d.away(*b)], grad=name != "floorDivide")
for name in ["add", "sub", "mul", "div", "pow", "maximum", "minimum", "remainder", "fmod"]:
    case(name, "scalarRight", lambda d: [d.uniform(0.3, 2.5, 3, 4)], {"scalar": 1.7, "scalarOnLeft": False})
    if name not in ("remainder", "fmod"):
        case(name, "scalarLeft", lambda d: [d.uniform(0.3, 2.5, 3, 4)], {"scalar": 1.7, "scalarOnLeft": True})
for exponent in [2, 3, -1, 0.5, -0.5, 0, 1]:
    case("pow", f"to_{exponent}".replace("-", "minus").replace(".", "p"), lambda d: [d.uniform(0.3, 2.5, 3, 4)],
         {"scalar": exponent, "scalarOnLeft": False})
case("pow", "negativeBase", lambda d: [d.away(3, 4)], {"scalar": 3, "scalarOnLeft": False})
case("pow", "squareAtZero", lambda d: [np.array([0.0, -1.0, 2.0])], {"scalar": 2, "scalarOnLeft": False}, second=False)
case("maximum", "ties", lambda d: [np.array([1.0, 2.0, 3.0]), np.array([1.0, 5.0, 3.0])], second=False)
case("minimum", "ties", lambda d: [np.array([1.0, 2.0, 3.0]), np.array([1.0, 5.0, 3.0])], second=False)
edge = np.array([0.0, -0.0, 1.0, -1.0, 2.0, -2.5, 7.0, np.inf, -np.inf, np.nan])
for name in ["add", "mul", "div", "pow", "maximum", "minimum", "atan2", "hypot", "remainder", "fmod", "floorDivide",
             "equal", "notEqual", "less", "lessEqual", "greater", "greaterEqual", "logicalAnd", "logicalOr",
             "logicalXor"]:
    case(name, "special", lambda d: [edge[:, None], edge], grad=False)
for name in ["equal", "notEqual", "less", "lessEqual", "greater", "greaterEqual"]:
    case(name, "int", lambda d: [d.integers(-2, 3, 4, 5), d.integers(-2, 3, 5)], grad=False)
    case(name, "uint8", lambda d: [d.integers(0, 256, 4, 5, dtype=np.uint8), d.integers(0, 256, 5, dtype=np.uint8)],
         grad=False)
    case(name, "scalar", lambda d: [d.integers(-2, 3, 4, 5)], {"scalar": 0.5, "scalarOnLeft": False}, grad=False)
for name in ["logicalAnd", "logicalOr", "logicalXor", "bitwiseAnd", "bitwiseOr", "bitwiseXor"]:
    case(name, "bool", lambda d: [d.mask(3, 4), d.mask(4)], grad=False)
for dtype, low, high in [("int64", -40, 40), ("int32", -40, 40), ("int16", -40, 40), ("int8", -40, 40),
("uint8", 0, 40)]:
    def pair(d, t=dtype, low=low, high=high):
        b = d.integers(1, 8, 5, dtype=t)
        return [d.integers(low, high, 4, 5, dtype=t), np.where(d.mask(5) & (low < 0), -b, b).astype(t)]
    for name in ["add", "sub", "mul", "floorDivide", "remainder", "fmod", "maximum", "minimum", "bitwiseAnd",
                 "bitwiseOr", "bitwiseXor"]:
        case(name, dtype, pair, grad=False)
    shift = lambda d, t=dtype, low=low, high=high: [d.integers(low, high, 4, 5, dtype=t), d.integers(0, 6, 5, dtype=t)]
    case("shiftLeft", dtype, shift, grad=False)
    case("shiftRight", dtype, shift, grad=False)
case("pow", "int64", lambda d: [d.integers(-4, 5, 4, 5), d.integers(0, 5, 5)], grad=False)
case("pow", "int32", lambda d: [d.integers(-4, 5, 4, 5, dtype=np.int32), d.integers(0, 5, 5, dtype=np.int32)],
     grad=False)
case("add", "int32Wraps", lambda d: [np.array([2**31 - 1, -2**31], np.int32), np.array([1, -1], np.int32)], grad=False)
case("mul", "int64Wraps", lambda d: [i64(2**62, -2**62, 3), i64(4, 3, 5)], grad=False)
case("add", "uint8Wraps", lambda d: [np.array([255, 200, 3], np.uint8), np.array([1, 100, 4], np.uint8)], grad=False)
case("div", "int", lambda d: [d.integers(-9, 10, 4, 5), d.integers(1, 7, 5)], grad=False)  # float32
case("add", "int64WithFloat32", lambda d: [d.integers(-9, 9, 3, 4), d.normal(4).astype(np.float32)], grad=False)
case("mul", "boolWithInt8", lambda d: [d.mask(3, 4), d.integers(-9, 9, 4, dtype=np.int8)], grad=False)
case("add", "uint8WithInt8", lambda d: [d.integers(0, 255, 3, 4, dtype=np.uint8), d.integers(-9, 9, 4, dtype=np.int8)],
     grad=False)
case("add", "intWithDoubleScalar", lambda d: [d.integers(-9, 9, 3)], {"scalar": 0.5, "scalarOnLeft": False}, grad=False)
case("add", "float32WithFloat64", lambda d: [d.normal(3, 4).astype(np.float32), d.normal(4)], grad=False)
case("where", "broadcast", lambda d: [d.mask(3, 4), d.normal(4), d.normal(3, 1)])
case("where", "zeroDim", lambda d: [d.mask(2, 3), d.normal(), d.normal(2, 3)])
case("addcmul", "basic", lambda d: [d.normal(3, 4), d.normal(4), d.normal(3, 1)], {"value": 0.7})
case("addcdiv", "basic", lambda d: [d.normal(3, 4), d.normal(4), d.away(3, 1)], {"value": -0.7})
case("lerp", "number", lambda d: [d.normal(3, 4), d.normal(3, 4)], {"weight": 0.3})
case("lerp", "tensor", lambda d: [d.normal(3, 4), d.normal(4), d.uniform(0, 1, 3, 1)])

# ---- reductions ------------------------------------------------------------------------------------------------------

REDUCED = {"all": (None, False), "allKept": (None, True), "last": (-1, False), "firstKept": (0, True),
           "two": ([0, 2], False), "twoKept": ([1, -1], True)}
for name in ["sum", "mean", "amax", "amin", "logSumExp", "prod"]:
    for suffix, (dim, keep) in REDUCED.items():
        make = (lambda d: [d.distinct(2, 3, 4) * 0.5]) if name in ("amax", "amin") else \
               (lambda d: [d.away(2, 3, 4)]) if name == "prod" else (lambda d: [d.normal(2, 3, 4)])
        case(name, suffix, make, {"dim": dim, "keepDim": keep})
for name in ["any", "all"]:
    for suffix, (dim, keep) in REDUCED.items():
        case(name, suffix, lambda d: [d.mask(2, 3, 4)], {"dim": dim, "keepDim": keep}, grad=False)
for name in ["var", "std"]:
    for suffix, (dim, keep) in REDUCED.items():
        for correction in (0, 1):
            case(name, f"{suffix}.correction{correction}", lambda d: [d.normal(2, 3, 4)],
                 {"dim": dim, "keepDim": keep, "correction": correction})
for p in [1, 2, 3.5, "inf", 0]:
    for suffix, (dim, keep) in REDUCED.items():
        case("norm", f"{suffix}.p{p}".replace("3.5", "3p5"), lambda d: [d.distinct(2, 3, 4) + 0.025],
             {"p": p, "dim": dim, "keepDim": keep}, grad=p != 0)
case("norm", "zeroVector", lambda d: [np.array([[0.0, 0.0], [3.0, 4.0]])],
     {"p": 2, "dim": -1, "keepDim": False}, second=False)
case("sum", "noDims", lambda d: [d.normal(2, 3)], {"dim": [0, 1], "keepDim": False})
case("sum", "zeroDim", lambda d: [d.normal()], {"dim": None, "keepDim": False})
case("sum", "ofNothing", lambda d: [d.normal(0, 3)], {"dim": 0, "keepDim": False})
case("prod", "ofNothing", lambda d: [d.normal(0, 3)], {"dim": 0, "keepDim": False}, second=False)
case("prod", "oneZero", lambda d: [np.array([[2.0, 0.0, 3.0], [1.5, -2.0, 4.0]])], {"dim": 1, "keepDim": False})
case("prod", "twoZeros", lambda d: [np.array([[2.0, 0.0, 0.0], [0.0, -2.0, 4.0]])], {"dim": 1, "keepDim": False})
case("sum", "large", lambda d: [np.array([1e16, 2.0, -1e16, 4096.0])], {"dim": None, "keepDim": False}, grad=False)
case("logSumExp", "huge", lambda d: [np.array([[1000.0, 1001.0], [-1000.0, -1001.0]])], {"dim": 1, "keepDim": False})
case("logSumExp", "allMinusInfinity", lambda d: [np.array([[-np.inf, -np.inf], [0.0, -np.inf]])],
     {"dim": 1, "keepDim": False}, grad=False)
case("amax", "ties", lambda d: [np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])], {"dim": 1, "keepDim": False},
     second=False)
for name in ["amax", "amin", "sum", "mean"]:
    case(name, "nan", lambda d: [np.array([[1.0, np.nan, 3.0], [2.0, 1.0, np.inf]])],
         {"dim": 1, "keepDim": False}, grad=False)
for dtype in ["int64", "int32", "uint8"]:
    for name in ["sum", "prod", "amax", "amin"]:
        case(name, dtype, lambda d, t=dtype: [d.integers(1, 6, 3, 4, dtype=t)], {"dim": 1, "keepDim": False},
             grad=False)
case("sum", "bool", lambda d: [d.mask(3, 4)], {"dim": 0, "keepDim": False}, grad=False)
case("any", "int", lambda d: [d.integers(0, 2, 3, 3)], {"dim": 1, "keepDim": False}, grad=False)
case("all", "float", lambda d: [np.array([[1.0, 0.0], [np.nan, 2.0]])], {"dim": 1, "keepDim": False}, grad=False)
case("countNonzero", "all", lambda d: [d.integers(0, 3, 3, 4)], {"dim": None, "keepDim": False}, grad=False)
case("countNonzero", "one", lambda d: [np.maximum(d.normal(3, 4), 0)], {"dim": 1, "keepDim": False}, grad=False)
for name in ["max", "min", "median"]:
    case(name, "all", lambda d: [d.distinct(3, 5)], {"dim": None})
    case(name, "even", lambda d: [d.distinct(3, 4)], {"dim": 1, "keepDim": False})
    case(name, "last", lambda d: [d.distinct(2, 3, 5)], {"dim": -1, "keepDim": False})
    case(name, "firstKept", lambda d: [d.distinct(5, 3, 2)], {"dim": 0, "keepDim": True})
    case(name, "int", lambda d: [d.rng.permutation(15).reshape(3, 5)], {"dim": 1, "keepDim": False}, grad=False)
case("max", "nan", lambda d: [np.array([[1.0, np.nan, 3.0], [2.0, 1.0, np.inf]])], {"dim": 1, "keepDim": False},
     grad=False)
case("max", "firstOfTies", lambda d: [i64(3, 7, 7, 1, 7).reshape(1, 5)], {"dim": 1, "keepDim": False}, grad=False)
for name in ["argmax", "argmin"]:
    for suffix, dim, keep in [("all", None, False), ("last", -1, False), ("middle", 1, False), ("firstKept", 0, True)]:
        case(name, suffix, lambda d: [d.distinct(2, 3, 4)], {"dim": dim, "keepDim": keep}, grad=False)
    case(name, "firstOfTies", lambda d: [i64(3, 7, 1, 7, 1)], {"dim": 0, "keepDim": False}, grad=False)
    case(name, "nan", lambda d: [np.array([1.0, np.nan, 3.0])], {"dim": 0, "keepDim": False}, grad=False)
for name in ["cumsum", "cumprod", "logCumSumExp", "cummax", "cummin"]:
    for dim in (0, 1, -1):
        make = (lambda d: [d.away(2, 4, 3)]) if name == "cumprod" else (lambda d: [d.distinct(2, 4, 3)])
        case(name, f"dim{dim}".replace("-", "Minus"), make, {"dim": dim})
case("cumprod", "zero", lambda d: [np.array([2.0, 3.0, 0.0, 4.0, 0.5])], {"dim": 0}, second=False)
case("cumsum", "int32", lambda d: [d.integers(-5, 6, 3, 4, dtype=np.int32)], {"dim": 1}, grad=False)
case("cumsum", "bool", lambda d: [d.mask(3, 4)], {"dim": 1}, grad=False)

for suffix, dim, descending in [("last", -1, False), ("firstDescending", 0, True), ("middle", 1, False)]:
    for name in ["sort", "argsort"]:
        case(name, suffix, lambda d: [d.distinct(3, 4, 5)], {"dim": dim, "descending": descending}, grad=name == "sort")
for descending in (False, True):
    suffix = "Descending" if descending else ""
    case("sort", "stable" + suffix, lambda d: [d.integers(0, 4, 3, 9)], {"dim": 1, "descending": descending},
         grad=False)
    case("argsort", "stable" + suffix, lambda d: [d.integers(0, 4, 3, 9)], {"dim": 1, "descending": descending},
         grad=False)
    case("sort", "special" + suffix, lambda d: [np.array([1.0, np.nan, -np.inf, 0.0, np.inf, -1.0, np.nan])],
         {"dim": 0, "descending": descending}, grad=False)
case("sort", "int16", lambda d: [d.rng.permutation(40).astype(np.int16).reshape(4, 10)],
     {"dim": 1, "descending": False}, grad=False)
for suffix, k, dim, largest in [("largest", 2, -1, True), ("smallest", 3, 1, False), ("all", 4, 1, True)]:
    case("topk", suffix, lambda d: [d.distinct(3, 4, 5)], {"k": k, "dim": dim, "largest": largest})
case("topk", "int", lambda d: [d.rng.permutation(12)], {"k": 5, "dim": 0, "largest": True}, grad=False)

# ---- products --------------------------------------------------------------------------------------------------------

for a, b in [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((2, 2, 3), (3, 4)), ((2, 3), (2, 3, 4)),
             ((2, 2, 3), (2, 3, 4)), ((2, 2, 3), (3,)), ((3,), (2, 3, 4)), ((2, 1, 2, 3), (4, 3, 2)),
             ((1, 2, 3), (5, 3, 2)),
             ((2, 3, 2, 3), (2, 3, 3, 4)), ((2, 0), (0, 3)), ((0, 2), (2, 3)), ((1, 1), (1, 1)), ((7, 17), (17, 9))]:
    name = "By".join("x".join(map(str, s)) for s in (a, b))
    case("matmul", name, lambda d, a=a, b=b: [d.normal(*a), d.normal(*b)])
case("matmul", "int64", lambda d: [d.integers(-5, 6, 3, 4), d.integers(-5, 6, 4, 2)], grad=False)
case("outer", "basic", lambda d: [d.normal(3), d.normal(4)])
case("dot", "basic", lambda d: [d.normal(5), d.normal(5)])
case("dot", "empty", lambda d: [d.normal(0), d.normal(0)])
case("dot", "int64", lambda d: [d.integers(-5, 6, 7), d.integers(-5, 6, 7)], grad=False)
case("mm", "basic", lambda d: [d.normal(3, 4), d.normal(4, 2)])
case("mm", "emptyInner", lambda d: [d.normal(3, 0), d.normal(0, 2)])
case("bmm", "basic", lambda d: [d.normal(2, 3, 4), d.normal(2, 4, 2)])
case("bmm", "emptyBatch", lambda d: [d.normal(0, 3, 4), d.normal(0, 4, 2)])
case("linear", "basic", lambda d: [d.normal(2, 3, 4), d.normal(5, 4), d.normal(5)])
case("linear", "withoutBias", lambda d: [d.normal(3, 4), d.normal(5, 4)])
case("linear", "vector", lambda d: [d.normal(4), d.normal(5, 4), d.normal(5)])
EINSUMS = [("ij,jk->ik", (2, 3), (3, 4)), ("bij,bjk->bik", (2, 2, 3), (2, 3, 4)), ("ij->ji", (2, 3)), ("ii->i", (3, 3)),
           ("ii->", (3, 3)), ("ii", (3, 3)), ("i,j->ij", (3,), (4,)), ("ij,ij->", (2, 3), (2, 3)),
           ("bthd,bshd->bhts", (2, 3, 2, 4), (2, 5, 2, 4)), ("bhts,bshd->bthd", (2, 2, 3, 5), (2, 5, 2, 4)),
           ("ijk->k", (2, 3, 4)), ("ij,kj", (2, 3), (4, 3)), ("...ij,...jk->...ik", (2, 1, 2, 3), (4, 3, 2)),
           ("...d,de->...e", (2, 3, 4), (4, 5)), ("i,i->", (4,), (4,)), ("i,i->i", (4,), (4,)),
           ("abc,cd,de->abe", (2, 3, 2), (2, 3), (3, 2)), ("ijj->i", (2, 3, 3)), ("bii->bi", (2, 3, 3)),
           ("ij,j->i", (2, 3), (3,)), ("ab,cd->dbca", (2, 3), (2, 2)), ("ij,ij,ij->j", (2, 3), (2, 3), (2, 3)),
           ("btd,btd->bt", (2, 3, 4), (2, 3, 4)), ("ij,k->", (2, 3), (4,)), ("bhd,bd->bh", (2, 3, 4), (2, 4)),
           ("bij, bkj -> bik", (2, 3, 4), (2, 5, 4)), ("...->...", (2, 3)), ("b...,b...->...", (2, 3, 4), (2, 3, 4))]
for equation, *shapes in EINSUMS:
    name = equation.replace(" ", "_").replace(",", "_").replace("->", "To").replace("...", "Dots")
    case("einsum", name, lambda d, s=shapes: [d.normal(*x) for x in s], {"equation": equation})

# ---- shape and movement ----------------------------------------------------------------------------------------------

x234 = lambda d: [d.normal(2, 3, 4)]
for op, suffix, make, args in [
    ("reshape", "basic", x234, {"shape": [4, 6]}), ("reshape", "inferred", x234, {"shape": [2, -1, 2]}),
    ("reshape", "flat", x234, {"shape": [-1]}), ("reshape", "toZeroDim", lambda d: [d.normal(1, 1)], {"shape": []}),
    ("reshape", "empty", lambda d: [d.normal(0, 3)], {"shape": [3, 0, 2]}),
    ("transpose", "inner", x234, {"dim0": -1, "dim1": -2}), ("transpose", "outer", x234, {"dim0": 0, "dim1": 2}),
    ("permute", "basic", x234, {"dims": [2, 0, 1]}), ("permute", "negative", x234, {"dims": [-1, 0, -2]}),
    ("expand", "basic", lambda d: [d.normal(3, 1)], {"shape": [2, 3, 4]}),
    ("expand", "keep", lambda d: [d.normal(3, 1)], {"shape": [2, -1, 4]}),
    ("expand", "zeroDim", lambda d: [d.normal()], {"shape": [2, 3]}),
    ("squeeze", "all", lambda d: [d.normal(1, 3, 1, 2)], {"dim": None}),
    ("squeeze", "one", lambda d: [d.normal(1, 3, 1, 2)], {"dim": 2}),
    ("squeeze", "notOne", lambda d: [d.normal(1, 3, 1, 2)], {"dim": 1}),
    ("unsqueeze", "first", x234, {"dim": 0}), ("unsqueeze", "last", x234, {"dim": -1}),
    ("unsqueeze", "middle", x234, {"dim": 2}),
    ("flatten", "all", x234, {"startDim": 0, "endDim": -1}), ("flatten", "tail", x234, {"startDim": 1, "endDim": -1}),
    ("flatten", "head", x234, {"startDim": 0, "endDim": 1}),
    ("unflatten", "basic", lambda d: [d.normal(2, 6)], {"dim": 1, "sizes": [3, 2]}),
    ("unflatten", "inferred", lambda d: [d.normal(12, 2)], {"dim": -2, "sizes": [2, -1, 3]}),
    ("moveDim", "forward", x234, {"source": 0, "destination": 2}),
    ("moveDim", "back", x234, {"source": -1, "destination": 0}),
    ("narrow", "middle", x234, {"dim": 2, "start": 1, "length": 2}),
    ("narrow", "fromEnd", x234, {"dim": -2, "start": -2, "length": 2}),
    ("narrow", "nothing", x234, {"dim": 0, "start": 2, "length": 0}),
    ("select", "first", x234, {"dim": 0, "index": 1}), ("select", "fromEnd", x234, {"dim": -1, "index": -2}),
    ("unbind", "first", x234, {"dim": 0}), ("unbind", "last", x234, {"dim": -1}),
    ("unbind", "vector", lambda d: [d.normal(3)], {"dim": 0}),
    ("cat", "first", lambda d: [d.normal(2, 3), d.normal(1, 3), d.normal(4, 3)], {"dim": 0}),
    ("cat", "last", lambda d: [d.normal(2, 3), d.normal(2, 0), d.normal(2, 2)], {"dim": -1}),
    ("stack", "first", lambda d: [d.normal(2, 3), d.normal(2, 3)], {"dim": 0}),
    ("stack", "last", lambda d: [d.normal(2, 3), d.normal(2, 3), d.normal(2, 3)], {"dim": -1}),
    ("stack", "middle", lambda d: [d.normal(2, 3), d.normal(2, 3)], {"dim": 1}),
    ("split", "size", lambda d: [d.normal(7, 2)], {"size": 3, "dim": 0}),
    ("split", "sizes", lambda d: [d.normal(2, 7)], {"size": [1, 4, 2], "dim": -1}),
    ("chunk", "even", lambda d: [d.normal(2, 6)], {"chunks": 3, "dim": 1}),
    ("chunk", "uneven", lambda d: [d.normal(7, 2)], {"chunks": 4, "dim": 0}),
    ("chunk", "fewer", lambda d: [d.normal(5, 2)], {"chunks": 4, "dim": 0}),
    ("pad", "constant", lambda d: [d.normal(2, 3)], {"padding": [[1, 0], [2, 1]], "mode": "constant", "value": 1.5}),
    ("pad", "crop", lambda d: [d.normal(4, 5)], {"padding": [[-1, 1], [0, -2]], "mode": "constant", "value": 0.0}),
    ("pad", "reflect", lambda d: [d.normal(2, 4)], {"padding": [[0, 0], [2, 3]], "mode": "reflect"}),
    ("pad", "replicate", lambda d: [d.normal(2, 4)], {"padding": [[1, 0], [2, 3]], "mode": "replicate"}),
    ("pad", "circular", lambda d: [d.normal(2, 4)], {"padding": [[0, 0], [2, 3]], "mode": "circular"}),
    ("flip", "one", x234, {"dims": [1]}), ("flip", "two", x234, {"dims": [0, -1]}),
    ("roll", "one", x234, {"shifts": [1], "dims": [2]}), ("roll", "two", x234, {"shifts": [-1, 5], "dims": [1, 0]}),
    ("roll", "flat", x234, {"shifts": [5], "dims": None}),
    ("tile", "basic", lambda d: [d.normal(2, 3)], {"repeats": [2, 2]}),
    ("tile", "moreDims", lambda d: [d.normal(2, 3)], {"repeats": [2, 1, 3]}),
    ("tile", "fewerDims", x234, {"repeats": [2]}),
    ("repeatInterleave", "number", lambda d: [d.normal(2, 3)], {"repeats": 2, "dim": 1}),
    ("repeatInterleave", "each", lambda d: [d.normal(3, 2)], {"repeats": [2, 0, 3], "dim": 0}),
    ("repeatInterleave", "flat", lambda d: [d.normal(2, 3)], {"repeats": 2, "dim": None}),
    ("unfold", "overlap", lambda d: [d.normal(2, 7)], {"dim": 1, "size": 3, "step": 2}),
    ("unfold", "first", lambda d: [d.normal(6, 2)], {"dim": 0, "size": 2, "step": 2}),
    ("tril", "basic", lambda d: [d.normal(3, 4)], {"diagonal": 0}),
    ("tril", "above", lambda d: [d.normal(2, 4, 3)], {"diagonal": 1}),
    ("triu", "basic", lambda d: [d.normal(3, 4)], {"diagonal": 0}),
    ("triu", "below", lambda d: [d.normal(2, 4, 3)], {"diagonal": -2}),
    ("diagonal", "basic", lambda d: [d.normal(3, 4)], {"offset": 0, "dim1": 0, "dim2": 1}),
    ("diagonal", "batch", lambda d: [d.normal(2, 3, 4)], {"offset": 1, "dim1": -2, "dim2": -1}),
    ("diagonal", "below", lambda d: [d.normal(3, 4, 2)], {"offset": -1, "dim1": 0, "dim2": 2}),
]:
    case(op, suffix, make, args)
case("cat", "promotes", lambda d: [d.integers(0, 9, 2, 3), d.normal(1, 3).astype(np.float32)], {"dim": 0}, grad=False)
case("tril", "bool", lambda d: [np.ones((3, 3), bool)], {"diagonal": 0}, grad=False)
case("flip", "int8", lambda d: [d.integers(-9, 9, 3, 4, dtype=np.int8)], {"dims": [1]}, grad=False)

# ---- indexing --------------------------------------------------------------------------------------------------------

integer = lambda i: {"int": i}
span = lambda *s: {"slice": list(s)}
tensor = lambda k: {"tensor": k}
dots, new, everything = {"ellipsis": True}, {"newAxis": True}, {"slice": [None, None, None]}

for suffix, index, *tensors in [
    ("int", [integer(1)]), ("intNegative", [integer(-1), integer(2)]),
    ("element", [integer(1), integer(0), integer(3)]),
    ("range", [span(1, 3, None)]), ("steps", [span(None, None, 2), span(1, None, 2), span(0, 5, 3)]),
    ("negativeStep", [everything, span(None, None, -1)]),
    ("negativeStepBounds", [everything, everything, span(4, 0, -2)]),
    ("negativeStepFromEnd", [span(-1, -4, -2), everything, span(-2, None, -1)]),
    ("negativeBounds", [span(-2, None, None), span(None, -1, None)]),
    ("beyondTheEnd", [span(1, 100, None), span(-100, 2, None)]),
    ("emptyRange", [span(2, 2, None)]), ("ellipsis", [dots, integer(1)]),
    ("ellipsisMiddle", [integer(0), dots, span(1, 3, None)]),
    ("newAxis", [new, dots, new]), ("newAxisMiddle", [everything, new, integer(1)]),
    ("integers", [tensor(1)], i64(2, 0, 2)), ("integersNegative", [tensor(1)], i64(-1, 0, -3)),
    ("integersMatrix", [tensor(1)], i64(0, 2, 1, 1, 0, 2).reshape(2, 3)),
    ("integersSecond", [everything, tensor(1)], i64(3, 1)),
    ("integersPair", [tensor(1), tensor(2)], i64(0, 2, 1), i64(3, 0, 3)),
    ("integersBroadcast", [tensor(1), tensor(2)], i64(0, 2).reshape(2, 1), i64(1, 3, 0)),
    ("integersApart", [tensor(1), everything, tensor(2)], i64(0, 2), i64(4, 1)),
    ("integersAndInt", [integer(1), everything, tensor(1)], i64(4, 1, 1)),
    ("integersAndRange", [span(None, None, 2), tensor(1), span(1, 4, None)], i64(3, 0, 0)),
    ("integersAfterEllipsis", [dots, tensor(1)], i64(4, 4, 0)),
    ("integersAndNewAxis", [tensor(1), new, span(0, 2, None)], i64(1, 0)),
    ("integersAndNegativeStep", [tensor(1), span(None, None, -1)], i64(1, 0)),
    ("none", [tensor(1)], np.zeros(0, np.int64)),
    ("mask", [tensor(1)], "mask3x4x5"), ("maskFirst", [tensor(1)], np.array([True, False, True])),
    ("maskTwo", [tensor(1)], "mask3x4"), ("maskLast", [dots, tensor(1)], np.array([True, False, True, True, False])),
    ("maskMiddle", [everything, tensor(1), span(1, 3, None)], np.array([False, True, True, False])),
    ("maskAndIntegers", [tensor(1), tensor(2)], np.array([True, False, True]), i64(3, 1)),
    ("maskNothing", [tensor(1)], np.zeros(3, bool)),
]:
    def make(d, t=tensors):
        made = [d.mask(*map(int, x[4:].split("x"))) if isinstance(x, str) else x for x in t]
        return [d.normal(3, 4, 5), *made]
    case("index", suffix, make, {"index": index})
case("index", "int32", lambda d: [d.integers(0, 99, 4, 5, dtype=np.int32), i64(3, 1)],
     {"index": [tensor(1), span(None, None, -2)]}, grad=False)

for suffix, shape, index, *tensors in [
    ("int", (4, 5), [integer(1)]), ("numberEverywhere", (), [everything]),
    ("element", (), [integer(2), integer(-1), integer(0)]),
    ("range", (2, 4, 5), [span(1, 3, None)]),
    ("steps", (3, 2, 3), [everything, span(None, None, 2), span(None, None, 2)]),
    ("broadcastRow", (5,), [span(0, 2, None), integer(1)]),
    ("negativeStep", (3, 4), [integer(0), span(2, None, -1), span(3, None, -1)]),
    ("ellipsis", (3, 4), [dots, integer(1)]), ("integers", (2, 4, 5), [tensor(2)], i64(2, 0)),
    ("integersPair", (3, 5), [tensor(2), tensor(3)], i64(0, 2, 1), i64(3, 0, 3)),
    ("integersAndRange", (2, 2, 3), [span(None, None, 2), tensor(2), span(1, 4, None)], i64(3, 0)),
    ("maskNumber", (), [tensor(2)], "mask3x4x5"), ("maskFirst", (2, 4, 5), [tensor(2)], np.array([True, False, True])),
    ("maskBroadcast", (5,), [tensor(2)], np.array([[True, False, True, False]] * 3)),
]:
    def make(d, s=shape, t=tensors):
        made = [d.mask(*map(int, x[4:].split("x"))) if isinstance(x, str) else x for x in t]
        return [d.normal(3, 4, 5), d.normal(*s), *made]
    case("indexAssign", suffix, make, {"index": index, "accumulate": False})
case("indexAssign", "accumulate", lambda d: [d.normal(4, 3), d.normal(5, 3), i64(1, 0, 1, 3, 1)],
     {"index": [tensor(2)], "accumulate": True})
case("indexAssign", "accumulatePair", lambda d: [d.normal(3, 4), d.normal(4), i64(0, 2, 0, 1), i64(3, 0, 3, 3)],
     {"index": [tensor(2), tensor(3)], "accumulate": True})

index34 = lambda d: d.integers(0, 3, 2, 4)
case("gather", "first", lambda d: [d.normal(3, 4), index34(d)], {"dim": 0})
case("gather", "last", lambda d: [d.normal(2, 3), d.integers(0, 3, 2, 5)], {"dim": -1})
case("gather", "middle", lambda d: [d.normal(2, 3, 4), d.integers(0, 3, 2, 2, 4)], {"dim": 1})
case("gather", "smaller", lambda d: [d.normal(3, 4), d.integers(0, 4, 2, 3)], {"dim": 1})
permuted = lambda d: np.stack([d.rng.permutation(4)[:3] for _ in range(2)])
case("scatter", "last", lambda d: [d.normal(2, 4), permuted(d), d.normal(2, 3)], {"dim": 1})
case("scatter", "first", lambda d: [d.normal(4, 2), permuted(d).T.copy(), d.normal(3, 2)], {"dim": 0})
case("scatter", "int", lambda d: [d.integers(0, 9, 2, 4), permuted(d), d.integers(10, 19, 2, 3)], {"dim": -1},
     grad=False)
case("scatterAdd", "first", lambda d: [d.normal(3, 4), index34(d), d.normal(2, 4)], {"dim": 0})
case("scatterAdd", "last", lambda d: [d.normal(2, 3), d.integers(0, 3, 2, 5), d.normal(2, 5)], {"dim": -1})
for dim in (0, 1, -1):
    suffix = f"dim{dim}".replace("-", "Minus")
    shape = [2, 3, 4]
    shape[dim] = 5
    n = [2, 3, 4][dim]
    case("indexSelect", suffix, lambda d, n=n: [d.normal(2, 3, 4), d.integers(0, n, 5)], {"dim": dim})
    case("indexAdd", suffix, lambda d, n=n, s=tuple(shape): [d.normal(2, 3, 4), d.integers(0, n, 5), d.normal(*s)],
         {"dim": dim, "alpha": 1.0 if dim == 0 else -0.5})
case("indexCopy", "basic", lambda d: [d.normal(4, 3), i64(2, 0), d.normal(2, 3)], {"dim": 0})
case("maskedFill", "basic", lambda d: [d.normal(3, 4), d.mask(3, 4)], {"value": -2.5})
case("maskedFill", "broadcast", lambda d: [d.normal(2, 3, 4), d.mask(3, 1)], {"value": 0.5})
case("maskedFill", "infinity", lambda d: [d.normal(3, 4), d.mask(4)], {"value": "-inf"}, second=False)
case("maskedSelect", "basic", lambda d: [d.normal(3, 4), d.mask(3, 4)])
case("maskedSelect", "broadcast", lambda d: [d.normal(2, 3, 4), d.mask(3, 1)])
case("oneHot", "basic", lambda d: [d.integers(0, 5, 2, 3)], {"classes": 5}, grad=False)
case("take", "basic", lambda d: [d.normal(3, 4), d.integers(0, 12, 2, 3)])
case("take", "negative", lambda d: [d.normal(3, 4), i64(-1, 0, -12, 5, 5)])
case("nonzero", "matrix", lambda d: [d.integers(0, 2, 3, 4)], grad=False)
case("nonzero", "mask", lambda d: [d.mask(2, 3, 2)], grad=False)
