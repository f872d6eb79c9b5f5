"""Matrix products in PyTorch, with the arguments and the lines of `martlet bench matmul`."""

import argparse
import re
import time

import torch

import torch_common as common


def product(text):
    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)(nn|nt|tn|tt)?", text)
    if not match or "0" in match.groups()[:3]:
        raise argparse.ArgumentTypeError(f"expected MxKxN, as 4096x512x2048, with nn, nt, tn or tt behind it: {text!r}")
    m, k, n = (int(size) for size in match.groups()[:3])
    layout = match.group(4) or "nn"
    return m, k, n, layout[0] == "t", layout[1] == "t"


def main():
    p = common.parser(__doc__)
    p.add_argument("--dtype", type=common.dtype, default=torch.bfloat16, help="float32, bfloat16, float16 or float64")
    p.add_argument("--shape", type=product, action="append", required=True, metavar="MxKxN[nt]",
                   help="a product; may be given several times")
    p.add_argument("--steps", type=common.positive, default=20, help="times to run each product; the median counts")
    a = p.parse_args()
    common.apply_threads(a)
    for m, k, n, transpose_a, transpose_b in a.shape:
        x = torch.randn((k, m) if transpose_a else (m, k)).to(a.dtype)
        y = torch.randn((n, k) if transpose_b else (k, n)).to(a.dtype)
        x, y = (x.T if transpose_a else x), (y.T if transpose_b else y)
        for _ in range(3):
            torch.mm(x, y)
        times = []
        for _ in range(a.steps):
            start = time.perf_counter()
            torch.mm(x, y)
            times.append(time.perf_counter() - start)
        seconds = common.median(times)
        common.emit("matmul", "eager", dtype=common.name_of(a.dtype), m=m, k=k, n=n, transpose_a=transpose_a,
                    transpose_b=transpose_b, threads=torch.get_num_threads(), seconds=seconds,
                    gflops=2 * m * k * n / seconds / 1e9)


if __name__ == "__main__":
    main()
