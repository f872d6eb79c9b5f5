#!/usr/bin/env python3
"""Makes optimizers.safetensors and optimizers.json: ten steps of every optimizer on fixed gradients, float64.

    python make_optimizer_fixtures.py

optimizers.safetensors, for the parameters P in matrix [6, 5], vector [7], small [12, 4] (its RMS is under Adafactor's
floor of 1e-3), zero [3] (starts at zero)
    initial/P               the parameters before the first step
    gradients/P             [10, ...] the gradient of each step (the same for every run; nothing is recomputed)
    <run>/P                 [10, ...] the parameter after each step
    <run>/optax/P           the same by optax, for the runs that have "optax": see below
optimizers.json: {"runs": [...]}, a run is
    name, optimizer         "sgd", "adam", "adamW", "adafactor", "rmsProp", "adagrad"
    options                 of the optimizer, under the names of PyTorch and T5X in lowerCamelCase
    learningRates           [10] the rate of each step; weightDecays [10]: for Adafactor
    globalNormClip          null, or the norm to which all gradients together are limited first
    optax                   only where optax computed it too: the largest relative difference |a - b| / max |b|
and {"plateaus": [...]}, each with the options of ReduceLROnPlateau, measures, and the learning rate after each of them.

Who computes what. SGD, Adam, AdamW, RMSprop and Adagrad: torch.optim. Adafactor: T5X's formula in float64
(adafactor_reference.py), and optax.adafactor beside it. The two are one algorithm with the same order of
operations; optax differs in that it computes beta2 = 1 - k^-0.8 in float32 even for float64 parameters (hence
differences about 1e-8), keeps the momentum in float32 unless told otherwise (told otherwise here), has no clipping by
global norm inside (chained in front here) and wants the lr^2 weight decay as a schedule of its own, counted from step
0.
"""

import json
import pathlib

import jax
import numpy as np
import optax
import torch
from safetensors.numpy import save_file

from adafactor_reference import adafactor_step, global_norm_scale

jax.config.update("jax_enable_x64", True)
HERE = pathlib.Path(__file__).parent
STEPS = 10


def make_problem():
    rng = np.random.Generator(np.random.PCG64(7))
    initial = {"matrix": rng.standard_normal((6, 5)), "vector": 1 + 0.1 * rng.standard_normal(7),
               "small": 1e-4 * rng.standard_normal((12, 4)), "zero": np.zeros(3)}
    # Steps of unequal size, so that clipping of both kinds is at work in some steps and not in others.
    size = [0.1, 1.0, 0.05, 3.0, 0.2, 0.2, 10.0, 0.01, 0.5, 0.3]
    gradients = {k: np.stack([s * rng.standard_normal(p.shape) for s in size]) for k, p in initial.items()}
    gradients["vector"][4, 2] = 0.0
    return initial, gradients


INITIAL, GRADIENTS = make_problem()
CONSTANT = [0.05] * STEPS
CHANGING = [0.05 / max(k, 4) ** 0.5 for k in range(1, STEPS + 1)]
PALM = [0.2 / max(k, 4) ** 0.5 for k in range(1, STEPS + 1)]  # PaLM's shape with the knee at step 4 instead of 10 000


def torch_run(make, rates, clip):
    params = {k: torch.nn.Parameter(torch.from_numpy(p.copy())) for k, p in INITIAL.items()}
    optimizer = make(list(params.values()), rates[0])
    history = {k: [] for k in params}
    for step in range(STEPS):
        scale = 1.0 if clip is None else global_norm_scale([g[step] for g in GRADIENTS.values()], clip)[0]
        for k, p in params.items():
            p.grad = torch.from_numpy(GRADIENTS[k][step] * scale)
        optimizer.param_groups[0]["lr"] = rates[step]
        optimizer.step()
        for k, p in params.items():
            history[k].append(p.detach().numpy().copy())
    return {k: np.stack(h) for k, h in history.items()}


def adafactor_run(rates, decays, clip, **options):
    params, states = dict(INITIAL), {k: {} for k in INITIAL}
    history = {k: [] for k in params}
    for step in range(STEPS):
        scale = 1.0 if clip is None else global_norm_scale([g[step] for g in GRADIENTS.values()], clip)[0]
        for k in params:
            params[k] = adafactor_step(params[k], GRADIENTS[k][step] * scale, states[k], step + 1, lr=rates[step],
                                       weight_decay=decays[step], **options)
            history[k].append(params[k])
    return {k: np.stack(h) for k, h in history.items()}


def optax_run(rates, decays, clip, beta1, factored, multiply_by_parameter_scale, clipping_threshold):
    table = lambda values: lambda count: jax.numpy.asarray(values)[count]
    chain = optax.adafactor(
        learning_rate=table(rates), factored=factored, min_dim_size_to_factor=2, momentum=beta1,
        dtype_momentum=np.float64, decay_rate=0.8, clipping_threshold=clipping_threshold,
        multiply_by_parameter_scale=multiply_by_parameter_scale,
        weight_decay_rate=table(decays) if any(decays) else None)
    if clip is not None:
        chain = optax.chain(optax.clip_by_global_norm(clip), chain)
    params = {k: jax.numpy.asarray(p) for k, p in INITIAL.items()}
    state, history = chain.init(params), {k: [] for k in params}
    for step in range(STEPS):
        updates, state = chain.update({k: jax.numpy.asarray(g[step]) for k, g in GRADIENTS.items()}, state, params)
        params = optax.apply_updates(params, updates)
        for k, p in params.items():
            history[k].append(np.asarray(p))
    return {k: np.stack(h) for k, h in history.items()}


def plateau(measures, options):
    """The learning rate after each measure, from 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    names = {"thresholdMode": "threshold_mode", "minimumLearningRate": "min_lr"}
    values = {"relative": "rel", "absolute": "abs"}
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, **{names.get(k, k): values.get(v, v) for k, v in options.items()})
    rates = []
    for measure in measures:
        scheduler.step(measure)
        rates.append(optimizer.param_groups[0]["lr"])
    return {"options": options, "measures": measures, "learningRates": rates}


def plateaus():
    common = {"mode": "min", "factor": 0.5, "patience": 2, "threshold": 1e-2, "thresholdMode": "relative",
              "cooldown": 0, "minimumLearningRate": 0.0, "eps": 1e-8}
    falling = [3.0, 2.0, 1.995, 1.99, 1.985, 1.5, 1.5, 1.5, 1.5, 1.4, 1.45, 1.6, 1.39, 1.41, 1.40, 1.42, 1.43, 1.44]
    rising = [-x for x in falling]
    return [plateau(m, {**common, **o}) for m, o in [
        (falling, {}), (falling, {"thresholdMode": "absolute", "threshold": 0.02}), (falling, {"patience": 0}),
        (falling, {"patience": 1, "cooldown": 3}), (falling, {"patience": 0, "minimumLearningRate": 0.2}),
        (falling, {"patience": 0, "eps": 0.1}), (rising, {"mode": "max", "thresholdMode": "absolute"}),
        (falling, {"mode": "max", "patience": 1, "factor": 0.1})]]


def main():
    tensors = {f"initial/{k}": p for k, p in INITIAL.items()} | {f"gradients/{k}": g for k, g in GRADIENTS.items()}
    runs = []

    def record(name, optimizer, options, rates, result, clip=None, **more):
        runs.append({"name": name, "optimizer": optimizer, "options": options, "learningRates": rates,
                     "globalNormClip": clip, **more})
        tensors.update({f"{name}/{k}": x for k, x in result.items()})

    sgd = {"momentum": 0.0, "dampening": 0.0, "weightDecay": 0.0, "nesterov": False}
    for name, options in [("plain", {}), ("momentum", {"momentum": 0.9}),
                          ("nesterov", {"momentum": 0.9, "nesterov": True}),
                          ("dampening", {"momentum": 0.9, "dampening": 0.3}), ("weightDecay", {"weightDecay": 0.1}),
                          ("everything", {"momentum": 0.8, "nesterov": True, "weightDecay": 0.05})]:
        o = {**sgd, **options}
        record(f"sgd.{name}", "sgd", o, CHANGING, torch_run(
            lambda p, lr: torch.optim.SGD(p, lr, o["momentum"], o["dampening"], o["weightDecay"], o["nesterov"]),
            CHANGING, None))
    adam = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weightDecay": 0.0}
    for name, kind, options, rates, clip in [
        ("adam.plain", "adam", {}, CONSTANT, None), ("adam.changingRate", "adam", {}, CHANGING, None),
        ("adam.betas", "adam", {"beta1": 0.8, "beta2": 0.95, "eps": 1e-5}, CONSTANT, None),
        ("adam.weightDecay", "adam", {"weightDecay": 0.1}, CONSTANT, None),
        ("adamW.plain", "adamW", {"weightDecay": 0.01}, CONSTANT, None),
        ("adamW.languageModel", "adamW", {"beta2": 0.95, "weightDecay": 0.1}, CHANGING, 1.0),
    ]:
        o = {**adam, **options}
        make = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
        record(name, kind, o, rates, torch_run(
            lambda p, lr: make(p, lr, (o["beta1"], o["beta2"]), o["eps"], o["weightDecay"], foreach=False),
            rates, clip), clip)

    rms = {"alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "centered": False, "weightDecay": 0.0}
    for name, options in [("plain", {}), ("momentum", {"momentum": 0.9}), ("centered", {"centered": True}),
                          ("everything", {"alpha": 0.9, "eps": 1e-5, "momentum": 0.8, "centered": True,
                                          "weightDecay": 0.05})]:
        o = {**rms, **options}
        record(f"rmsProp.{name}", "rmsProp", o, CHANGING, torch_run(
            lambda p, lr: torch.optim.RMSprop(p, lr, o["alpha"], o["eps"], o["weightDecay"], o["momentum"],
                                              o["centered"], foreach=False), CHANGING, None))
    ada = {"learningRateDecay": 0.0, "initialAccumulator": 0.0, "eps": 1e-10, "weightDecay": 0.0}
    for name, options in [("plain", {}), ("everything", {"learningRateDecay": 0.1, "initialAccumulator": 0.3,
                                                         "eps": 1e-5, "weightDecay": 0.05})]:
        o = {**ada, **options}
        record(f"adagrad.{name}", "adagrad", o, CHANGING, torch_run(
            lambda p, lr: torch.optim.Adagrad(p, lr, o["learningRateDecay"], o["weightDecay"],
                                              o["initialAccumulator"], o["eps"], foreach=False), CHANGING, None))

    palm = {"factored": False, "beta1": 0.9, "clippingThreshold": 1.0, "multiplyByParameterScale": True}
    for name, options, decay_exponent, clip in [
        ("adafactor.palm", {}, 2.0, 1.0), ("adafactor.palmWithoutGlobalClip", {}, 2.0, None),
        ("adafactor.palmWithoutMomentum", {"beta1": None}, 2.0, None),
        ("adafactor.palmWithoutDecay", {}, None, None),
        ("adafactor.palmWithoutUpdateClip", {"clippingThreshold": None}, 2.0, None),
        ("adafactor.palmWithoutParameterScale", {"multiplyByParameterScale": False}, 2.0, None),
        ("adafactor.factored", {"factored": True, "beta1": None}, None, None),
        ("adafactor.factoredMomentumDecay", {"factored": True}, 2.0, 1.0),
    ]:
        o = {**palm, **options}
        decays = [lr ** decay_exponent for lr in PALM] if decay_exponent else [0.0] * STEPS
        common = dict(beta1=o["beta1"], factored=o["factored"], clipping_threshold=o["clippingThreshold"],
                      multiply_by_parameter_scale=o["multiplyByParameterScale"])
        ours = adafactor_run(PALM, decays, clip, **common)
        theirs = optax_run(PALM, decays, clip, **common)
        difference = max(float(np.abs(ours[k] - theirs[k]).max() / np.abs(ours[k]).max()) for k in ours)
        assert difference < 1e-6, (name, difference)
        o |= {"decayRate": 0.8, "eps1": 1e-30, "eps2": 1e-3}
        record(name, "adafactor", o, PALM, ours, clip, weightDecays=decays, optax=difference)
        tensors.update({f"{name}/optax/{k}": x for k, x in theirs.items()})

    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, HERE / "optimizers.safetensors")
    (HERE / "optimizers.safetensors").chmod(0o644)
    text = ",\n".join(json.dumps(r) for r in runs)
    (HERE / "optimizers.json").write_text(
        f'{{"format": 1, "steps": {STEPS}, "parameters": {json.dumps(list(INITIAL))},\n"runs": [\n{text}\n],\n'
        '"plateaus": [\n' + ",\n".join(json.dumps(p) for p in plateaus()) + "\n]}\n")
    for r in runs:
        print(r["name"], r.get("optax", ""))


if __name__ == "__main__":
    main()
