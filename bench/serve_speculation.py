#!/usr/bin/env python3
"""What guessing ahead brings a server, and what it costs where it brings nothing
(docs/performance.md, "Guessing ahead").

    python3 bench/serve_speculation.py build/fathom [--model MODEL] [--draft MODEL]
                                       [--clients 1,8,32] [--repeat 3] [--tokens 128]

So many clients at a time ask the same greedy question at once, on servers that guess nothing, by
lookup and, with --draft, by that model; one server after the other, REPEAT times in turn. "edit" asks
for a text that is in the prompt, with a change; "free" for one that is not. Prints the tokens a second
of all clients together (medians), their ratio, and how many guesses were right. Fails where an answer
of one client differs with and without guesses: greedy answers are the same. (In a batch of another
size a product may round otherwise, so that only single clients' are compared.)
"""

import argparse
import json
import statistics
import sys
import threading
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from server import Server  # noqa: E402

CODE = '''def total_price(items, tax_rate):
    """Return the total price of all items with tax."""
    subtotal = 0.0
    for item in items:
        price = item["price"]
        quantity = item["quantity"]
        subtotal += price * quantity
    tax = subtotal * tax_rate
    return round(subtotal + tax, 2)
'''
PROMPTS = {
    "edit": "Repeat this Python code exactly, but rename the function to compute_total.\n\n" + CODE,
    "free": "Tell me a story about a fox who learns to read.",
}


def ask(url: str, prompt: str, tokens: int) -> str:
    body = {"model": "model", "messages": [{"role": "user", "content": prompt}], "temperature": 0,
            "max_tokens": tokens, "ignore_eos": True}
    request = urllib.request.Request(url + "/v1/chat/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as response:
        return json.load(response)["choices"][0]["message"]["content"]


def together(url: str, prompt: str, tokens: int, clients: int) -> tuple[float, str]:
    """Tokens a second, and one client's answer."""
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(url, prompt, tokens)))
               for _ in range(clients)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(answers) != clients:
        raise SystemExit("an answer failed")
    return clients * tokens / (time.monotonic() - begin), answers[0]


def counted(metrics: dict[str, float], name: str) -> float:
    """Of all models."""
    return sum(value for key, value in metrics.items() if key.split("{")[0] == name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--model", default="default")
    parser.add_argument("--draft", default="", metavar="MODEL")
    parser.add_argument("--clients", default="1,8,32")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=128)
    options = parser.parse_args()
    sizes = [int(number) for number in options.clients.split(",")]
    methods = {"off": ["--speculate", "off"], "lookup": ["--speculate", "lookup"]}
    if options.draft:
        methods["draft"] = ["--draft", options.draft]
    speeds, answers, guesses = {}, {}, {}
    for _ in range(options.repeat):
        for method, arguments in methods.items():
            with Server(options.binary, ["-m", f"model={options.model}", *arguments]) as server:
                together(server.url, PROMPTS["free"], 16, 4)  # buffers, and what a step costs
                for name, prompt in PROMPTS.items():
                    for clients in sizes:
                        before = server.metrics()
                        speed, answer = together(server.url, prompt, options.tokens, clients)
                        after = server.metrics()
                        key = (name, clients, method)
                        speeds.setdefault(key, []).append(speed)
                        drafted, accepted = (
                            counted(after, f"fathom_{kind}_tokens_total") -
                            counted(before, f"fathom_{kind}_tokens_total")
                            for kind in ("drafted", "accepted"))
                        guesses[key] = (drafted, accepted)
                        if clients == 1 and answers.setdefault(name, answer) != answer:
                            raise SystemExit(f"{name}, {method}: another answer")
    print("| answers | clients | " + " | ".join(f"{method}, tokens/s" for method in methods) + " | " +
          " | ".join(f"{method} : off | guesses right" for method in methods if method != "off") +
          " |")
    print("| --- | " + "---: | " * (len(methods) + 1 + 2 * (len(methods) - 1)))
    for name in PROMPTS:
        for clients in sizes:
            medians = {method: statistics.median(speeds[name, clients, method])
                       for method in methods}
            cells = [f"{medians[method]:.0f}" for method in methods]
            for method in methods:
                if method == "off":
                    continue
                drafted, accepted = guesses[name, clients, method]
                share = f"{100 * accepted / drafted:.0f}% of {drafted:.0f}" if drafted else "none made"
                cells += [f"{medians[method] / medians['off']:.2f}", share]
            print(f"| {name} | {clients} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
