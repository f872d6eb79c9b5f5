"""`run.py loader`: start-up, tokenising, reading training batches."""

import pathlib
import statistics
import subprocess
import tempfile
import time

import harness
from harness import Contender

HELP = "start-up against `import torch`, tokenising, tokens/s of training batches"
TEXT = harness.ROOT / "data" / "text" / "train"


def add_arguments(p):
    p.add_argument("--text", action="append", metavar="PATH",
                   help="a text file or a folder of them; may be given again; the demo's texts unless given")
    p.add_argument("--tokenizer", metavar="PATH",
                   help="a SentencePiece model; one of 4096 pieces is trained on the text unless given")
    p.add_argument("--batch", type=harness.positive, default=8, help="sequences in a batch")
    p.add_argument("--sequence", type=harness.positive, default=512, help="tokens in a sequence")


def run(a, tools):
    texts = a.text or [str(TEXT)]
    for path in texts:
        if not pathlib.Path(path).exists():
            raise harness.Failure(f"{path}: there is no text; give --text, or fetch the demo's with "
                                  "scripts/fetch-text.sh data/text")
    texts = [str(pathlib.Path(path).resolve()) for path in texts]
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = str(pathlib.Path(a.tokenizer).resolve()) if a.tokenizer else f"{folder}/tokenizer.model"
        if not a.tokenizer:
            harness.say("training a tokenizer")
            inputs = [argument for path in texts for argument in ("--input", path)]
            harness.run(tools.martlet("tokenizer", "train", *inputs, "--vocabulary", 4096, "--output", tokenizer))
        options = ["--tokenizer", tokenizer, "--batch", a.batch, "--sequence", a.sequence, *texts]
        rows = harness.interleave([Contender("martlet", tools.martlet("bench", "loader", *options)),
                                   Contender("torch", tools.peer("torch_loader.py", *options))], a.rounds, a.threads)
    commands = {"martlet": tools.martlet("--help"), "torch": [tools.python, "-c", "import torch"]}
    rows += [{"name": "loader", "contender": name, "measure": "start-up", "threads": 1, "round": i,
              "seconds": wall(command)} for i in range(5) for name, command in commands.items()]
    summary = summarise(rows)
    print(report(summary))
    return rows, summary


def wall(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def summarise(rows):
    groups = {}
    for row in rows:
        groups.setdefault((row["measure"], row["threads"]), {}).setdefault(row["contender"], []).append(row)
    entries = []
    for (measure, threads), found in groups.items():
        entry = {"measure": measure, "threads": threads}
        for name, of in found.items():
            for key in ("seconds", "tokens_per_second", "mb_per_second"):
                if key in of[0]:
                    entry[f"{name}_{key}"] = statistics.median(row[key] for row in of)
        entries.append(entry)
    return entries


def report(summary):
    def rate(entry, name):
        if entry["measure"] == "start-up":
            return harness.duration(entry[f"{name}_seconds"])
        if f"{name}_tokens_per_second" not in entry:
            return ""
        megabytes = entry.get(f"{name}_mb_per_second")
        return f"{entry[f'{name}_tokens_per_second'] / 1e6:.2f}" + (f" ({megabytes:.1f} MB/s)" if megabytes else "")

    def ratio(entry):
        key = "seconds" if entry["measure"] == "start-up" else "tokens_per_second"
        ours, theirs = entry.get(f"martlet_{key}"), entry.get(f"torch_{key}")
        if ours is None or theirs is None:
            return ""
        return f"{theirs / ours if key == 'seconds' else ours / theirs:.2f}"

    lines = [[f"{e['measure']}, {e['threads']} thread{'s' if e['threads'] > 1 else ''}", rate(e, "martlet"),
              rate(e, "torch"), ratio(e)] for e in summary]
    return harness.table(["millions of tokens/s", "martlet", "Python", "martlet's speed / Python's"], lines)
