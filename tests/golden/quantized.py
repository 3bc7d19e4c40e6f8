"""Blocks of every quantised type, and one tiny Llama GGUF stored in each.

gguf-py (the reference reader of ggml's formats) says what a block's bytes mean. It can write only
the simpler types; blocks of the others are random bytes with sane scales, and its dequantised values
are taken as the weights. Their blocks use every bit pattern that a real file could hold.

blocks/TYPE.blocks: little-endian int32 blocks, elements a block, bytes a block; then the blocks'
bytes; then float32 values [blocks][elements].
"""

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T

import golden_file
import gguf_files
import reference
import tiny_models

SIMPLE = [T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1]
K_QUANTS = [T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K]
# Byte offsets of a block's F16 scales (d) and minimum scales (dmin); the rest is free.
SCALES = {
    T.Q8_0: (0, None), T.Q4_0: (0, None), T.Q5_0: (0, None), T.Q4_1: (0, 2), T.Q5_1: (0, 2),
    T.Q2_K: (80, 82), T.Q3_K: (108, None), T.Q4_K: (0, 2), T.Q5_K: (0, 2), T.Q6_K: (208, None),
}
# dmin that centres the values of random bits, as a multiple of d.
CENTRE = {T.Q4_1: -7.5, T.Q5_1: -15.5, T.Q2_K: 1.5, T.Q4_K: 7.5, T.Q5_K: 15.5}
HIDDEN = 256


def random_blocks(kind, blocks, rng, spread):
    """Random bits, values with a standard deviation of about `spread`: [blocks, bytes]"""
    _, size = gguf.GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (blocks, size), np.uint8)
    d_at, min_at = SCALES[kind]

    def put(at, values):
        raw[:, at : at + 2] = values.astype(np.float16)[:, None].view(np.uint8)

    jitter = rng.uniform(0.7, 1.3, blocks)
    unit = 2.0**-6

    def fill(scale):
        put(d_at, jitter * scale)
        if min_at is not None:
            put(min_at, jitter * scale * CENTRE[kind])

    fill(unit)
    fill(unit * spread / gguf.quants.dequantize(raw, kind).std())
    return raw


def _write_blocks(path, counts, raw, values):
    with open(path, "wb") as f:
        np.array(counts, "<i4").tofile(f)
        raw.tofile(f)
        values.astype("<f4").tofile(f)


def make_blocks(directory):
    directory.mkdir(parents=True, exist_ok=True)
    for kind in SIMPLE + K_QUANTS:
        rng = np.random.default_rng(int(kind))
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        count = 32 if kind in SIMPLE else 8
        raw = random_blocks(kind, count, rng, 1.0)
        for extreme, byte in ((1, 0), (2, 255), (3, 127), (4, 128)):  # all bits but the scales
            keep = random_blocks(kind, 1, rng, 1.0)[0]
            scale_bytes = [b for at in SCALES[kind] if at is not None for b in (at, at + 1)]
            raw[extreme] = byte
            raw[extreme, scale_bytes] = keep[scale_bytes]
        d_at = SCALES[kind][0]
        raw[5, d_at : d_at + 2] = np.array([-0.037], np.float16).view(np.uint8)  # negative scale
        raw[6, d_at : d_at + 2] = np.array([3e-7], np.float16).view(np.uint8)  # subnormal scale
        raw[7, d_at : d_at + 2] = 0
        values = gguf.quants.dequantize(raw, kind).astype(np.float32)
        _write_blocks(directory / f"{kind.name}.blocks", (count, elements, size), raw, values)
    every_byte = torch.arange(256, dtype=torch.uint8)
    bits = np.random.default_rng(0).integers(0, 2**16, 2048, np.uint16)
    bits[:5] = 0x8000, 0x0001, 0x7C00, 0x03FF, 0xFC00  # -0, subnormals, infinities
    halves = torch.from_numpy(bits)
    for name, raw, dtype in (("F8E4M3", every_byte, torch.float8_e4m3fn),
                             ("F16", halves, torch.float16), ("BF16", halves, torch.bfloat16)):
        counts = (raw.numel(), 1, raw.element_size())
        values = raw.view(dtype).float().numpy()
        _write_blocks(directory / f"{name}.blocks", counts, raw.numpy(), values)


def _config():
    # Rows of 256, a K-quant's block, but for o_proj's and down_proj's, which are F16 as llama.cpp
    # stores rows that do not fit.
    return tiny_models.dense(hidden_size=HIDDEN, intermediate_size=32, num_attention_heads=2,
                             num_key_value_heads=1, head_dim=16, num_hidden_layers=1,
                             vocab_size=64)


def _stored(name, w, kind, rng):
    """(bytes to store or None for what the plain writer does, values)"""
    if w.ndim == 1 or w.shape[1] % HIDDEN:
        return None, w
    w = w.numpy()
    if kind in SIMPLE:
        raw = gguf.quants.quantize(w, kind)
    else:
        blocks = random_blocks(kind, w.size // HIDDEN, rng, float(w.std()))
        raw = blocks.reshape(w.shape[0], -1)
    return raw, torch.from_numpy(gguf.quants.dequantize(raw, kind).astype(np.float32))


def make_models(directory):
    directory.mkdir(parents=True, exist_ok=True)
    config = _config()
    model = tiny_models.TinyModel("quantized", config)
    for kind in SIMPLE + K_QUANTS:
        rng = np.random.default_rng(100 + int(kind))
        raw, values = {}, {}
        for name, w in tiny_models.make_weights(model, 100 + int(kind)).items():
            raw[name], values[name] = _stored(name, w, kind, rng)
        # The file's q and k rows are permuted ones: permute back for the reference.
        for name in list(values):
            heads = {"q_proj": 2, "k_proj": 1}.get(name.split(".")[-2])
            if heads:
                w = values[name]
                values[name] = (w.reshape(heads, w.shape[0] // heads // 2, 2, -1).swapaxes(1, 2)
                                .reshape(w.shape).contiguous())
        writer = gguf.GGUFWriter(directory / f"{kind.name}.gguf", "llama")
        gguf_files.metadata(writer, config, f"llama in {kind.name}", "f16")
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 1)
        for name, w in values.items():
            stored = names.get_name(name, try_suffixes=(".weight",))
            if raw[name] is None:
                gguf_files.add_tensor(writer, stored, w.numpy(), "f16")
            else:
                writer.add_tensor(stored, raw[name], raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        module = reference.load(config, values)
        answers = []
        for tokens in golden_file.random_prompts(64, int(kind), (1, 2, 7, 33)):
            positions = golden_file.positions_kept(len(tokens))
            answers.append((tokens, positions, reference.logits(module, tokens)[positions].numpy()))
        golden_file.write(directory / f"{kind.name}.golden", 64, answers)
        print(f"{kind.name}: logits' spread {answers[-1][2].std():.2f}", flush=True)
