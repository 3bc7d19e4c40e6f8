"""Makes sampler.json: what probability each token must have under each sampling option.

The probabilities come from the logits processors of Hugging Face transformers (5.x); presence and
frequency penalties, which it lacks, from the formula in OpenAI's API reference. The C++ test draws
from the same logits and compares frequencies.

    python make_sampler_golden.py
"""

import json
import pathlib

import torch
from transformers.generation import logits_process as lp

VOCAB = 60
PROMPT = [3, 17, 3, 40, 8, 21]
ANSWER = [5, 8, 5, 5, 33]

NEUTRAL = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0,
           "presence_penalty": 0.0, "frequency_penalty": 0.0, "penalty_window": -1}

# name -> options that differ from NEUTRAL
CASES = {
    "neutral": {},
    "temperature below one": {"temperature": 0.6},
    "temperature above one": {"temperature": 1.6},
    "top_k": {"top_k": 7},
    "top_p": {"top_p": 0.7},
    "min_p": {"min_p": 0.15},
    "repeat_penalty": {"repeat_penalty": 1.8},
    "repeat_penalty below one": {"repeat_penalty": 0.7},
    "repeat_penalty in a window": {"repeat_penalty": 1.8, "penalty_window": 4},
    "repeat_penalty in a window that reaches into the prompt":
        {"repeat_penalty": 1.8, "penalty_window": 8},
    "presence_penalty": {"presence_penalty": 1.5},
    "frequency_penalty": {"frequency_penalty": 0.9},
    "negative penalties": {"presence_penalty": -0.7, "frequency_penalty": -0.5},
    "top_p after top_k": {"top_k": 6, "top_p": 0.75},
    "top_p of the hot distribution": {"temperature": 2.0, "top_p": 0.6},
    "min_p within top_p": {"temperature": 1.4, "top_p": 0.95, "min_p": 0.2},
    "top_p within min_p": {"temperature": 1.4, "top_p": 0.5, "min_p": 0.01},
    "everything": {"temperature": 1.3, "top_k": 20, "top_p": 0.9, "min_p": 0.05,
                   "repeat_penalty": 1.3, "presence_penalty": 0.4, "frequency_penalty": 0.3,
                   "penalty_window": 6},
}


def probabilities(logits, options):
    o = NEUTRAL | options
    scores = logits.clone()[None]
    history = PROMPT + ANSWER
    window = history if o["penalty_window"] < 0 else history[-o["penalty_window"]:]
    if o["repeat_penalty"] != 1.0:
        ids = torch.tensor([window])
        scores = lp.RepetitionPenaltyLogitsProcessor(o["repeat_penalty"])(ids, scores)
    counts = torch.bincount(torch.tensor(ANSWER), minlength=VOCAB).to(scores.dtype)
    scores = scores - counts * o["frequency_penalty"] - (counts > 0) * o["presence_penalty"]
    ids = torch.tensor([history])
    if o["temperature"] != 1.0:
        scores = lp.TemperatureLogitsWarper(o["temperature"])(ids, scores)
    if o["top_k"] > 0:
        scores = lp.TopKLogitsWarper(o["top_k"])(ids, scores)
    if o["top_p"] < 1.0:
        scores = lp.TopPLogitsWarper(o["top_p"])(ids, scores)
    if o["min_p"] > 0.0:
        scores = lp.MinPLogitsWarper(o["min_p"])(ids, scores)
    return torch.softmax(scores, dim=-1)[0]


def main():
    generator = torch.Generator().manual_seed(20)
    # Rounded so that JSON holds the exact values; all different, so that no cut is a matter of ties.
    logits = (torch.randn(VOCAB, generator=generator, dtype=torch.float64) * 2.0).round(decimals=3)
    # What has been said is likely, or penalties would hardly show.
    for token in set(PROMPT + ANSWER):
        logits[token] += 3.5
    logits = logits.round(decimals=3)
    assert len(set(logits.tolist())) == VOCAB
    cases = []
    for name, options in CASES.items():
        p = probabilities(logits, options)
        cases.append({"name": name, "options": NEUTRAL | options,
                      "probabilities": [float(f"{x:.9g}") for x in p.tolist()]})
    golden = {"prompt": PROMPT, "answer": ANSWER, "logits": logits.tolist(), "cases": cases}
    path = pathlib.Path(__file__).with_name("sampler.json")
    lines = ",\n  ".join(json.dumps(case) for case in cases)
    head = json.dumps({k: v for k, v in golden.items() if k != "cases"})[:-1]
    path.write_text(f'{head},\n "cases": [\n  {lines}\n]}}\n')


if __name__ == "__main__":
    main()
