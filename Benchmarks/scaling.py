"""`run.py scaling`: how the time of a training step grows with the number of steps, the batch, the sequence and the
model. Writes a plot beside the table."""

import statistics

import harness
import svg
from harness import Contender

HELP = "time of a PaLM's training step over steps, batch, sequence length and model size, with a plot"

# Width, layers and heads of 64; the vocabulary is 8192.
MODELS = [(128, 4, 2), (256, 6, 4), (384, 6, 6), (512, 8, 8), (768, 10, 12), (1024, 12, 16)]
TOKENS = 4096


def add_arguments(p):
    p.add_argument("--dtype", choices=["f32", "bf16"], default="bf16", help="the precision")
    p.add_argument("--long", type=harness.positive, default=60, help="steps of the run that shows whether time grows")
    p.add_argument("--steps", type=harness.positive, default=3, help="steps of the other runs")
    p.add_argument("--plot", metavar="FILE", help="the plot; Benchmarks/results/scaling-DTYPE.svg unless given")


def arguments(width=512, layers=8, heads=8, batch=8, sequence=512):
    return ["--width", width, "--layers", layers, "--heads", heads, "--head-dim", 64, "--vocab", 8192, "--batch", batch,
            "--sequence", sequence]


def run(a, tools):
    def contender(part, x, steps, **shape):
        return Contender(f"{part} {x}", tools.martlet("bench", "palm-train", "--dtype", a.dtype, "--steps", steps,
                                                      *arguments(**shape)))

    contenders = [contender("steps", a.long, a.long, width=256, layers=6, heads=4)]
    contenders += [contender("batch", batch, a.steps, batch=batch) for batch in (1, 2, 4, 8, 16)]
    contenders += [contender("sequence", length, a.steps, batch=TOKENS // length, sequence=length)
                   for length in (128, 256, 512, 1024, 2048, 4096)]
    contenders += [contender("model", width, a.steps, width=width, layers=layers, heads=heads)
                   for width, layers, heads in MODELS]
    rows = harness.interleave(contenders, a.rounds, a.threads)
    summary = summarise(rows)
    path = a.plot or str(harness.RESULTS / f"scaling-{a.dtype}.svg")
    harness.RESULTS.mkdir(exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(plot(summary, a.dtype))
    harness.say(f"plot written to {path}")
    print(report(summary))
    return rows, summary


def summarise(rows):
    entries = []
    for name in dict.fromkeys(row["contender"] for row in rows):
        of = [row for row in rows if row["contender"] == name]
        row = of[0]
        tokens = row["batch"] * row["sequence"]
        seconds = statistics.median(s for r in of for s in r["step_seconds"])
        part = name.split()[0]
        entry = {"part": part, "parameters": row["parameters"], "batch": row["batch"], "sequence": row["sequence"],
                 "step_seconds": seconds, "seconds_per_token": seconds / tokens,
                 "gflops": statistics.median(r["gflops"] for r in of), "peak_rss_bytes": max(r["peak_rss_bytes"] for r in of)}
        if part == "steps":
            # Medians of tenths of the run: whether later steps take longer.
            times = of[0]["step_seconds"]
            size = max(1, len(times) // 10)
            entry["tenths"] = [statistics.median(times[i:i + size]) for i in range(0, len(times) - size + 1, size)]
        entries.append(entry)
    return entries


def report(summary):
    lines = [[e["part"], f"{e['parameters'] / 1e6:.1f}", e["batch"], e["sequence"], harness.duration(e["step_seconds"]),
              f"{e['seconds_per_token'] * 1e6:.1f}", f"{e['gflops']:.0f}", f"{e['peak_rss_bytes'] / 2**20:.0f}"]
             for e in summary]
    text = harness.table(["", "M parameters", "batch", "sequence", "step", "us/token", "GFLOP/s", "peak MiB"], lines)
    tenths = next(e for e in summary if e["part"] == "steps")["tenths"]
    return text + "\nmedian step of each tenth of the long run: " + ", ".join(harness.duration(t) for t in tenths)


def plot(summary, dtype):
    def points(part, x):
        return [(x(e), e["seconds_per_token"] * 1e6) for e in summary if e["part"] == part]

    steps = next(e for e in summary if e["part"] == "steps")
    tenths = [(i + 1, t / (steps["batch"] * steps["sequence"]) * 1e6) for i, t in enumerate(steps["tenths"])]
    panels = [
        svg.Panel("over a run (tenths of it)", "tenth", tenths, log=False),
        svg.Panel("over the batch, 512 tokens each", "sequences", points("batch", lambda e: e["batch"])),
        svg.Panel("over the sequence, 4096 tokens in all", "tokens", points("sequence", lambda e: e["sequence"])),
        svg.Panel("over the model", "million parameters", points("model", lambda e: e["parameters"] / 1e6), log_y=True),
    ]
    return svg.document(f"Time a token of training a PaLM, {dtype}, microseconds", panels)
