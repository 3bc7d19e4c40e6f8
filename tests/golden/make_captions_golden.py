#!/usr/bin/env python3
"""Writes captions.json: captions with references, and what sacrebleu and pycocoevalcap say of them.

The captions are ours and already cut into lower-case words, so that no tokeniser has a say. Needs
sacrebleu==2.4.3, pycocoevalcap==1.2 and numpy==2.4.6 (pip install --no-deps for pycocoevalcap: its
scorers of BLEU, CIDEr and ROUGE-L need neither Java nor pycocotools).
"""

import json
import random
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from sacrebleu.metrics import BLEU

SUBJECTS = ["a brown dog", "two children", "an old man", "the red bus", "a cat", "some people"]
VERBS = ["runs across", "waits beside", "looks at", "sits on", "plays in", "moves along"]
PLACES = ["the green grass", "a busy street", "the wooden table", "a sandy beach", "the snow"]
ENDS = ["", "near a house", "in the sun", "with a ball", "while others watch"]


def caption(rng: random.Random) -> str:
    parts = [rng.choice(SUBJECTS), rng.choice(VERBS), rng.choice(PLACES), rng.choice(ENDS)]
    return " ".join(" ".join(parts).split())


def near(rng: random.Random, text: str) -> str:
    words = text.split()
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(words))
        if rng.random() < 0.5 and len(words) > 2:
            del words[at]
        else:
            words.insert(at, rng.choice(words))
    return " ".join(words)


def main() -> None:
    rng = random.Random(11)
    references, candidates = {}, {}
    for image in range(30):
        first = caption(rng)
        others = [near(rng, first) if rng.random() < 0.7 else caption(rng) for _ in range(rng.randint(1, 4))]
        references[str(image)] = [first, *others]
        candidates[str(image)] = near(rng, first) if rng.random() < 0.8 else caption(rng)

    listed = {image: [text] for image, text in candidates.items()}
    expected = {}
    scores, _ = Bleu(4).compute_score(references, listed, verbose=0)
    for n, score in enumerate(scores, 1):
        expected[f"bleu_{n}"] = score
    expected["cider"] = float(Cider().compute_score(references, listed)[0])
    expected["rouge_l"] = float(Rouge().compute_score(references, listed)[0])

    images = sorted(references)
    most = max(len(texts) for texts in references.values())
    streams = [[(references[i] + [None] * most)[k] for i in images] for k in range(most)]
    said = [candidates[i] for i in images]
    sacre = {}
    for n in range(1, 5):
        bleu = BLEU(tokenize="none", smooth_method="none", max_ngram_order=n)
        sacre[f"bleu_{n}"] = bleu.corpus_score(said, streams).score / 100

    out = {"references": references, "candidates": candidates, "pycocoevalcap": expected, "sacrebleu": sacre}
    Path(__file__).with_name("captions.json").write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
