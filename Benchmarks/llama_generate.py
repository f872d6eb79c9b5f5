"""Reading a prompt and generating tokens with llama.cpp: the keys of `martlet bench generate`.

The model is written as a GGUF file with random weights: llama's architecture in the shape of the PaLM (width, layers,
heads, one key and value head, SwiGLU of 4 x width, tied embeddings). Its blocks are serial where PaLM's are parallel,
which moves no further weights."""

import argparse
import ctypes
import json
import statistics
import tempfile
import time

import gguf
import llama_cpp
import numpy

import peer_common
from peer_common import positive

TYPES = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16,
         "bf16": gguf.GGMLQuantizationType.BF16, "q8_0": gguf.GGMLQuantizationType.Q8_0,
         "q4_0": gguf.GGMLQuantizationType.Q4_0}


def write_model(path, a):
    """A random model; the number of its parameters."""
    generator = numpy.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(a.prompt + a.tokens)
    writer.add_embedding_length(a.width)
    writer.add_block_count(a.layers)
    writer.add_feed_forward_length(4 * a.width)
    writer.add_head_count(a.heads)
    writer.add_head_count_kv(1)
    writer.add_key_length(a.head_dim)
    writer.add_value_length(a.head_dim)
    writer.add_rope_dimension_count(a.head_dim)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(a.vocab)
    writer.add_tokenizer_model("none")
    count = 0

    def matrix(name, outputs, inputs):
        nonlocal count
        count += outputs * inputs
        weights = generator.standard_normal((outputs, inputs), dtype=numpy.float32) / numpy.sqrt(inputs)
        kind = TYPES[a.dtype]
        writer.add_tensor(name, gguf.quants.quantize(weights.astype(numpy.float32), kind), raw_dtype=kind)

    def scale(name):
        nonlocal count
        count += a.width
        writer.add_tensor(name, numpy.ones(a.width, dtype=numpy.float32))

    matrix("token_embd.weight", a.vocab, a.width)
    for i in range(a.layers):
        scale(f"blk.{i}.attn_norm.weight")
        matrix(f"blk.{i}.attn_q.weight", a.heads * a.head_dim, a.width)
        matrix(f"blk.{i}.attn_k.weight", a.head_dim, a.width)
        matrix(f"blk.{i}.attn_v.weight", a.head_dim, a.width)
        matrix(f"blk.{i}.attn_output.weight", a.width, a.heads * a.head_dim)
        scale(f"blk.{i}.ffn_norm.weight")
        matrix(f"blk.{i}.ffn_gate.weight", 4 * a.width, a.width)
        matrix(f"blk.{i}.ffn_up.weight", 4 * a.width, a.width)
        matrix(f"blk.{i}.ffn_down.weight", a.width, 4 * a.width)
    scale("output_norm.weight")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return count


class Session:
    """llama.cpp's C interface: the Python class generates one row at a time only."""

    def __init__(self, path, a):
        llama_cpp.llama_backend_init()
        options = llama_cpp.llama_model_default_params()
        options.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), options)
        if not self.model:
            raise SystemExit("llama.cpp did not load the model")
        context = llama_cpp.llama_context_default_params()
        context.n_ctx = a.batch * (a.prompt + a.tokens)
        context.n_batch = context.n_ubatch = a.batch * a.prompt
        context.n_seq_max = a.batch
        context.n_threads = context.n_threads_batch = a.threads
        self.context = llama_cpp.llama_init_from_model(self.model, context)
        if not self.context:
            raise SystemExit("llama.cpp made no context")
        self.vocab = a.vocab
        self.batch = llama_cpp.llama_batch_init(a.batch * a.prompt, 0, 1)

    def clear(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def next(self, ids, position):
        """ids [rows, time] at `position`; the likeliest next token of each row."""
        rows, length = ids.shape
        b = self.batch
        b.n_tokens = rows * length
        last = []
        i = 0
        for row in range(rows):
            for t in range(length):
                b.token[i], b.pos[i], b.n_seq_id[i] = int(ids[row, t]), position + t, 1
                b.seq_id[i][0] = row
                b.logits[i] = t == length - 1
                i += 1
            last.append(i - 1)
        status = llama_cpp.llama_decode(self.context, b)
        if status != 0:
            raise SystemExit(f"llama_decode ended with {status}")
        return numpy.array([[numpy.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.context, i),
                                                      (self.vocab,)).argmax()] for i in last])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--dtype", choices=TYPES, default="bf16", help="the weights' type")
    peer_common.model_arguments(p)
    p.add_argument("--batch", type=positive, default=1, help="rows generated at once")
    p.add_argument("--prompt", type=positive, default=128, help="tokens in each prompt")
    p.add_argument("--tokens", type=positive, default=128, help="tokens to generate for each row")
    p.add_argument("--repeats", type=positive, default=3, help="times to repeat; one more runs first")
    p.add_argument("--threads", type=positive, default=1, help="threads to compute with")
    a = p.parse_args()
    # llama.cpp writes what it loads to standard error.
    silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    ids = numpy.random.default_rng(1).integers(0, a.vocab, (a.batch, a.prompt))
    prompt_times, decode_times = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.gguf"
        parameters = write_model(path, a)
        session = Session(path, a)
        for i in range(a.repeats + 1):
            session.clear()
            start = time.perf_counter()
            following = session.next(ids, 0)
            middle = time.perf_counter()
            for t in range(a.tokens):
                following = session.next(following, a.prompt + t)
            end = time.perf_counter()
            if i > 0:
                prompt_times.append(middle - start)
                decode_times.append(end - middle)
        print(json.dumps({
            "name": "generate", "framework": "llama.cpp", "version": llama_cpp.__version__, "mode": "eager",
            "dtype": a.dtype, "width": a.width, "layers": a.layers, "heads": a.heads, "head_dim": a.head_dim,
            "vocab": a.vocab, "threads": a.threads, "batch": a.batch, "prompt": a.prompt, "tokens": a.tokens,
            "parameters": parameters, "prompt_seconds": prompt_times, "decode_seconds": decode_times,
            "prompt_tokens_per_second": a.batch * a.prompt / statistics.median(prompt_times),
            "decode_tokens_per_second": a.batch * a.tokens / statistics.median(decode_times),
            "peak_rss_bytes": peer_common.peak_memory()}), flush=True)


if __name__ == "__main__":
    main()
