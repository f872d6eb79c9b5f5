#!/usr/bin/env python3
"""Makes ops.safetensors and ops.json: what PyTorch computes for every op, forward, backward and twice backward.

    python make_op_fixtures.py          (needs torch, numpy, safetensors)

ops.json
    format      1
    cases       a list; each case is an object
        name        "<op>.<variant>", the prefix of its tensors
        op          the op's name; its meaning is the function of that name in op_reference.py, nn_reference.py or
                    composite_reference.py
        args        the op's arguments; "inf", "-inf", "nan" stand for the numbers JSON lacks
        inputs      a list of {"dtype", "shape", "grad"}: grad says that a gradient for it is stored
        outputs     a list of {"dtype", "shape", "grad"}: grad says that an upstream gradient for it is stored
        backward    true if the case has gradients
        second      true if the case has second derivatives
        exact       true if forward results must be equal bit for bit (data movement, comparison, counting, integers)
    promotion   the dtype tables, see below
    printing    a list of {"name", "dtype", "shape", "values", "numpy", "torch"}: the text of print() for a tensor

ops.safetensors, for a case NAME with inputs x_i and outputs y_j
    NAME/in<i>      x_i, in its own dtype
    NAME/out<j>     y_j
    NAME/gout<j>    g_j, the upstream gradient of y_j (where outputs[j].grad)
    NAME/gin<i>     the gradient of sum_j <y_j, g_j> with respect to x_i (where inputs[i].grad)
    NAME/v<i>       a direction for each such x_i (where `second`)
    NAME/ggin<i>    the gradient of S = sum_i <gin_i, v_i> with respect to x_i; absent when it is zero everywhere
    NAME/ggout<j>   the gradient of S with respect to g_j; absent when it is zero everywhere.
                    It is also the forward-mode derivative of y_j along v, which makes it a reference for jvp.
Floating tensors are float64 unless the case says otherwise. NaN equals NaN.

promotion
    dtypes                  the order of rows and columns
    tensorTensor[a][b]      dtype of a + b, both with one or more dimensions
    tensorZeroDim[a][b]     the same where b has no dimension
    zeroDimZeroDim[a][b]    the same where neither has
    tensorScalar[kind][a]   a with a scalar of the language; kind is "bool", "int" or "float"
    zeroDimScalar[kind][a]  the same where a has no dimension
    divide[a][b]            dtype of a / b (true division)
    unary                   {"exp": [...], "neg": [...], "sum": ...}: the result's dtype by operand dtype, or null where
                            the op refuses it
"""

import json
import pathlib
import warnings
import zlib

import numpy as np
import torch
from safetensors.torch import save_file

import nn_cases  # noqa: F401  (fills CASES)
import nn_reference  # noqa: F401  (fills OPS)
import composite_cases  # noqa: F401
import composite_reference  # noqa: F401
from op_cases import CASES, Draw
from op_reference import DTYPE_NAMES, DTYPES, EXACT, OPS

HERE = pathlib.Path(__file__).parent


def generator(name):
    """One stream a case, from its name: adding a case changes no other."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def describe(tensor, grad):
    return {"dtype": DTYPE_NAMES[tensor.dtype], "shape": list(tensor.shape), "grad": grad}


def evaluate(case, tensors):
    rng = generator(case["name"])
    name = case["name"]
    inputs = [torch.from_numpy(np.array(x)) for x in case["make"](Draw(rng))]
    differentiable = [i for i, x in enumerate(inputs) if case["grad"] and x.dtype.is_floating_point]
    if isinstance(case["grad"], list):
        differentiable = case["grad"]
    for i in differentiable:
        inputs[i].requires_grad_(True)
    outputs = OPS[case["op"]](inputs, case["args"])
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    upstream = [j for j, y in enumerate(outputs) if y.requires_grad]
    assert bool(upstream) == bool(differentiable), f"{name}: nothing to differentiate"
    record = {
        "name": name, "op": case["op"], "args": case["args"],
        "inputs": [describe(x, i in differentiable) for i, x in enumerate(inputs)],
        "outputs": [describe(y, j in upstream) for j, y in enumerate(outputs)],
        "backward": bool(upstream), "second": False,
        "exact": case["op"] in EXACT or all(not x.dtype.is_floating_point for x in inputs + outputs),
    }
    for i, x in enumerate(inputs):
        tensors[f"{name}/in{i}"] = x
    for j, y in enumerate(outputs):
        tensors[f"{name}/out{j}"] = y
    if not upstream:
        return record

    wanted = [inputs[i] for i in differentiable]
    gouts = [torch.from_numpy(np.array(rng.standard_normal(outputs[j].shape))).requires_grad_() for j in upstream]
    second = case["second"]
    gins = torch.autograd.grad(
        [outputs[j] for j in upstream], wanted, gouts, create_graph=second, materialize_grads=True)
    for j, g in zip(upstream, gouts):
        tensors[f"{name}/gout{j}"] = g
    for i, g in zip(differentiable, gins):
        assert torch.isfinite(g).all(), f"{name}: gradient {i} is not finite"
        tensors[f"{name}/gin{i}"] = g
    if not second:
        return record

    directions = [torch.from_numpy(np.array(rng.standard_normal(x.shape))) for x in wanted]
    pairing = sum((g * v).sum() for g, v in zip(gins, directions))
    if not pairing.requires_grad:  # the op's derivative is zero everywhere (floor, sign)
        seconds = [torch.zeros_like(x) for x in wanted + gouts]
    else:
        seconds = torch.autograd.grad(pairing, wanted + gouts, materialize_grads=True)
    record["second"] = True
    for i, v in zip(differentiable, directions):
        tensors[f"{name}/v{i}"] = v
    for key, g in zip([f"ggin{i}" for i in differentiable] + [f"ggout{j}" for j in upstream], seconds):
        assert torch.isfinite(g).all(), f"{name}: {key} is not finite"
        if g.any():
            tensors[f"{name}/{key}"] = g
    return record


# ---- an independent look at the references ---------------------------------------------------------------------------

def check_against_numpy(cases, tensors):
    """PyTorch's indexing is not NumPy's in every corner; the cases keep to where they agree, but for one: an integer
    apart from an index tensor (x[1, :, t]) is a selection made first in PyTorch, an index tensor of one in NumPy."""
    for c in cases:
        if c["op"] == "index" and c["name"] != "index.integersAndInt":
            inputs = [tensors[f"{c['name']}/in{i}"].detach().numpy() for i in range(len(c["inputs"]))]
            index = []
            for item in c["args"]["index"]:
                (kind, value), = item.items()
                index.append({"int": value, "ellipsis": Ellipsis, "newAxis": None}[kind] if kind in
                             ("int", "ellipsis", "newAxis") else slice(*value) if kind == "slice" else inputs[value])
            expected = tensors[f"{c['name']}/out0"].detach().numpy()
            np.testing.assert_array_equal(inputs[0][tuple(index)], expected, c["name"])
        if c["op"] in ("argmax", "argmin"):
            x = tensors[f"{c['name']}/in0"].numpy()
            np.testing.assert_array_equal(getattr(np, c["op"])(x, axis=c["args"]["dim"], keepdims=c["args"]["keepDim"]),
                                          tensors[f"{c['name']}/out0"].numpy(), c["name"])


def check_against_differences(cases, tensors):
    """The stored derivatives against central differences of the reference along v: of the outputs (that is ggout), and
    of the first gradients (that is ggin, the Hessian being symmetric)."""
    worst = (0.0, "")
    for c in cases:
        if not c["second"]:
            continue
        name, h = c["name"], 1e-6
        upstream = [j for j, y in enumerate(c["outputs"]) if y["grad"]]
        wanted = [i for i, x in enumerate(c["inputs"]) if x["grad"]]
        gouts = [tensors[f"{name}/gout{j}"].detach() for j in upstream]

        def at(step):
            xs = [tensors[f"{name}/in{i}"].detach() for i in range(len(c["inputs"]))]
            for i in wanted:
                xs[i] = (xs[i] + step * tensors[f"{name}/v{i}"]).requires_grad_()
            ys = OPS[c["op"]](xs, c["args"])
            ys = [(ys if isinstance(ys, tuple) else [ys])[j] for j in upstream]
            return ys, torch.autograd.grad(ys, [xs[i] for i in wanted], gouts, materialize_grads=True)

        (y1, g1), (y0, g0) = at(h), at(-h)
        keys = [f"ggout{j}" for j in upstream] + [f"ggin{i}" for i in wanted]
        for key, a, b in zip(keys, [*y1, *g1], [*y0, *g0]):
            slope = (a - b).detach() / (2 * h)
            expected = tensors.get(f"{name}/{key}", torch.zeros_like(slope)).detach()
            error = float((slope - expected).abs().max() / (1 + expected.abs().max())) if slope.numel() else 0.0
            worst = max(worst, (error, f"{name}/{key}"))
    assert worst[0] < 1e-5, worst
    return worst


# ---- dtypes ----------------------------------------------------------------------------------------------------------

def promotion_tables():
    names = list(DTYPES)
    vector = {n: torch.ones(2, dtype=DTYPES[n]) for n in names}
    single = {n: torch.ones((), dtype=DTYPES[n]) for n in names}
    scalars = {"bool": True, "int": 1, "float": 1.0}

    def table(left, right, function=torch.result_type):
        return [[DTYPE_NAMES[function(left[a], right[b])] for b in names] for a in names]

    def unary(function):
        row = []
        for n in names:
            try:
                row.append(DTYPE_NAMES[function(vector[n]).dtype])
            except (RuntimeError, TypeError):
                row.append(None)
        return row

    for a in names:  # the dtype of the result is what result_type promises
        for b in names:
            assert (vector[a] + vector[b]).dtype == torch.result_type(vector[a], vector[b])
    by_op = {name: unary(lambda x, o=name: OPS[o]([x], {})) for name in
             ["neg", "abs", "sign", "square", "exp", "log", "sqrt", "reciprocal", "sigmoid", "relu", "floor", "isNaN",
              "logicalNot", "bitwiseNot"]}
    reduce_args = {"dim": 0, "keepDim": False}
    for name in ["sum", "prod", "mean", "amax", "any", "all", "argmax", "cumsum", "logSumExp"]:
        by_op[name] = unary(lambda x, o=name: OPS[o]([x], reduce_args))
    by_op["var"] = unary(lambda x: OPS["var"]([x], {**reduce_args, "correction": 1}))
    by_op["norm"] = unary(lambda x: OPS["norm"]([x], {**reduce_args, "p": 2}))
    return {
        "dtypes": names,
        "tensorTensor": table(vector, vector), "tensorZeroDim": table(vector, single),
        "zeroDimZeroDim": table(single, single),
        "tensorScalar": {k: [DTYPE_NAMES[torch.result_type(vector[a], s)] for a in names] for k, s in scalars.items()},
        "zeroDimScalar": {k: [DTYPE_NAMES[torch.result_type(single[a], s)] for a in names] for k, s in scalars.items()},
        "divide": table(vector, vector, lambda x, y: (x / y).dtype),
        "unary": by_op,
    }


# ---- printing --------------------------------------------------------------------------------------------------------

def printing_cases():
    f64 = np.float64
    samples = [
        ("zeroDim", np.array(3.5)), ("vector", np.array([1.0, 2.0, 3.0])), ("fractions", np.array([0.1, 0.25, 1 / 3])),
        ("matrix", np.array([[1.5, -2.25], [1000.125, 0.0]])), ("mixedSigns", np.array([-1.0, 10.0, -100.5])),
        ("large", np.array([1e10, 1.0, 1e-10])), ("small", np.array([1e-7, 2e-7])),
        ("special", np.array([np.nan, np.inf, -np.inf, 1.0])),
        ("cube", np.arange(12, dtype=f64).reshape(2, 2, 3)), ("empty", np.zeros(0)), ("emptyMatrix", np.zeros((0, 3))),
        ("ints", np.array([[1, -20], [300, 4]])), ("bools", np.array([True, False])), ("zeroDimInt", np.array(7)),
        ("long", np.arange(1001)), ("wide", np.linspace(0, 1, 30)),
        ("summarised", np.arange(1200, dtype=f64).reshape(40, 30)),
        ("float32", np.array([0.1, 2 / 3, 1e-5], np.float32)), ("uint8", np.array([0, 255], np.uint8)),
    ]
    return [{"name": n, "dtype": str(x.dtype), "shape": list(x.shape),
             "values": None if x.size > 100 else [v if np.isfinite(v) else str(v) for v in x.reshape(-1).tolist()],
             "numpy": str(x), "torch": str(torch.from_numpy(x))} for n, x in samples]


def main():
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    tensors, cases, names = {}, [], set()
    for case in CASES:
        assert case["name"] not in names, f"two cases are called {case['name']}"
        names.add(case["name"])
        try:
            cases.append(evaluate(case, tensors))
        except Exception as error:
            raise RuntimeError(f"case {case['name']}") from error
    check_against_numpy(cases, tensors)
    worst = check_against_differences(cases, tensors)
    unused = set(OPS) - {c["op"] for c in cases}
    assert not unused, f"ops without a case: {unused}"

    save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, HERE / "ops.safetensors")
    (HERE / "ops.safetensors").chmod(0o644)
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    with open(HERE / "ops.json", "w") as f:
        f.write('{"format":1,\n"cases":[\n' + lines + '\n],\n')
        f.write('"promotion":' + json.dumps(promotion_tables(), separators=(",", ":")) + ",\n")
        f.write('"printing":[\n' + ",\n".join(json.dumps(p) for p in printing_cases()) + "\n]}\n")
    print(f"{len(cases)} cases of {len(OPS)} ops, {sum(c['backward'] for c in cases)} with gradients, "
          f"{sum(c['second'] for c in cases)} with second derivatives, {len(tensors)} tensors; "
          f"largest deviation from central differences {worst[0]:.1e} ({worst[1]})")


if __name__ == "__main__":
    main()
