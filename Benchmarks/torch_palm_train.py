"""Whole training steps of a PaLM in PyTorch: forward, backward, clipping, fused AdamW. One JSON line, with the keys of
`martlet bench palm-train`."""

import time

import torch

import torch_common as common
from torch_palm import PaLM, training_flops_per_token


def main():
    p = common.parser(__doc__)
    common.model_arguments(p)
    p.add_argument("--batch", type=common.positive, default=8, help="sequences in a batch")
    p.add_argument("--sequence", type=common.positive, default=512, help="tokens in a sequence")
    p.add_argument("--steps", type=common.positive, default=6, help="steps to time")
    p.add_argument("--warmup", type=common.positive, default=2, help="steps before those")
    p.add_argument("--compile", action="store_true", help="use torch.compile")
    p.add_argument("--pure", action="store_true",
                   help="bfloat16 weights and moments, without float32 master weights, instead of autocast")
    a = p.parse_args()
    if a.dtype not in (torch.float32, torch.bfloat16):
        p.error("--dtype must be float32 or bfloat16")
    if a.pure and a.dtype != torch.bfloat16:
        p.error("--pure needs --dtype bfloat16")
    common.apply_threads(a)

    torch.manual_seed(0)
    model = PaLM(a.vocab, a.width, a.layers, a.heads, a.head_dim, a.sequence)
    if a.pure:
        model.to(torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    ids = torch.randint(0, a.vocab, (a.batch, a.sequence + 1))
    inputs, targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
    loss_of = torch.compile(model.loss) if a.compile else model.loss
    autocast = a.dtype == torch.bfloat16 and not a.pure

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = loss_of(inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    for _ in range(a.warmup):
        step()
    common.reset_peak_memory()
    times, loss = [], 0.0
    for _ in range(a.steps):
        start = time.perf_counter()
        loss = step()
        times.append(time.perf_counter() - start)

    rate = a.batch * a.sequence / common.median(times)
    scales = (a.layers + 1) * a.width
    flops = training_flops_per_token(model.parameter_count() - scales, a.layers, a.heads, a.head_dim, a.sequence)
    mode = ("compile" if a.compile else "eager") + (" pure" if a.pure else " autocast" if autocast else "")
    common.emit("palm-train", mode, **common.model_record(a), batch=a.batch, sequence=a.sequence,
                parameters=model.parameter_count(), step_seconds=times, tokens_per_second=rate,
                gflops=rate * flops / 1e9, peak_rss_bytes=common.peak_memory(), loss=loss)


if __name__ == "__main__":
    main()
