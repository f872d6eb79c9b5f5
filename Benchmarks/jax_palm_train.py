"""Whole training steps of a PaLM in JAX: forward, backward, clipping and AdamW in one jax.jit. One JSON line, with the
keys of `martlet bench palm-train`."""

import argparse
import functools
import json
import math
import os
import statistics
import time

import jax
import jax.numpy as jnp

import peer_common
from peer_common import peak_memory, positive, reset_peak_memory

DTYPES = {"float32": jnp.float32, "f32": jnp.float32, "bfloat16": jnp.bfloat16, "bf16": jnp.bfloat16}


# The model of torch_palm.py: PaLM (Chowdhery et al. 2022, section 2). Weights lie as [inputs, outputs], those of the
# blocks stacked.


def initial_weights(a, dtype):
    keys = iter(jax.random.split(jax.random.key(0), 4))

    def normal(std, *shape):
        return (std * jax.random.normal(next(keys), shape)).astype(dtype)

    def linears(inputs, outputs):
        return normal(1 / math.sqrt(inputs), a.layers, inputs, outputs)

    return {"embedding": normal(1, a.vocab, a.width), "norm": jnp.ones(a.width, dtype),
            "blocks": {"norm": jnp.ones((a.layers, a.width), dtype), "inputs": linears(a.width, sum(input_sizes(a))),
                       "output": linears(a.heads * a.head_dim, a.width), "down": linears(4 * a.width, a.width)}}


def input_sizes(a):
    """Query, key, value, gate and up read the same input: one product."""
    return [a.heads * a.head_dim, a.head_dim, a.head_dim, 4 * a.width, 4 * a.width]


def rotary_tables(length, head_dim, theta=10000.0):
    """cos and sin [length, head_dim], each half the same."""
    angle = jnp.arange(length)[:, None] * theta ** (-2 * jnp.arange(head_dim // 2) / head_dim)
    angle = jnp.concatenate([angle, angle], axis=-1)
    return jnp.cos(angle), jnp.sin(angle)


def rotate(x, cos, sin):
    """x [B, T, H, head_dim]; dimension i turns with i + head_dim / 2."""
    a, b = jnp.split(x, 2, axis=-1)
    return (x * cos[:, None] + jnp.concatenate([-b, a], axis=-1) * sin[:, None]).astype(x.dtype)


def layer_norm(x, scale):
    """In float32, whatever x is."""
    x = x.astype(jnp.float32)
    x = x - x.mean(axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.square(x).mean(axis=-1, keepdims=True) + 1e-6) * scale


def attention(q, k, v):
    """Causal, multi-query: q [B, T, H, D], k and v [B, T, 1, D]."""
    k, v = k[:, :, 0], v[:, :, 0]
    scores = jnp.einsum("bthd,bsd->bths", q, k).astype(jnp.float32) / math.sqrt(q.shape[-1])
    visible = jnp.tril(jnp.ones((q.shape[1], q.shape[1]), bool))[:, None]
    weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf)).astype(v.dtype)
    return jnp.einsum("bths,bsd->bthd", weights, v)


def block(p, x, cos, sin, a):
    """y = x + FeedForward(Norm(x)) + Attention(Norm(x)), the attention multi-query. x is [B T, width]: XLA multiplies
    matrices faster than arrays of them."""
    projected = layer_norm(x, p["norm"]).astype(a.dtype) @ p["inputs"].astype(a.dtype)
    q, k, v, gate, up = jax.lax.split(projected, input_sizes(a), axis=1)
    q, k, v = (t.reshape(-1, a.sequence, t.shape[1] // a.head_dim, a.head_dim) for t in (q, k, v))
    mixed = attention(rotate(q, cos, sin), rotate(k, cos, sin), v).reshape(len(x), -1)
    return x + mixed @ p["output"].astype(a.dtype) + (jax.nn.silu(gate) * up) @ p["down"].astype(a.dtype)


def loss_of(weights, tokens, targets, a):
    x = weights["embedding"][tokens.flatten()]
    cos, sin = rotary_tables(a.sequence, a.head_dim)

    # On a CPU it is as fast to compute a block again in the backward pass as to keep its values, and takes less than
    # half of the memory.
    @jax.checkpoint
    def through(x, p):
        return block(p, x, cos, sin, a), None

    x, _ = jax.lax.scan(through, x, weights["blocks"])
    x = layer_norm(x, weights["norm"]).astype(a.dtype)
    logits = x @ weights["embedding"].astype(a.dtype).T * (1 / math.sqrt(a.width))
    # A comparison instead of an index: its gradient is no scatter.
    chosen = jax.nn.one_hot(targets.flatten(), a.vocab)
    return -(jax.nn.log_softmax(logits.astype(jnp.float32)) * chosen).sum(axis=-1).mean()


# The step


def clipped(gradients, limit=1.0):
    square = sum(jnp.square(g.astype(jnp.float32)).sum() for g in jax.tree.leaves(gradients))
    scale = jnp.minimum(limit / (jnp.sqrt(square) + 1e-6), 1.0)
    return jax.tree.map(lambda g: g * scale.astype(g.dtype), gradients)


def adamw(weights, gradients, moments, step, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01):
    """The arithmetic and the defaults of torch.optim.AdamW."""
    def update(w, g, m, v):
        p, g, m, v = (x.astype(jnp.float32) for x in (w, g, m, v))
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * jnp.square(g)
        p = p * (1 - lr * decay)
        p = p - lr / (1 - beta1 ** step) * m / (jnp.sqrt(v) / jnp.sqrt(1 - beta2 ** step) + eps)
        return tuple(x.astype(w.dtype) for x in (p, m, v))

    updated = jax.tree.map(update, weights, gradients, *moments)
    new, *moments = jax.tree.transpose(jax.tree.structure(weights), jax.tree.structure((0, 0, 0)), updated)
    return new, tuple(moments)


def training_step(a):
    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, tokens, targets):
        weights, moments, count = state
        loss, gradients = jax.value_and_grad(loss_of)(weights, tokens, targets, a)
        weights, moments = adamw(weights, clipped(gradients), moments, count + 1)
        return (weights, moments, count + 1), loss

    return step


# The program


def use_threads(count):
    """XLA has no option for it: it starts a thread for every processor that the process may use."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--threads", type=positive, default=os.environ.get("OMP_NUM_THREADS"),
                   help="threads to compute with; as many as processors unless given")
    p.add_argument("--dtype", type=peer_common.one_of(DTYPES), default=jnp.bfloat16, help="float32 or bfloat16")
    peer_common.model_arguments(p)
    p.add_argument("--batch", type=positive, default=8, help="sequences in a batch")
    p.add_argument("--sequence", type=positive, default=512, help="tokens in a sequence")
    p.add_argument("--steps", type=positive, default=6, help="steps to time")
    p.add_argument("--warmup", type=positive, default=2, help="steps before those; the first one compiles")
    p.add_argument("--pure", action="store_true",
                   help="bfloat16 weights and moments, without float32 master weights")
    a = p.parse_args()
    if a.pure and a.dtype != jnp.bfloat16:
        p.error("--pure needs --dtype bfloat16")
    if a.threads:
        use_threads(a.threads)

    weights = initial_weights(a, jnp.bfloat16 if a.pure else jnp.float32)
    parameters = sum(w.size for w in jax.tree.leaves(weights))
    moments = tuple(jax.tree.map(jnp.zeros_like, weights) for _ in range(2))
    state = weights, moments, jnp.int32(0)
    ids = jax.random.randint(jax.random.key(1), (a.batch, a.sequence + 1), 0, a.vocab)
    inputs, targets = ids[:, :-1], ids[:, 1:]
    step = training_step(a)

    for _ in range(a.warmup):
        state, loss = jax.block_until_ready(step(state, inputs, targets))
    reset_peak_memory()
    times = []
    for _ in range(a.steps):
        start = time.perf_counter()
        state, loss = jax.block_until_ready(step(state, inputs, targets))
        times.append(time.perf_counter() - start)

    rate = a.batch * a.sequence / statistics.median(times)
    scales = (a.layers + 1) * a.width
    # As torch_palm.training_flops_per_token counts: what is computed twice is work once.
    flops = 6 * (parameters - scales) + 12 * a.layers * a.heads * a.head_dim * a.sequence
    print(json.dumps({
        "name": "palm-train", "framework": "jax", "version": jax.__version__,
        "mode": "jit" + (" pure" if a.pure else " mixed" if a.dtype == jnp.bfloat16 else ""),
        "dtype": jnp.dtype(a.dtype).name, "width": a.width, "layers": a.layers, "heads": a.heads,
        "head_dim": a.head_dim, "vocab": a.vocab, "threads": len(os.sched_getaffinity(0)), "batch": a.batch,
        "sequence": a.sequence, "parameters": parameters, "step_seconds": times, "tokens_per_second": rate,
        "gflops": rate * flops / 1e9, "peak_rss_bytes": peak_memory(), "loss": float(loss)}), flush=True)


if __name__ == "__main__":
    main()
