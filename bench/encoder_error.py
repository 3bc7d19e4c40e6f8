#!/usr/bin/env python3
"""How far K types are from the weights they stand for: Fathom's encoder beside ggml's.

    bench/encoder_error.py build/fathom original.gguf     (llama-cpp-python and gguf)

Rounds a GGUF file of plain weights to each K type (`fathom quantize --method rtn`), has ggml's quantiser
round the same matrices without an importance matrix, decodes both with gguf-py, and prints the mean
squared errors relative to the weights' mean square. Matrices whose rows are not whole 256s have other
types and are left out.
"""

import ctypes
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

TYPES = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")


def matrices(path):
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def ggml_rounded(ggml, weights, kind):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    rows, columns = weights.shape
    raw = np.zeros((rows, columns // block * size), np.uint8)
    ggml.ggml_quantize_chunk(ctypes.c_int(int(kind)), weights.ctypes.data_as(ctypes.c_void_p),
                             raw.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0), ctypes.c_int64(rows),
                             ctypes.c_int64(columns), None)
    return gguf.dequantize(raw, kind)


def main(fathom, original):
    ggml = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    before = matrices(original)
    print("| type | matrices | Fathom | ggml | ratio |\n| --- | ---: | ---: | ---: | ---: |")
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        sums = np.zeros(3)
        count = 0
        with tempfile.TemporaryDirectory() as folder:
            small = Path(folder) / "small.gguf"
            subprocess.run([fathom, "quantize", "-m", original, "-o", small, "--method", "rtn",
                            "--type", name.lower(), "--json"], check=True, stdout=subprocess.DEVNULL)
            for tensor in matrices(small).values():
                if tensor.tensor_type != kind:
                    continue
                ours = gguf.dequantize(tensor.data, kind)
                source = before[tensor.name]
                weights = np.ascontiguousarray(
                    gguf.dequantize(source.data, source.tensor_type).reshape(ours.shape), np.float32)
                theirs = ggml_rounded(ggml, weights, kind)
                sums += [np.square(x, dtype=np.float64).sum() for x in (ours - weights, theirs - weights, weights)]
                count += 1
        fathom_error, ggml_error = sums[0] / sums[2], sums[1] / sums[2]
        print(f"| {name} | {count} | {fathom_error:.3e} | {ggml_error:.3e} | {fathom_error / ggml_error:.2f} |")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
