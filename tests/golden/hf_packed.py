#!/usr/bin/env python3
"""Tiny Llamas as other quantisers pack them: packed/NAME/, with expected.safetensors, F32 values of
some matrices.

Written after the formats' own descriptions: compressed-tensors' pack_to_int32 (elements from the low
bits up, signed codes offset by half their range, zero points packed along the rows), AutoAWQ's GEMM
layout (packing order 0 2 4 6 1 3 5 7 along the outputs) and AutoGPTQ's QuantLinear (rows of inputs,
zero points stored less one, g_idx). Run by itself: hf_packed.py DIRECTORY. Needs numpy and
safetensors at the versions of requirements.txt.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, VOCAB = 64, 64, 2, 1, 8
MATRICES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (HIDDEN // 2, HIDDEN),
    "self_attn.v_proj": (HIDDEN // 2, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (INTERMEDIATE, HIDDEN), "mlp.up_proj": (INTERMEDIATE, HIDDEN),
    "mlp.down_proj": (HIDDEN, INTERMEDIATE),
}
EXPECTED = ("self_attn.q_proj", "self_attn.k_proj", "mlp.down_proj")
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def pack(codes, bits):
    """[rows, n] unsigned codes -> [rows, n * bits / 32] int32, the first in the lowest bits."""
    per_word = 32 // bits
    rows, n = codes.shape
    padded = np.zeros((rows, -(-n // per_word) * per_word), np.uint32)
    padded[:, :n] = codes
    words = np.zeros((rows, padded.shape[1] // per_word), np.uint32)
    for i in range(per_word):
        words |= padded[:, i::per_word] << np.uint32(bits * i)
    return np.ascontiguousarray(words).view(np.int32)


def compressed(out, name, codes, zeros, scales, bits, symmetric, **_):
    out[name + ".weight_packed"] = pack(codes, bits)
    out[name + ".weight_scale"] = scales
    out[name + ".weight_shape"] = np.array(codes.shape, np.int64)
    if not symmetric:
        out[name + ".weight_zero_point"] = np.ascontiguousarray(pack(zeros.T, bits).T)


def awq(out, name, codes, zeros, scales, **_):
    def pack_outputs(values):  # [n, outputs]
        grouped = values.reshape(values.shape[0], -1, 8)[:, :, AWQ_ORDER]
        return pack(grouped.reshape(values.shape), 4)

    out[name + ".qweight"] = pack_outputs(codes.T)
    out[name + ".qzeros"] = pack_outputs(zeros.T)
    out[name + ".scales"] = np.ascontiguousarray(scales.T)


def gptq(out, name, codes, zeros, scales, bits, order, less_one, **_):
    out[name + ".qweight"] = np.ascontiguousarray(pack(codes, bits).T)
    out[name + ".qzeros"] = pack((zeros - (1 if less_one else 0)).T, bits)
    out[name + ".scales"] = np.ascontiguousarray(scales.T)
    out[name + ".g_idx"] = order.astype(np.int32)


def compressed_config(bits, group, symmetric, **_):
    weights = {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": "group",
               "group_size": group, "dynamic": False}
    return {"quant_method": "compressed-tensors", "format": "pack-quantized", "ignore": ["lm_head"],
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}


def awq_config(bits, group, **_):
    return {"quant_method": "awq", "bits": bits, "group_size": group, "zero_point": True,
            "version": "gemm"}


def gptq_config(bits, group, symmetric, less_one, act_order, **_):
    return {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": symmetric,
            "desc_act": act_order, "checkpoint_format": "gptq" if less_one else "gptq_v2"}


def checkpoint(directory, seed, write, config, bits, group, symmetric, act_order=False,
               less_one=True):
    rng = np.random.default_rng(seed)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    tensors, expected = {}, {}
    for short, (rows, width) in MATRICES.items():
        codes = rng.integers(0, 2**bits, (rows, width))
        groups = width // group
        zeros = (np.full((rows, groups), 2 ** (bits - 1)) if symmetric
                 else rng.integers(1, 2**bits, (rows, groups)))
        scales = (rng.uniform(0.5, 1.5, (rows, groups)) * 2.0**-bits / 8).astype(np.float16)
        order = np.arange(width) // group
        if act_order:
            order = rng.permutation(order)
        name = "model.layers.0." + short
        write(tensors, name, codes=codes, zeros=zeros, scales=scales, bits=bits, order=order,
              symmetric=symmetric, less_one=less_one)
        if short in EXPECTED:
            expected[name + ".weight"] = ((codes - zeros[:, order]).astype(np.float32)
                                          * scales[:, order].astype(np.float32))
    for name, shape in {"model.embed_tokens.weight": (VOCAB, HIDDEN),
                        "lm_head.weight": (VOCAB, HIDDEN), "model.norm.weight": (HIDDEN,),
                        "model.layers.0.input_layernorm.weight": (HIDDEN,),
                        "model.layers.0.post_attention_layernorm.weight": (HIDDEN,)}.items():
        tensors[name] = rng.normal(0.5, 0.3, shape).astype(np.float16)
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    save_file(expected, directory / "expected.safetensors", {"format": "pt"})
    quantization = config(bits=bits, group=group, symmetric=symmetric, less_one=less_one,
                          act_order=act_order)
    (directory / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE, "num_hidden_layers": 1, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "vocab_size": VOCAB, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5, "torch_dtype": "float16", "quantization_config": quantization,
    }, indent=2) + "\n")


def make(root):
    checkpoint(root / "compressed_int4", 1, compressed, compressed_config, 4, 32, True)
    checkpoint(root / "compressed_int4_zeros", 2, compressed, compressed_config, 4, 64, False)
    checkpoint(root / "compressed_int8", 3, compressed, compressed_config, 8, 32, True)
    checkpoint(root / "awq", 4, awq, awq_config, 4, 64, False)
    checkpoint(root / "gptq", 5, gptq, gptq_config, 4, 32, True)
    checkpoint(root / "gptq_act_order", 6, gptq, gptq_config, 4, 32, True, act_order=True)
    checkpoint(root / "gptq_v2_zeros", 7, gptq, gptq_config, 4, 64, False, less_one=False)
    checkpoint(root / "gptq_int8", 8, gptq, gptq_config, 8, 32, True)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
