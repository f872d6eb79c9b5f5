"""`run.py ops`: single ops on sizes of language models."""

import math

import harness
from harness import Contender

HELP = "single ops (norms, attention, losses, reductions, indexing, optimizers ...) against PyTorch and the memory"


def add_arguments(p):
    p.add_argument("--dtype", choices=["f32", "bf16"], default="f32", help="the operands' type")
    p.add_argument("--filter", default="", help="only rows whose op or shape contains this text")
    p.add_argument("--seconds", type=float, default=0.25, help="seconds to measure each row in each process")


def run(a, tools):
    options = ["--dtype", a.dtype, "--seconds", a.seconds, *(["--filter", a.filter] if a.filter else [])]
    contenders = [Contender("martlet", tools.martlet("bench", "ops", *options)),
                  Contender("torch", tools.peer("torch_ops.py", *options))]
    if a.filter and a.filter not in "copy":
        # The bandwidth that the others are compared with belongs to the same run.
        contenders.append(Contender("martlet copy", tools.martlet("bench", "ops", "--dtype", a.dtype, "--filter",
                                                                  "copy")))
    rows = harness.interleave(contenders, a.rounds, a.threads)
    summary = summarise(rows)
    print(report(summary))
    return rows, summary


def summarise(rows):
    seconds = harness.medians(rows, lambda row: (row["op"], row["shape"]), lambda row: row["seconds"])
    floors = {(row["op"], row["shape"]): row for row in rows if row["contender"].startswith("martlet")}
    copies = {floors[key]["bytes"]: floors[key]["bytes"] / time for (contender, key), time in seconds.items()
              if key[0] == "copy" and contender.startswith("martlet")}

    def copy_rate(size):
        """The rate of the copy that moves about as many bytes: what fits in a cache moves faster."""
        return copies[min(copies, key=lambda other: abs(math.log(other / size)))]

    entries = []
    for contender, key in seconds:
        if contender != "martlet":
            continue
        if ("torch", key) not in seconds:
            raise harness.Failure(f"torch_ops.py has no row {key[0]} {key[1]}")
        ours, theirs, row = seconds["martlet", key], seconds["torch", key], floors[key]
        entries.append({"op": key[0], "shape": key[1], "dtype": row["dtype"], "martlet_seconds": ours,
                        "torch_seconds": theirs, "ratio": ours / theirs,
                        "share_of_copy": row["bytes"] / ours / copy_rate(row["bytes"]) if "bytes" in row else None,
                        "gb_per_second": row["bytes"] / ours / 1e9 if "bytes" in row else None,
                        "gflops": row["flops"] / ours / 1e9 if "flops" in row else None})
    return {"copy_gb_per_second": {size: rate / 1e9 for size, rate in copies.items()}, "entries": entries}


def report(summary):
    lines = []
    for e in summary["entries"]:
        floor = (f"{e['share_of_copy']:.0%} of copy" if e["share_of_copy"] is not None
                 else f"{e['gflops']:.0f} GFLOP/s" if e["gflops"] is not None else "")
        lines.append([f"{e['op']}  {e['shape']}", harness.duration(e["martlet_seconds"]),
                      harness.duration(e["torch_seconds"]), f"{e['ratio']:.2f}", floor])
    text = harness.table(["op", "martlet", "torch", "martlet/torch", "martlet's rate"], lines)
    text += "\ncopy, read and written: " + ", ".join(
        f"{rate:.1f} GB/s of {size / 2**20:.0f} MiB" for size, rate in summary["copy_gb_per_second"].items())
    slower = sorted((e for e in summary["entries"] if e["ratio"] > 1), key=lambda e: -e["ratio"])
    if not slower:
        return text + "\nnone slower than torch"
    text += f"\n\nslower than torch ({len(slower)} of {len(summary['entries'])}):\n"
    return text + harness.table(["op", "martlet", "torch", "martlet/torch"],
                                [[f"{e['op']}  {e['shape']}", harness.duration(e["martlet_seconds"]),
                                  harness.duration(e["torch_seconds"]), f"{e['ratio']:.2f}"] for e in slower])
