"""Adafactor as T5X runs it for PaLM (t5x/adafactor.py), for NumPy arrays and torch tensors alike.

    global norm clip (all parameters together):  g <- g * min(1, clip / |g|)
    v  <- b2 * v + (1 - b2) * (g^2 + eps1)         b2 = 1 - k^-0.8 at step k = 1, 2, ...: zero at the first step
    y  <- g / sqrt(v)                              or, factored: g / sqrt(row / mean(row)) / sqrt(column)
    y  <- y / max(1, RMS(y) / clipping_threshold)
    y  <- y * lr * max(RMS(p), eps2)               the parameter's scale, before its update
    m  <- b1 * m + (1 - b1) * y                    an average of the scaled update, without bias correction
    p  <- (1 - wd) * p - m                         wd = lr^2 for PaLM, not multiplied by RMS(p)
"""


def rms(x):
    return (x * x).mean() ** 0.5


def maximum(a, b):
    return a if a > b else b


def global_norm_scale(gradients, clip):
    """The factor that brings the norm of all gradients together to at most clip, and that norm. (PyTorch adds 1e-6 to
    the norm; T5X and optax do not.)"""
    norm = sum((g * g).sum() for g in gradients) ** 0.5
    return (clip / norm if norm > clip else 1.0), norm


def adafactor_step(p, g, state, step, *, lr, beta1=0.9, decay_rate=0.8, eps1=1e-30, eps2=1e-3, clipping_threshold=1.0,
                   multiply_by_parameter_scale=True, weight_decay=0.0, factored=False):
    """The new parameter; `state`, a dictionary, is updated. Factored applies to matrices only."""
    b2 = 1.0 - float(step) ** -decay_rate
    g2 = g * g + eps1
    if factored and p.ndim == 2:
        # row: a mean over the columns, column: a mean over the rows. Which is which does not matter: mean(row) is
        # mean(column).
        state["v_row"] = b2 * state.get("v_row", 0.0) + (1 - b2) * g2.mean(1)
        state["v_column"] = b2 * state.get("v_column", 0.0) + (1 - b2) * g2.mean(0)
        row, column = state["v_row"], state["v_column"]
        y = g / ((row / row.mean()) ** 0.5)[:, None] / (column ** 0.5)[None, :]
    else:
        state["v"] = b2 * state.get("v", 0.0) + (1 - b2) * g2
        y = g / state["v"] ** 0.5
    if clipping_threshold is not None:
        y = y / maximum(1.0, rms(y) / clipping_threshold)
    y = y * (lr * maximum(rms(p), eps2) if multiply_by_parameter_scale else lr)
    if beta1 is not None:
        state["m"] = beta1 * state.get("m", 0.0) + (1 - beta1) * y
        y = state["m"]
    return (1 - weight_decay) * p - y
