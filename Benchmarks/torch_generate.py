"""Reading a prompt and generating tokens in PyTorch with cached keys and values. One JSON line, with the keys of
`martlet bench generate`."""

import time

import torch

import torch_common as common
from torch_palm import PaLM


def main():
    p = common.parser(__doc__)
    common.model_arguments(p)
    p.add_argument("--batch", type=common.positive, default=1, help="rows generated at once")
    p.add_argument("--prompt", type=common.positive, default=128, help="tokens in each prompt")
    p.add_argument("--tokens", type=common.positive, default=128, help="tokens to generate for each row")
    p.add_argument("--repeats", type=common.positive, default=3, help="times to repeat; one more runs first")
    a = p.parse_args()
    common.apply_threads(a)
    torch.manual_seed(0)
    length = a.prompt + a.tokens
    model = PaLM(a.vocab, a.width, a.layers, a.heads, a.head_dim, length).to(a.dtype).eval()
    ids = torch.randint(0, a.vocab, (a.batch, a.prompt))
    prompt_times, decode_times = [], []
    with torch.inference_mode():
        for i in range(a.repeats + 1):
            caches = [tuple(torch.zeros(a.batch, 1, length, a.head_dim, dtype=a.dtype) for _ in range(2))
                      for _ in range(a.layers)]
            start = time.perf_counter()
            hidden = model.hidden(ids, caches)
            following = model.logits(hidden[:, -1:]).argmax(-1)
            middle = time.perf_counter()
            for t in range(a.tokens):
                hidden = model.hidden(following, caches, a.prompt + t)
                following = model.logits(hidden).argmax(-1)
            end = time.perf_counter()
            if i > 0:
                prompt_times.append(middle - start)
                decode_times.append(end - middle)
    common.emit("generate", "eager", **common.model_record(a), batch=a.batch, prompt=a.prompt, tokens=a.tokens,
                parameters=model.parameter_count(), prompt_seconds=prompt_times, decode_seconds=decode_times,
                prompt_tokens_per_second=a.batch * a.prompt / common.median(prompt_times),
                decode_tokens_per_second=a.batch * a.tokens / common.median(decode_times),
                peak_rss_bytes=common.peak_memory())


if __name__ == "__main__":
    main()
