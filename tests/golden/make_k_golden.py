#!/usr/bin/env python3
"""What ggml's quantiser loses by K types: encoded/K.losses.

    make_k_golden.py [DIRECTORY]     (llama-cpp-python 0.3.36 and gguf 0.19.0, which needs numpy)

Little-endian: int32 values; float32 values; float32 importance, one for each value; then for Q2_K, Q3_K,
Q4_K, Q5_K and Q6_K two float64: the mean of the squared errors where all values matter alike, and the
mean of importance times squared error where ggml is given the importance. gguf-py decodes what ggml made.
"""

import ctypes
import sys
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from gguf import GGMLQuantizationType as T

BLOCK = 256
ROWS = 3
KINDS = (T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K)


def values():
    rng = np.random.default_rng(11)
    rows = [rng.normal(0, 0.05, (ROWS, BLOCK)),
            rng.standard_t(3, (ROWS, BLOCK)) * 0.02,  # with outliers
            rng.normal(0, 0.05, (ROWS, BLOCK)) * np.exp(rng.normal(0, 1, (ROWS, BLOCK // 16))).repeat(16, 1),
            rng.uniform(0.5, 1, (1, BLOCK)), -rng.uniform(0.5, 1, (1, BLOCK))]
    return np.concatenate(rows).astype(np.float32), np.exp(rng.normal(0, 1, BLOCK)).astype(np.float32)


def losses(x, importance, kind, ggml):
    _, size = gguf.GGML_QUANT_SIZES[kind]
    found = []
    for weights in (None, importance):
        raw = np.zeros((len(x), size), np.uint8)
        pointer = None if weights is None else weights.ctypes.data_as(ctypes.c_void_p)
        ggml.ggml_quantize_chunk(ctypes.c_int(int(kind)), x.ctypes.data_as(ctypes.c_void_p),
                                 raw.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0),
                                 ctypes.c_int64(len(x)), ctypes.c_int64(BLOCK), pointer)
        error = gguf.dequantize(raw, kind).astype(np.float64) - x
        found.append(float(((1.0 if weights is None else weights) * error**2).mean()))
    return found


def main(directory):
    folder = Path(llama_cpp.__file__).parent / "lib"
    ggml = ctypes.CDLL(str(folder / "libggml-base.so"))
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    x, importance = values()
    with open(directory / "K.losses", "wb") as f:
        np.array([x.size], "<i4").tofile(f)
        x.astype("<f4").tofile(f)
        np.broadcast_to(importance, x.shape).astype("<f4").tofile(f)
        for kind in KINDS:
            np.array(losses(x, importance, kind, ggml), "<f8").tofile(f)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "encoded")
