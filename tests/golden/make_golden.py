#!/usr/bin/env python3
"""Makes everything below tests/golden that tests compare with. See README.md.

    python3 -m venv v && v/bin/pip install -r requirements.txt
    v/bin/python make_golden.py models mtp blocks quantized     (smollm2 needs its GGUF: --gguf)

The tests only read what this wrote.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

import gguf_files
import golden_file
import mtp
import quantized
import reference
import smollm2
import tiny_models

HERE = Path(__file__).parent
MODELS = HERE / "models"
NOISE_LIMIT = 5e-3  # see reference.sensitivity: a changed expert moves logits by 0.1 and more


def _write_checkpoint(model, files):
    directory = MODELS / model.name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(model.config, indent=2) + "\n")
    files = {k: v.contiguous() for k, v in files.items()}
    if model.shards == 1:
        save_file(files, directory / "model.safetensors", {"format": "pt"})
        return
    names = list(files)
    per_shard = -(-len(names) // model.shards)
    weight_map = {}
    for i in range(model.shards):
        shard = f"model-{i + 1:05}-of-{model.shards:05}.safetensors"
        part = names[i * per_shard : (i + 1) * per_shard]
        save_file({k: files[k] for k in part}, directory / shard, {"format": "pt"})
        weight_map.update({k: shard for k in part})
    total = sum(t.numel() * t.element_size() for t in files.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def settled(model, number):
    """Weights, reference model and prompts on which no choice of experts hangs on rounding."""
    for seed in range(1000 * number, 1000 * number + 50):
        files, values = tiny_models.stored_tensors(model, tiny_models.make_weights(model, seed))
        module = reference.load(model.config, values)
        prompts = golden_file.random_prompts(model.config["vocab_size"], seed)
        noise = max(reference.sensitivity(module, p) for p in prompts)
        if noise < NOISE_LIMIT:
            return files, values, module, prompts, noise
    raise RuntimeError(f"{model.name}: no seed is stable")


def make_models(only):
    for number, model in enumerate(tiny_models.MODELS, start=1):
        if only and model.name not in only:
            continue
        files, values, module, prompts, noise = settled(model, number)
        _write_checkpoint(model, files)
        for layout in model.gguf:
            gguf_files.write(MODELS / model.name / f"{layout}.gguf", model.name, model.config,
                             values, layout)
        answers = []
        for tokens in prompts:
            positions = golden_file.positions_kept(len(tokens))
            answers.append((tokens, positions, reference.logits(module, tokens)[positions].numpy()))
        path = MODELS / model.name / "logits.golden"
        golden_file.write(path, model.config["vocab_size"], answers)
        spread = answers[-1][2].std()
        print(f"{model.name}: logits' spread {spread:.2f}, noise {noise:.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="+", choices=["models", "mtp", "blocks", "quantized", "smollm2"])
    parser.add_argument("--only", nargs="*", help="names of tiny models")
    parser.add_argument("--gguf", type=Path, help="SmolLM2-135M-Instruct.Q4_1.gguf")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for what in arguments.what:
        if what == "models":
            make_models(arguments.only)
        elif what == "mtp":
            for model in tiny_models.MODELS:
                if model.config.get("num_nextn_predict_layers", 0) > 0:
                    spread = mtp.make(MODELS / model.name, model.config)
                    print(f"{model.name}: MTP logits' spread {spread:.2f}", flush=True)
        elif what == "blocks":
            quantized.make_blocks(HERE / "blocks")
        elif what == "quantized":
            quantized.make_models(HERE / "quantized")
        elif what == "smollm2":
            smollm2.make(arguments.gguf, HERE / "smollm2.json")


if __name__ == "__main__":
    main()
