"""PyTorch on one NVIDIA GPU: launches, copies, RMS norm, matrix products, attention and training,
as docs/gpu-first-run.md lists them.

    python3 Benchmarks/torch_gpu.py

Prints one line a figure. Times are CUDA events around several calls, the median of seven; the inputs of products and
of attention are random, and a second line gives a product of constants, which draws less power and runs faster.
Attention counts 4 * batch * heads * length^2 * head dimension operations forward, half of it if causal, and 2.5 times
as many backward.
"""

import statistics
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from torch_palm import PaLM, training_flops_per_token

GIB = 1 << 30
MULTIPLICAND = 1.0956  # any constant that is no power of two


def seconds(call, repeats=10, rounds=7):
    for _ in range(3):
        call()
    times = []
    for _ in range(rounds):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(repeats):
            call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3 / repeats)
    return statistics.median(times)


def launches():
    x, y = torch.randn(1 << 20, device="cuda"), torch.randn(1 << 20, device="cuda")
    small = torch.randn(4, 4, device="cuda")
    out = torch.empty_like(small)

    def host(call, count=10_000):
        for _ in range(100):
            call()
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            call()
        issued = time.perf_counter() - start
        torch.cuda.synchronize()
        return issued / count, (time.perf_counter() - start) / count

    for name, call in [
        ("y.add_(x, alpha=2), 2^20 float32", lambda: y.add_(x, alpha=2.0)),
        ("torch.add(a, a, out=b), 4x4", lambda: torch.add(small, small, out=out)),
        ("a + a, 4x4", lambda: small + small),
    ]:
        issued, whole = host(call)
        print(f"launch, {name}: {issued * 1e9:.0f} ns each on the host, {whole * 1e9:.0f} ns with the device")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(1000):
            y.add_(x, alpha=2.0)
    print(f"graph of 1000 launches: {seconds(graph.replay) * 1e9 / 1000:.0f} ns each")


def copies():
    x = torch.empty(4 * GIB, dtype=torch.uint8, device="cuda")
    x.random_()
    y = torch.empty_like(x)
    s = seconds(lambda: y.copy_(x), repeats=5)
    print(f"copy in the device, 4 GiB: {2 * x.numel() / s / 1e9:.0f} GB/s read and written")
    pinned = torch.empty(GIB, dtype=torch.uint8, pin_memory=True)
    part = x[:GIB]
    s = seconds(lambda: part.copy_(pinned, non_blocking=True), repeats=2)
    print(f"pinned host to device, 1 GiB: {GIB / s / 1e9:.1f} GB/s")
    s = seconds(lambda: pinned.copy_(part, non_blocking=True), repeats=2)
    print(f"device to pinned host, 1 GiB: {GIB / s / 1e9:.1f} GB/s")


def norms():
    for rows, width in [(131072, 4096), (524288, 768)]:
        x = torch.rand(rows, width, device="cuda").mul_(2).sub_(1).bfloat16()
        weight = torch.rand(width, device="cuda").bfloat16()
        s = seconds(lambda: F.rms_norm(x, (width,), weight, 1e-6), repeats=5)
        print(f"RMS norm {rows} x {width} bf16: {s * 1e3:.3f} ms, {4 * x.numel() / s / 1e9:.0f} GB/s read and written")


def products():
    for m, n, k in [(8192, 8192, 8192), (4096, 16384, 4096), (2048, 8192, 2048)]:
        for kind in ["random", "constant"]:
            make = {
                "random": lambda *s: torch.rand(*s, device="cuda").mul_(2).sub_(1).bfloat16(),
                "constant": lambda *s: torch.full(s, MULTIPLICAND, dtype=torch.bfloat16, device="cuda"),
            }[kind]
            a, b, bias = make(n, k), make(m, k), make(m)
            tera = 2 * m * n * k / 1e12
            s = seconds(lambda: F.linear(a, b))
            print(f"product {m}x{n}x{k} bf16, {kind}: {tera / s:.0f} TFLOP/s")
            if m == 8192:
                s = seconds(lambda: F.gelu(F.linear(a, b, bias), approximate="tanh"))
                print(f"product {m}x{n}x{k} bf16 with bias, then GELU, {kind}: {tera / s:.0f} TFLOP/s")


def attention():
    shapes = [(16, 12, 12, 1024, 64), (8, 16, 16, 2048, 128), (4, 32, 8, 4096, 128), (4, 16, 16, 4096, 256)]
    for batch, heads, kv, length, width in shapes:
        for backend in [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION]:
            # The memory order is (batch, length, heads, width), as a model's projections leave it.
            q, k, v, grad = (
                torch.rand(batch, length, h, width, device="cuda").mul_(2).sub_(1).bfloat16().transpose(1, 2)
                for h in (heads, kv, kv, heads)
            )
            q, k, v = (x.requires_grad_() for x in (q, k, v))
            flops = 4 * batch * heads * length * length * width / 2 / 1e12
            where = f"b{batch} h{heads}/{kv} s{length} d{width} causal, {backend.name.split('_')[0].lower()}"
            try:
                with sdpa_kernel(backend):
                    call = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=heads != kv)
                    with torch.no_grad():
                        forward = seconds(call)
                    out = call()
                    backward = seconds(lambda: torch.autograd.grad(out, (q, k, v), grad, retain_graph=True))
            except RuntimeError as error:
                print(f"attention {where}: {str(error).splitlines()[0]}")
                continue
            print(
                f"attention {where}: forward {forward * 1e3:.3f} ms, {flops / forward:.0f} TFLOP/s; "
                f"backward {backward * 1e3:.3f} ms, {2.5 * flops / backward:.0f} TFLOP/s"
            )


def training():
    """The models of palm-train and one of a billion parameters: forward, backward, clipping, fused AdamW, autocast."""
    for name, vocab, width, layers, heads, head_dim, batch, length in [
        ("34M", 8192, 512, 8, 8, 64, 64, 512),
        ("110M", 12288, 768, 12, 12, 64, 32, 1024),
        ("1B", 32768, 2048, 16, 16, 128, 16, 1024),
    ]:
        torch.manual_seed(0)
        model = PaLM(vocab, width, layers, heads, head_dim, length).cuda()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        ids = torch.randint(0, vocab, (batch, length + 1), device="cuda")
        inputs, targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
        for mode, loss_of in [("eager", model.loss), ("compile", torch.compile(model.loss))]:
            torch.cuda.reset_peak_memory_stats()

            def step():
                with torch.autocast("cuda", dtype=torch.bfloat16):
                    loss = loss_of(inputs, targets)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

            rate = batch * length / seconds(step, repeats=3)
            # Norms' scales are not counted, as in palm-train.
            parameters = model.parameter_count() - (layers + 1) * width
            flops = training_flops_per_token(parameters, layers, heads, head_dim, length)
            print(
                f"PaLM {name} ({parameters} parameters), {batch} x {length} tokens, bf16 autocast, {mode}: "
                f"{rate:.0f} tokens/s, {rate * flops / 1e12:.0f} TFLOP/s, "
                f"{torch.cuda.max_memory_allocated() / GIB:.1f} GiB"
            )


if __name__ == "__main__":
    if not torch.cuda.is_available():
        raise SystemExit("torch_gpu.py: needs a CUDA device, torch sees none")
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}, "
        f"cuDNN {torch.backends.cudnn.version()}"
    )
    launches()
    copies()
    norms()
    products()
    attention()
    training()
