#!/usr/bin/env python3
"""Many people at once: `fathom serve` with SmolLM2-135M under `fathom loadtest`, and on the same load
llama.cpp's server where its program is given (docs/performance.md, "Many at once").

    python3 bench/load.py [--sessions 16,110,200] [--seconds 60] [--write]
                          [--llama-server PROGRAM --model SmolLM2.gguf]

Closed loop: each session asks, reads the answer and asks again. Prompts have 48 words, all
different; answers have 64 tokens (ignore_eos). --write replaces the table in docs/performance.md. Both
servers get the same threads; llama.cpp's gets a slot for each session up to --llama-slots, beyond
which requests wait in its queue.
"""

import argparse
import datetime
import json
import os
import platform
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from server import Server  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- load.py -->\n", "<!-- load.py: end -->"


def loadtest(options: argparse.Namespace, url: str, sessions: int, plot: str = "") -> dict:
    command = [options.fathom, "loadtest", url, "--sessions", str(sessions), "--duration",
               str(options.seconds), "--prompt-words", "48", "--output-tokens", "64", "--seed",
               str(options.seed + sessions), "--fields", '{"ignore_eos": true}', "--json"]
    if plot:
        command += ["--plot", plot]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"loadtest ended with exit code {done.returncode}")
    return json.loads(done.stdout)


def warm_up(options: argparse.Namespace, url: str) -> None:
    """The first requests make buffers and teach the scheduler what a step costs."""
    subprocess.run([options.fathom, "loadtest", url, "--sessions", "8", "--requests", "32", "--seed",
                    "99", "--output-tokens", "16"], stdout=subprocess.DEVNULL, check=True)


def measure_fathom(options: argparse.Namespace) -> list[dict]:
    arguments = ["--threads", str(options.threads)]
    if options.model:
        arguments += ["-m", options.model]
    with Server(options.fathom, arguments) as server:
        warm_up(options, server.url)
        results = []
        for sessions in options.sessions:
            before = server.metrics()
            plot = f"{options.plots}/load-{sessions}.svg" if options.plots else ""
            result = loadtest(options, server.url, sessions, plot)
            after = server.metrics()
            spent = {name: after[f"fathom_{name}_seconds_total"] - before[f"fathom_{name}_seconds_total"]
                     for name in ("step", "model", "sampling")}
            steps = after["fathom_steps_total"] - before["fathom_steps_total"]
            rows = after["fathom_computed_tokens_total"] - before["fathom_computed_tokens_total"]
            result["server"] = {"steps": steps, "rows": rows, **spent}
            results.append(result)
            show(f"fathom, {sessions} sessions", result)
            print(f"    {steps:.0f} steps of {rows / steps:.1f} rows; of their {spent['step']:.1f} s "
                  f"{100 * spent['model'] / spent['step']:.0f}% in the model, "
                  f"{100 * spent['sampling'] / spent['step']:.0f}% drawing tokens; "
                  f"{rows / spent['step']:.0f} rows/s", file=sys.stderr)
        return results


def measure_llama(options: argparse.Namespace) -> list[dict]:
    results = []
    for sessions in options.sessions:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        slots = min(sessions, options.llama_slots)
        process = subprocess.Popen(
            [options.llama_server, "-m", options.model, "--host", "127.0.0.1", "--port", str(port),
             "-t", str(options.threads), "-tb", str(options.threads), "-np", str(slots), "-c",
             str(slots * 256), *options.llama_arguments.split()],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    if urllib.request.urlopen(url + "/health", timeout=5).status == 200:
                        break
                except OSError:
                    time.sleep(0.1)
            else:
                raise SystemExit("llama.cpp's server does not become ready")
            warm_up(options, url)
            results.append(loadtest(options, url, sessions))
            show(f"llama.cpp, {sessions} sessions", results[-1])
        finally:
            process.terminate()
            process.wait()
    return results


def show(title: str, result: dict) -> None:
    print(f"{title}: {result['output_tokens_per_second']:.0f} tokens/s, inter-token "
          f"{1e3 * result['inter_token_seconds']['mean']:.1f} ms, first token "
          f"{result['first_token_seconds']['p50']:.2f} s, {result['errors']}", file=sys.stderr)


def row(name: str, sessions: int, result: dict) -> str:
    inter, first = result["inter_token_seconds"], result["first_token_seconds"]
    failed = result["requests"] - result["answered"]
    return (f"| {sessions} | {name} | {result['output_tokens_per_second']:.0f} | "
            f"{1e3 * inter['mean']:.0f} ms | {1e3 * inter['p99']:.0f} ms | {first['p50']:.2f} s | "
            f"{first['p99']:.2f} s | {result['fairness']['slowest_over_median']:.2f} | {failed} |")


def cpu() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def commit() -> str:
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True,
                          text=True)
    return done.stdout.strip() or "unknown"


def table(options: argparse.Namespace, fathom: list[dict], llama: list[dict]) -> str:
    lines = [
        f"{datetime.date.today()}, commit {commit()}, {cpu()}, {options.threads} threads; "
        f"{options.seconds:g} s of each load.", "",
        "| sessions | server | tokens/s | inter-token, mean | 99% of streams | first token, median | "
        "99% | slowest session | failed |", "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for i, sessions in enumerate(options.sessions):
        lines.append(row("Fathom", sessions, fathom[i]))
        if llama:
            lines.append(row("llama.cpp", sessions, llama[i]))
    command = f"python3 bench/load.py --sessions {','.join(map(str, options.sessions))} " \
              f"--seconds {options.seconds:g}"
    if llama:
        command += " --llama-server llama-server --model SmolLM2-135M-Instruct.Q4_1.gguf"
    return "\n".join([*lines, "", "```sh", command, "```"])


def write(text: str) -> None:
    page = PAGE.read_text()
    if BEGIN not in page or END not in page:
        raise SystemExit(f"{PAGE} has no place for the table ({BEGIN.strip()} ... {END})")
    before, rest = page.split(BEGIN)
    PAGE.write_text(before + BEGIN + text + "\n" + rest[rest.index(END):])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fathom", default=str(ROOT / "build" / "fathom"), metavar="PROGRAM")
    parser.add_argument("--model", default="", help="the default model if left out")
    parser.add_argument("--sessions", default="16,110,200", metavar="N,...")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--llama-server", default="", metavar="PROGRAM")
    parser.add_argument("--llama-slots", type=int, default=64)
    parser.add_argument("--llama-arguments", default="", metavar="ARGUMENTS")
    parser.add_argument("--plots", default="", metavar="FOLDER", help="draw each run of ours there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help="replace the table in docs/performance.md")
    options = parser.parse_args()
    options.sessions = [int(number) for number in options.sessions.split(",")]
    if options.llama_server and not options.model:
        raise SystemExit("--llama-server needs --model, a GGUF file that both can read")
    fathom = measure_fathom(options)
    llama = measure_llama(options) if options.llama_server else []
    text = table(options, fathom, llama)
    if options.write:
        write(text)
    print(json.dumps({"fathom": fathom, "llama.cpp": llama}, indent=2) if options.json else text)


if __name__ == "__main__":
    main()
