#!/usr/bin/env python3
"""Makes llama.cpp's own file of few bits of a GGUF model, to stand beside ours in bench/quality.sh.

    bench/llama_quantize.py importance original.gguf text.txt importance.npz   (torch, transformers, gguf)
    bench/llama_quantize.py quantize original.gguf small.gguf q4_k_m [importance.npz]   (llama-cpp-python)
    bench/llama_quantize.py bits small.gguf   (gguf)

importance: the mean square of each element of each matrix's input over the text, in windows of 512
tokens, as llama.cpp's importance matrices hold it; Llama-like models with dense layers. The steps may run
in different Pythons.
"""

import ctypes
import sys
from pathlib import Path

import numpy as np

FILE_TYPES = {"q4_0": 2, "q4_k_m": 15}
WINDOW = 512
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(module: str) -> str | None:
    if module == "lm_head":
        return "token_embd.weight"
    parts = module.split(".")
    if parts[:2] != ["model", "layers"] or ".".join(parts[3:]) not in NAMES:
        return None
    return f"blk.{parts[2]}.{NAMES['.'.join(parts[3:])]}.weight"


def importance(model_file: str, text: str, output: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = Path(model_file)
    tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32)
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}

    def watch(name):
        def hook(_module, inputs):
            x = inputs[0].reshape(-1, inputs[0].shape[-1])
            sums[name] = sums.get(name, 0) + (x * x).sum(dim=0)
            counts[name] = counts.get(name, 0) + x.shape[0]

        return hook

    for module_name, module in model.named_modules():
        name = gguf_name(module_name)
        if name is not None:
            module.register_forward_pre_hook(watch(name))
    ids = tokenizer(Path(text).read_text(encoding="utf-8"), return_tensors="pt").input_ids
    with torch.no_grad():
        for at in range(0, ids.shape[1], WINDOW):
            model(ids[:, at : at + WINDOW])
    np.savez(output, **{name: (sums[name] / counts[name]).numpy() for name in sums})
    print(f"{len(sums)} matrices, {ids.shape[1]} tokens")


def quantize(source: str, output: str, file_type: str, matrix: str | None) -> None:
    import llama_cpp

    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = FILE_TYPES[file_type]
    if matrix is not None:
        arrays = {name: np.ascontiguousarray(values, np.float32) for name, values in np.load(matrix).items()}
        Entry = llama_cpp.llama_cpp.llama_model_imatrix_data
        entries = (Entry * (len(arrays) + 1))()  # the last one, all zero, ends it
        for entry, (name, values) in zip(entries, arrays.items(), strict=False):
            entry.name = name.encode()
            entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            entry.size = values.size
        settings.imatrix = ctypes.cast(entries, type(settings.imatrix))
    if llama_cpp.llama_model_quantize(source.encode(), output.encode(), ctypes.byref(settings)) != 0:
        sys.exit(f"llama.cpp could not quantise {source}")


def bits(file: str) -> None:
    from gguf import GGUFReader

    matrices = [tensor for tensor in GGUFReader(file).tensors if len(tensor.shape) > 1]
    print(8 * sum(int(t.n_bytes) for t in matrices) / sum(int(t.n_elements) for t in matrices))


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] == "importance":
        importance(*sys.argv[2:])
    elif len(sys.argv) in (5, 6) and sys.argv[1] == "quantize" and sys.argv[4] in FILE_TYPES:
        quantize(*sys.argv[2:5], sys.argv[5] if len(sys.argv) == 6 else None)
    elif len(sys.argv) == 3 and sys.argv[1] == "bits":
        bits(sys.argv[2])
    else:
        sys.exit(__doc__)
