#!/usr/bin/env python3
"""Makes a multiple-choice task of a text that a model has not seen, for fathom eval task.

Each question is a passage, and how the text goes on beside three passages of the same length from
elsewhere in it, in random order. Passages do not overlap, so questions are as independent as the
text allows. The same text, numbers and seed give the same questions.

    scripts/make_choice_task.py wiki.test.raw -o heldout --questions 2500
    fathom eval task heldout/heldout.json -m model.gguf -o model.json
"""

import argparse
import json
import random
import sys
from pathlib import Path

CHOICES = 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path, help="UTF-8")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder, made if it is missing")
    parser.add_argument("--questions", type=int, default=2500)
    parser.add_argument("--context", type=int, default=48, help="words before the choices")
    parser.add_argument("--words", type=int, default=8, help="words of each choice")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if min(arguments.questions, arguments.context, arguments.words) < 1:
        parser.error("--questions, --context and --words must be at least 1")

    try:
        words = arguments.text.read_text(encoding="utf-8").split()
    except OSError as error:
        return complain(f"{arguments.text} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        return complain(f"{arguments.text} is not UTF-8 text; convert it first, for example with iconv")
    length = arguments.context + arguments.words
    passages = [words[at : at + length] for at in range(0, len(words) - length + 1, length)]
    if len(passages) < max(arguments.questions, CHOICES):
        return complain(
            f"{arguments.text} has {len(words)} words, enough for {len(passages)} questions of {length}; "
            f"{arguments.questions} were asked for, and at least {CHOICES} are needed"
        )

    rng = random.Random(arguments.seed)
    asked = rng.sample(range(len(passages)), arguments.questions)
    arguments.output.mkdir(parents=True, exist_ok=True)
    with (arguments.output / "heldout.jsonl").open("w", encoding="utf-8") as rows:
        for index in asked:
            others = [other for other in rng.sample(range(len(passages)), CHOICES) if other != index]
            choices = [passages[i][arguments.context :] for i in [index, *others[: CHOICES - 1]]]
            texts = [" ".join(choice) for choice in choices]
            order = rng.sample(range(CHOICES), CHOICES)
            row = {
                "passage": " ".join(passages[index][: arguments.context]),
                "choices": [texts[i] for i in order],
                "right": order.index(0),
            }
            rows.write(json.dumps(row, ensure_ascii=False) + "\n")
    task = {
        "name": "heldout",
        "data": "heldout.jsonl",
        "prompt": "{passage}",
        "choices": "choices",
        "answer": "right",
    }
    (arguments.output / "heldout.json").write_text(json.dumps(task, indent=2) + "\n", encoding="utf-8")
    return 0


def complain(message: str) -> int:
    print(f"make_choice_task.py: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
