"""What every peer's script shares: checked arguments and the memory of its process. Needs nothing but Python."""

import argparse
import re


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, it is {value}")
    return value


def one_of(table):
    """An argument that names one of the table's values."""
    def value(text):
        if text.lower() not in table:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(table)}, found {text!r}")
        return table[text.lower()]

    return value


def model_arguments(p):
    """The sizes of a PaLM."""
    p.add_argument("--width", type=positive, default=512, help="d_model")
    p.add_argument("--layers", type=positive, default=8, help="blocks")
    p.add_argument("--heads", type=positive, default=8, help="query heads; one key and one value head serve them all")
    p.add_argument("--head-dim", type=positive, default=64, help="the size of a head")
    p.add_argument("--vocab", type=positive, default=8192, help="rows of the embedding")


def reset_peak_memory():
    """Makes peak_memory count from now on."""
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")


def peak_memory():
    """The most bytes of physical memory that this process has occupied."""
    with open("/proc/self/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) * 1024
