#!/usr/bin/env python3
"""Adapters as PEFT saves them, and the logits of the models they were merged into by PEFT:
golden/lora/NAME/.

    python3 -m venv v && v/bin/pip install -r tests/golden/requirements.txt peft==0.21.2
    v/bin/python tests/golden/make_lora_golden.py

PEFT wraps and merges linear layers, whatever model they stand in. So each tiny checkpoint of
golden/models becomes a tree of linear layers that are named as its tensors are (experts one by one,
as DeepSeek's own modelling files have them); PEFT puts adapters with random values into it, saves
them and merges them; and reference.py computes the logits of the merged weights in float32.
"""

import json
import shutil
from pathlib import Path

import golden_file
import reference
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import nn

HERE = Path(__file__).resolve().parent
NOISE_LIMIT = 5e-3  # as in make_golden.py

DENSE = ["gate_proj", "up_proj", "down_proj"]
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LATENT = ["q_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]
LATENT_LOW = ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]

ADAPTERS = {
    # name: (model, LoraConfig's arguments)
    "llama_attention": ("llama_mha", dict(r=4, lora_alpha=8, target_modules=ATTENTION)),
    "llama_all": ("llama_mha", dict(
        r=6, lora_alpha=12, use_rslora=True, target_modules=ATTENTION + DENSE,
        rank_pattern={"k_proj": 2, "^model.layers.1.mlp.up_proj": 9},
        alpha_pattern={"layers.0.self_attn.q_proj": 5})),
    "llama_gqa_all": ("llama_gqa_tied", dict(r=4, lora_alpha=16,
                                             target_modules=ATTENTION + DENSE)),
    "deepseek_moe_experts": ("deepseek_moe", dict(r=3, lora_alpha=6,
                                                  target_modules=ATTENTION + DENSE)),
    "deepseek_v2_lite_all": ("deepseek_v2_lite", dict(r=4, lora_alpha=4,
                                                      target_modules=LATENT + DENSE)),
    "deepseek_v2_groups_all": ("deepseek_v2_groups", dict(r=3, lora_alpha=6,
                                                          target_modules=LATENT_LOW + DENSE)),
}


def skeleton(weights):
    """A module tree with a linear layer for every matrix of a layer."""
    root = nn.Module()
    for name, weight in weights.items():
        if not name.endswith("_proj.weight") and not name.endswith("_with_mqa.weight"):
            continue
        at = root
        *parents, last = name.removesuffix(".weight").split(".")
        for part in parents:
            if not hasattr(at, part):
                at.add_module(part, nn.Module())
            at = getattr(at, part)
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        linear.weight.data.copy_(weight)
        at.add_module(last, linear)
    return root


def make(name, model_name, arguments, seed):
    source = HERE / "models" / model_name
    config = json.loads((source / "config.json").read_text())
    weights = {k: v.float() for k, v in load_file(source / "model.safetensors").items()}
    tuned = get_peft_model(skeleton(weights), LoraConfig(**arguments))
    generator = torch.Generator().manual_seed(seed)
    for key, parameter in tuned.named_parameters():
        if "lora_" in key:
            size = 0.5 / parameter.shape[1] ** 0.5
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * size)
    directory = HERE / "lora" / name
    shutil.rmtree(directory, ignore_errors=True)
    tuned.save_pretrained(directory)
    (directory / "README.md").unlink(missing_ok=True)
    merged = dict(weights)
    for key, value in tuned.merge_and_unload().state_dict().items():
        assert key in merged, key
        merged[key] = value
    changed = sum(not torch.equal(merged[k], weights[k]) for k in merged)
    module = reference.load(config, merged)
    prompts = golden_file.random_prompts(config["vocab_size"], seed, lengths=(1, 33))
    noise = max(reference.sensitivity(module, p) for p in prompts)
    answers = [(p, list(range(len(p))), reference.logits(module, p).numpy()) for p in prompts]
    golden_file.write(directory / "merged.golden", config["vocab_size"], answers)
    return changed, noise


def main():
    torch.set_num_threads(1)
    for number, (name, (model, arguments)) in enumerate(ADAPTERS.items(), start=1):
        for seed in range(100 * number, 100 * number + 20):
            changed, noise = make(name, model, arguments, seed)
            if noise < NOISE_LIMIT:
                print(f"{name}: {changed} matrices changed, noise {noise:.1e}", flush=True)
                break
        else:
            raise RuntimeError(f"{name}: no seed is stable")


if __name__ == "__main__":
    main()
