"""`run.py eager-overhead`: what an op costs beside its arithmetic."""

import tempfile

import harness
from harness import Contender

HELP = "small ops with and without recorded gradients, views, a 50-layer network: time and heap allocations a call"


def add_arguments(p):
    p.add_argument("--filter", default="", help="only rows whose op contains this text")
    p.add_argument("--seconds", type=float, default=0.3, help="seconds to measure each row")


def run(a, tools):
    options = ["--seconds", a.seconds, *(["--filter", a.filter] if a.filter else [])]
    counting = ["--seconds", 0.01, *options[2:]]
    with tempfile.TemporaryDirectory() as folder:
        counter = f"{folder}/malloc_counter.so"
        harness.run(["cc", "-O2", "-shared", "-fPIC", "-o", counter, str(harness.HERE / "malloc_counter.c")])
        ours, theirs = ("bench", "eager-overhead"), "torch_eager.py"
        rows = harness.interleave([Contender("martlet", tools.martlet(*ours, *options)),
                                   Contender("torch", tools.peer(theirs, *options))], a.rounds, a.threads)
        # Counting slows allocation down, so it has processes of its own. Counts do not vary: once is enough.
        preload = {"LD_PRELOAD": counter}
        rows += harness.interleave([Contender("martlet counted", tools.martlet(*ours, *counting), preload),
                                    Contender("torch counted", tools.peer(theirs, *counting), preload)], 1, a.threads)
    summary = summarise(rows)
    print(report(summary))
    return rows, summary


def summarise(rows):
    seconds = harness.medians(rows, lambda row: row["op"], lambda row: row["seconds"])
    heap = {(row["contender"], row["op"]): row["heap_allocations"] for row in rows if "heap_allocations" in row}
    buffers = {row["op"]: row["tensor_buffers"] for row in rows if "tensor_buffers" in row}
    ops = [op for contender, op in seconds if contender == "martlet"]
    return [{"op": op, "martlet_seconds": seconds["martlet", op], "torch_seconds": seconds["torch", op],
             "ratio": seconds["martlet", op] / seconds["torch", op],
             "martlet_heap_allocations": heap["martlet counted", op],
             "torch_heap_allocations": heap["torch counted", op], "martlet_tensor_buffers": buffers[op]} for op in ops]


def report(summary):
    lines = [[e["op"], harness.duration(e["martlet_seconds"]), harness.duration(e["torch_seconds"]),
              f"{e['ratio']:.2f}", f"{e['martlet_heap_allocations']:.1f}", f"{e['torch_heap_allocations']:.1f}",
              f"{e['martlet_tensor_buffers']:.1f}"] for e in summary]
    head = ["op", "martlet", "torch", "martlet/torch", "heap", "torch heap", "buffers"]
    slower = [e["op"] for e in summary if e["ratio"] > 1]
    text = harness.table(head, lines)
    return text + (f"\nslower than torch: {', '.join(slower)}" if slower else "\nnone slower than torch")
