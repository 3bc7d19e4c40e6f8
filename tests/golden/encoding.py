#!/usr/bin/env python3
"""What gguf-py's quantiser makes of given values: encoded/TYPE.encoded.

Little-endian: int32 values, int32 bytes; float32 values; then the bytes that gguf-py stores them as.
Run by itself: encoding.py DIRECTORY. Needs gguf and numpy at the versions of requirements.txt.
"""

import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

BLOCK = 32


def values():
    rng = np.random.default_rng(7)
    blocks = [rng.normal(0, 0.05, BLOCK) for _ in range(96)]
    blocks += [rng.standard_t(2, BLOCK) * 0.02 for _ in range(64)]  # with outliers
    blocks += [rng.uniform(0.5, 1, BLOCK), -rng.uniform(0.5, 1, BLOCK)]
    blocks += [np.zeros(BLOCK), np.full(BLOCK, 0.25), np.full(BLOCK, -3.0)]
    blocks += [rng.normal(0, 1e-7, BLOCK), rng.normal(0, 1e3, BLOCK)]
    blocks += [np.linspace(-1, 1, BLOCK), np.linspace(-8, 7.5, BLOCK)]  # on and between codes
    blocks += [np.tile([1.0, -1.0], BLOCK // 2)]  # equal magnitudes: the first decides
    halves = np.zeros(BLOCK)
    halves[0], halves[1:] = -8, np.arange(BLOCK - 1) / 2 - 7.5
    blocks.append(halves)
    return np.stack(blocks).astype(np.float32)


def make(directory):
    directory.mkdir(parents=True, exist_ok=True)
    x = values()
    for kind in (T.Q4_0, T.Q4_1, T.Q8_0, T.F16, T.BF16):
        raw = gguf.quants.quantize(x, kind)
        data = np.ascontiguousarray(raw).view(np.uint8)
        with open(directory / f"{kind.name}.encoded", "wb") as f:
            np.array([x.size, data.size], "<i4").tofile(f)
            x.astype("<f4").tofile(f)
            data.tofile(f)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
