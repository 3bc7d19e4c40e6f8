#!/usr/bin/env python3
"""What speed costs in accuracy: Fathom and llama.cpp beside the exact result, on real text.

Both compute the logits after every token of a text with their fast kernels, from the same GGUF file
and the same token ids, in windows of --window tokens. The exact logits come from Fathom's reference
kernels (`fathom logits --kernels reference`: the file's weights decoded to F32, plain F32 loops),
which the tests compare with transformers. Prints, for both, the mean of KL(exact || program) in nats
and how often the most likely token is the same. The first tokens of a window count as well.

  bench/kl_peers.py                    # the default model on tests/golden/real_text.txt: minutes
"""

import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

import peers

ROOT = peers.ROOT


def fathom_logits(options, path, tokens, kernels):
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "logits.json"
        subprocess.run([*options.wrap, options.fathom, "logits", "-m", path, "--tokens", ",".join(map(str, tokens)),
                        "--all", "--kernels", kernels, "--threads", str(options.threads), "--json", file],
                       check=True)
        return np.array(json.loads(file.read_text())["logits"], dtype=np.float64)


def peer_logits(peer, tokens):
    import llama_cpp
    import llama_cpp_peer
    import numpy as np

    with llama_cpp_peer.Context(peer.model, peer.threads, 1, len(tokens), **llama_cpp_peer.DEFAULTS) as context:
        context.decode([(token, i, 0, True) for i, token in enumerate(tokens)])
        rows = [np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context.handle, i), (peer.vocab,))
                for i in range(len(tokens))]
        return np.array(rows, dtype=np.float64)


def log_softmax(x):
    import numpy as np

    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def compare(exact, other):
    """KL in nats and whether the most likely token is the same, a row each."""
    import numpy as np

    p, q = log_softmax(exact), log_softmax(other)
    return (np.exp(p) * (p - q)).sum(axis=1), p.argmax(axis=1) == q.argmax(axis=1)


def main():
    cache = pathlib.Path.home() / ".cache" / "fathom-bench"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="smollm2", help="as for peers.py")
    parser.add_argument("--text", type=pathlib.Path, default=ROOT / "tests" / "golden" / "real_text.txt")
    parser.add_argument("--window", type=int, default=256, help="tokens that see each other (256)")
    parser.add_argument("--max-tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--fathom", type=pathlib.Path, default=ROOT / "build" / "fathom", metavar="PROGRAM")
    parser.add_argument("--environment", type=pathlib.Path, default=cache / "environment", metavar="FOLDER")
    parser.add_argument("--cache", type=pathlib.Path, default=cache, metavar="FOLDER")
    parser.add_argument("--wrap", type=shlex.split, default=[], metavar="COMMAND", help="as for peers.py")
    options = parser.parse_args()
    python = peers.make_environment(options.environment)
    if pathlib.Path(sys.prefix).resolve() != options.environment.resolve():
        os.execv(python, [python, *sys.argv])

    import llama_cpp_peer
    import numpy as np

    path = peers.find_model(options.model, options, python)
    tokenized = subprocess.run([options.fathom, "tokenize", "-m", path, "-", "--json"], check=True,
                               stdin=options.text.open(), capture_output=True, text=True)
    tokens = json.loads(tokenized.stdout)["tokens"][:options.max_tokens]
    keep = llama_cpp_peer.quiet_log()  # noqa: F841
    peer = llama_cpp_peer.Peer(path, options.threads)
    found = {"fathom": [], "llama.cpp": []}
    for start in range(0, len(tokens), options.window):
        window = tokens[start:start + options.window]
        print(f"tokens {start} to {start + len(window)} of {len(tokens)}", file=sys.stderr)
        exact = fathom_logits(options, path, window, "reference")
        found["fathom"].append(compare(exact, fathom_logits(options, path, window, "auto")))
        found["llama.cpp"].append(compare(exact, peer_logits(peer, window)))
    results = {}
    for program, parts in found.items():
        kl = np.concatenate([part[0] for part in parts])
        results[program] = {"kl_mean": kl.mean(), "kl_standard_error": kl.std() / len(kl) ** 0.5,
                            "kl_p99": float(np.quantile(kl, 0.99)),
                            "top1_agreement": float(np.concatenate([part[1] for part in parts]).mean())}
    if options.json:
        print(json.dumps({"file": path.name, "tokens": len(tokens), "window": options.window} | results))
        return
    print(f"{path.name}, {len(tokens)} tokens in windows of {options.window}, beside exact F32\n\n"
          "| | mean KL (nats) | 99th percentile | same most likely token |\n| --- | --- | --- | --- |")
    for program, r in results.items():
        print(f"| {program} | {r['kl_mean']:.5f} ± {r['kl_standard_error']:.5f} | {r['kl_p99']:.4f} | "
              f"{r['top1_agreement']:.2%} |")


if __name__ == "__main__":
    main()
