#!/usr/bin/env python3
"""Many people at once: `fathom serve` with SmolLM2-135M under `fathom loadtest`, and on the same load
llama.cpp's server where its program is given (docs/performance.md, "Many at once").

    python3 bench/load.py [--sessions 16,110,200] [--seconds 60] [--repeat 3] [--write]
                          [--peer LLAMA-SERVER --model SmolLM2.gguf]

Closed loop: each session asks, reads the answer and asks again. Prompts have 48 words, all
different; answers have 64 tokens (ignore_eos). With --repeat the runs are in turn, each with a server
of its own: Fathom, the peer, Fathom, the peer. Numbers are medians of the runs. --write replaces the
table in docs/performance.md. Both servers get the same threads; the peer gets a slot for each
session up to --peer-slots, beyond which requests wait in its queue.

llama-cpp-python's source has llama.cpp's server in it (as bench/peers.py uses it):

    pip download --no-deps --no-binary llama-cpp-python llama-cpp-python==0.3.36
    tar xzf llama_cpp_python-0.3.36.tar.gz
    cmake -S llama_cpp_python-0.3.36/vendor/llama.cpp -B llama -DCMAKE_BUILD_TYPE=Release \
        -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=ON -DLLAMA_OPENSSL=OFF -DLLAMA_USE_PREBUILT_UI=OFF
    cmake --build llama --target llama-server -j    # llama/bin/llama-server
"""

import argparse
import datetime
import json
import os
import platform
import re
import resource
import socket
import statistics
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
# The fastest that were tried for llama.cpp's server.
PEER_SLOTS = 64
PEER_ARGUMENTS = "-fa on -b 2048 -ub 512"


def loadtest(options: argparse.Namespace, url: str, sessions: int, plot: str = "") -> dict:
    command = [options.fathom, "loadtest", url, "--sessions", str(sessions), "--duration",
               str(options.seconds), "--prompt-words", "48", "--output-tokens", "64", "--seed",
               str(options.seed + sessions), "--fields", '{"ignore_eos": true}', "--json"]
    if plot:
        command += ["--plot", plot]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"loadtest ended with exit code {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {**json.loads(done.stdout), "load_processor_seconds":
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def warm_up(options: argparse.Namespace, url: str) -> None:
    """The first requests make buffers and teach the scheduler what a step costs."""
    subprocess.run([options.fathom, "loadtest", url, "--sessions", "8", "--requests", "32", "--seed",
                    "99", "--output-tokens", "16"], stdout=subprocess.DEVNULL, check=True)


def measure_fathom(options: argparse.Namespace, sessions: int) -> dict:
    arguments = ["--threads", str(options.threads)]
    if options.model:
        arguments += ["-m", options.model]
    with Server(options.fathom, arguments) as server:
        warm_up(options, server.url)
        before = server.metrics()
        plot = f"{options.plots}/load-{sessions}.svg" if options.plots else ""
        used = processor_seconds(server.process.pid)
        result = loadtest(options, server.url, sessions, plot)
        used = processor_seconds(server.process.pid) - used
        after = server.metrics()
    spent = {name: after[f"fathom_{name}_seconds_total"] - before[f"fathom_{name}_seconds_total"]
             for name in ("step", "model", "sampling")}
    steps = after["fathom_steps_total"] - before["fathom_steps_total"]
    rows = after["fathom_computed_tokens_total"] - before["fathom_computed_tokens_total"]
    result["server"] = {"steps": steps, "rows": rows, "processor": used, **spent}
    show(f"fathom, {sessions} sessions", result)
    print(f"    {steps:.0f} steps of {rows / steps:.1f} rows; of their {spent['step']:.1f} s "
          f"{100 * spent['model'] / spent['step']:.0f}% in the model, "
          f"{100 * spent['sampling'] / spent['step']:.0f}% drawing tokens; "
          f"{rows / spent['step']:.0f} rows/s; {used:.1f} s of processor time, the load "
          f"generator's {result['load_processor_seconds']:.1f} s beside it", file=sys.stderr)
    return result


def measure_peer(options: argparse.Namespace, sessions: int) -> dict:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    slots = min(sessions, options.peer_slots)
    process = subprocess.Popen(
        [options.peer, "-m", options.model, "--host", "127.0.0.1", "--port", str(port), "-t",
         str(options.threads), "-tb", str(options.threads), "-np", str(slots), "-c",
         str(slots * 256), *options.peer_arguments.split()],
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
        result = loadtest(options, url, sessions)
    finally:
        process.terminate()
        process.wait()
    show(f"llama.cpp, {sessions} sessions", result)
    return result


def show(title: str, result: dict) -> None:
    print(f"{title}: {result['output_tokens_per_second']:.0f} tokens/s, inter-token "
          f"{1e3 * result['inter_token_seconds']['mean']:.1f} ms, first token "
          f"{result['first_token_seconds']['p50']:.2f} s, {result['errors']}", file=sys.stderr)


def median(results: list[dict], *path: str) -> float:
    def value(result: dict) -> float:
        for name in path:
            result = result[name]
        return result

    return statistics.median(value(result) for result in results)


def row(name: str, sessions: int, results: list[dict], peer: list[dict]) -> str:
    speeds = [result["output_tokens_per_second"] for result in results]
    speed = f"{statistics.median(speeds):.0f}"
    if len(speeds) > 1:
        speed += f" ({min(speeds):.0f}–{max(speeds):.0f})"
    ratio = ""
    if peer:
        ratio = f"{statistics.median(speeds) / median(peer, 'output_tokens_per_second'):.2f}"
    failed = sum(result["requests"] - result["answered"] for result in results)
    slowest = median(results, "fairness", "slowest_over_median")
    return (f"| {sessions} | {name} | {speed} | {ratio} | "
            f"{1e3 * median(results, 'inter_token_seconds', 'mean'):.0f} ms | "
            f"{1e3 * median(results, 'inter_token_seconds', 'p99'):.0f} ms | "
            f"{median(results, 'first_token_seconds', 'p50'):.2f} s | "
            f"{median(results, 'first_token_seconds', 'p99'):.2f} s | {slowest:.2f} | {failed} |")


def cpu() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def commit() -> str:
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True,
                          text=True)
    return done.stdout.strip() or "unknown"


def table(options: argparse.Namespace, fathom: list[list[dict]], peer: list[list[dict]]) -> str:
    times = f"; medians of {options.repeat} runs in turn (lowest–highest)" if options.repeat > 1 else ""
    lines = [
        f"{datetime.date.today()}, commit {commit()}, {cpu()}, {options.threads} threads; "
        f"{options.seconds:g} s of each load{times}.", "",
        "| sessions | server | tokens/s | ratio | inter-token, mean | 99% of streams | first token, "
        "median | 99% | slowest session | failed |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for i, sessions in enumerate(options.sessions):
        lines.append(row("Fathom", sessions, fathom[i], peer[i]))
        if peer[i]:
            lines.append(row("llama.cpp", sessions, peer[i], []))
    command = f"python3 bench/load.py --sessions {','.join(map(str, options.sessions))} " \
              f"--seconds {options.seconds:g}"
    if options.repeat > 1:
        command += f" --repeat {options.repeat}"
    if options.peer:
        command += " --peer llama-server --model SmolLM2-135M-Instruct.Q4_1.gguf"
        if options.peer_slots != PEER_SLOTS:
            command += f" --peer-slots {options.peer_slots}"
        if options.peer_arguments != PEER_ARGUMENTS:
            command += f" --peer-arguments='{options.peer_arguments}'"
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
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="runs, in turn")
    parser.add_argument("--peer", default="", metavar="PROGRAM", help="llama.cpp's server")
    parser.add_argument("--peer-slots", type=int, default=PEER_SLOTS, metavar="N")
    parser.add_argument("--peer-arguments", default=PEER_ARGUMENTS, metavar="ARGUMENTS",
                        help="what else it gets (--peer-arguments='-fa on')")
    parser.add_argument("--plots", default="", metavar="FOLDER", help="draw each run of ours there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help="replace the table in docs/performance.md")
    options = parser.parse_args()
    options.sessions = [int(number) for number in options.sessions.split(",")]
    if options.peer and not options.model:
        raise SystemExit("--peer needs --model, a GGUF file that both can read")
    fathom = [[] for _ in options.sessions]
    peer = [[] for _ in options.sessions]
    for i, sessions in enumerate(options.sessions):
        for _ in range(options.repeat):
            fathom[i].append(measure_fathom(options, sessions))
            if options.peer:
                peer[i].append(measure_peer(options, sessions))
    text = table(options, fathom, peer)
    if options.write:
        write(text)
    runs = {str(sessions): {"fathom": fathom[i], "llama.cpp": peer[i]}
            for i, sessions in enumerate(options.sessions)}
    print(json.dumps(runs, indent=2) if options.json else text)


if __name__ == "__main__":
    main()
