"""lm-eval's client of completions scores two small tasks (lm_eval/): one by log-probabilities of
given answers, one by what the server writes. No hub is asked for anything: the tokenizer is the
default model's own, from tests/golden/text."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent / "lm_eval"
VOCABULARY = Path(__file__).resolve().parents[1] / "golden/text/smollm2.tar.xz"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """SmolLM2's vocabulary as the transformers package reads it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    with tarfile.open(VOCABULARY) as archive:
        vocabulary = json.load(archive.extractfile("smollm2/vocabulary.json"))
    made = Tokenizer(models.BPE(
        vocab={text: number for number, text in enumerate(vocabulary["tokens"])},
        merges=[tuple(merge.split(" ")) for merge in vocabulary["merges"]]))
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    made.decoder = decoders.ByteLevel()
    control = 3  # GGUF's type of special tokens
    made.add_special_tokens([
        AddedToken(text, special=True, normalized=False)
        for text, kind in zip(vocabulary["tokens"], vocabulary["token_types"]) if kind == control])
    folder = tmp_path_factory.mktemp("tokenizer")
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>", "model_max_length": 2048}))
    return folder


def test_local_completions_scores_a_task(address, tokenizer, tmp_path):
    for task in FOLDER.glob("*.yaml"):
        text = task.read_text().replace("DIRECTORY", str(FOLDER))
        (tmp_path / task.name).write_text(text)
    arguments = {"model": "small", "base_url": address + "/v1/completions",
                 "tokenizer": str(tokenizer), "tokenizer_backend": "huggingface",
                 "tokenized_requests": "False", "num_concurrent": "4", "max_retries": "1"}
    done = subprocess.run(
        [Path(sys.executable).with_name("lm_eval"), "run", "--model", "local-completions",
         "--model_args", ",".join(f"{key}={value}" for key, value in arguments.items()),
         "--include_path", str(tmp_path), "--tasks", "fathom_capitals,fathom_rows",
         "--output_path", str(tmp_path / "out"), "--log_samples"],
        cwd=tmp_path, text=True, capture_output=True, timeout=300,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OPENAI_API_KEY": "none",
                          "HF_HOME": str(tmp_path / "hub")})
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    results = json.loads(next((tmp_path / "out").rglob("results_*.json")).read_text())["results"]
    assert results["fathom_capitals"]["acc,none"] >= 0.75
    assert results["fathom_rows"]["exact_match,stripped"] >= 0.5
