#!/usr/bin/env python3
"""Measures Martlet and its peers in one run: fresh processes, interleaved, several rounds, medians and ratios.

Prints a table and writes Benchmarks/results/NAME.json. Without --python the peers' environment is made in
Benchmarks/.venv; without --martlet the program is built. See Benchmarks/README.md."""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import eager_overhead  # noqa: E402
import generate  # noqa: E402
import harness  # noqa: E402
import loader  # noqa: E402
import ops  # noqa: E402
import palm_train  # noqa: E402
import scaling  # noqa: E402

BENCHMARKS = {"palm-train": palm_train, "eager-overhead": eager_overhead, "ops": ops, "generate": generate,
              "loader": loader, "scaling": scaling}

# What `all` runs.
STANDARD = [["palm-train", "--size", size, "--dtype", dtype] for size in ("34m", "8m", "110m")
            for dtype in ("bf16", "f32")]
STANDARD += [["eager-overhead"], ["ops", "--dtype", "f32"], ["ops", "--dtype", "bf16"], ["generate"], ["loader"],
             ["scaling"]]


class Tools:
    """How to call Martlet and the peers' scripts."""

    def __init__(self, arguments, benchmark):
        self.python = harness.python_of(arguments.python, getattr(benchmark, "REQUIREMENTS", ()))
        harness.check_modules(self.python, ["torch", "numpy", "sentencepiece"],
                              "install Benchmarks/requirements.txt for it, or leave --python out")
        self.program = harness.martlet_of(arguments.martlet)

    def martlet(self, *arguments):
        return [self.program, *map(str, arguments)]

    def peer(self, script, *arguments, python=None):
        return [python or self.python, str(harness.HERE / script), *map(str, arguments)]


def add_common(command):
    command.add_argument("--rounds", type=harness.positive, default=3, help="processes of each contender")
    command.add_argument("--threads", type=harness.positive, default=harness.processors(),
                         help="threads of every contender (OMP_NUM_THREADS)")
    command.add_argument("--python", help="an interpreter that has the peers' packages; none is installed then")
    command.add_argument("--martlet", help="a built martlet program; nothing is built then")


def parser():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--list", action="store_true", help="name the benchmarks and what they measure")
    commands = p.add_subparsers(dest="benchmark", metavar="BENCHMARK")
    for name, module in BENCHMARKS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.HELP,
                                      formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        add_common(command)
        command.add_argument("--name", help="the name of the result's file; made from the benchmark unless given")
        module.add_arguments(command)
    description = "all benchmarks with their standard arguments, one after the other: hours"
    command = commands.add_parser("all", help=description, description=description,
                                  formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_common(command)
    return p


def measure(a):
    module = BENCHMARKS[a.benchmark]
    rows, summary = module.run(a, Tools(a, module))
    harness.save(a.name or default_name(a), a.benchmark, vars(a), rows, summary)


def main():
    p = parser()
    a = p.parse_args()
    if a.list:
        for name, module in BENCHMARKS.items():
            print(f"{name:15} {module.HELP}")
        return
    if not a.benchmark:
        p.error("name a benchmark; --list shows them")
    try:
        if a.benchmark != "all":
            measure(a)
            return
        for arguments in STANDARD:
            print(f"\n== {' '.join(arguments)}", flush=True)
            one = p.parse_args(arguments)
            one.rounds, one.threads, one.python, one.martlet = a.rounds, a.threads, a.python, a.martlet
            measure(one)
    except harness.Failure as failure:
        sys.exit(f"run.py: {failure}")


def default_name(a):
    parts = [a.benchmark, getattr(a, "size", None), getattr(a, "dtype", None)]
    return "-".join(part for part in parts if part)


if __name__ == "__main__":
    main()
