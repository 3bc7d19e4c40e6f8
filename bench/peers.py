#!/usr/bin/env python3
"""Measures Fathom and its peers side by side: same file, same threads, in turn, several times.

Prints medians and ratios as a table or, with --json, as one object; --write updates the table in
docs/performance.md. llama.cpp comes from the package llama-cpp-python, compiled for this machine's
processor into an environment of its own (--environment) the first time; that takes minutes. With --openvino
OpenVINO GenAI runs beside them, on files that have a tokenizer. Models:
  smollm2       the default model (`make demo` fetches it)
  distill-1.5b, lite-6.7b, v2-lite-16b
                real shapes with random Q4_0 weights (bench/shape_files.py), written to --cache
A path of a GGUF file is a model, too. Each program runs alone and loads the file itself; only its
own prefill and decode are timed. Use an otherwise idle machine, or --wrap to make it one.

  bench/peers.py smollm2 distill-1.5b
  bench/peers.py --write                    # all four: about an hour on two cores
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "performance.md"

TITLES = {"smollm2": "SmolLM2-135M (real, Q4_1)", "distill-1.5b": "R1-Distill-Qwen-1.5B (random, Q4_0)",
          "lite-6.7b": "DeepSeek-Coder-6.7B (random, Q4_0)",
          "v2-lite-16b": "DeepSeek-V2-Lite 16B (random, Q4_0)"}
# Decode steps: enough to measure, few enough for a run to take a minute at most on two cores.
STEPS = {"smollm2": 64, "distill-1.5b": 12, "lite-6.7b": 3, "v2-lite-16b": 6}
# Goals for Fathom's speed / llama.cpp's.
TARGETS = {"smollm2": {"prefill 256": 2, "decode 1": 1.3, "decode 16": 2.5, "decode 64": 2.8},
           "distill-1.5b": {"prefill 256": 2.2, "decode 1": 1, "decode 16": 2.5, "decode 64": 2.8},
           "lite-6.7b": {"prefill 256": 2.2, "decode 1": 1, "decode 16": 2.5, "decode 64": 2.8},
           "v2-lite-16b": {"prefill 256": 3, "decode 1": 1.15, "decode 16": 2, "decode 64": 2.5}}


def make_openvino_environment(folder):
    """The Python of an environment with requirements-openvino.txt."""
    python = folder / "bin" / "python"
    if not python.exists() or subprocess.run([python, "-c", "import openvino_genai"], check=False,
                                             capture_output=True).returncode != 0:
        requirements = HERE / "requirements-openvino.txt"
        print(f"installing {requirements} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
    return python


def make_environment(folder):
    """The Python of an environment with requirements.txt, llama.cpp compiled for this processor."""
    python = folder / "bin" / "python"
    if python.exists() and subprocess.run([python, "-c", "import llama_cpp, gguf"], check=False,
                                          capture_output=True).returncode == 0:
        return python
    print(f"installing {HERE / 'requirements.txt'} into {folder}; compiling llama.cpp takes minutes",
          file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-binary", "llama-cpp-python", "-r",
                    HERE / "requirements.txt"], check=True,
                   env=os.environ | {"CMAKE_ARGS": "-DGGML_NATIVE=ON -DCMAKE_BUILD_TYPE=Release"})
    return python


def find_model(name, options, python):
    if name == "smollm2":
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
        found = sorted((cache / "fathom" / "models" / "default").glob("*.gguf"))
        if not found:
            sys.exit("The default model is not there. `make demo` fetches it.")
        return found[0]
    if name in TITLES:
        written = subprocess.run([python, HERE / "shape_files.py", name, options.cache], check=True,
                                 capture_output=True, text=True)
        return pathlib.Path(written.stdout.strip())
    if not pathlib.Path(name).exists():
        sys.exit(f"{name} is neither a file nor one of {', '.join(TITLES)}.")
    return pathlib.Path(name)


def run_in_turn(commands, wrap):
    """Runs each program once, one after the other, under one wrapper; their reports by name."""
    with tempfile.TemporaryDirectory() as folder:
        files = {program: pathlib.Path(folder) / f"{i}.json" for i, program in enumerate(commands)}
        script = " && ".join(f"{shlex.join(map(str, command))} > {shlex.quote(str(files[program]))}"
                             for program, command in commands.items())
        done = subprocess.run([*wrap, "sh", "-c", script], check=False, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{script}\nended with status {done.returncode}:\n{done.stderr}")
        return {program: json.loads(file.read_text()) for program, file in files.items()}


def key_of(result):
    return f"prefill {result['tokens']}" if result["phase"] == "prefill" else f"decode {result['batch']}"


def measure(name, path, options, python):
    """Speeds of all programs, by what was measured: {"prefill 256": {"fathom": [..], ...}}."""
    steps = options.decode or STEPS.get(name, 12)
    common = ["--threads", options.threads, "--prefill", options.prefill, "--decode", steps, "--batch",
              options.batch, "--repeat", options.prefill_repeat]
    commands = {"fathom": [options.fathom, "bench", "-m", path, *common, "--json"],
                "llama.cpp": [python, HERE / "llama_cpp_peer.py", path, *common]}
    if options.openvino:
        openvino = make_openvino_environment(options.environment.with_name("openvino"))
        commands["OpenVINO"] = [openvino, HERE / "openvino_peer.py", path, *common]
    speeds = {}
    for turn in range(options.repeat):
        print(f"{name}: run {turn + 1} of {options.repeat}", file=sys.stderr)
        reports = run_in_turn(commands, options.wrap)
        for program, report in reports.items():
            for result in report["results"]:
                speed = speeds.setdefault(key_of(result), {"share": []} | {p: [] for p in commands})
                speed[program].append(result["tokens_per_second"])
                if "share_of_limit" in result:
                    speed["share"].append(result["share_of_limit"])
    return {"model": name, "file": path.name, "steps": steps, "reports": reports,
            "commands": {p: shlex.join(map(str, c)) for p, c in commands.items()}, "speeds": speeds}


def summarise(measured):
    rows = []
    for what, speed in measured["speeds"].items():
        row = {"what": what, "share_of_limit": statistics.median(speed["share"]) if speed["share"] else None,
               "target": TARGETS.get(measured["model"], {}).get(what)}
        for program in measured["commands"]:
            row |= {program: statistics.median(speed[program]),
                    program + "_range": [min(speed[program]), max(speed[program])]}
        row["ratio"] = row["fathom"] / row["llama.cpp"]
        rows.append(row)
    return rows


def table(rows):
    def number(value):
        return f"{value:.0f}" if value >= 100 else f"{value:.1f}"

    def spread(row, program):
        low, high = row[program + "_range"]
        return f"{number(row[program])} ({number(low)}–{number(high)})"

    also = ["OpenVINO"] if "OpenVINO" in rows[0] else []
    heads = ["", "Fathom", "llama.cpp", "ratio", "target", *also, *["ratio" for _ in also], "share of the limit"]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for row in rows:
        cells = [row["what"], spread(row, "fathom"), spread(row, "llama.cpp"), f"{row['ratio']:.2f}",
                 f"{row['target']:.2f}" if row["target"] else "", *[spread(row, peer) for peer in also],
                 *[f"{row['fathom'] / row[peer]:.2f}" for peer in also],
                 f"{row['share_of_limit']:.0%}" if row["share_of_limit"] else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cpu():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    named = re.search(r"model name\s*: (.*)", text)
    family = re.search(r"cpu family\s*: (.*)", text)
    return f"{named[1]} (family {family[1]})" if named and family else platform.processor()


def commit():
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], check=False,
                          capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def section(measured, options):
    """What docs/performance.md says of one model."""
    peer = measured["reports"]["llama.cpp"]
    settings = peer["settings"]
    others = "".join(f"; openvino-genai {report['version']} with its own settings"
                     for program, report in measured["reports"].items() if program == "OpenVINO")
    lines = [
        f"{datetime.date.today()}, commit {commit()}, {cpu()}, {options.threads} threads; "
        f"llama-cpp-python {peer['version']} ({peer['system'].strip(' |')}), flash attention "
        f"{'on' if settings['flash'] else 'off'}, n_ubatch {settings['ubatch']}, a cache of its own for "
        f"{'all sequences together' if settings['unified'] else 'each sequence'}{others}. Tokens per second, "
        f"median of {options.repeat} runs in turn (lowest–highest); decode of {measured['steps']} steps.", "",
        table(summarise(measured)), "", "```sh",
        f"bench/peers.py --repeat {options.repeat} {'--openvino ' if others else ''}{measured['model']}"
        "    # runs in turn", ]
    for program in measured["commands"]:
        command = measured["commands"][program]
        for path, short in ((str(options.fathom), "fathom"), (str(ROOT) + "/", "")):
            command = command.replace(path, short)
        lines.append(re.sub(r"\S*/([^/ ]+\.gguf)", r"\1", re.sub(r"^\S*/python", "python", command)))
    return "\n".join([*lines, "```"])


def write(name, text):
    """Replaces the section of a model, which lies between two comments."""
    begin, end = f"<!-- peers.py: {name} -->\n", f"<!-- peers.py: end of {name} -->"
    whole = PAGE.read_text()
    if begin not in whole:
        print(f"{PAGE} has no place for {name}", file=sys.stderr)
        return
    before, rest = whole.split(begin)
    PAGE.write_text(before + begin + text + "\n" + rest[rest.index(end):])


def main():
    cache = pathlib.Path.home() / ".cache" / "fathom-bench"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(TITLES), metavar="MODEL")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each program (5)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--prefill", default="256", metavar="N,...")
    parser.add_argument("--prefill-repeat", type=int, default=1, help="prefills in one run to take the best of (1)")
    parser.add_argument("--decode", type=int, help="steps (fewer for larger models)")
    parser.add_argument("--batch", default="1,16,64", metavar="N,...")
    parser.add_argument("--openvino", action="store_true", help="measure OpenVINO GenAI, too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help="replace the models' tables in docs/performance.md")
    parser.add_argument("--fathom", type=pathlib.Path, default=ROOT / "build" / "fathom", metavar="PROGRAM")
    parser.add_argument("--environment", type=pathlib.Path, default=cache / "environment", metavar="FOLDER")
    parser.add_argument("--cache", type=pathlib.Path, default=cache, metavar="FOLDER")
    parser.add_argument("--wrap", type=shlex.split, default=[], metavar="COMMAND",
                        help="run each pair of measurements as COMMAND ..., for example 'taskset -c 0,1'")
    options = parser.parse_args()
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    if not options.fathom.exists():
        sys.exit(f"There is no {options.fathom}. Build it (cmake --preset release && ninja -C build) or say --fathom.")
    python = make_environment(options.environment)
    measured = []
    for name in options.models:
        measured.append(measure(name, find_model(name, options, python), options, python))
        if options.write:
            write(name, section(measured[-1], options))
        if not options.json:
            print(f"{TITLES.get(name, name)}, tokens/s, median (lowest–highest) of {options.repeat}\n"
                  f"{table(summarise(measured[-1]))}\n", flush=True)
    if options.json:
        print(json.dumps({"date": str(datetime.date.today()), "cpu": cpu(), "commit": commit(),
                          "threads": options.threads, "models": [
                              {k: one[k] for k in ("model", "file", "steps", "commands")}
                              | {"peer_version": one["reports"]["llama.cpp"]["version"],
                                 "peer_settings": one["reports"]["llama.cpp"]["settings"],
                                 "results": summarise(one)} for one in measured]}, indent=1))


if __name__ == "__main__":
    main()
