#!/usr/bin/env python3
"""Sets what `fathom plan` predicts beside what is measured, for several models: memory, prefill, decode, and times
under three loads of each (fathom plan --verify). Prints a table for each and a summary; --write puts them into
docs/planning.md, between its two comments, with the date and the commands. Models:
  smollm2       the default model (`make demo` fetches it), through a server
  distill-1.5b, lite-6.7b, v2-lite-16b
                real shapes with random Q4_0 weights (bench/shape_files.py, as bench/peers.py writes them), which have
                no tokenizer: their loads are put on the engine itself
A path of a GGUF file is a model, too. Fit first (bench/plan_check.sh, or fathom plan --fit), on the same machine; then
nothing else should run. How long it takes is printed: with --minutes 5 about half an hour for all four on two cores.

  bench/plan_verify.py --minutes 5 --write
  bench/plan_verify.py --write --runs FOLDER    # the tables of runs that were made before
"""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import textwrap

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "planning.md"
BEGIN, END = "<!-- plan_verify.py -->\n", "<!-- plan_verify.py: end -->"

TITLES = {"smollm2": "SmolLM2-135M", "distill-1.5b": "1.5B", "lite-6.7b": "6.7B", "v2-lite-16b": "16B MoE"}
# Tokens of prompts and answers: so many that a request of a slow model takes seconds, not minutes.
LENGTHS = {"smollm2": (64, 64), "distill-1.5b": (64, 64), "lite-6.7b": (32, 32), "v2-lite-16b": (64, 48)}
# Errors that are asked for, in percent: median and worst of speeds, any of the others.
TARGETS = {"memory": 3, "speed": (10, 20), "time": 15}
LOADS = ("light load", "half load", "near saturation")


def file_of(name, cache):
    if name == "smollm2":
        return "default"
    path = cache / f"{name}-q4_0.gguf" if name in TITLES else pathlib.Path(name)
    if not path.exists():
        sys.exit(f"There is no {path}. bench/shape_files.py writes the shapes; say where with --cache.")
    return str(path)


def command_of(name, options):
    prompt, output = LENGTHS.get(name, (64, 64))
    return [str(options.fathom), "plan", "--verify", "-m", file_of(name, options.cache), "--hardware", "this",
            "--context", "2048", "--rate", "0.001", "--prompt", str(prompt), "--output", str(output),
            "--verify-seconds", f"{options.seconds:g}", "--verify-minutes", f"{options.minutes:g}", "--json"]


def run(name, options):
    """The rows of one model; kept in --runs, where they are taken from if they are there."""
    kept = options.runs / f"{pathlib.Path(name).name.removesuffix('.gguf')}.json" if options.runs else None
    if kept and kept.exists():
        return json.loads(kept.read_text())
    command = command_of(name, options)
    print(shlex.join(command), file=sys.stderr, flush=True)
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}\nended with status {done.returncode}.")
    made = {"model": name, "date": str(datetime.date.today()), "commit": commit(), "command": command,
            "rows": json.loads(done.stdout)["comparison"]}
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(made, indent=1))
    return made


def commit():
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], check=False, capture_output=True,
                          text=True)
    return done.stdout.strip() or "unknown"


def percent(predicted, measured):
    return 100 * (predicted / measured - 1)


def signed(value):
    return f"{value:+.0f}%"


def number(value):
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def speeds(rows, kind):
    return [abs(percent(row["predicted"], row["measured"])) for row in rows if row["what"].startswith(kind)]


def speed_lines(made):
    lines = []
    for one in made:
        title = TITLES.get(one["model"], one["model"])
        cells = []
        for kind in ("prefill", "decode"):
            errors = speeds(one["rows"], kind)
            cells.append(f"{statistics.median(errors):.1f}%, {max(errors):.1f}% of {len(errors)}" if errors else "")
        memory = {row["what"]: row for row in one["rows"] if row["what"].startswith("memory")}
        for row in memory.values():
            cells.append(f"{number(row['predicted'])}, {number(row['measured'])} MB "
                         f"({percent(row['predicted'], row['measured']):+.1f}%)")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return ["| | prefill: median, worst error | decode: median, worst error | memory, predicted and measured "
            "| after the loads |", "| --- | ---: | ---: | ---: | ---: |", *lines]


def load_lines(one):
    rows = {row["what"]: row for row in one["rows"]}
    lines = []
    for load in LOADS:
        for what in ("TTFT", "ITL"):
            pair = [rows[f"{what}, {load} {place}"] for place in ("p50", "p90")]

            def both(make, pair=pair):
                return ", ".join(make(row) for row in pair)

            ranges = both(lambda row: f"{number(row['10_percent_faster'])}–{number(row['10_percent_slower'])}")
            lines.append(
                f"| {'time to first token' if what == 'TTFT' else 'between tokens'}, {load} "
                f"| {both(lambda row: number(row['predicted']))} ms | {both(lambda row: number(row['measured']))} ms "
                f"| {both(lambda row: signed(percent(row['predicted'], row['measured'])))} "
                f"| {both(lambda row: signed(percent(row['own_speed'], row['measured'])))} "
                f"| {both(lambda row: signed(percent(row['by_fit'], row['measured'])))} | {ranges} ms |")
        step = rows[f"step, {load}"]
        lines.append(f"| a step's model, {load} | {number(step['predicted'])} ms | {number(step['measured'])} ms "
                     f"| {signed(percent(step['predicted'], step['measured']))} | | | |")
    return [f"{TITLES.get(one['model'], one['model'])}, at the median and the 90th percentile:", "",
            "| | predicted | measured | error | at its own speed | by the fit alone | if 10% faster, slower |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |", *lines, ""]


def counts(made):
    """How many errors are within what is asked for."""
    times = [row for one in made for row in one["rows"] if row["what"].startswith(("TTFT", "ITL"))]
    within = sum(abs(percent(row["predicted"], row["measured"])) <= TARGETS["time"] for row in times)
    own = sum(abs(percent(row["own_speed"], row["measured"])) <= TARGETS["time"] for row in times)
    near = sum(row["10_percent_faster"] * 0.85 <= row["measured"] <= row["10_percent_slower"] * 1.15 for row in times)
    memory = [row for one in made for row in one["rows"] if row["what"].startswith("memory")]
    close = sum(abs(percent(row["predicted"], row["measured"])) <= TARGETS["memory"] for row in memory)
    return (f"Within what is asked for: {close} of {len(memory)} sizes of memory (3%) and {within} of {len(times)} times "
            f"under load (15%); at the speed that the machine had during each load {own} times are, and {near} are "
            "within 15% of what 10% more or less speed would make.")


def section(made, options):
    lines = [f"{made[-1]['date']}, commit {made[-1]['commit']}:", "", *speed_lines(made), ""]
    for one in made:
        lines += load_lines(one)
    lines += [textwrap.fill(counts(made), 100), "", "```sh"]
    for one in made:
        words = [word.replace(str(options.fathom), "fathom") for word in one["command"]]
        words = [pathlib.Path(word).name if word.endswith(".gguf") else word for word in words]
        lines.append(shlex.join(words))
    return "\n".join([*lines, "```"])


def write(text):
    whole = PAGE.read_text()
    before, rest = whole.split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n" + text + "\n\n" + rest[rest.index(END):])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(TITLES), metavar="MODEL")
    parser.add_argument("--seconds", type=float, default=20, help="that each load lasts at least (20)")
    parser.add_argument("--minutes", type=float, default=10, help="that a model's three loads last at most (10)")
    parser.add_argument("--write", action="store_true", help="replace the tables in docs/planning.md")
    parser.add_argument("--runs", type=pathlib.Path, metavar="FOLDER",
                        help="keep each model's output here, and take it from here where it is")
    parser.add_argument("--fathom", type=pathlib.Path, default=ROOT / "build" / "fathom", metavar="PROGRAM")
    parser.add_argument("--cache", type=pathlib.Path, metavar="FOLDER",
                        default=pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
                        / "fathom-bench", help="where the shapes' files are (~/.cache/fathom-bench)")
    options = parser.parse_args()
    if not options.fathom.exists():
        sys.exit(f"There is no {options.fathom}. Build it (cmake --preset release && ninja -C build) or say --fathom.")
    if options.write and BEGIN not in PAGE.read_text():
        sys.exit(f"{PAGE} has no place for the tables.")
    made = []
    for name in options.models:
        made.append(run(name, options))
        print("\n".join(load_lines(made[-1])), flush=True)
    text = section(made, options)
    if options.write:
        write(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
