"""What an op costs beside its arithmetic, in PyTorch: the rows of `martlet bench eager-overhead`.

With Benchmarks/malloc_counter.c preloaded, heap_allocations counts calls of malloc and its kin; Python's own small
objects come from Python's pools and are not among them."""

import ctypes
import timeit

import torch
import torch.nn.functional as F

import torch_common as common


def rows():
    """(op, statement, names): statements are timed as they stand, without a call around them."""
    def leaf(*shape):
        return (torch.rand(shape) / 2 + 0.5).requires_grad_()

    out = []
    plain = {"x": torch.rand(4, 4), "y": torch.rand(4, 4), "F": F}
    recorded = {"x": leaf(4, 4), "y": leaf(4, 4), "F": F}
    for op, statement in (
            ("add", "x + y"), ("add number", "x + 2.0"), ("mul", "x * y"), ("mm", "x.mm(y)"),
            ("linear", "F.linear(x, y)"), ("relu", "x.relu()"), ("exp", "x.exp()"), ("sum", "x.sum()"),
            ("softmax", "x.softmax(-1)"), ("transpose", "x.transpose(0, 1)"), ("slice", "x[1:3]"),
            ("narrow", "x.narrow(0, 1, 2)"), ("select", "x.select(0, 1)"), ("reshape", "x.reshape(2, 8)")):
        out.append((op, statement, plain))
        out.append((op + ", recorded", statement, recorded))
    out.append(("mul, forward and backward", "(x * y).backward(g); x.grad = None; y.grad = None",
                {**recorded, "g": plain["x"]}))
    out.append(("add in place", "x.add_(y)", plain))

    layers = [(torch.randn(16, 16).mul_(0.35).requires_grad_(), leaf(16)) for _ in range(50)]
    x = torch.randn(16, 16)

    def network():
        y = x
        for weight, bias in layers:
            y = F.relu(F.linear(y, weight, bias))
        return y

    def train():
        network().sum().backward()
        for weight, bias in layers:
            weight.grad = None
            bias.grad = None

    out.append(("mlp, forward without recording", "with torch.no_grad(): network()",
                {"network": network, "torch": torch}))
    out.append(("mlp, forward and backward", "train()", {"train": train}))
    return out


def heap_counter():
    """A function that gives the calls of malloc so far, or None where the counter is not preloaded."""
    try:
        read = ctypes.CDLL(None).malloc_counter_value
    except AttributeError:
        return None
    read.restype = ctypes.c_uint64
    return read


def main():
    p = common.parser(__doc__)
    p.add_argument("--filter", default="", help="only rows whose op contains this text")
    p.add_argument("--seconds", type=float, default=0.3, help="seconds to measure each row")
    a = p.parse_args()
    common.apply_threads(a)
    count = heap_counter()
    for op, statement, names in rows():
        if a.filter not in op:
            continue
        timer = timeit.Timer(statement, globals=names)
        calls = 1
        timer.timeit(1)
        while timer.timeit(calls) < a.seconds / 30:
            calls *= 2
        times, total = [], 0.0
        while total < a.seconds or len(times) < 5:
            time = timer.timeit(calls)
            total += time
            times.append(time / calls)
        extra = {}
        if count:
            before = count()
            timer.timeit(100)
            extra["heap_allocations"] = (count() - before) / 100
        common.emit("eager-overhead", "eager", op=op, seconds=common.median(times),
                    threads=torch.get_num_threads(), **extra)


if __name__ == "__main__":
    main()
