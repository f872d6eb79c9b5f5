"""What the PyTorch benchmarks share: threads, medians, memory, the JSON line."""

import argparse
import json
import os
import re
import statistics

import torch

DTYPES = {"float32": torch.float32, "f32": torch.float32, "bfloat16": torch.bfloat16, "bf16": torch.bfloat16,
          "float16": torch.float16, "f16": torch.float16, "float64": torch.float64, "f64": torch.float64}


def parser(description):
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--threads", type=positive, help="threads to compute with; PyTorch's choice unless given")
    return p


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, it is {value}")
    return value


def dtype(text):
    if text.lower() not in DTYPES:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(DTYPES)}, found {text!r}")
    return DTYPES[text.lower()]


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


def apply_threads(arguments):
    if arguments.threads:
        torch.set_num_threads(arguments.threads)


def model_arguments(p):
    p.add_argument("--dtype", type=dtype, default=torch.bfloat16, help="float32 or bfloat16")
    p.add_argument("--width", type=positive, default=512, help="d_model")
    p.add_argument("--layers", type=positive, default=8, help="blocks")
    p.add_argument("--heads", type=positive, default=8, help="query heads; one key and one value head serve them all")
    p.add_argument("--head-dim", type=positive, default=64, help="the size of a head")
    p.add_argument("--vocab", type=positive, default=8192, help="rows of the embedding")


def model_record(a):
    return {"dtype": name_of(a.dtype), "width": a.width, "layers": a.layers, "heads": a.heads, "head_dim": a.head_dim,
            "vocab": a.vocab, "threads": torch.get_num_threads()}


def reset_peak_memory():
    """Makes peak_memory count from now on."""
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")


def peak_memory():
    """The most bytes of physical memory that this process has occupied."""
    with open("/proc/self/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) * 1024


def median(values):
    return statistics.median(values)


def emit(name, mode, **values):
    print(json.dumps({"name": name, "framework": "torch", "version": torch.__version__, "mode": mode, **values}),
          flush=True)
