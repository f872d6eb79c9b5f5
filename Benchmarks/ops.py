"""`run.py ops`: single ops on sizes of language models."""

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
    rows = harness.interleave(contenders, a.rounds, a.threads)
    summary = summarise(rows)
    print(report(summary))
    return rows, summary


# The share of what bounds it below which a row is listed.
LIMIT = 0.8


def summarise(rows):
    def key(row):
        return row["op"], row["shape"]

    seconds = harness.medians(rows, key, lambda row: row["seconds"])
    shares = harness.medians([row for row in rows if "share_of_memory" in row], key,
                             lambda row: row["share_of_memory"])
    cached = harness.medians([row for row in rows if "share_of_cached" in row], key,
                             lambda row: row["share_of_cached"])
    ours = {key(row): row for row in rows if row["contender"] == "martlet"}
    # Bytes a second of PyTorch's own copy, the largest there is in this run.
    copies = [(row["bytes"], name) for name, row in ours.items()
              if name[0] == "copy" and "share_of_memory" in row and ("torch", name) in seconds]
    size, copy = max(copies, default=(None, None))
    copied = size / seconds["torch", copy] if copies else None
    entries = []
    for contender, name in seconds:
        if contender != "martlet":
            continue
        if ("torch", name) not in seconds:
            raise harness.Failure(f"torch_ops.py has no row {name[0]} {name[1]}")
        time, theirs, row = seconds["martlet", name], seconds["torch", name], ours[name]
        entries.append({"op": name[0], "shape": name[1], "dtype": row["dtype"], "martlet_seconds": time,
                        "torch_seconds": theirs, "ratio": time / theirs,
                        "share_of_memory": shares.get(("martlet", name)), "memory": row.get("memory"),
                        "share_of_cached": cached.get(("martlet", name)),
                        "share_of_torch_copy": (row["bytes"] / time / copied
                                                if copied and ("martlet", name) in shares else None),
                        "gb_per_second": row["bytes"] / time / 1e9 if "bytes" in row else None,
                        "gflops": row["flops"] / time / 1e9 if "flops" in row else None})
    return {"entries": entries}


def rate(e):
    """How far an entry is from what the machine allows."""
    if e["share_of_memory"] is not None:
        cached = f", {e['share_of_cached']:.0%} of cached" if e["share_of_cached"] is not None else ""
        return f"{e['share_of_memory']:.0%} of {e['memory']}{cached}"
    if e["gflops"] is not None:
        return f"{e['gflops']:.0f} GFLOP/s"
    return f"{e['gb_per_second']:.0f} GB/s" if e["gb_per_second"] is not None else ""


def nearest(e, memory="share_of_memory"):
    """An entry's share of what bounds it: the memory, or the arithmetic."""
    return max(e[memory] or 0, e["share_of_cached"] or 0)


def lines_of(entries):
    return [[f"{e['op']}  {e['shape']}", harness.duration(e["martlet_seconds"]), harness.duration(e["torch_seconds"]),
             f"{e['ratio']:.2f}", rate(e)] for e in entries]


def report(summary):
    head = ["op", "martlet", "torch", "martlet/torch", "martlet's rate"]
    entries = summary["entries"]
    text = harness.table(head, lines_of(entries))
    large = [e for e in entries if e["share_of_memory"] is not None]
    below = sorted((e for e in large if nearest(e) < LIMIT), key=nearest)
    if below:
        text += f"\n\nbelow {LIMIT:.0%} of both rates ({len(below)} of {len(large)} that no cache holds):\n"
        text += harness.table(head, lines_of(below))
    if any(e["share_of_torch_copy"] for e in large):
        # What only reads moves fewer bytes than a copy at best.
        behind = [e for e in below if nearest(e, "share_of_torch_copy") < LIMIT]
        text += f"\n\nof these below {LIMIT:.0%} of the bytes a second of torch's own copy ({len(behind)}):\n"
        text += harness.table(["op", "of torch's copy"],
                              [[f"{e['op']}  {e['shape']}", f"{e['share_of_torch_copy']:.0%}"] for e in behind])
    slower = sorted((e for e in entries if e["ratio"] > 1), key=lambda e: -e["ratio"])
    if not slower:
        return text + "\n\nnone slower than torch"
    text += f"\n\nslower than torch ({len(slower)} of {len(entries)}):\n"
    return text + harness.table(head, lines_of(slower))
