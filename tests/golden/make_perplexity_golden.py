#!/usr/bin/env python3
"""Writes perplexity.json: perplexities by the procedure of transformers' guide ("Perplexity of
fixed-length models", the newer text that weights every scored token alike), and divergences between
two models by torch's kl_div, on the tiny checkpoints of models/. Needs requirements.txt.

    python make_perplexity_golden.py
"""

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
TOKENS = [(3 + i * i * 7 + i % 11) % 96 for i in range(150)]


def load(name: str):
    return AutoModelForCausalLM.from_pretrained(HERE / "models" / name, dtype=torch.float32).eval()


def windows(length: int, context: int, stride: int):
    done = 0
    for begin in range(0, length, stride):
        end = min(begin + context, length)
        yield begin, end, end - done
        done = end
        if end == length:
            return


@torch.no_grad()
def perplexity(model, context: int, stride: int) -> dict:
    total, scored = 0.0, 0
    for begin, end, fresh in windows(len(TOKENS), context, stride):
        ids = torch.tensor([TOKENS[begin:end]])
        labels = ids.clone()
        labels[:, :-fresh] = -100
        count = int((labels[:, 1:] != -100).sum())
        if count == 0:
            continue
        total += model(ids, labels=labels).loss.double().item() * count
        scored += count
    return {"context": context, "stride": stride, "tokens": scored,
            "perplexity": float(torch.tensor(total / scored, dtype=torch.float64).exp())}


@torch.no_grad()
def divergence(reference, model, context: int) -> dict:
    values, agreed = [], []
    for begin, end, _ in windows(len(TOKENS), context, context):
        ids = torch.tensor([TOKENS[begin:end]])
        p = reference(ids).logits[0, :-1].double()
        q = model(ids).logits[0, :-1].double()
        kl = torch.nn.functional.kl_div(q.log_softmax(-1), p.log_softmax(-1), reduction="none",
                                        log_target=True)
        values.append(kl.sum(-1))
        agreed.append(p.argmax(-1) == q.argmax(-1))
    kl = torch.cat(values)
    return {"context": context, "tokens": len(kl), "mean": kl.mean().item(),
            "median": kl.quantile(0.5).item(), "p90": kl.quantile(0.9).item(),
            "p99": kl.quantile(0.99).item(), "largest": kl.max().item(),
            "top1_agreement": torch.cat(agreed).double().mean().item()}


def main() -> None:
    model = load("llama_gqa_tied")
    golden = {
        "tokens": TOKENS,
        "model": "llama_gqa_tied",
        "perplexity": [perplexity(model, *sizes) for sizes in [(512, 512), (64, 64), (64, 17)]],
        "reference": "llama_mha",
        "divergence": divergence(load("llama_mha"), model, 64),
    }
    (HERE / "perplexity.json").write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
