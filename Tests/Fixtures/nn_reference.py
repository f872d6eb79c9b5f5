"""Reference semantics of the neural-network ops: the second half of op_reference.py's registry."""

import torch
import torch.nn.functional as F

from op_reference import OPS, number, op

op("softmax")(lambda inputs, args: torch.softmax(inputs[0], args["dim"]))
op("logSoftmax")(lambda inputs, args: torch.log_softmax(inputs[0], args["dim"]))


@op("layerNorm")
def _(inputs, args):
    """Over the last dimension, biased variance. inputs: x, then weight [d] if args.hasWeight, bias [d] if args.hasBias.
    args: eps."""
    rest = list(inputs[1:])
    weight = rest.pop(0) if args["hasWeight"] else None
    bias = rest.pop(0) if args["hasBias"] else None
    return F.layer_norm(inputs[0], inputs[0].shape[-1:], weight, bias, args["eps"])


@op("rmsNorm")
def _(inputs, args):
    """x / sqrt(mean(x^2) + eps) * (weight + weightOffset) over the last dimension. inputs: x, weight [d] if
    args.hasWeight."""
    y = inputs[0] * torch.rsqrt(inputs[0].square().mean(-1, keepdim=True) + args["eps"])
    return y * (inputs[1] + args["weightOffset"]) if args["hasWeight"] else y


@op("embedding")
def _(inputs, args):
    """inputs: ids (int64), weight [V, d]. args: paddingIndex (null, or the row whose gradient is zero)."""
    return F.embedding(inputs[0], inputs[1], padding_idx=args["paddingIndex"])


@op("scaledDotProductAttention")
def _(inputs, args):
    """inputs: q [B, T, H, D], k and v [B, S, G, D] with H a multiple of G (query head h reads head h / (H / G)); then
    bias if args.hasBias (broadcast to [B, H, T, S], added after the scale), then keyStart (int64 [B], keys s <
    keyStart[b] are masked) if args.hasKeyStart. args: scale (null: 1/sqrt(D)), causal (query t sees keys s <= t + S -
    T), window (null, or n: only keys with t + S - T - s < n). Output [B, T, H, D]; a query without a visible key gives
    zeros."""
    q, k, v = inputs[:3]
    rest = list(inputs[3:])
    (batch, t, heads, d), (s, groups) = q.shape, k.shape[1:3]
    k = k.repeat_interleave(heads // groups, dim=2)
    v = v.repeat_interleave(heads // groups, dim=2)
    scores = torch.einsum("bthd,bshd->bhts", q, k) * (d ** -0.5 if args["scale"] is None else args["scale"])
    if args["hasBias"]:
        scores = scores + rest.pop(0)
    rows = torch.arange(t).reshape(1, 1, t, 1) + (s - t)
    columns = torch.arange(s).reshape(1, 1, 1, s)
    visible = torch.ones(batch, 1, t, s, dtype=torch.bool)
    if args["causal"]:
        visible = visible & (columns <= rows)
    if args["window"] is not None:
        visible = visible & (rows - columns < args["window"])
    if args["hasKeyStart"]:
        visible = visible & (columns >= rest.pop(0).reshape(batch, 1, 1, 1))
    some = visible.any(-1, keepdim=True)
    scores = scores.masked_fill(~visible & some, float("-inf")).masked_fill(~some, 0.0)
    weights = torch.softmax(scores, -1).masked_fill(~some, 0.0)
    return torch.einsum("bhts,bshd->bthd", weights, v)


def rotate(x, positions, theta, rotary, interleaved):
    half = rotary // 2
    frequencies = theta ** (-torch.arange(half, dtype=torch.float64) * 2 / rotary)
    angle = (positions.to(torch.float64)[..., None] * frequencies)[:, :, None, :]
    cos, sin = torch.cos(angle).to(x.dtype), torch.sin(angle).to(x.dtype)
    turned, kept = x[..., :rotary], x[..., rotary:]
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
        turned = torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)
    else:
        a, b = turned[..., :half], turned[..., half:]
        turned = torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
    return torch.cat([turned, kept], -1)


@op("rope")
def _(inputs, args):
    """Rotary position embedding of x [B, T, H, D]: the pair (x_i, x_j) turns by position * theta^(-2i/rotaryDim).
    args: theta, layout ("half": j = i + rotaryDim/2; "interleaved": pairs (2i, 2i+1)), rotaryDim (the dimensions past
    it are copied), start (position of t = 0), or positions as input 1 (int64 [B, T]) if args.hasPositions."""
    x = inputs[0]
    positions = inputs[1] if args["hasPositions"] else args["start"] + torch.arange(x.shape[1]).reshape(1, -1)
    return rotate(x, positions, args["theta"], args["rotaryDim"], args["layout"] == "interleaved")


op("swiglu")(lambda inputs, args: F.silu(inputs[0]) * inputs[1])  # inputs: gate, up
op("geglu")(lambda inputs, args: F.gelu(inputs[0]) * inputs[1])
op("gegluTanh")(lambda inputs, args: F.gelu(inputs[0], approximate="tanh") * inputs[1])
op("reglu")(lambda inputs, args: F.relu(inputs[0]) * inputs[1])


# ---- losses: args.reduction is "mean", "sum" or "none" ---------------------------------------------------------------

def reduce(loss, reduction, count=None):
    if reduction == "none":
        return loss
    total = loss.sum()
    return total if reduction == "sum" else total / (loss.numel() if count is None else count)


@op("crossEntropy")
def _(inputs, args):
    """inputs: logits [..., C] (the class dimension is the last), targets int64 [...]. With x = logitScale * logits and
    lse = logSumExp(x): loss = (1 - s) * (lse - x[target]) + s * (lse - mean(x)) + zLoss * lse^2, s = labelSmoothing.
    Targets equal to ignoreIndex count for nothing: loss 0, left out of the mean's denominator. With args.hasWeight (and
    without zLoss) weights of the classes are input 2."""
    if args.get("hasWeight"):
        return F.cross_entropy(
            inputs[0] * args["logitScale"], inputs[1], inputs[2], ignore_index=args["ignoreIndex"],
            reduction=args["reduction"], label_smoothing=args["labelSmoothing"])
    x, targets = inputs[0] * args["logitScale"], inputs[1]
    kept = targets != args["ignoreIndex"]
    lse = torch.logsumexp(x, -1)
    chosen = x.gather(-1, targets.masked_fill(~kept, 0)[..., None])[..., 0]
    s = args["labelSmoothing"]
    loss = (1 - s) * (lse - chosen) + s * (lse - x.mean(-1)) + args["zLoss"] * lse.square()
    return reduce(torch.where(kept, loss, torch.zeros_like(loss)), args["reduction"], kept.sum())


@op("linearCrossEntropy")
def _(inputs, args):
    """inputs: x [..., d], targets int64 [...], weight [V, d]. The mean of crossEntropy for the logits x @ weight^T, and
    its part without zLoss, which has no gradient. With args.divisor the sum is divided by that instead."""
    logits = F.linear(inputs[0], inputs[2])
    total = {**args, "reduction": "mean" if args["divisor"] is None else "sum"}
    loss = OPS["crossEntropy"]([logits, inputs[1]], total)
    entropy = OPS["crossEntropy"]([logits, inputs[1]], {**total, "zLoss": 0.0})
    divisor = args["divisor"] or 1
    return loss / divisor, (entropy / divisor).detach()


@op("nllLoss")
def _(inputs, args):
    """inputs: log-probabilities [..., C], targets int64 [...], weights [C] if args.hasWeight. args: ignoreIndex,
    reduction."""
    if args.get("hasWeight"):
        return F.nll_loss(*inputs, ignore_index=args["ignoreIndex"], reduction=args["reduction"])
    kept = inputs[1] != args["ignoreIndex"]
    loss = -inputs[0].gather(-1, inputs[1].masked_fill(~kept, 0)[..., None])[..., 0]
    return reduce(torch.where(kept, loss, torch.zeros_like(loss)), args["reduction"], kept.sum())


op("mseLoss")(lambda inputs, args: F.mse_loss(inputs[0], inputs[1], reduction=args["reduction"]))
op("l1Loss")(lambda inputs, args: F.l1_loss(inputs[0], inputs[1], reduction=args["reduction"]))


@op("huberLoss")
def _(inputs, args):
    """|e| <= delta ? e^2 / 2 : delta * (|e| - delta / 2)."""
    return F.huber_loss(inputs[0], inputs[1], reduction=args["reduction"], delta=args["delta"])


@op("smoothL1Loss")
def _(inputs, args):
    """|e| < beta ? e^2 / (2 beta) : |e| - beta / 2."""
    return F.smooth_l1_loss(inputs[0], inputs[1], reduction=args["reduction"], beta=args["beta"])


@op("binaryCrossEntropy")
def _(inputs, args):
    """inputs: probabilities, targets. Logarithms are limited to >= -100, as PyTorch's (whose own function adds 1e-12 in
    its derivative, which costs 2e-9 in the second)."""
    x, t = inputs
    loss = -(t * torch.log(x).clamp(min=-100) + (1 - t) * torch.log1p(-x).clamp(min=-100))
    return reduce(loss, args["reduction"])


@op("binaryCrossEntropyWithLogits")
def _(inputs, args):
    """inputs: logits, targets, and posWeight (broadcast) if args.hasPosWeight."""
    weight = inputs[2] if args["hasPosWeight"] else None
    return F.binary_cross_entropy_with_logits(inputs[0], inputs[1], reduction=args["reduction"], pos_weight=weight)


@op("klDiv")
def _(inputs, args):
    """inputs: log-probabilities, target (probabilities; log-probabilities if args.logTarget): target * (log target -
    input), 0 where a target probability is 0. reduction "mean" divides by the number of elements, "batchMean" by the
    first dimension."""
    loss = F.kl_div(inputs[0], inputs[1], reduction="none", log_target=args["logTarget"])
    return loss.sum() / loss.shape[0] if args["reduction"] == "batchMean" else reduce(loss, args["reduction"])


@op("cosineSimilarity")
def _(inputs, args):
    """a . b / (max(|a|, eps) * max(|b|, eps)) along dim."""
    return F.cosine_similarity(inputs[0], inputs[1], dim=args["dim"], eps=args["eps"])
