#!/usr/bin/env python3
"""What lm-evaluation-harness asks and counts for SuperGLUE: golden/superglue.json.

The questions in golden/superglue/ were written for this repository, in the official files' shapes.
They are converted as the Hugging Face data set does (label names to indices, answers of MultiRC and
questions of ReCoRD one row each), given to the harness' own task definitions, and answered by a
model that derives each log-likelihood from a hash of the two texts, which the C++ test repeats. So
prompts, choices and metrics are compared, for no and for two examples in front.

    python3 -m venv v && v/bin/pip install lm_eval==0.4.11 transformers==4.57.1
    v/bin/python tests/golden/make_superglue_golden.py
"""

import json
import tempfile
from pathlib import Path

import lm_eval
import lm_eval.tasks.super_glue
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate
from lm_eval.utils import load_yaml_config

HERE = Path(__file__).resolve().parent
TASKS = Path(list(lm_eval.tasks.super_glue.__path__)[0])
FOLDERS = {"boolq": "BoolQ", "cb": "CB", "copa": "COPA", "multirc": "MultiRC", "record": "ReCoRD",
           "rte": "RTE", "wic": "WiC", "wsc": "WSC"}


def rows_of(task, row):
    """Rows of the data set's `task` for one line of the official file."""
    if task in ("boolq", "wic"):
        return [{**row, "label": int(row["label"])}]
    if task == "cb":
        return [{**row, "label": ["entailment", "contradiction", "neutral"].index(row["label"])}]
    if task == "rte":
        return [{**row, "label": ["entailment", "not_entailment"].index(row["label"])}]
    if task == "wsc":
        return [{"text": row["text"], **row["target"], "label": int(row["label"])}]
    if task == "multirc":
        return [{"paragraph": row["passage"]["text"], "question": q["question"],
                 "answer": a["text"], "label": a["label"]}
                for q in row["passage"]["questions"] for a in q["answers"]]
    if task == "record":
        text = row["passage"]["text"]
        entities = {text[e["start"]:e["end"] + 1] for e in row["passage"]["entities"]}
        return [{"passage": text, "query": q["query"], "entities": sorted(entities),
                 "answers": sorted({a["text"] for a in q["answers"]})} for q in row["qas"]]
    return [row]


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


class HashModel(LM):
    def __init__(self):
        super().__init__()
        self.asked = []

    def loglikelihood(self, requests):
        answers = []
        for request in requests:
            context, continuation = request.args
            self.asked.append((context, continuation))
            answers.append((-(fnv1a(context + "\0" + continuation) % 100003) / 1000, False))
        return answers

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError

    def generate_until(self, requests):
        raise NotImplementedError


def make_task(task, directory, shots):
    config = load_yaml_config(str(TASKS / task / "default.yaml"))
    files = {}
    for split, name in (("train", "train"), ("validation", "val")):
        lines = (HERE / "superglue" / FOLDERS[task] / f"{name}.jsonl").read_text().splitlines()
        rows = [row for line in lines for row in rows_of(task, json.loads(line))]
        files[split] = str(directory / f"{task}-{split}.jsonl")
        Path(files[split]).write_text("".join(json.dumps(row) + "\n" for row in rows))
    config.pop("tag", None)
    config.update(dataset_path="json", dataset_name=None, dataset_kwargs={"data_files": files},
                  num_fewshot=shots, fewshot_config={"sampler": "first_n"})
    built = ConfigurableTask(config=config)
    return built


def main():
    golden = {"lm_eval": lm_eval.__version__, "tasks": []}
    with tempfile.TemporaryDirectory() as directory:
        for task in FOLDERS:
            for shots in (0, 2):
                model = HashModel()
                built = make_task(task, Path(directory), shots)
                results = evaluate(lm=model, task_dict={built.config.task: built},
                                   bootstrap_iters=0, limit=None)
                metrics = {name.split(",")[0]: value
                           for name, value in results["results"][built.config.task].items()
                           if isinstance(value, float) and "stderr" not in name}
                golden["tasks"].append({"task": task, "shots": shots, "asked": model.asked,
                                        "metrics": metrics})
    text = json.dumps(golden, indent=1, ensure_ascii=False, sort_keys=True)
    (HERE / "superglue.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
