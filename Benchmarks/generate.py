"""`run.py generate`: reading a prompt and generating tokens."""

import itertools
import statistics

import harness
from harness import Contender
from palm_train import SIZES

HELP = "tokens/s of reading a prompt and of generating, at batch 1 and 8, against PyTorch and llama.cpp"
REQUIREMENTS = (harness.HERE / "requirements-llama.txt",)
QUANTIZED = ("int8", "int4")
PRECISIONS = ("f32", "bf16", *QUANTIZED)
# Quantised weights are compared with llama.cpp's simplest formats of as many bits. PyTorch has none for its eager CPU
# path.
COUNTERPARTS = {"q8_0": "int8", "q4_0": "int4"}
LLAMA_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0")


def add_arguments(p):
    p.add_argument("--size", choices=SIZES, default="34m", help="the model, by its parameters")
    p.add_argument("--dtypes", default="f32,bf16,int8,int4",
                   help=f"precisions of Martlet and PyTorch, of {', '.join(PRECISIONS)}")
    p.add_argument("--llama-dtypes", default="f32,bf16,q8_0,q4_0", help=f"llama.cpp's, of {', '.join(LLAMA_TYPES)}")
    p.add_argument("--batches", default="1,8", help="rows generated at once")
    p.add_argument("--prompt", type=harness.positive, default=128, help="tokens in each prompt")
    p.add_argument("--tokens", type=harness.positive, default=128, help="tokens to generate for each row")


def some_of(option, text, known):
    values = text.split(",")
    for value in values:
        if value not in known:
            raise harness.Failure(f"{option} {value}: expected some of {', '.join(known)}")
    return values


def run(a, tools):
    dtypes = some_of("--dtypes", a.dtypes, PRECISIONS)
    llama_dtypes = some_of("--llama-dtypes", a.llama_dtypes, LLAMA_TYPES)
    if not all(batch.isdecimal() and int(batch) > 0 for batch in a.batches.split(",")):
        raise harness.Failure(f"--batches {a.batches}: expected numbers from 1, as 1,8")
    harness.check_modules(tools.python, ["llama_cpp", "gguf"],
                          "install Benchmarks/requirements-llama.txt for it, or leave --python out")
    contenders = []
    for batch in a.batches.split(","):
        common = [*SIZES[a.size].arguments(), "--batch", batch, "--prompt", a.prompt, "--tokens", a.tokens]
        for dtype in dtypes:
            if dtype in QUANTIZED:
                options = ["--dtype", "bf16", "--quantize", dtype, *common]
                contenders.append(Contender(f"martlet {dtype}", tools.martlet("bench", "generate", *options)))
                continue
            options = ["--dtype", dtype, *common]
            contenders += [Contender(f"martlet {dtype}", tools.martlet("bench", "generate", *options)),
                           Contender(f"torch {dtype}", tools.peer("torch_generate.py", *options))]
        contenders += [Contender(f"llama.cpp {dtype}", tools.peer("llama_generate.py", "--dtype", dtype, "--threads",
                                                                  a.threads, *common)) for dtype in llama_dtypes]
    rows = harness.interleave(contenders, a.rounds, a.threads)
    summary = summarise(rows)
    print(report(summary))
    return rows, summary


def summarise(rows):
    def of(contender, batch, key):
        return statistics.median(r[key] for r in rows if r["contender"] == contender and r["batch"] == batch)

    names = list(dict.fromkeys(row["contender"] for row in rows))
    batches = list(dict.fromkeys(row["batch"] for row in rows))
    return [{"batch": batch, "contender": name,
             **{key: of(name, batch, key) for key in ("prompt_tokens_per_second", "decode_tokens_per_second",
                                                      "peak_rss_bytes")}}
            for batch, name in itertools.product(batches, names)]


def report(summary):
    found = {(e["batch"], e["contender"]): e for e in summary}
    lines, notes = [], []
    for e in summary:
        lines.append([f"batch {e['batch']}  {e['contender']}", f"{e['prompt_tokens_per_second']:.0f}",
                      f"{e['decode_tokens_per_second']:.0f}", f"{e['peak_rss_bytes'] / 2**20:.0f}"])
        library, dtype = e["contender"].split()
        if library == "martlet":
            continue
        ours = found.get((e["batch"], f"martlet {COUNTERPARTS.get(dtype, dtype)}"))
        if ours:
            prompt, decode = (ours[key] / e[key] for key in ("prompt_tokens_per_second", "decode_tokens_per_second"))
            notes.append(f"batch {e['batch']} {dtype}: martlet / {library}: prompt {prompt:.2f}, decode {decode:.2f} "
                         "times the speed")
    text = harness.table(["", "prompt tokens/s", "decode tokens/s", "peak MiB"], lines)
    return text + "\n" + "\n".join(notes)
