"""PaLM (Chowdhery et al. 2022, section 2) in plain PyTorch: the implementation that the Swift one is measured against.

Written for reading and for exact comparison, not for speed: no fused kernels, no cache, every matrix by itself. Where
the paper leaves something open (LayerNorm or RMSNorm, the rotary layout) the configuration decides.

Weights, PyTorch's convention [out, in]:
    embedding.weight [V, d]                          norm.weight [d]
    layers.<i>.norm.weight [d]
    layers.<i>.attention.query.weight [H * Dh, d]    layers.<i>.attention.key.weight, .value.weight [Dh, d]
    layers.<i>.attention.output.weight [d, H * Dh]
    layers.<i>.attention.queryNorm.weight, .keyNorm.weight [Dh], with qkNorm
    layers.<i>.feedForward.gate.weight, .up.weight [ff, d]    layers.<i>.feedForward.down.weight [d, ff]
    head.weight [V, d], without tieEmbeddings

Configuration keys: vocabularySize, width, layers, heads, headDim, feedForward, norm ("layernorm" | "rmsnorm"), normEps,
ropeTheta, ropeLayout ("half" | "interleaved"), zLoss, tieEmbeddings. Those that may be absent, which is the paper's
form: qkNorm (false: queries and keys are normalised by head before they are rotated), attentionScale
("inverseSqrtHeadDim" | "none"), logitScale ("inverseSqrtWidth" | "none"), residualScale (1: what a block adds is
multiplied by it).
"""

import json
import math

import torch
import torch.nn.functional as F

CONFIGURATION_KEYS = {"vocabularySize", "width", "layers", "heads", "headDim", "feedForward", "norm", "normEps",
                      "ropeTheta", "ropeLayout", "zLoss", "tieEmbeddings"}
OPTIONAL_KEYS = {"qkNorm", "attentionScale", "logitScale", "residualScale"}


def read_configuration(path):
    with open(path) as f:
        configuration = json.load(f)
    return check_configuration(configuration)


def check_configuration(c):
    if CONFIGURATION_KEYS - set(c):
        raise ValueError(f"the configuration lacks {sorted(CONFIGURATION_KEYS - set(c))}")
    if set(c) - CONFIGURATION_KEYS - OPTIONAL_KEYS:
        raise ValueError(f"unknown keys {sorted(set(c) - CONFIGURATION_KEYS - OPTIONAL_KEYS)}")
    if c["norm"] not in ("layernorm", "rmsnorm") or c["ropeLayout"] not in ("half", "interleaved"):
        raise ValueError(f"unknown norm {c['norm']!r} or ropeLayout {c['ropeLayout']!r}")
    if c.get("attentionScale", "none") not in ("inverseSqrtHeadDim", "none"):
        raise ValueError(f"unknown attentionScale {c['attentionScale']!r}")
    if c.get("logitScale", "none") not in ("inverseSqrtWidth", "none"):
        raise ValueError(f"unknown logitScale {c['logitScale']!r}")
    if c["headDim"] % 2:
        raise ValueError("headDim must be even")
    return c


def shapes(c):
    """Name -> (shape, n_in) of every weight; n_in is None where initialisation is not fan-in (embedding, norms)."""
    d, ff, inner, head = c["width"], c["feedForward"], c["heads"] * c["headDim"], c["headDim"]
    out = {"embedding.weight": ((c["vocabularySize"], d), None)}
    for i in range(c["layers"]):
        layer = f"layers.{i}."
        out[layer + "norm.weight"] = ((d,), None)
        out[layer + "attention.query.weight"] = ((inner, d), d)
        out[layer + "attention.key.weight"] = ((head, d), d)
        out[layer + "attention.value.weight"] = ((head, d), d)
        out[layer + "attention.output.weight"] = ((d, inner), inner)
        if c.get("qkNorm", False):
            out[layer + "attention.queryNorm.weight"] = ((head,), None)
            out[layer + "attention.keyNorm.weight"] = ((head,), None)
        out[layer + "feedForward.gate.weight"] = ((ff, d), d)
        out[layer + "feedForward.up.weight"] = ((ff, d), d)
        out[layer + "feedForward.down.weight"] = ((d, ff), ff)
    out["norm.weight"] = ((d,), None)
    if not c["tieEmbeddings"]:
        out["head.weight"] = ((c["vocabularySize"], d), d)
    return out


def initialise(c, seed, dtype=torch.float32):
    """W ~ N(0, 1/sqrt(n_in)) (the paper writes the standard deviation), E ~ N(0, 1), norm scales 1."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, (shape, n_in) in shapes(c).items():
        if len(shape) == 1:
            weights[name] = torch.ones(shape, dtype=dtype)
        else:
            std = 1.0 if n_in is None else 1 / math.sqrt(n_in)
            weights[name] = (torch.randn(shape, generator=generator, dtype=torch.float64) * std).to(dtype)
    return weights


def normalise(c, x, weight):
    if c["norm"] == "layernorm":
        x = x - x.mean(-1, keepdim=True)
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + c["normEps"]) * weight


def rotary_tables(c, length, dtype):
    half = c["headDim"] // 2
    frequency = c["ropeTheta"] ** (-2 * torch.arange(half, dtype=torch.float64) / c["headDim"])
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    return torch.cos(angle).to(dtype), torch.sin(angle).to(dtype)  # [T, Dh/2]


def rotate(c, x, cos, sin):
    """x [..., T, Dh]."""
    if c["ropeLayout"] == "half":
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).reshape(x.shape)


def attention(c, w, x):
    batch, length, _ = x.shape
    cos, sin = rotary_tables(c, length, x.dtype)
    q = F.linear(x, w["query.weight"]).reshape(batch, length, c["heads"], c["headDim"]).transpose(1, 2)  # [B, H, T, Dh]
    k = F.linear(x, w["key.weight"])[:, None]  # one head, shared: [B, 1, T, Dh]
    v = F.linear(x, w["value.weight"])[:, None]
    if c.get("qkNorm", False):
        q = normalise(c, q, w["queryNorm.weight"])
        k = normalise(c, k, w["keyNorm.weight"])
    scores = rotate(c, q, cos, sin) @ rotate(c, k, cos, sin).transpose(-1, -2)
    if c.get("attentionScale", "inverseSqrtHeadDim") == "inverseSqrtHeadDim":
        scores = scores / math.sqrt(c["headDim"])
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    mixed = torch.softmax(scores.masked_fill(future, float("-inf")), dim=-1) @ v
    return F.linear(mixed.transpose(1, 2).reshape(batch, length, -1), w["output.weight"])


def feed_forward(w, x):
    gate = F.linear(x, w["gate.weight"])
    return F.linear(gate * torch.sigmoid(gate) * F.linear(x, w["up.weight"]), w["down.weight"])


def below(weights, prefix):
    return {name[len(prefix):]: value for name, value in weights.items() if name.startswith(prefix)}


def forward(c, weights, tokens, activations=None):
    """tokens int64 [B, T] -> logits [B, T, V]. `activations`, a dictionary, receives the residual stream on its way."""
    x = weights["embedding.weight"][tokens]
    note = (lambda name, value: None) if activations is None else activations.__setitem__
    note("embedding", x)
    for i in range(c["layers"]):
        layer = below(weights, f"layers.{i}.")
        y = normalise(c, x, layer["norm.weight"])
        if "residualScale" in c:
            added = feed_forward(below(layer, "feedForward."), y) + attention(c, below(layer, "attention."), y)
            x = x + c["residualScale"] * added
        else:
            x = x + feed_forward(below(layer, "feedForward."), y) + attention(c, below(layer, "attention."), y)
        note(f"layers.{i}", x)
    x = normalise(c, x, weights["norm.weight"])
    note("norm", x)
    logits = x @ weights["embedding.weight" if c["tieEmbeddings"] else "head.weight"].T
    return logits / math.sqrt(c["width"]) if c.get("logitScale", "inverseSqrtWidth") == "inverseSqrtWidth" else logits


def losses(c, logits, targets):
    """Mean cross-entropy, and zLoss * mean(log^2 Z): the training loss is their sum."""
    log_z = torch.logsumexp(logits, dim=-1)
    chosen = logits.gather(-1, targets[..., None])[..., 0]
    return (log_z - chosen).mean(), c["zLoss"] * log_z.square().mean()


def loss_and_gradients(c, weights, tokens):
    """tokens [B, T + 1]: position t predicts token t + 1. Returns (cross-entropy, z-loss, gradients of their sum)."""
    leaves = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    cross_entropy, z = losses(c, forward(c, leaves, tokens[:, :-1]), tokens[:, 1:])
    gradients = torch.autograd.grad(cross_entropy + z, list(leaves.values()))
    return cross_entropy.detach(), z.detach(), dict(zip(leaves, gradients))


def greedy(c, weights, prompt, count):
    """Appends `count` tokens to prompt [T], the likeliest each. Returns all ids and the smallest lead over a second."""
    ids, lead = prompt.clone(), math.inf
    with torch.no_grad():
        for _ in range(count):
            logits = forward(c, weights, ids[None])[0, -1]
            best = torch.topk(logits, 2)
            lead = min(lead, float(best.values[0] - best.values[1]))
            ids = torch.cat([ids, best.indices[:1]])
    return ids, lead
