"""Single ops in PyTorch: the rows of `martlet bench ops`, by the same names."""

import timeit

import torch
import torch.nn.functional as F

import torch_common as common
from torch_palm import PaLM, rotary_tables, rotate


class Cases:
    """Rows (op, shape, make): make() gives the operands' closure that is timed."""

    def __init__(self, dtype):
        self.dtype = dtype
        self.rows = []

    def random(self, *shape):
        return torch.randn(shape).to(self.dtype)

    def add(self, op, shape, make):
        self.rows.append((op, shape, make))

    def plain(self, op, shape, shapes, body):
        def make():
            operands = [self.random(*s) for s in shapes]
            return lambda: body(*operands)
        self.add(op, shape, make)

    def trained(self, op, shape, shapes, body):
        def make():
            operands = [self.random(*s).requires_grad_() for s in shapes]
            with torch.no_grad():
                gradient = torch.ones_like(body(*operands))

            def step():
                body(*operands).backward(gradient)
                for operand in operands:
                    operand.grad = None
            return step
        self.add(op + ", forward and backward", shape, make)

    def both(self, op, shape, shapes, body):
        self.plain(op, shape, shapes, body)
        self.trained(op, shape, shapes, body)


def text(*shape):
    return "x".join(map(str, shape))


def elementwise(c):
    for count in (1 << 20, 1 << 23, 1 << 25, 1 << 27):
        def copy(count=count):
            source, target = c.random(count), c.random(count)
            return lambda: target.copy_(source)
        c.add("copy", str(count), copy)
    for shape in ((4096, 2048), (16384, 4096)):
        broadcasts(c, *shape)
        conversions(c, *shape)
        functions(c, *shape)
    for rows, columns in ((2048, 4096), (8192, 8192)):
        name = text(columns, rows)
        c.plain("add transposed", name, [(rows, columns), (columns, rows)], lambda x, y: x.T + y)
        c.plain("contiguous of transposed", name, [(rows, columns)], lambda x: x.T.contiguous())
    for shape in ((8, 512, 8, 64), (64, 1024, 16, 64)):
        c.plain("contiguous of permuted", text(*shape), [shape], lambda x: x.permute(0, 2, 1, 3).contiguous())


def broadcasts(c, rows, columns):
    shape, name = (rows, columns), text(rows, columns)
    c.plain("add", name, [shape, shape], lambda x, y: x + y)
    c.plain("add number", name, [shape], lambda x: x + 1.0)
    c.both("add row", name, [shape, (columns,)], lambda x, y: x + y)
    c.plain("add column", name, [shape, (rows, 1)], lambda x, y: x + y)
    c.plain("add strided", name, [(rows, 2 * columns), shape], lambda x, y: x[..., ::2] + y)


def conversions(c, *shape):
    other = torch.bfloat16 if c.dtype == torch.float32 else torch.float32
    c.plain("convert", text(*shape), [shape], lambda x: x.to(other))

    def masked_fill():
        x, mask = c.random(*shape), torch.randn(shape) > 0
        return lambda: x.masked_fill(mask, 0.0)
    c.add("masked fill", text(*shape), masked_fill)


def functions(c, *shape):
    for op, function in (("exp", torch.exp), ("silu", F.silu), ("gelu", F.gelu), ("tanh", torch.tanh)):
        c.plain(op, text(*shape), [shape], function)
    c.trained("silu", text(*shape), [shape], F.silu)


def reductions(c):
    for shape in ((64, 512, 512), (256, 512, 512)):
        name = text(*shape)
        c.plain("sum", name, [shape], torch.sum)
        c.plain("norm", name, [shape], torch.linalg.vector_norm)
        for axis in range(3):
            c.plain(f"sum axis {axis}", name, [shape], lambda x, axis=axis: x.sum(axis))
            c.plain(f"amax axis {axis}", name, [shape], lambda x, axis=axis: x.amax(axis))
    for matrix in ((4096, 2048), (8192, 8192)):
        name = text(*matrix)
        for axis in range(2):
            c.plain(f"argmax axis {axis}", name, [matrix], lambda x, axis=axis: x.argmax(axis))
            c.plain(f"variance axis {axis}", name, [matrix], lambda x, axis=axis: x.var(axis))
            c.plain(f"cumsum axis {axis}", name, [matrix], lambda x, axis=axis: x.cumsum(axis))


def rows(c):
    for shape in ((4096, 512), (16384, 4096)):
        shapes = [shape, shape[1:]]
        c.both("softmax", text(*shape), [shape], lambda x: x.softmax(-1))
        c.both("layer norm", text(*shape), shapes, lambda x, w: F.layer_norm(x, w.shape, w, eps=1e-6))
        c.both("RMS norm", text(*shape), shapes, lambda x, w: F.rms_norm(x, w.shape, w, eps=1e-6))
    for shape in ((4096, 2048), (16384, 4096)):
        c.both("SwiGLU", text(*shape), [shape] * 2, lambda gate, up: F.silu(gate) * up)


def rope(c):
    for shape in ((8, 512, 8, 64), (4, 4096, 32, 128)):
        cos, sin = (t.unsqueeze(1).to(c.dtype) for t in rotary_tables(shape[1], shape[3]))
        c.both("RoPE", text(*shape), [shape], lambda x, cos=cos, sin=sin: rotate(x, cos, sin))


def attention(c):
    def attend(q, k, v):
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        shape = (k.shape[0], q.shape[1], k.shape[2], k.shape[3])
        return F.scaled_dot_product_attention(q, k.expand(shape), v.expand(shape), is_causal=True).transpose(1, 2)

    for length in (128, 512, 1024, 2048, 4096):
        for kind, groups in (("MHA", 8), ("MQA", 1)):
            q, k = (4096 // length, length, 8, 64), (4096 // length, length, groups, 64)
            c.both(f"attention {kind}", text(*q), [q, k, k], attend)


def products(c):
    for shape in ((4096, 512, 2048), (4096, 2048, 512), (2048, 2048, 2048)):
        c.both("linear", text(*shape), [shape[:2], (shape[2], shape[1])], F.linear)
    for shape in ((1, 512, 2048), (1, 8192, 8192), (8, 8192, 8192)):
        c.plain("linear", text(*shape), [shape[:2], (shape[2], shape[1])], F.linear)


def losses(c):
    for n, classes in ((4096, 8192), (1024, 32768), (256, 131072), (128, 262144)):
        def make(n=n, classes=classes):
            logits, targets = c.random(n, classes).requires_grad_(), torch.randint(classes, (n,))

            def step():
                F.cross_entropy(logits, targets).backward()
                logits.grad = None
            return step
        c.add("cross entropy, forward and backward", text(n, classes), make)
    for n, classes in ((1024, 8192), (1024, 32768)):
        def make(n=n, classes=classes):
            x, weight = c.random(n, 512).requires_grad_(), (c.random(classes, 512) * 0.05).requires_grad_()
            targets = torch.randint(classes, (n,))

            def step():
                F.cross_entropy(F.linear(x, weight).float(), targets).backward()
                x.grad = weight.grad = None
            return step
        c.add("linear and cross entropy, forward and backward", text(n, 512, classes), make)


def embeddings(c):
    for tokens, vocabulary in ((4096, 8192), (4096, 65536), (65536, 65536)):
        name = f"{tokens} of {vocabulary}x512"

        def forward(tokens=tokens, vocabulary=vocabulary):
            table, ids = c.random(vocabulary, 512), torch.randint(vocabulary, (tokens,))
            return lambda: F.embedding(ids, table)

        def both(tokens=tokens, vocabulary=vocabulary):
            table, ids = c.random(vocabulary, 512).requires_grad_(), torch.randint(vocabulary, (tokens,))
            gradient = c.random(tokens, 512)

            def step():
                F.embedding(ids, table).backward(gradient)
                table.grad = None
            return step
        c.add("embedding", name, forward)
        c.add("embedding, forward and backward", name, both)


def indexing(c):
    for half in ((4096, 1024), (16384, 2048)):
        for axis in range(2):
            c.plain(f"cat axis {axis}", f"2 of {text(*half)}", [half] * 2,
                    lambda x, y, axis=axis: torch.cat([x, y], axis))
    shape = (4096, 8192)
    for axis in range(2):
        picks = (512, 8192) if axis == 0 else (4096, 512)

        def gather(axis=axis, picks=picks):
            x, index = c.random(*shape), torch.randint(shape[axis], picks)
            return lambda: x.gather(axis, index)

        def scatter(axis=axis, picks=picks):
            x, index, source = c.random(*shape), torch.randint(shape[axis], picks), c.random(*picks)
            return lambda: x.scatter_add(axis, index, source)
        c.add(f"gather axis {axis}", f"{text(*picks)} of {text(*shape)}", gather)
        c.add(f"scatter add axis {axis}", f"{text(*picks)} to {text(*shape)}", scatter)

    def select():
        x, index = c.random(65536, 512), torch.randint(65536, (4096,))
        return lambda: x.index_select(0, index)

    def index_add():
        x, index, source = c.random(8192, 512), torch.randint(8192, (4096,)), c.random(4096, 512)
        return lambda: x.index_add(0, index, source)
    c.add("index select", "4096 of 65536x512", select)
    c.add("index add", "4096 to 8192x512", index_add)
    c.plain("sort", "4096x2048", [(4096, 2048)], lambda x: x.sort(1))
    c.plain("sort", str(1 << 20), [(1 << 20,)], lambda x: x.sort(0))
    c.plain("topk 8", "4096x2048", [(4096, 2048)], lambda x: x.topk(8))
    c.plain("topk 50", "8x262144", [(8, 262144)], lambda x: x.topk(50))


def optimizers(c):
    if c.dtype != torch.float32:
        return

    def case(op, make_optimizer, clips=False):
        def make():
            # The same tensors as Martlet's, which keeps the five projections of a block apart.
            parameters = []
            for p in PaLM(8192, 512, 8, 8, 64, 1).parameters():
                parts = p.detach().split([512, 64, 64, 2048, 2048]) if p.shape[0] == 4736 else [p.detach()]
                parameters += [part.clone().requires_grad_() for part in parts]
            for p in parameters:
                p.grad = torch.randn(p.shape) * 1e-4
            optimizer = make_optimizer(parameters)

            def step():
                if clips:
                    torch.nn.utils.clip_grad_norm_(parameters, 0.5, foreach=True)
                optimizer.step()
            return step
        c.add(op, f"PaLM of {34083328}", make)
    case("AdamW", lambda parameters: torch.optim.AdamW(parameters, lr=1e-5, fused=True))
    case("clipping and AdamW", lambda parameters: torch.optim.AdamW(parameters, lr=1e-5, fused=True), clips=True)
    case("Adafactor", lambda parameters: torch.optim.Adafactor(parameters, lr=1e-5, foreach=True))


def main():
    p = common.parser(__doc__)
    p.add_argument("--dtype", type=common.dtype, default=torch.float32, help="float32 or bfloat16")
    p.add_argument("--filter", default="", help="only rows whose op or shape contains this text")
    p.add_argument("--seconds", type=float, default=0.25, help="seconds to measure each row; at least five calls")
    p.add_argument("--list", action="store_true", help="only name the rows")
    a = p.parse_args()
    common.apply_threads(a)
    torch.manual_seed(0)
    c = Cases(a.dtype)
    for family in (elementwise, reductions, rows, rope, attention, products, losses, embeddings, indexing, optimizers):
        family(c)
    for op, shape, make in c.rows:
        if a.filter not in op and a.filter not in shape:
            continue
        if a.list:
            print(f"{op}  {shape}")
            continue
        common.emit("ops", "eager", op=op, shape=shape, dtype=common.name_of(a.dtype), threads=torch.get_num_threads(),
                    seconds=seconds_per_call(make(), a.seconds))


def seconds_per_call(body, budget):
    """The median time of a call, over batches of calls that are long enough for the clock."""
    timer = timeit.Timer(body)
    body()
    calls = 1
    while timer.timeit(calls) < budget / 30:
        calls *= 2
    times, total = [], 0.0
    while total < budget or len(times) < 5:
        time = timer.timeit(calls)
        total += time
        times.append(time / calls)
    return common.median(times)


if __name__ == "__main__":
    main()
