#!/usr/bin/env python3
"""Makes palm/<name>/: small PaLMs with everything that palm_reference.py computes from their weights.

    python make_palm_fixtures.py

palm/<name>/config.json             the configuration (keys: see palm_reference.py)
palm/<name>/model.safetensors       the weights, float32, by name; the float64 run uses the same numbers
palm/<name>/expected.safetensors
    tokens                          int64 [2, 13]: inputs are tokens[:, :12], targets tokens[:, 1:]
    greedy                          int64 [20]: the greedy continuation of its own first 5 ids, computed in float64
    <dtype>/logits                  [2, 12, V], for <dtype> in float64, float32
    <dtype>/crossEntropy, <dtype>/zLoss    scalars; the loss is their sum (zLoss is weighted already)
    <dtype>/activation/<place>      [2, 12, d] the residual stream: embedding, layers.<i>, norm (after the last norm)
    <dtype>/gradient/<weight>       gradient of the loss
palm/<name>/expected.json           the largest relative error of PyTorch's own float32 against float64, by tensor kind:
                                    max |a - b| / max |b|; a yardstick for "under 1e-5"
"""

import json
import pathlib

import torch
from safetensors.torch import save_file

import palm_reference as palm

HERE = pathlib.Path(__file__).parent
SMALL = dict(vocabularySize=61, width=16, layers=2, heads=4, headDim=8, feedForward=64, norm="layernorm", normEps=1e-6,
             ropeTheta=10000.0, ropeLayout="half", zLoss=1e-4, tieEmbeddings=True)
CONFIGURATIONS = {
    "layernorm-half": {**SMALL, "width": 32, "headDim": 16, "feedForward": 128},
    "layernorm-interleaved": {**SMALL, "ropeLayout": "interleaved", "normEps": 1e-5},
    "rmsnorm-half": {**SMALL, "norm": "rmsnorm", "zLoss": 1e-2},
    "rmsnorm-interleaved": {**SMALL, "norm": "rmsnorm", "ropeLayout": "interleaved", "ropeTheta": 500000.0, "layers": 3,
                            "heads": 3},
    # What the paper does not have.
    "variant-layernorm": {**SMALL, "qkNorm": True, "logitScale": "none", "tieEmbeddings": False, "residualScale": 0.5},
    "variant-rmsnorm": {**SMALL, "norm": "rmsnorm", "ropeLayout": "interleaved", "qkNorm": True,
                        "attentionScale": "none", "tieEmbeddings": False, "residualScale": 0.7, "zLoss": 1e-2},
}


def evaluate(c, weights, tokens):
    out, activations = {}, {}
    with torch.no_grad():
        out["logits"] = palm.forward(c, weights, tokens[:, :-1], activations)
    out |= {f"activation/{name}": x for name, x in activations.items()}
    cross_entropy, z, gradients = palm.loss_and_gradients(c, weights, tokens)
    out |= {"crossEntropy": cross_entropy, "zLoss": z}
    out |= {f"gradient/{name}": g for name, g in gradients.items()}
    return out


def main():
    torch.set_num_threads(1)
    for seed, (name, c) in enumerate(CONFIGURATIONS.items()):
        palm.check_configuration(c)
        weights = palm.initialise(c, seed)
        # Norm scales of exactly 1 would hide a norm that forgets them.
        generator = torch.Generator().manual_seed(1000 + seed)
        for key, w in weights.items():
            if w.dim() == 1:
                weights[key] = 1 + 0.3 * torch.randn(w.shape, generator=generator)
        tokens = torch.randint(0, c["vocabularySize"], (2, 13), generator=generator)
        doubles = {k: w.double() for k, w in weights.items()}
        expected = {"tokens": tokens}
        runs = {"float64": evaluate(c, doubles, tokens), "float32": evaluate(c, weights, tokens)}
        errors = {}
        for key, exact in runs["float64"].items():
            error = float((runs["float32"][key].double() - exact).abs().max() / exact.abs().max())
            kind = key.split("/")[0]
            errors[kind] = max(errors.get(kind, 0.0), error)
        for dtype, run in runs.items():
            expected |= {f"{dtype}/{key}": value.contiguous() for key, value in run.items()}
        expected["greedy"], lead = palm.greedy(c, doubles, tokens[0, :5], 15)
        assert lead > 1e-3, f"{name}: greedy decoding hangs on a lead of {lead}"

        folder = HERE / "palm" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(c, indent=2) + "\n")
        facts = {"float32Error": errors, "parameters": sum(w.numel() for w in weights.values()), "greedyLead": lead}
        (folder / "expected.json").write_text(json.dumps(facts, indent=2) + "\n")
        save_file(weights, folder / "model.safetensors")
        save_file(expected, folder / "expected.safetensors")
        for file in folder.iterdir():
            file.chmod(0o644)
        exact = runs["float64"]
        print(name, f"loss {float(exact['crossEntropy']):.6f} + {float(exact['zLoss']):.6f}", errors)


if __name__ == "__main__":
    main()
