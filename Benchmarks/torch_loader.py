"""Tokenising with SentencePiece's Python package and reading training batches with torch.utils.data.DataLoader: the
measures of `martlet bench loader`."""

import os
import pathlib
import tempfile
import time

import numpy
import sentencepiece
import torch
from torch.utils.data import DataLoader, Dataset

import torch_common as common

EXTENSIONS = (".txt", ".text", ".md")


class Windows(Dataset):
    """Inputs and targets of one window of a memory-mapped file of token ids, as GPT trainers in PyTorch read them."""

    def __init__(self, path, sequence):
        self.path, self.sequence = path, sequence
        self.ids = numpy.memmap(path, dtype=numpy.int32, mode="r")

    def __len__(self):
        return (len(self.ids) - 1) // self.sequence

    def __getitem__(self, i):
        start = i * self.sequence
        window = torch.from_numpy(self.ids[start:start + self.sequence + 1].astype(numpy.int64))
        return window[:-1], window[1:]


def read(paths):
    documents = []
    for path in map(pathlib.Path, paths):
        files = sorted(f for f in path.rglob("*") if f.suffix in EXTENSIONS) if path.is_dir() else [path]
        documents += [f.read_text(encoding="utf-8") for f in files]
    return documents


def timed(body, repeats):
    body()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        body()
        times.append(time.perf_counter() - start)
    return common.median(times)


def main():
    p = common.parser(__doc__)
    p.add_argument("--tokenizer", required=True, help="a SentencePiece model")
    p.add_argument("--batch", type=common.positive, default=8, help="sequences in a batch")
    p.add_argument("--sequence", type=common.positive, default=512, help="tokens in a sequence")
    p.add_argument("--repeats", type=common.positive, default=3, help="times to repeat; the median counts")
    p.add_argument("texts", nargs="+", help="text files or folders of them, a document each")
    a = p.parse_args()
    common.apply_threads(a)
    threads = torch.get_num_threads()
    documents = read(a.texts)
    text_bytes = sum(len(d.encode()) for d in documents)
    processor = sentencepiece.SentencePieceProcessor(model_file=a.tokenizer)

    def emit(measure, threads, seconds, tokens, **values):
        common.emit("loader", "eager", measure=measure, threads=threads, seconds=seconds, tokens=tokens,
                    tokens_per_second=tokens / seconds, **values)

    ids = []
    for count in sorted({1, threads}):
        def encode(count=count):
            ids[:] = processor.encode(documents, out_type=int, num_threads=count)
        seconds = timed(encode, a.repeats)
        emit("tokenise", count, seconds, sum(map(len, ids)), text_bytes=text_bytes,
             mb_per_second=text_bytes / seconds / 1e6)

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "train.bin")
        numpy.concatenate([numpy.asarray(document, dtype=numpy.int32) for document in ids]).tofile(path)
        dataset = Windows(path, a.sequence)
        for measure, workers in (("batches", 0), ("batches, prefetched", 1)):
            loader = DataLoader(dataset, batch_size=a.batch, shuffle=True, drop_last=True, num_workers=workers,
                                persistent_workers=workers > 0)
            tokens = len(loader) * a.batch * a.sequence
            if tokens == 0:
                raise SystemExit(f"the text has {len(dataset.ids)} tokens: too few for a batch")

            def epoch():
                for _ in loader:
                    pass
            emit(measure, 1 + workers, timed(epoch, a.repeats), tokens)


if __name__ == "__main__":
    main()
