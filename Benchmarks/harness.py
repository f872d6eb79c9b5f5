"""Environment, processes, medians, tables: what every benchmark of run.py is made with. Standard library only."""

import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import platform
import re
import shlex
import statistics
import subprocess
import sys
import time

from peer_common import positive  # noqa: F401, the benchmarks take it from here

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results"


class Failure(Exception):
    """What the user has to mend."""


def say(text):
    print(text, file=sys.stderr, flush=True)


# Environment


def python_of(given, extra=()):
    """The interpreter that the peers run with: the given one, or that of Benchmarks/.venv, made where it is missing.

    extra: further requirements files that this benchmark needs."""
    if given:
        path = pathlib.Path(given)
        if not os.access(path, os.X_OK):
            raise Failure(f"--python {given}: there is no program")
        return str(path)
    return environment(HERE / ".venv", [HERE / "requirements.txt", *extra])


def environment(folder, requirements):
    """The interpreter of a virtual environment that has what the requirements files name, made where it is missing."""
    python = folder / "bin" / "python"
    if not python.exists():
        say(f"making {folder.relative_to(ROOT)}")
        run([sys.executable, "-m", "venv", str(folder)])
    for file in requirements:
        stamp = folder / f"{file.stem}.installed"
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != digest:
            say(f"installing {file.relative_to(ROOT)}")
            run([str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "-r", str(file)])
            stamp.write_text(digest)
    return str(python)


def check_modules(python, modules, remedy):
    """Stops where `python` lacks one of the modules."""
    for module in modules:
        probe = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
        if subprocess.run([python, "-c", probe, module], check=False).returncode != 0:
            raise Failure(f"{python} has no module {module}: {remedy}")


def martlet_of(given):
    """The program to measure: the given one, or this clone's, built now."""
    if given:
        if not os.access(given, os.X_OK):
            raise Failure(f"--martlet {given}: there is no program")
        return str(pathlib.Path(given).resolve())
    say("building martlet")
    run(["make", "build"], cwd=ROOT)
    return str(ROOT / ".build" / "release" / "martlet")


def run(command, cwd=None, env=None):
    """Runs a command whose output is not wanted; its end is told where it fails."""
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode != 0:
        raise Failure(f"{shlex.join(map(str, command))} failed:\n{tail(done.stdout)}")
    return done.stdout


def tail(text, lines=20):
    return "\n".join(text.strip().splitlines()[-lines:])


def processors():
    return len(os.sched_getaffinity(0))


def machine():
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+) kB", pathlib.Path("/proc/meminfo").read_text())
    return {"processor": model.group(1) if model else platform.machine(), "processors": processors(),
            "memory_bytes": int(memory.group(1)) * 1024 if memory else None, "system": platform.platform()}


def commit():
    """The measured sources, with a mark where they differ from what is committed."""
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip() or None


# Runs


@dataclasses.dataclass
class Contender:
    """A program with arguments that prints one JSON object a line."""

    name: str
    command: list
    environment: dict = dataclasses.field(default_factory=dict)

    @property
    def is_ours(self):
        return self.name.startswith("martlet")


def measure(contender, threads):
    """Runs the contender in a fresh process; its rows."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), **contender.environment}
    start = time.monotonic()
    done = subprocess.run(contender.command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    seconds = time.monotonic() - start
    if done.returncode != 0:
        raise Failure(f"{contender.name} ended with status {done.returncode}: {shlex.join(contender.command)}\n"
                      f"{tail(done.stderr)}")
    rows = []
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            rows.append({**json.loads(line), "contender": contender.name})
    if not rows:
        raise Failure(f"{contender.name} printed no row: {shlex.join(contender.command)}\n{tail(done.stderr)}")
    say(f"    {contender.name}: {seconds:.1f} s")
    return rows


def interleave(contenders, rounds, threads):
    """A B C, A B C, ...: a disturbance of some minutes meets all of them. All rows, marked with their round."""
    rows = []
    for i in range(rounds):
        say(f"round {i + 1} of {rounds} (load average {os.getloadavg()[0]:.1f})")
        for contender in contenders:
            rows += [{**row, "round": i} for row in measure(contender, threads)]
    return rows


def medians(rows, key, value):
    """{(contender, key): median of value over the rounds}, in the order in which they came."""
    groups = {}
    for row in rows:
        groups.setdefault((row["contender"], key(row)), []).append(value(row))
    return {name: statistics.median(values) for name, values in groups.items()}


# Output


def table(head, lines):
    """Columns as wide as they need; all but the first right-aligned."""
    cells = [head] + [[str(cell) for cell in line] for line in lines]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    out = []
    for line in cells:
        first, *rest = (cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths)))
        out.append("  ".join([first, *rest]).rstrip())
        if line is head:
            out.append("  ".join("-" * w for w in widths))
    return "\n".join(out)


def duration(seconds):
    """A time with a unit in which it is easy to read."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1 or unit == "us":
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 1000 else f"{seconds * factor:.0f} {unit}"
    raise AssertionError


def save(name, benchmark, arguments, rows, summary):
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    result = {"benchmark": benchmark, "arguments": arguments, "commit": commit(), "machine": machine(),
              "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "summary": summary,
              "rows": rows}
    path.write_text(json.dumps(result, indent=1) + "\n")
    say(f"written to {path.relative_to(ROOT)}")
