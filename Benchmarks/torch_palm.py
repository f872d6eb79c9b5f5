"""PaLM (Chowdhery et al. 2022, section 2) in PyTorch, written for speed with what PyTorch offers its users:
F.scaled_dot_product_attention, F.layer_norm, F.linear, one product for all projections that read the same input."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def rotary_tables(length, head_dim, theta=10000.0):
    """cos and sin [length, head_dim], each half the same."""
    frequency = theta ** (-2 * torch.arange(head_dim // 2, dtype=torch.float64) / head_dim)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos().float(), angle.sin().float()


def rotate(x, cos, sin):
    """x [..., T, head_dim]; dimension i turns with i + head_dim / 2."""
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin


class Block(nn.Module):
    """y = x + FeedForward(Norm(x)) + Attention(Norm(x)), the attention multi-query."""

    def __init__(self, width, heads, head_dim):
        super().__init__()
        self.heads, self.head_dim, self.hidden = heads, head_dim, 4 * width
        self.norm = nn.LayerNorm(width, eps=1e-6, bias=False)
        # Query, key, value, gate and up read the same input: one product is faster than five.
        self.sizes = [heads * head_dim, head_dim, head_dim, self.hidden, self.hidden]
        self.inputs = nn.Linear(width, sum(self.sizes), bias=False)
        self.output = nn.Linear(heads * head_dim, width, bias=False)
        self.down = nn.Linear(self.hidden, width, bias=False)

    def forward(self, x, cos, sin, cache=None, position=0):
        batch, time, _ = x.shape
        q, k, v, gate, up = self.inputs(self.norm(x)).split(self.sizes, dim=-1)
        q = q.view(batch, time, self.heads, self.head_dim).transpose(1, 2)  # [B, H, T, D]
        k, v = k.unsqueeze(1), v.unsqueeze(1)  # [B, 1, T, D]
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            keys, values = cache
            keys[:, :, position:position + time] = k
            values[:, :, position:position + time] = v
            k, v = keys[:, :, :position + time], values[:, :, :position + time]
        k = k.expand(batch, self.heads, k.shape[2], self.head_dim)
        v = v.expand(batch, self.heads, v.shape[2], self.head_dim)
        # A single new token sees all that is there; a prompt starts an empty cache.
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=time > 1)
        mixed = mixed.transpose(1, 2).reshape(batch, time, self.heads * self.head_dim)
        return x + self.output(mixed) + self.down(F.silu(gate) * up)


class PaLM(nn.Module):
    def __init__(self, vocab, width, layers, heads, head_dim, length):
        super().__init__()
        self.width, self.head_dim = width, head_dim
        self.embedding = nn.Embedding(vocab, width)
        self.blocks = nn.ModuleList(Block(width, heads, head_dim) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=1e-6, bias=False)
        cos, sin = rotary_tables(length, head_dim)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for block in self.blocks:
            for layer in (block.inputs, block.output, block.down):
                nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))

    def hidden(self, tokens, caches=None, position=0):
        """tokens [B, T] -> [B, T, width]."""
        x = self.embedding(tokens)
        cos, sin = self.cos[position:position + tokens.shape[1]], self.sin[position:position + tokens.shape[1]]
        cos, sin = cos.to(x.dtype), sin.to(x.dtype)
        for i, block in enumerate(self.blocks):
            x = block(x, cos, sin, caches[i] if caches is not None else None, position)
        return self.norm(x)

    def logits(self, hidden):
        """The embedding is the output layer, too."""
        return F.linear(hidden, self.embedding.weight) * (1 / math.sqrt(self.width))

    def loss(self, tokens, targets):
        logits = self.logits(self.hidden(tokens))
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    def parameter_count(self):
        return sum(p.numel() for p in self.parameters())


def training_flops_per_token(parameters, layers, heads, head_dim, sequence):
    """PaLM, appendix B, as `martlet bench palm-train` counts: norms' scales are not parameters here."""
    return 6 * parameters + 12 * layers * heads * head_dim * sequence
