#!/usr/bin/env python3
"""Opens what `fathom quantize` wrote in other programs and compares their logits with Fathom's.

    bench/interop.py build/fathom MODEL... [--tokens 64] [--seed 1]

A GGUF file is opened by llama.cpp (llama-cpp-python), a directory by transformers, in float32, with
compressed-tensors where its matrices are packed so. AutoAWQ's layout, which transformers runs on
graphics cards only, is unpacked by AutoAWQ's own functions (--autoawq, the unpacked sdist of
autoawq==0.2.9) and computed by transformers. Whichever of the packages this Python lacks, its
models are left out. Prints for each model the mean KL divergence from the other program's
distribution to Fathom's over all positions, the largest difference of log-probabilities, and how
often both would choose the same token.
"""

import argparse
import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np


def fathom_logits(fathom, model, tokens):
    out = subprocess.run([fathom, "logits", model, "--all", "--kernels", "reference",
                          "--tokens", ",".join(map(str, tokens))],
                         check=True, stdout=subprocess.PIPE)
    return np.array(json.loads(out.stdout)["logits"])


def llama_cpp_logits(model, tokens):
    from llama_cpp import Llama
    llama = Llama(model, n_ctx=len(tokens), n_batch=len(tokens), logits_all=True, verbose=False,
                  type_k=0, type_v=0)  # keys and values in F32
    llama.eval(tokens)
    return np.array(llama.scores[:len(tokens)], np.float64)


def unpack_awq(directory, autoawq):
    """A directory's tensors with AWQ's matrices decoded."""
    from safetensors.torch import load_file
    package = types.ModuleType("awq")
    package.__path__ = [str(Path(autoawq, "awq"))]
    utils = types.ModuleType("awq.utils")
    utils.__path__ = [str(Path(autoawq, "awq", "utils"))]
    sys.modules.update({"awq": package, "awq.utils": utils})
    from awq.utils.packing_utils import dequantize_gemm
    stored = load_file(Path(directory, "model.safetensors"))
    group = json.loads(Path(directory, "config.json").read_text())["quantization_config"]["group_size"]
    tensors = {}
    for name, tensor in stored.items():
        module, _, last = name.rpartition(".")
        if last == "qweight":
            weight = dequantize_gemm(tensor, stored[module + ".qzeros"],
                                     stored[module + ".scales"].float(), 4, group)
            tensors[module + ".weight"] = weight.t().contiguous()
        elif last not in ("qzeros", "scales"):
            tensors[name] = tensor
    return tensors


def transformers_logits(directory, tokens, autoawq):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    config = AutoConfig.from_pretrained(directory)
    quantization = getattr(config, "quantization_config", None) or {}
    if quantization.get("quant_method") == "awq":
        del config.quantization_config
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        missing, unexpected = model.load_state_dict(unpack_awq(directory, autoawq), strict=False)
        assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
        model.tie_weights()
    else:
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    if Path(directory, "tokenizer.json").exists():
        tokenizer = AutoTokenizer.from_pretrained(directory)
        text = "Fathom reads 1234 words; naïve café, 你好.\n\tdef f(x): return x"
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    with torch.no_grad():
        return model.eval()(torch.tensor([tokens])).logits[0].double().numpy()


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("fathom")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--autoawq", help="directory of autoawq's sources")
    options = parser.parse_args()
    print("| model | opened by | KL | largest difference | same token |")
    print("| --- | --- | ---: | ---: | ---: |")
    for path in options.models:
        gguf = path.endswith(".gguf")
        try:
            __import__("llama_cpp" if gguf else "transformers")
        except ImportError:
            continue
        vocabulary = 0
        if not gguf:
            vocabulary = json.loads(Path(path, "config.json").read_text())["vocab_size"]
        tokens = np.random.default_rng(options.seed).integers(
            10, min(vocabulary or 40000, 40000), options.tokens).tolist()
        ours = log_softmax(fathom_logits(options.fathom, path, tokens))
        theirs = log_softmax(llama_cpp_logits(path, tokens) if gguf
                             else transformers_logits(path, tokens, options.autoawq))
        kl = (np.exp(theirs) * (theirs - ours)).sum(-1).mean()
        same = (ours.argmax(-1) == theirs.argmax(-1)).mean()
        print(f"| {Path(path).name} | {'llama.cpp' if gguf else 'transformers'} | {kl:.1e} | "
              f"{np.abs(ours - theirs).max():.1e} | {same:.0%} |", flush=True)


if __name__ == "__main__":
    main()
