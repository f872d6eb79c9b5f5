"""Cases of the neural-network ops: the second half of op_cases.py's list."""

import numpy as np

from op_cases import case, i64

for name in ["softmax", "logSoftmax"]:
    for dim in (0, 1, -1):
        case(name, f"dim{dim}".replace("-", "Minus"), lambda d: [d.normal(2, 3, 5)], {"dim": dim})
    case(name, "huge", lambda d: [np.array([[1000.0, 1001.0, 999.0], [-1000.0, 0.0, -2000.0]])], {"dim": -1},
         second=False)
    case(name, "wide", lambda d: [3 * d.normal(2, 67)], {"dim": -1})
case("softmax", "minusInfinity", lambda d: [np.array([[0.0, -np.inf, 1.0], [2.0, 3.0, -np.inf]])], {"dim": -1},
     second=False)
for has_weight, has_bias, suffix in [(True, True, "affine"), (True, False, "withoutBias"), (False, False, "plain")]:
    def make(d, w=has_weight, b=has_bias):
        return [d.normal(2, 3, 7) + 0.5, *([d.normal(7)] if w else []), *([d.normal(7)] if b else [])]
    for eps in (1e-5, 1e-6):
        case("layerNorm", f"{suffix}.eps{eps:.0e}".replace("-0", ""), make,
             {"eps": eps, "hasWeight": has_weight, "hasBias": has_bias})
case("layerNorm", "farFromZero", lambda d: [d.normal(3, 16) * 0.1 + 100, d.normal(16)],
     {"eps": 1e-6, "hasWeight": True, "hasBias": False}, second=False)
case("layerNorm", "constantRow", lambda d: [np.ones((2, 4)) * np.array([[3.0], [0.0]]), d.normal(4)],
     {"eps": 1e-6, "hasWeight": True, "hasBias": False}, second=False)
for suffix, has_weight, offset in [("weight", True, 0.0), ("onePlusWeight", True, 1.0), ("plain", False, 0.0)]:
    case("rmsNorm", suffix, lambda d, w=has_weight: [d.normal(2, 3, 7), *([d.normal(7)] if w else [])],
         {"eps": 1e-6, "hasWeight": has_weight, "weightOffset": offset})
case("rmsNorm", "zeroRow", lambda d: [np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 3.0]]), d.normal(3)],
     {"eps": 1e-6, "hasWeight": True, "weightOffset": 0.0}, second=False)
case("embedding", "vector", lambda d: [d.integers(0, 5, 7), d.normal(5, 3)], {"paddingIndex": None})
case("embedding", "matrix", lambda d: [d.integers(0, 5, 2, 4), d.normal(5, 3)], {"paddingIndex": None})
case("embedding", "padding", lambda d: [i64(0, 2, 1, 2, 4), d.normal(5, 3)], {"paddingIndex": 2},
     second=False)

PLAIN = {"scale": None, "causal": False, "window": None, "hasBias": False, "hasKeyStart": False}
for suffix, (b, t, s, h, g, dim), bias, extra in [
    ("plain", (2, 4, 4, 2, 2, 3), None, {}), ("causal", (2, 5, 5, 2, 2, 4), None, {"causal": True}),
    ("multiQuery", (2, 5, 5, 4, 1, 4), None, {"causal": True}),
    ("groupedQuery", (1, 5, 5, 4, 2, 4), None, {"causal": True}),
    ("cross", (2, 3, 6, 2, 2, 4), None, {}), ("causalLongerKeys", (2, 3, 6, 2, 1, 4), None, {"causal": True}),
    ("causalShorterKeys", (1, 5, 3, 2, 1, 4), None, {"causal": True}),
    ("oneQuery", (2, 1, 6, 4, 1, 4), None, {"causal": True}),
    ("scale", (1, 4, 4, 2, 1, 4), None, {"causal": True, "scale": 0.37}),
    ("bias", (2, 4, 5, 2, 2, 3), (2, 2, 4, 5), {}), ("biasByHead", (2, 4, 4, 2, 1, 3), (1, 2, 4, 4), {"causal": True}),
    ("biasByKey", (2, 3, 5, 2, 2, 3), (2, 1, 1, 5), {}),
    ("biasShared", (2, 3, 4, 2, 1, 3), (1, 1, 3, 4), {"causal": True}),
    ("window", (1, 7, 7, 2, 1, 4), None, {"causal": True, "window": 3}),
    ("windowLongerKeys", (1, 3, 8, 2, 1, 4), None, {"causal": True, "window": 4}),
    ("keyStart", (2, 5, 5, 2, 1, 4), None, {"causal": True, "hasKeyStart": True}),
    ("keyStartBias", (2, 4, 4, 2, 2, 3), (1, 2, 4, 4), {"causal": True, "hasKeyStart": True}),
    ("longer", (1, 37, 37, 2, 1, 8), None, {"causal": True}),
]:
    def make(d, b=b, t=t, s=s, h=h, g=g, dim=dim, bias=bias, extra=extra):
        return [d.normal(b, t, h, dim), d.normal(b, s, g, dim), d.normal(b, s, g, dim),
                *([d.normal(*bias)] if bias else []), *([i64(0, 2)] if extra.get("hasKeyStart") else [])]
    case("scaledDotProductAttention", suffix, make, {**PLAIN, **extra, "hasBias": bias is not None},
         second=suffix != "longer")

for layout in ["half", "interleaved"]:
    for suffix, rotary, start, positions in [("basic", 6, 0, None), ("partial", 4, 0, None), ("offset", 6, 1000, None),
                                             ("positions", 6, 0, i64(0, 1, 2, 5, 3, 0, 9, 70).reshape(2, 4))]:
        case("rope", f"{layout}.{suffix}",
             lambda d, p=positions: [d.normal(2, 4, 2, 6), *([p] if p is not None else [])],
             {"theta": 10000.0, "layout": layout, "rotaryDim": rotary, "start": start,
              "hasPositions": positions is not None})
    case("rope", f"{layout}.theta", lambda d: [d.normal(1, 3, 1, 8)],
         {"theta": 500000.0, "layout": layout, "rotaryDim": 8, "start": 3, "hasPositions": False})
for name in ["swiglu", "geglu", "gegluTanh", "reglu"]:
    case(name, "basic", lambda d: [d.away(2, 3, 4), d.normal(2, 3, 4)])

PLAIN_CE = {"ignoreIndex": -100, "labelSmoothing": 0.0, "zLoss": 0.0, "logitScale": 1.0, "reduction": "mean"}
targets = lambda d, *s: d.integers(0, 5, *s)
for suffix, args in [("mean", {}), ("sum", {"reduction": "sum"}), ("none", {"reduction": "none"}),
                     ("smoothing", {"labelSmoothing": 0.1}), ("zLoss", {"zLoss": 1e-2}), ("scale", {"logitScale": 0.3}),
                     ("everything", {"labelSmoothing": 0.1, "zLoss": 1e-2, "logitScale": 0.3})]:
    case("crossEntropy", suffix, lambda d: [2 * d.normal(6, 5), targets(d, 6)], {**PLAIN_CE, **args})
for suffix, args in [("ignore", {}), ("ignoreSum", {"reduction": "sum"}),
("ignoreNone", {"reduction": "none", "zLoss": 1e-2}),
                     ("ignoreZLoss", {"zLoss": 1e-2, "labelSmoothing": 0.2})]:
    case("crossEntropy", suffix, lambda d: [2 * d.normal(6, 5), i64(1, -100, 4, 0, -100, 2)], {**PLAIN_CE, **args})
for reduction in ["mean", "sum", "none"]:
    weighted = lambda d: [d.normal(5, 4), i64(1, -100, 3, 0, 3), d.uniform(0.3, 2, 4)]
    case("crossEntropy", f"weight.{reduction}", weighted,
         {**PLAIN_CE, "hasWeight": True, "logitScale": 0.7, "reduction": reduction}, grad=[0])
    case("crossEntropy", f"weightSmoothing.{reduction}", weighted,
         {**PLAIN_CE, "hasWeight": True, "labelSmoothing": 0.2, "reduction": reduction}, grad=[0])
    case("nllLoss", f"weight.{reduction}", weighted,
         {"ignoreIndex": -100, "hasWeight": True, "reduction": reduction}, grad=[0])
case("crossEntropy", "ignoreClass", lambda d: [d.normal(4, 5), i64(1, 0, 4, 0)], {**PLAIN_CE, "ignoreIndex": 0})
case("crossEntropy", "sequence", lambda d: [d.normal(2, 3, 5), targets(d, 2, 3)], {**PLAIN_CE, "zLoss": 1e-4})
case("crossEntropy", "huge", lambda d: [np.array([[1000.0, 0.0, -1000.0], [0.0, 1.0, 2.0]]), i64(1, 2)], PLAIN_CE,
     second=False)
case("crossEntropy", "wide", lambda d: [3 * d.normal(3, 131), d.integers(0, 131, 3)], {**PLAIN_CE, "zLoss": 1e-4})
LINEAR_CE = {"ignoreIndex": -100, "labelSmoothing": 0.0, "zLoss": 0.0, "logitScale": 1.0, "divisor": None}
for suffix, args in [("plain", {}), ("everything", {"labelSmoothing": 0.1, "zLoss": 1e-2, "logitScale": 0.3}),
                     ("divisor", {"zLoss": 1e-2, "divisor": 9.0})]:
    case("linearCrossEntropy", suffix, lambda d: [2 * d.normal(6, 3), i64(1, -100, 4, 0, -100, 2), d.normal(5, 3)],
         {**LINEAR_CE, **args})
case("linearCrossEntropy", "sequence", lambda d: [d.normal(2, 3, 4), targets(d, 2, 3), d.normal(5, 4)],
     {**LINEAR_CE, "zLoss": 1e-4, "logitScale": 0.5})
for reduction in ["mean", "sum", "none"]:
    args = {"reduction": reduction}
    case("nllLoss", reduction, lambda d: [np.log(d.probabilities(6, 5)), targets(d, 6)], {"ignoreIndex": -100, **args})
    case("mseLoss", reduction, lambda d: [d.normal(3, 4), d.normal(3, 4)], args)
    case("l1Loss", reduction, lambda d: [d.distinct(3, 4), d.distinct(3, 4) + 0.025], args)
    case("huberLoss", reduction, lambda d: [2 * d.normal(3, 4), d.normal(3, 4)], {"delta": 1.0, **args})
    case("smoothL1Loss", reduction, lambda d: [2 * d.normal(3, 4), d.normal(3, 4)], {"beta": 1.0, **args})
    case("binaryCrossEntropy", reduction, lambda d: [d.uniform(0.05, 0.95, 3, 4), d.uniform(0, 1, 3, 4)], args)
    case("binaryCrossEntropyWithLogits", reduction, lambda d: [2 * d.normal(3, 4), d.uniform(0, 1, 3, 4)],
         {"hasPosWeight": False, **args})
for reduction in ["mean", "sum", "none", "batchMean"]:
    case("klDiv", reduction, lambda d: [np.log(d.probabilities(3, 4)), d.probabilities(3, 4)],
         {"reduction": reduction, "logTarget": False})
case("nllLoss", "ignore", lambda d: [np.log(d.probabilities(6, 5)), i64(1, -100, 4, 0, -100, 2)],
     {"ignoreIndex": -100, "reduction": "mean"})
case("huberLoss", "delta", lambda d: [2 * d.normal(3, 4), d.normal(3, 4)], {"delta": 0.4, "reduction": "mean"})
case("smoothL1Loss", "beta", lambda d: [2 * d.normal(3, 4), d.normal(3, 4)], {"beta": 0.4, "reduction": "mean"})
case("binaryCrossEntropy", "ends", lambda d: [np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])],
     {"reduction": "none"}, grad=False)
case("binaryCrossEntropyWithLogits", "tails",
     lambda d: [np.array([800.0, -800.0, 800.0, -800.0, 0.0]), np.array([0.0, 1.0, 1.0, 0.0, 0.5])],
     {"hasPosWeight": False, "reduction": "none"}, second=False)
case("binaryCrossEntropyWithLogits", "posWeight",
     lambda d: [2 * d.normal(3, 4), d.uniform(0, 1, 3, 4), d.uniform(0.5, 2, 4)],
     {"hasPosWeight": True, "reduction": "mean"}, grad=[0, 1])
case("klDiv", "logTarget", lambda d: [np.log(d.probabilities(3, 4)), np.log(d.probabilities(3, 4))],
     {"reduction": "sum", "logTarget": True})
case("klDiv", "zeroTarget", lambda d: [np.log(d.probabilities(2, 3)), np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])],
     {"reduction": "sum", "logTarget": False}, grad=False)
case("cosineSimilarity", "last", lambda d: [d.normal(3, 4), d.normal(3, 4)], {"dim": -1, "eps": 1e-8})
case("cosineSimilarity", "broadcast", lambda d: [d.normal(2, 3, 4), d.normal(3, 1)], {"dim": 1, "eps": 1e-8})
