"""Cases of the ops that Martlet composes of others: the third part of op_cases.py's list."""

import numpy as np

from op_cases import TAILS, case, i64

# ---- linear algebra and distances -----------------------------------------------------------------------------------

case("mv", "basic", lambda d: [d.normal(3, 4), d.normal(4)])
for suffix, shape, args in [("plain", (2, 3), {"beta": 1.0, "alpha": 1.0}), ("row", (3,), {"beta": 0.5, "alpha": -2.0}),
                            ("betaZero", (2, 3), {"beta": 0.0, "alpha": 1.5})]:
    case("addmm", suffix, lambda d, s=shape: [d.normal(*s), d.normal(2, 4), d.normal(4, 3)], args,
         grad=[1, 2] if suffix == "betaZero" else True)
    case("baddbmm", suffix, lambda d, s=shape: [d.normal(*s), d.normal(2, 2, 4), d.normal(2, 4, 3)], args,
         grad=[1, 2] if suffix == "betaZero" else True)
case("addmm", "int", lambda d: [d.integers(-5, 6, 2, 3), d.integers(-5, 6, 2, 4), d.integers(-5, 6, 4, 3)],
     {"beta": 3, "alpha": -2}, grad=False)
case("matmul", "emptyBatch", lambda d: [d.normal(0, 2, 3), d.normal(0, 3, 4)])
case("matmul", "emptyBroadcastBatch", lambda d: [d.normal(2, 0, 1, 2, 3), d.normal(4, 3, 1)])
case("matmul", "emptyInnerTall", lambda d: [d.normal(2, 3, 0), d.normal(0, 4)])
case("matmul", "emptyInnerBatch", lambda d: [d.normal(2, 3, 0), d.normal(2, 0, 4)])
case("einsum", "emptyBatch", lambda d: [d.normal(0, 2, 3), d.normal(0, 3, 4)], {"equation": "bij,bjk->bik"})
case("linear", "emptyInner", lambda d: [d.normal(2, 2, 0), d.normal(3, 0), d.normal(3)])
case("trace", "wide", lambda d: [d.normal(3, 5)])
case("trace", "int", lambda d: [d.integers(-9, 9, 4, 3)], grad=False)
for offset in (0, 2, -1):
    name = f"offset{offset}".replace("-", "Minus")
    case("diag", name, lambda d: [d.normal(3)], {"offset": offset})
    case("diag", name + "OfMatrix", lambda d: [d.normal(4, 3)], {"offset": offset})
    case("diagEmbed", name, lambda d: [d.normal(2, 3)], {"offset": offset})
for suffix, a, b in [("matrices", (2, 3), (3, 2)), ("vectors", (3,), (2,)), ("ranks", (2,), (2, 1, 3))]:
    case("kron", suffix, lambda d, a=a, b=b: [d.normal(*a), d.normal(*b)])
for suffix, a, b, dims in [("last", (2, 3, 4), (3, 4, 2), 2), ("pairs", (2, 3, 4), (4, 5, 2), [[2, 0], [0, -1]]),
                           ("none", (2,), (3,), 0), ("all", (2, 3), (2, 3), [[0, 1], [0, 1]])]:
    case("tensordot", suffix, lambda d, a=a, b=b: [d.normal(*a), d.normal(*b)], {"dims": dims})
case("cross", "last", lambda d: [d.normal(2, 3), d.normal(2, 3)], {"dim": -1})
case("cross", "broadcast", lambda d: [d.normal(3, 1), d.normal(2, 3, 2)[0]], {"dim": 0})
for p in (1.0, 2.0, 3.0, "inf"):
    case("cdist", f"p{p}".replace(".0", ""), lambda d: [d.distinct(3, 4), d.distinct(2, 4) + 0.033], {"p": p})
case("cdist", "batch", lambda d: [d.normal(2, 1, 3, 2), d.normal(2, 2, 2)], {"p": 2.0})
case("cdist", "same", lambda d: [np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])], {"p": 2.0},
     second=False)
case("normalize", "last", lambda d: [d.normal(3, 4)], {"p": 2.0, "dim": -1, "eps": 1e-12})
case("normalize", "first", lambda d: [d.away(3, 4)], {"p": 3.0, "dim": 0, "eps": 1e-12})
case("normalize", "zero", lambda d: [np.array([[0.0, 0.0], [3.0, 4.0]])], {"p": 2.0, "dim": 1, "eps": 1e-3},
     second=False)
case("pairwiseDistance", "basic", lambda d: [d.normal(3, 4), d.normal(3, 4)], {"p": 2.0, "eps": 1e-6, "keepDim": False})
case("pairwiseDistance", "broadcast", lambda d: [d.distinct(3, 4), d.distinct(4) + 0.033],
     {"p": 1.0, "eps": 1e-6, "keepDim": True})

# ---- movement -------------------------------------------------------------------------------------------------------

for suffix, shapes in [("vectors", [(2,), (3,)]), ("scalars", [(), ()]), ("matrices", [(2, 1), (2, 3)])]:
    case("hstack", suffix, lambda d, s=shapes: [d.normal(*x) for x in s])
for suffix, shapes in [("vectors", [(3,), (3,)]), ("mixed", [(3,), (2, 3)])]:
    case("vstack", suffix, lambda d, s=shapes: [d.normal(*x) for x in s])
for suffix, shapes in [("vectors", [(3,), (3,)]), ("matrices", [(2, 3), (2, 3, 2)])]:
    case("dstack", suffix, lambda d, s=shapes: [d.normal(*x) for x in s])
for indexing in ("ij", "xy"):
    case("meshgrid", indexing, lambda d: [d.normal(2), d.normal(3), d.normal(2)], {"indexing": indexing})
for k in (0, 1, 2, -1):
    case("rot90", f"k{k}".replace("-", "Minus"), lambda d: [d.normal(2, 3, 2)], {"k": k, "dims": [1, -1]})
case("diff", "basic", lambda d: [d.normal(2, 4)], {"n": 1, "dim": -1, "prepend": False, "append": False})
case("diff", "twice", lambda d: [d.normal(4, 2)], {"n": 2, "dim": 0, "prepend": False, "append": False})
case("diff", "ends", lambda d: [d.normal(2, 3), d.normal(2, 1), d.normal(2, 2)],
     {"n": 1, "dim": 1, "prepend": True, "append": True})
case("diff", "tooShort", lambda d: [d.integers(0, 5, 2)], {"n": 3, "dim": 0, "prepend": False, "append": False},
     grad=False)
case("diff", "bool", lambda d: [d.mask(6)], {"n": 1, "dim": 0, "prepend": False, "append": False}, grad=False)
case("takeAlongDim", "basic", lambda d: [d.normal(2, 3), d.integers(0, 3, 2, 2)], {"dim": 1})
case("takeAlongDim", "broadcast", lambda d: [d.normal(1, 3), d.integers(-3, 3, 2, 2) % 3], {"dim": -1})
case("takeAlongDim", "flat", lambda d: [d.normal(2, 3), i64(5, 0, 5)], {"dim": None})
for reduce in ("sum", "prod", "mean", "amax", "amin"):
    for include in (True, False):
        def make(d):
            return [d.distinct(3, 4) + 0.075, np.array([[0, 2, 0, 1], [0, 2, 1, 1]]), d.distinct(2, 4) + 0.1]
        case("scatterReduce", reduce + ("" if include else "Without"), make,
             {"dim": 0, "reduce": reduce, "includeSelf": include})
    case("scatterReduce", reduce + "Int", lambda d: [d.integers(-9, 9, 4), i64(1, 1, 3, 0, 1), d.integers(-9, 9, 5)],
         {"dim": 0, "reduce": reduce, "includeSelf": False}, grad=False)
case("scatterReduce", "prodZeros",
     lambda d: [np.array([2.0, 3.0, 4.0]), i64(0, 0, 1, 1, 1, 2), np.array([0.0, 5.0, 0.0, 0.0, 2.0, 1.5])],
     {"dim": 0, "reduce": "prod", "includeSelf": True}, second=False)
case("scatterReduce", "amaxTies", lambda d: [np.array([2.0, 3.0]), i64(0, 0, 1), np.array([2.0, 2.0, 1.0])],
     {"dim": 0, "reduce": "amax", "includeSelf": True}, second=False)

# ---- statistics -----------------------------------------------------------------------------------------------------

for interpolation in ("linear", "lower", "higher", "nearest", "midpoint"):
    case("quantile", interpolation, lambda d: [d.distinct(2, 5)],
         {"q": 0.3, "dim": 1, "keepDim": False, "interpolation": interpolation})
case("quantile", "several", lambda d: [d.distinct(4, 3)],
     {"q": [0.0, 0.5, 1.0], "dim": 0, "keepDim": True, "interpolation": "linear"})
case("quantile", "all", lambda d: [d.distinct(2, 3)],
     {"q": [0.25, 0.9], "dim": None, "keepDim": True, "interpolation": "linear"})
case("quantile", "nan", lambda d: [np.array([[1.0, np.nan, 3.0], [2.0, 1.0, 4.0]])],
     {"q": 0.5, "dim": 1, "keepDim": False, "interpolation": "linear"}, grad=False)
for k in (1, 3):
    case("kthValue", f"k{k}", lambda d: [d.distinct(4, 3)], {"k": k, "dim": 0, "keepDim": k == 1})
case("mode", "basic", lambda d: [np.array([[1.0, 3.0, 3.0, 2.0, 1.0], [4.0, 4.0, 0.0, 4.0, 0.0]])],
     {"dim": -1, "keepDim": False}, second=False)
case("mode", "first", lambda d: [d.integers(0, 3, 6, 3)], {"dim": 0, "keepDim": True}, grad=False)
case("bincount", "basic", lambda d: [i64(3, 0, 3, 1)], {"minLength": 0}, grad=False)
case("bincount", "longer", lambda d: [np.array([2, 2, 0], np.uint8)], {"minLength": 5}, grad=False)
case("bincount", "weights", lambda d: [i64(3, 0, 3, 1), d.normal(4)], {"minLength": 0}, grad=False)
case("bincount", "empty", lambda d: [np.zeros(0, np.int64)], {"minLength": 2}, grad=False)
case("histc", "range", lambda d: [np.array([[-0.5, 0.0, 0.3, 0.9], [1.0, 2.0, 1.9, np.nan]])],
     {"bins": 4, "min": 0.0, "max": 2.0}, grad=False)
case("histc", "ofElements", lambda d: [np.array([1.0, 2.0, 2.5, 9.0])], {"bins": 3, "min": 0.0, "max": 0.0}, grad=False)
case("histc", "oneValue", lambda d: [np.array([3.0, 3.0])], {"bins": 4, "min": 0.0, "max": 0.0}, grad=False)
for name in ("varMean", "stdMean"):
    for suffix, dim, keep in [("all", None, False), ("last", -1, True), ("two", [0, 2], False)]:
        case(name, suffix, lambda d: [d.normal(2, 3, 2)], {"dim": dim, "keepDim": keep, "correction": 1})
case("aminmax", "all", lambda d: [d.distinct(2, 3)], {"dim": None, "keepDim": False})
case("aminmax", "kept", lambda d: [d.distinct(2, 3)], {"dim": 1, "keepDim": True})
holes = np.array([[1.0, np.nan, 3.0], [0.5, -2.0, 4.0]])
for name in ("nanSum", "nanMean"):
    case(name, "all", lambda d: [holes], {"dim": None, "keepDim": False}, second=False)
    case(name, "last", lambda d: [holes], {"dim": 1, "keepDim": True}, second=False)
    case(name, "nothing", lambda d: [np.array([[np.nan], [1.0]])], {"dim": 1, "keepDim": False}, grad=False)
case("nanSum", "int", lambda d: [d.integers(-9, 9, 2, 3)], {"dim": 0, "keepDim": False}, grad=False)
odd = np.array([np.nan, np.inf, -np.inf, 0.5, -2.0])
case("nanToNum", "given", lambda d: [odd], {"nan": 1.5, "posInf": 8.0, "negInf": -9.0}, second=False)
case("nanToNum", "huge", lambda d: [odd], {"nan": 0.0, "posInf": None, "negInf": None}, second=False)
case("logAddExp", "basic", lambda d: [d.normal(3, 2), d.normal(2)])
case("logAddExp", "tails", lambda d: [np.array([800.0, -800.0, 3.0, 0.0]), np.array([0.0, -801.0, 3.0, -60.0])],
     second=False)
case("logAddExp", "special", lambda d: [np.array([np.inf, -np.inf, np.inf, np.nan]),
                                        np.array([np.inf, -np.inf, -np.inf, 1.0])], grad=False)

# ---- search ---------------------------------------------------------------------------------------------------------

rising = np.array([-1.0, 0.0, 0.5, 0.5, 2.0, 3.0, 7.0])
values = np.array([[-2.0, 0.5, 0.25], [7.0, 8.0, np.nan]])
for right in (False, True):
    suffix = "Right" if right else ""
    case("searchsorted", "vector" + suffix, lambda d: [rising, values], {"right": right}, grad=False)
    case("searchsorted", "lines" + suffix, lambda d: [np.sort(d.normal(2, 4), 1), d.normal(2, 3)], {"right": right},
         grad=False)
    case("bucketize", "basic" + suffix, lambda d: [values, rising], {"right": right}, grad=False)
case("searchsorted", "int", lambda d: [i64(-2**62, 1, 3, 2**62), i64(2**62 + 1, 2**62, 2, -2**63)], {"right": False},
     grad=False)
case("searchsorted", "empty", lambda d: [np.zeros(0), np.array([1.0])], {"right": False}, grad=False)
case("isIn", "float", lambda d: [values, rising], {"invert": False}, grad=False)
case("isIn", "invert", lambda d: [d.integers(0, 9, 3, 4), i64(7, 2, 2)], {"invert": True}, grad=False)
case("isIn", "nothing", lambda d: [d.integers(0, 9, 3), np.zeros(0, np.int64)], {"invert": False}, grad=False)
case("unique", "int", lambda d: [d.integers(-3, 4, 4, 5)], grad=False)
case("unique", "float", lambda d: [np.array([0.5, -0.25, 0.5, 2.0, -0.25])], grad=False)
case("unique", "bool", lambda d: [d.mask(3, 3)], grad=False)
case("unique", "one", lambda d: [i64(4)], grad=False)
case("unique", "empty", lambda d: [d.normal(0)], grad=False)
case("isClose", "basic", lambda d: [np.array([1.0, 1.0, 0.0, -2.0, 100.0]), np.array([1.009, 1.011, 1e-4, 2.0, 101.0])],
     {"rtol": 1e-2, "atol": 1e-3}, grad=False)
case("isClose", "broadcast", lambda d: [d.integers(0, 3, 2, 3).astype(np.float64), np.array([0.0, 1.0, 2.0])],
     {"rtol": 1e-5, "atol": 1e-8}, grad=False)
case("uniqueConsecutive", "matrix", lambda d: [i64(1, 1, 2, 2, 2, 1).reshape(2, 3)], grad=False)
case("uniqueConsecutive", "float", lambda d: [np.array([0.5, 0.5, np.nan, np.nan])], grad=False)
case("uniqueConsecutive", "one", lambda d: [i64(4)], grad=False)

# ---- activations and normalisation ----------------------------------------------------------------------------------

for name, args in [("selu", {}), ("celu", {"alpha": 0.7}), ("mish", {}), ("softsign", {})]:
    case(name, "basic", lambda d: [d.away(3, 4)], args)
    case(name, "tails", lambda d: [TAILS], args, second=False)
for name, args in [("hardswish", {}), ("hardsigmoid", {}), ("hardtanh", {"min": -0.8, "max": 1.2}), ("relu6", {}),
                   ("threshold", {"threshold": 0.4, "value": -3.0})]:
    case(name, "basic", lambda d: [d.distinct(4, 5) * 4 + 0.075], args)
for suffix, weight, shape in [("one", 1, (3, 4)), ("channels", 3, (2, 3, 2)), ("vector", 1, (4,))]:
    case("prelu", suffix, lambda d, w=weight, s=shape: [d.away(*s), d.uniform(0.1, 0.5, w)])
case("glu", "last", lambda d: [d.normal(2, 6)], {"dim": -1})
case("glu", "first", lambda d: [d.normal(4, 3)], {"dim": 0})
case("softmin", "basic", lambda d: [d.normal(2, 4)], {"dim": 1})
for suffix, shape, groups, affine in [("image", (2, 4, 3, 2), 2, True), ("instance", (2, 3, 4), 3, False),
                                      ("layer", (2, 4), 1, True)]:
    def make(d, s=shape, affine=affine):
        return [d.normal(*s), *([d.normal(s[1]), d.normal(s[1])] if affine else [])]
    case("groupNorm", suffix, make, {"groups": groups, "eps": 1e-5, "affine": affine})

# ---- losses ---------------------------------------------------------------------------------------------------------

signs = lambda d, *s: d.rng.choice([-1.0, 1.0], s)
for reduction in ("mean", "sum", "none"):
    args = {"reduction": reduction}
    case("hingeEmbeddingLoss", reduction, lambda d: [d.away(2, 3), signs(d, 2, 3)], {"margin": 1.1, **args}, grad=[0])
    case("marginRankingLoss", reduction, lambda d: [d.distinct(5), d.distinct(5) + 0.03, signs(d, 5)],
         {"margin": 0.2, **args}, grad=[0, 1])
    case("tripletMarginLoss", reduction, lambda d: [d.normal(4, 3), d.normal(4, 3), d.normal(4, 3)],
         {"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": reduction == "none", **args})
    case("cosineEmbeddingLoss", reduction, lambda d: [d.normal(5, 3), d.normal(5, 3), signs(d, 5)],
         {"margin": 0.1, **args}, grad=[0, 1])
    case("gaussianNLLLoss", reduction, lambda d: [d.normal(3, 4), d.normal(3, 4), d.uniform(0.5, 2, 3, 4)],
         {"full": reduction == "sum", "eps": 1e-6, **args})
    case("poissonNLLLoss", reduction, lambda d: [d.normal(5), d.integers(0, 6, 5).astype(float) + 0.25],
         {"logInput": True, "full": reduction == "none", "eps": 1e-8, **args})
case("poissonNLLLoss", "rates", lambda d: [d.uniform(0.2, 3, 5), d.integers(0, 6, 5).astype(float)],
     {"logInput": False, "full": False, "eps": 1e-8, "reduction": "mean"})
case("gaussianNLLLoss", "leastVariance", lambda d: [d.normal(3), d.normal(3), np.array([0.0, 1e-3, 2.0])],
     {"full": False, "eps": 1e-1, "reduction": "none"}, second=False)
