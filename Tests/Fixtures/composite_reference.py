"""Reference semantics of the ops that Martlet composes of others: the third part of op_reference.py's registry."""

import torch
import torch.nn.functional as F

from op_reference import dims_of, number, op

# ---- linear algebra and distances -----------------------------------------------------------------------------------

op("mv")(lambda inputs, args: torch.mv(inputs[0], inputs[1]))
op("trace")(lambda inputs, args: torch.trace(inputs[0]))
op("diag", exact=True)(lambda inputs, args: torch.diag(inputs[0], args["offset"]))
op("diagEmbed", exact=True)(lambda inputs, args: torch.diag_embed(inputs[0], args["offset"]))
op("kron")(lambda inputs, args: torch.kron(inputs[0], inputs[1]))
op("tensordot")(lambda inputs, args: torch.tensordot(inputs[0], inputs[1], dims=args["dims"]))
op("cross")(lambda inputs, args: torch.linalg.cross(inputs[0], inputs[1], dim=args["dim"]))


@op("addmm")
def _(inputs, args):
    """beta * x + alpha * a @ b; x is not read where beta is 0."""
    return torch.addmm(*inputs, beta=args["beta"], alpha=args["alpha"])


@op("baddbmm")
def _(inputs, args):
    return torch.baddbmm(*inputs, beta=args["beta"], alpha=args["alpha"])


@op("cdist")
def _(inputs, args):
    """Distances of rows. Written out, because PyTorch's own has no second derivative."""
    difference = inputs[0].unsqueeze(-2) - inputs[1].unsqueeze(-3)
    return torch.linalg.vector_norm(difference, number(args["p"]), -1)


@op("normalize")
def _(inputs, args):
    """x / max(norm, eps) along dim."""
    return F.normalize(inputs[0], args["p"], args["dim"], args["eps"])


@op("pairwiseDistance")
def _(inputs, args):
    """The norm of a - b + eps in the last dimension."""
    return F.pairwise_distance(inputs[0], inputs[1], args["p"], args["eps"], args["keepDim"])


# ---- movement -------------------------------------------------------------------------------------------------------

op("hstack", exact=True)(lambda inputs, args: torch.hstack(inputs))
op("vstack", exact=True)(lambda inputs, args: torch.vstack(inputs))
op("dstack", exact=True)(lambda inputs, args: torch.dstack(inputs))
op("meshgrid", exact=True)(lambda inputs, args: tuple(torch.meshgrid(*inputs, indexing=args["indexing"])))
op("rot90", exact=True)(lambda inputs, args: torch.rot90(inputs[0], args["k"], args["dims"]))


@op("diff")
def _(inputs, args):
    """args: n, dim, prepend, append (whether there is an input for each, in this order)."""
    rest = list(inputs[1:])
    prepend = rest.pop(0) if args["prepend"] else None
    append = rest.pop(0) if args["append"] else None
    return torch.diff(inputs[0], args["n"], args["dim"], prepend, append)


@op("takeAlongDim", exact=True)
def _(inputs, args):
    """Both broadcast apart from dim; dim null: both flattened."""
    return torch.take_along_dim(inputs[0], inputs[1], args["dim"])


@op("scatterReduce")
def _(inputs, args):
    """inputs: x, index, source. args: dim, reduce, includeSelf."""
    return torch.scatter_reduce(
        inputs[0], args["dim"], inputs[1], inputs[2], args["reduce"], include_self=args["includeSelf"])


# ---- statistics -----------------------------------------------------------------------------------------------------

@op("quantile")
def _(inputs, args):
    """args: q (a number, or a list: a new first dimension), dim (null: of all), keepDim, interpolation."""
    q = torch.tensor(args["q"], dtype=inputs[0].dtype)
    return torch.quantile(inputs[0], q, args["dim"], args["keepDim"], interpolation=args["interpolation"])


@op("kthValue", exact=True)
def _(inputs, args):
    """args: k (from 1), dim, keepDim. Outputs: values, int64 indices."""
    return tuple(torch.kthvalue(inputs[0], args["k"], args["dim"], args["keepDim"]))


@op("mode", exact=True)
def _(inputs, args):
    """The most frequent value, of several the smallest, and the index of its last occurrence."""
    return tuple(torch.mode(inputs[0], args["dim"], args["keepDim"]))


@op("bincount")
def _(inputs, args):
    """inputs: a vector of integers, and weights if there is a second one. args: minLength."""
    return torch.bincount(inputs[0], inputs[1] if len(inputs) > 1 else None, args["minLength"])


@op("histc", exact=True)
def _(inputs, args):
    """args: bins, min, max (both equal: the range of the elements)."""
    return torch.histc(inputs[0], args["bins"], args["min"], args["max"])


@op("varMean")
def _(inputs, args):
    return tuple(torch.var_mean(
        inputs[0], dims_of(args, inputs[0].dim()), correction=args["correction"], keepdim=args["keepDim"]))


@op("stdMean")
def _(inputs, args):
    return tuple(torch.std_mean(
        inputs[0], dims_of(args, inputs[0].dim()), correction=args["correction"], keepdim=args["keepDim"]))


@op("aminmax", exact=True)
def _(inputs, args):
    return tuple(torch.aminmax(inputs[0], dim=args["dim"], keepdim=args["keepDim"]))


op("nanSum")(lambda inputs, args: torch.nansum(inputs[0], dims_of(args, inputs[0].dim()), args["keepDim"]))
op("nanMean")(lambda inputs, args: torch.nanmean(inputs[0], dims_of(args, inputs[0].dim()), args["keepDim"]))


@op("nanToNum", exact=True)
def _(inputs, args):
    """Infinities become the dtype's largest finite numbers where posInf and negInf are null."""
    return torch.nan_to_num(inputs[0], args["nan"], args["posInf"], args["negInf"])


op("logAddExp")(lambda inputs, args: torch.logaddexp(inputs[0], inputs[1]))


# ---- search ---------------------------------------------------------------------------------------------------------

@op("searchsorted", exact=True)
def _(inputs, args):
    """inputs: sorted, values. args: right."""
    return torch.searchsorted(inputs[0].contiguous(), inputs[1].contiguous(), right=args["right"])


@op("bucketize", exact=True)
def _(inputs, args):
    """inputs: values, boundaries."""
    return torch.bucketize(inputs[0].contiguous(), inputs[1].contiguous(), right=args["right"])


op("isIn", exact=True)(lambda inputs, args: torch.isin(inputs[0], inputs[1], invert=args["invert"]))


op("unique", exact=True)(lambda inputs, args: torch.unique(inputs[0]))
op("isClose", exact=True)(lambda inputs, args: torch.isclose(inputs[0], inputs[1], rtol=args["rtol"], atol=args["atol"]))


@op("uniqueConsecutive", exact=True)
def _(inputs, args):
    """Outputs: values, inverse, counts."""
    return torch.unique_consecutive(inputs[0], return_inverse=True, return_counts=True)


# ---- activations and normalisation ----------------------------------------------------------------------------------

op("selu")(lambda inputs, args: F.selu(inputs[0]))
# Written out: PyTorch's own divides by alpha rounded to float32.
op("celu")(lambda inputs, args: torch.where(
    inputs[0] > 0, inputs[0], args["alpha"] * torch.expm1(
        torch.where(inputs[0] > 0, 0.0, inputs[0]) / args["alpha"])))
# Written out: PyTorch's softplus inside cuts at 20.
op("mish")(lambda inputs, args: inputs[0] * torch.tanh(torch.logaddexp(inputs[0], torch.zeros_like(inputs[0]))))
op("hardswish")(lambda inputs, args: F.hardswish(inputs[0]))
# Written out: PyTorch's own has no second derivative.
op("hardsigmoid")(lambda inputs, args: F.relu6(inputs[0] + 3) / 6)
op("hardtanh", exact=True)(lambda inputs, args: F.hardtanh(inputs[0], args["min"], args["max"]))
op("relu6", exact=True)(lambda inputs, args: F.relu6(inputs[0]))
op("prelu")(lambda inputs, args: F.prelu(inputs[0], inputs[1]))
op("glu")(lambda inputs, args: F.glu(inputs[0], args["dim"]))
op("softsign")(lambda inputs, args: F.softsign(inputs[0]))
op("softmin")(lambda inputs, args: F.softmin(inputs[0], args["dim"]))
op("threshold", exact=True)(lambda inputs, args: F.threshold(inputs[0], args["threshold"], args["value"]))


@op("groupNorm")
def _(inputs, args):
    """inputs: x [N, C, ...], and weight [C] and bias [C] if args.affine. args: groups, eps, affine."""
    weight, bias = inputs[1:] if args["affine"] else (None, None)
    return F.group_norm(inputs[0], args["groups"], weight, bias, args["eps"])


# ---- losses: args.reduction is "mean", "sum" or "none" ---------------------------------------------------------------

@op("hingeEmbeddingLoss")
def _(inputs, args):
    return F.hinge_embedding_loss(inputs[0], inputs[1], args["margin"], reduction=args["reduction"])


@op("marginRankingLoss")
def _(inputs, args):
    """inputs: a, b, target."""
    return F.margin_ranking_loss(*inputs, args["margin"], reduction=args["reduction"])


@op("tripletMarginLoss")
def _(inputs, args):
    """inputs: anchor, positive, negative."""
    return F.triplet_margin_loss(
        *inputs, args["margin"], args["p"], args["eps"], args["swap"], reduction=args["reduction"])


@op("cosineEmbeddingLoss")
def _(inputs, args):
    """inputs: a, b, target."""
    return F.cosine_embedding_loss(*inputs, args["margin"], reduction=args["reduction"])


@op("gaussianNLLLoss")
def _(inputs, args):
    """inputs: mean, target, variance."""
    return F.gaussian_nll_loss(*inputs, full=args["full"], eps=args["eps"], reduction=args["reduction"])


@op("poissonNLLLoss")
def _(inputs, args):
    """inputs: rates or their logarithms, counts."""
    return F.poisson_nll_loss(
        *inputs, log_input=args["logInput"], full=args["full"], eps=args["eps"], reduction=args["reduction"])
