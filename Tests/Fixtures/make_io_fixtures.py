"""Writes Tests/Fixtures/io: small files as NumPy and the safetensors library write them, for the readers' tests.

    python make_io_fixtures.py
"""

import os

import numpy as np
import torch
from safetensors.torch import save_file

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "io")


def values(dtype, shape):
    """0, 1, 2 ... in `shape`, every third one negated where the type has a sign; booleans alternate."""
    x = np.arange(int(np.prod(shape))).reshape(shape)
    if dtype == np.bool_:
        return x % 2 == 1
    if not np.issubdtype(dtype, np.unsignedinteger):
        x = np.where(x % 3 == 2, -x, x)
    return x.astype(dtype)


def main():
    os.makedirs(HERE, exist_ok=True)

    tensors = {
        "f64": torch.from_numpy(values(np.float64, (2, 3))) / 8,
        "f32": torch.from_numpy(values(np.float32, (2, 3))) / 8,
        "f16": torch.from_numpy(values(np.float16, (5,))) / 8,
        "bf16": (torch.from_numpy(values(np.float32, (5,))) / 8).bfloat16(),
        "i64": torch.from_numpy(values(np.int64, (3,))) * 2**40,
        "i32": torch.from_numpy(values(np.int32, (3,))),
        "i16": torch.from_numpy(values(np.int16, (3,))),
        "i8": torch.from_numpy(values(np.int8, (3,))),
        "u8": torch.from_numpy(values(np.uint8, (7,))),
        "bool": torch.from_numpy(values(np.bool_, (3,))),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "u16": torch.tensor([0, 65535], dtype=torch.uint16),
        "f8": torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn),
        "größe": torch.tensor([1.0]),
    }
    save_file(tensors, os.path.join(HERE, "python.safetensors"), metadata={"format": "pt", "note": 'a "quoted" one'})

    arrays = {
        "f8": values(np.float64, (2, 3)) / 8,
        "f4": values(np.float32, (2, 3)) / 8,
        "f2": values(np.float16, (5,)) / np.float16(8),
        "i8": values(np.int64, (3,)) * 2**40,
        "i4": values(np.int32, (3,)),
        "i2": values(np.int16, (3,)),
        "i1": values(np.int8, (3,)),
        "u1": values(np.uint8, (7,)),
        "u2": np.array([0, 65535], np.uint16),
        "u4": np.array([0, 2**32 - 1], np.uint32),
        "b1": values(np.bool_, (3,)),
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 4), np.float32),
        "fortran": np.asfortranarray(values(np.float32, (2, 3, 4))),
        "big": values(np.int32, (2, 3)).astype(">i4"),
        # Large enough to have dynamic Huffman codes, long matches and several code lengths.
        "text": (values(np.int32, (40, 50)) ** 2 // 7).astype(np.int16),
    }
    np.savez(os.path.join(HERE, "stored.npz"), **arrays)
    np.savez_compressed(os.path.join(HERE, "deflated.npz"), **arrays)
    np.save(os.path.join(HERE, "fortran.npy"), arrays["fortran"])
    with open(os.path.join(HERE, "version3.npy"), "wb") as f:
        np.lib.format.write_array(f, arrays["f4"], version=(3, 0))
    np.save(os.path.join(HERE, "records.npy"), np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))


if __name__ == "__main__":
    main()
