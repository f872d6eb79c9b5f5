"""What the PyTorch benchmarks share: threads, medians, memory, the JSON line."""

import argparse
import json
import statistics

import torch

import peer_common
from peer_common import peak_memory, positive, reset_peak_memory

DTYPES = {"float32": torch.float32, "f32": torch.float32, "bfloat16": torch.bfloat16, "bf16": torch.bfloat16,
          "float16": torch.float16, "f16": torch.float16, "float64": torch.float64, "f64": torch.float64}
dtype = peer_common.one_of(DTYPES)


def parser(description):
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--threads", type=positive, help="threads to compute with; PyTorch's choice unless given")
    return p


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


def apply_threads(arguments):
    if arguments.threads:
        torch.set_num_threads(arguments.threads)


def model_arguments(p):
    p.add_argument("--dtype", type=dtype, default=torch.bfloat16, help="float32 or bfloat16")
    peer_common.model_arguments(p)


def model_record(a):
    return {"dtype": name_of(a.dtype), "width": a.width, "layers": a.layers, "heads": a.heads, "head_dim": a.head_dim,
            "vocab": a.vocab, "threads": torch.get_num_threads()}


def median(values):
    return statistics.median(values)


def emit(name, mode, **values):
    print(json.dumps({"name": name, "framework": "torch", "version": torch.__version__, "mode": mode, **values}),
          flush=True)
