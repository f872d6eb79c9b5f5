"""`run.py palm-train`: whole training steps of a PaLM."""

import dataclasses
import statistics

import harness
from harness import Contender

HELP = "whole training steps of a PaLM: tokens/s, GFLOP/s, share of the products' rate, memory"


@dataclasses.dataclass(frozen=True)
class Size:
    width: int
    layers: int
    heads: int
    vocab: int
    head_dim: int = 64

    def arguments(self):
        return ["--width", self.width, "--layers", self.layers, "--heads", self.heads, "--head-dim", self.head_dim,
                "--vocab", self.vocab]


SIZES = {"8m": Size(width=256, layers=6, heads=4, vocab=8192), "34m": Size(width=512, layers=8, heads=8, vocab=8192),
         "110m": Size(width=768, layers=12, heads=12, vocab=12288)}
MODES = {"eager": [], "compile": ["--compile"], "eager-pure": ["--pure"], "compile-pure": ["--compile", "--pure"]}


def add_arguments(p):
    p.add_argument("--size", choices=SIZES, default="34m", help="the model, by its parameters")
    p.add_argument("--dtype", choices=["f32", "bf16"], default="bf16", help="the precision")
    p.add_argument("--batch", type=harness.positive, default=8, help="sequences in a batch")
    p.add_argument("--sequence", type=harness.positive, default=512, help="tokens in a sequence")
    p.add_argument("--steps", type=harness.positive, default=4, help="steps that each process times")
    p.add_argument("--modes", default=None,
                   help=f"PyTorch's modes, of {', '.join(MODES)} (pure: bf16 without float32 master weights); "
                        "eager,compile unless given, in bf16 also eager-pure")
    p.add_argument("--jax", action="store_true",
                   help="measure JAX, too; it has an environment of its own, Benchmarks/.venv-jax")


def products(size, batch, sequence):
    """{shape: times a step computes it}: of every linear layer the forward product, the gradient of its input and that
    of its weight; attention's own products are not among them."""
    rows, inner = batch * sequence, size.heads * size.head_dim
    linears = [(size.layers, size.width, inner), (2 * size.layers, size.width, size.head_dim),
               (size.layers, inner, size.width), (2 * size.layers, size.width, 4 * size.width),
               (size.layers, 4 * size.width, size.width), (1, size.width, size.vocab)]
    counts = {}
    for count, inputs, outputs in linears:
        for shape in (f"{rows}x{inputs}x{outputs}nt", f"{rows}x{outputs}x{inputs}nn", f"{outputs}x{rows}x{inputs}tn"):
            counts[shape] = counts.get(shape, 0) + count
    return counts


def shape_of(row):
    layout = "".join("t" if row[side] else "n" for side in ("transpose_a", "transpose_b"))
    return f"{row['m']}x{row['k']}x{row['n']}{layout}"


def run(a, tools):
    size = SIZES[a.size]
    modes = (a.modes or ("eager,compile,eager-pure" if a.dtype == "bf16" else "eager,compile")).split(",")
    for mode in modes:
        if mode not in MODES:
            raise harness.Failure(f"--modes {mode}: expected some of {', '.join(MODES)}")
    common = ["--dtype", a.dtype, *size.arguments(), "--batch", a.batch, "--sequence", a.sequence, "--steps", a.steps]
    counts = products(size, a.batch, a.sequence)
    shapes = [argument for shape in counts for argument in ("--shape", shape)]
    contenders = [Contender("martlet", tools.martlet("bench", "palm-train", *common))]
    contenders += [Contender(f"torch {mode}", tools.peer("torch_palm_train.py", *common, *MODES[mode]))
                   for mode in modes]
    if a.jax:
        python = harness.environment(harness.HERE / ".venv-jax", [harness.HERE / "requirements-jax.txt"])
        contenders.append(Contender("jax", tools.peer("jax_palm_train.py", *common, python=python)))
    contenders += [Contender("products martlet", tools.martlet("bench", "matmul", "--dtype", a.dtype, "--steps", 10,
                                                               *shapes)),
                   Contender("products torch", tools.peer("torch_matmul.py", "--dtype", a.dtype, "--steps", 10,
                                                          *shapes))]
    rows = harness.interleave(contenders, a.rounds, a.threads)
    summary = summarise(rows, counts)
    print(report(summary))
    return rows, summary


def summarise(rows, counts):
    def of(name, key):
        return statistics.median(row[key] for row in rows if row["contender"] == name)

    steps = list(dict.fromkeys(row["contender"] for row in rows if row["name"] == "palm-train"))
    flops = {shape: 2 * int(m) * int(k) * int(n) for shape in counts for m, k, n in [shape[:-2].split("x")]}
    each = harness.medians([row for row in rows if row["name"] == "matmul"], shape_of, lambda row: row["seconds"])
    total = {library: sum(times * each[f"products {library}", shape] for shape, times in counts.items())
             for library in ("martlet", "torch")}
    work = sum(times * flops[shape] for shape, times in counts.items())
    entries = []
    for name in steps:
        seconds = statistics.median(s for row in rows if row["contender"] == name for s in row["step_seconds"])
        entries.append({"contender": name, "step_seconds": seconds, "tokens_per_second": of(name, "tokens_per_second"),
                        "gflops": of(name, "gflops"), "peak_rss_bytes": of(name, "peak_rss_bytes"),
                        "loss": of(name, "loss"), "product_share": total["martlet"] / seconds,
                        "product_share_of_faster": min(total.values()) / seconds})
    ours = entries[0]
    # The fastest mode of each library.
    peers = {}
    for e in entries[1:]:
        library = e["contender"].split()[0]
        if library not in peers or e["tokens_per_second"] > peers[library]["tokens_per_second"]:
            peers[library] = e
    return {"entries": entries,
            "products": {library: {"seconds": total[library], "gflops": work / total[library] / 1e9}
                         for library in total},
            "product_shapes": [{"shape": shape, "count": counts[shape],
                                **{f"{library}_gflops": flops[shape] / each[f"products {library}", shape] / 1e9
                                   for library in total}} for shape in counts],
            "peers": [{"contender": e["contender"],
                       "speed_ratio": ours["tokens_per_second"] / e["tokens_per_second"],
                       "memory_ratio": ours["peak_rss_bytes"] / e["peak_rss_bytes"]} for e in peers.values()]}


def report(summary):
    lines = [[e["contender"], f"{e['step_seconds']:.3f}", f"{e['tokens_per_second']:.0f}", f"{e['gflops']:.0f}",
              f"{e['product_share']:.0%}", f"{e['product_share_of_faster']:.0%}", f"{e['peak_rss_bytes'] / 2**20:.0f}",
              f"{e['loss']:.3f}"] for e in summary["entries"]]
    head = ["", "s/step", "tokens/s", "GFLOP/s", "products", "of faster", "peak MiB", "loss"]
    text = harness.table(head, lines) + "\n\n"
    text += harness.table(["product", "times", "martlet GFLOP/s", "torch GFLOP/s"],
                          [[p["shape"], p["count"], f"{p['martlet_gflops']:.0f}", f"{p['torch_gflops']:.0f}"]
                           for p in summary["product_shapes"]])
    for library, value in summary["products"].items():
        text += f"\nproducts of a step, {library}: {value['seconds']:.3f} s, {value['gflops']:.0f} GFLOP/s"
    for peer in summary["peers"]:
        text += (f"\nmartlet / {peer['contender']}: {peer['speed_ratio']:.2f} times the speed, "
                 f"{peer['memory_ratio']:.2f} times the memory")
    return text
