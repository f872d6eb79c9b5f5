#!/usr/bin/env python3
"""Trains palm_reference.py's PaLM from given weights on given batches and writes the loss of every step.

    python palm_train_reference.py --config config.json --weights model.safetensors --batches batches.safetensors \\
        --optimizer adafactor --dtype float32 --steps 200 --out losses.json [--weights-out trained.safetensors]

batches.safetensors holds `tokens`, integers [steps, B, T + 1]: position t predicts token t + 1. If there are fewer
batches than steps they are used again from the first.

Step k = 1, 2, ...: loss = mean cross-entropy + zLoss * mean(log^2 Z) over all B * T positions; gradients limited to
global norm --clip (0: not); then
    adafactor   PaLM's: not factored, b1 0.9, b2 = 1 - k^-0.8, update clipping at 1, scaled by the parameter's RMS (at
                least 1e-3), lr = 1 / sqrt(max(k, 10000)) times --lr / 0.01, weight decay lr^2 on every parameter
    adamw       torch.optim.AdamW, lr constant, --betas, eps 1e-8, --weight-decay on every parameter

The output: {"optimizer", "dtype", ..., "losses": [...], "crossEntropy": [...], "gradientNorms": [...]}; the loss of
step k is the one before its update, and the gradient norm the one before clipping.
"""

import argparse
import json

import torch
from safetensors.torch import load_file, save_file

import palm_reference as palm
from adafactor_reference import adafactor_step, global_norm_scale


def train(c, weights, batches, steps, optimizer, lr, clip=1.0, betas=(0.9, 0.95), weight_decay=0.1):
    """weights: name -> tensor (not changed). Returns (losses, cross-entropies, gradient norms, trained weights)."""
    weights = {name: w.clone() for name, w in weights.items()}
    states = {name: {} for name in weights}
    losses, cross_entropies, norms = [], [], []
    if optimizer == "adamw":
        adamw = torch.optim.AdamW(list(weights.values()), lr=lr, betas=betas, eps=1e-8, weight_decay=weight_decay,
                                  foreach=False)
    for step in range(1, steps + 1):
        tokens = batches[(step - 1) % len(batches)]
        cross_entropy, z, gradients = palm.loss_and_gradients(c, weights, tokens)
        scale, norm = global_norm_scale(list(gradients.values()), clip or float("inf"))
        losses.append(float(cross_entropy + z))
        cross_entropies.append(float(cross_entropy))
        norms.append(float(norm))
        if optimizer == "adamw":
            for name, w in weights.items():
                w.grad = gradients[name] * scale
            adamw.step()
        else:
            rate = lr / 0.01 / max(step, 10000) ** 0.5
            for name, w in weights.items():
                weights[name] = adafactor_step(w, gradients[name] * scale, states[name], step, lr=rate,
                                               weight_decay=rate**2)
    return losses, cross_entropies, norms, weights


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--batches", required=True)
    parser.add_argument("--optimizer", choices=["adafactor", "adamw"], default="adafactor")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--lr", type=float, help="default: 0.01 for adafactor, 0.001 for adamw")
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--betas", type=float, nargs=2, default=(0.9, 0.95))
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--out", required=True)
    parser.add_argument("--weights-out")
    a = parser.parse_args()

    c = palm.read_configuration(a.config)
    weights = {k: w.to(getattr(torch, a.dtype)) for k, w in load_file(a.weights).items()}
    expected = {name: shape for name, (shape, _) in palm.shapes(c).items()}
    found = {name: tuple(w.shape) for name, w in weights.items()}
    if found != expected:
        raise SystemExit(f"{a.weights} does not fit {a.config}: {sorted(set(found.items()) ^ set(expected.items()))}")
    lr = a.lr if a.lr is not None else {"adafactor": 0.01, "adamw": 0.001}[a.optimizer]
    batches = load_file(a.batches)["tokens"].long()
    losses, cross_entropies, norms, trained = train(
        c, weights, batches, a.steps, a.optimizer, lr, a.clip, tuple(a.betas), a.weight_decay)
    with open(a.out, "w") as f:
        json.dump({"optimizer": a.optimizer, "dtype": a.dtype, "lr": lr, "clip": a.clip, "losses": losses,
                   "crossEntropy": cross_entropies, "gradientNorms": norms}, f)
    if a.weights_out:
        save_file({k: w.detach().contiguous() for k, w in trained.items()}, a.weights_out)
    print(f"{a.optimizer} {a.dtype}: loss {losses[0]:.4f} -> {losses[-1]:.4f} in {a.steps} steps")


if __name__ == "__main__":
    main()
