#!/usr/bin/env python3
"""What readers of running answers notice of a long prompt that comes in, and what that costs the prompt.

    python3 bench/stall.py build/fathom [-m MODEL] [--streams 4] [--prompt 4000] [--seconds 10]
                           [--flags='--threads 2']

Starts `fathom serve`, asks it for so many streamed answers, and after some seconds for one token after a prompt of
so many random ones. The times between two tokens of an answer while the prompt is read stand beside those before and
after it: answers grow meanwhile, and their steps with them. Before all that, another prompt is read alone. Models need a vocabulary: for real
shapes, bench/shape_files.py --words makes one up. Python's own library is enough.
"""

import argparse
import http.client
import json
import random
import shlex
import socket
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from server import Server  # noqa: E402

SETTLE_SECONDS = 2
OWN_PROMPT = 32  # tokens before each of the streamed answers
LONGEST = 8000  # tokens of each: longer than anybody waits


class Answer:
    """A streamed answer, and when each of its tokens came."""

    def __init__(self, port: int, prompt: list[int], max_tokens: int):
        self.times: list[float] = []
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self.body = json.dumps({"prompt": prompt, "max_tokens": max_tokens, "temperature": 1, "ignore_eos": True,
                                "stream": True})

    def read(self, stop: threading.Event) -> None:
        try:
            self.connection.request("POST", "/v1/completions", self.body, {"Content-Type": "application/json"})
            response = self.connection.getresponse()
            if response.status != 200:
                print(response.read().decode(), file=sys.stderr)
            for line in response:
                if stop.is_set():
                    break
                if line.startswith(b"data: {"):
                    self.times.append(time.monotonic())
        except (OSError, http.client.HTTPException):
            if not stop.is_set():
                raise
        self.connection.close()


def gaps(answers: list[Answer], begin: float, end: float) -> list[float]:
    """In seconds, of tokens that came between begin and end."""
    return [after - before for answer in answers for before, after in zip(answer.times, answer.times[1:])
            if begin <= after < end]


class Prompt:
    """A prompt that is being read, until its one token has come, or for so many seconds."""

    def __init__(self, server: Server, length: int, seed: int, options: argparse.Namespace):
        chosen = random.Random(seed)
        prompt = [chosen.randrange(256, options.vocabulary) for _ in range(length)]
        answer = Answer(server.port, prompt, 1)
        stop = threading.Event()
        before = server.metrics()
        self.begin = time.monotonic()
        thread = threading.Thread(target=answer.read, args=(stop,))
        thread.start()
        thread.join(options.limit)
        self.end = time.monotonic()
        after = server.metrics()
        if answer.times:
            rows = length
        else:
            computed, answered = (after[name] - before[name] for name in
                                  ("fathom_computed_tokens_total", "fathom_answer_tokens_total"))
            rows = computed - answered
            stop.set()
            answer.connection.sock.shutdown(socket.SHUT_RDWR)
        thread.join()
        self.speed = rows / (self.end - self.begin)


def describe(name: str, answers: list[Answer], begin: float, end: float) -> float:
    found = gaps(answers, begin, end)
    middle = statistics.median(found)
    high = statistics.quantiles(found, n=20)[-1]
    print(f"{name:<22} {middle * 1000:8.1f} ms between tokens at the median, {high * 1000:8.1f} at the 95th percentile, "
          f"{len(found) / (end - begin):7.1f} tokens/s of {len(answers)} answers", flush=True)
    return middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("-m", "--model", default="")
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--prompt", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=10, help="before the prompt, and after it")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which the rest of the prompt is left")
    parser.add_argument("--vocabulary", type=int, default=32000, help="random tokens are below this")
    parser.add_argument("--alone", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--flags", default="", help="further ones of fathom serve")
    options = parser.parse_args()
    arguments = (["-m", options.model] if options.model else []) + shlex.split(options.flags)
    with Server(options.binary, arguments) as server:
        if options.alone:
            print(f"the prompt alone       {Prompt(server, options.prompt, 1, options).speed:8.1f} tokens/s", flush=True)
        chosen = random.Random(3)
        answers = [Answer(server.port, [chosen.randrange(256, options.vocabulary) for _ in range(OWN_PROMPT)], LONGEST)
                   for _ in range(options.streams)]
        stop = threading.Event()
        threads = [threading.Thread(target=answer.read, args=(stop,)) for answer in answers]
        for thread in threads:
            thread.start()
        time.sleep(SETTLE_SECONDS)
        while not all(answer.times for answer in answers):
            time.sleep(0.1)
        begin = time.monotonic()
        time.sleep(options.seconds)
        prompt = Prompt(server, options.prompt, 2, options)
        time.sleep(SETTLE_SECONDS + options.seconds)
        stop.set()
        for thread in threads:
            thread.join()
        before = describe("before the prompt", answers, begin, prompt.begin)
        beside = describe("while it is read", answers, prompt.begin, prompt.end)
        after = describe("after it", answers, prompt.end + SETTLE_SECONDS, time.monotonic())
        print(f"that is {beside / statistics.mean([before, after]):.2f} times as long; the prompt came in at "
              f"{prompt.speed:.1f} tokens/s", flush=True)


if __name__ == "__main__":
    main()
