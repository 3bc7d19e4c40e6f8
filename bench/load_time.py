#!/usr/bin/env python3
"""Time to first token of `fathom run`, and peak memory while loading, without and with packed
weights on disk (docs/performance.md, "Loading").

    python3 bench/load_time.py build/fathom [--model MODEL.gguf] [--runs 3]

Without --model it writes one with random weights of DeepSeek-Coder-6.7B's shape (Q4_0, 3.8 GB,
needs the packages gguf and numpy) into --directory and leaves it there for the next time. The
packed weights go into a cache folder of its own there, which is removed at the end.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

SHAPE = {"layers": 32, "hidden": 4096, "heads": 32, "ffn": 11008, "vocab": 32256, "dim": 128}


def byte_tokens(count: int) -> list[str]:
    """GPT-2's 256 printable stand-ins for bytes, then names nobody types."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in kept]
    stand_in = {b: chr(b) for b in kept} | {b: chr(256 + i) for i, b in enumerate(others)}
    return [stand_in[b] for b in range(256)] + [f"<unused{i}>" for i in range(256, count)]


def write_model(path: Path) -> None:
    """Tensor by tensor, so that it takes little memory."""
    import gguf
    import numpy as np

    layers, hidden, heads, ffn, vocab = (SHAPE[k] for k in ("layers", "hidden", "heads", "ffn", "vocab"))
    part = path.with_suffix(".part")
    writer = gguf.GGUFWriter(part, "llama")
    writer.add_name("random 6.7B")
    writer.add_context_length(16384)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(vocab)
    writer.add_file_type(2)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(byte_tokens(vocab))
    writer.add_token_types([1] * 256 + [5] * (vocab - 256))
    writer.add_token_merges([])
    writer.add_eos_token_id(vocab - 1)

    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, size=(1 << 21, 18), dtype=np.uint8)
    tensors = []

    def matrix(name: str, rows: int, cols: int) -> None:
        shape = (rows, cols // 32 * 18)
        writer.add_tensor_info(name, shape, np.dtype(np.uint8), rows * cols // 32 * 18,
                               raw_dtype=gguf.GGMLQuantizationType.Q4_0)
        scale = np.frombuffer(np.float16(0.4 / np.sqrt(cols)).tobytes(), np.uint8)

        def make() -> "np.ndarray":
            blocks = np.resize(codes, (rows * cols // 32, 18))
            blocks[:, :2] = scale
            return blocks.reshape(shape)

        tensors.append(make)

    def ones(name: str, width: int) -> None:
        writer.add_tensor_info(name, (width,), np.dtype(np.float32), width * 4)
        tensors.append(lambda: np.ones(width, np.float32))

    matrix("token_embd.weight", vocab, hidden)
    for layer in range(layers):
        prefix = f"blk.{layer}."
        ones(prefix + "attn_norm.weight", hidden)
        for kind in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"{prefix}{kind}.weight", hidden, hidden)
        ones(prefix + "ffn_norm.weight", hidden)
        matrix(prefix + "ffn_gate.weight", ffn, hidden)
        matrix(prefix + "ffn_up.weight", ffn, hidden)
        matrix(prefix + "ffn_down.weight", hidden, ffn)
    ones("output_norm.weight", hidden)
    matrix("output.weight", vocab, hidden)

    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for make in tensors:
        writer.write_tensor_data(make())
    writer.close()
    part.rename(path)


def read(path: Path) -> None:
    """Reads the file once, so that all of it is in the system's cache if there is room."""
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def drop_from_memory(path: Path) -> None:
    """Takes the file out of the system's cache: the next reader has to go to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Start:
    """One start of `fathom run`: seconds, and the peak of its resident memory while it loaded."""

    def __init__(self, fathom: Path, model: Path, cache: Path, threads: int, flags: list[str]):
        command = [str(fathom), "run", "-m", str(model), "--raw", "--temperature", "0", "--json",
                   "--max-tokens", "1", "--threads", str(threads), *flags, "Hello"]
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=os.environ | {"XDG_CACHE_HOME": str(cache)})
        # VmHWM is all resident memory, RssAnon what no file backs; sampled, because it is the peak.
        self.anonymous = 0
        while process.poll() is None:
            try:
                fields = dict(line.split(":", 1) for line in
                              Path(f"/proc/{process.pid}/status").read_text().splitlines())
                self.anonymous = max(self.anonymous, int(fields["RssAnon"].split()[0]) * 1024)
            except (OSError, KeyError, ValueError):
                pass
            time.sleep(0.02)
        out, err = process.communicate()
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)}: {err}")
        answer = json.loads(out)
        self.whole = time.perf_counter() - begin
        self.load = answer["timings"]["load_seconds"]
        self.first_token = self.load + answer["timings"]["time_to_first_token"]
        self.peak = answer["peak_memory_bytes"]
        self.weights = answer["model"]["weight_bytes"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("fathom", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--directory", type=Path, default=Path("/tmp/fathom-load-time"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()

    arguments.directory.mkdir(parents=True, exist_ok=True)
    model = arguments.model or arguments.directory / "random-6.7b-q4_0.gguf"
    if not model.exists():
        if arguments.model:
            sys.exit(f"there is no {model}")
        write_model(model)
    cache = arguments.directory / "cache"
    shutil.rmtree(cache, ignore_errors=True)

    def start(flags: list[str]) -> Start:
        return Start(arguments.fathom, model, cache, arguments.threads, flags)

    def packed() -> list[Path]:
        return list((cache / "fathom" / "packed").glob("*.packed"))

    results: dict[str, list[Start]] = defaultdict(list)
    read(model)
    for _ in range(arguments.runs):
        results["packing, model in memory"].append(start(["--no-packed-cache"]))
    for _ in range(arguments.runs):
        shutil.rmtree(cache, ignore_errors=True)
        results["packing and keeping"].append(start([]))
    if not packed():
        print("packed too quickly to be kept: no second start to measure", file=sys.stderr)
    else:
        for path in packed():
            read(path)
        for _ in range(arguments.runs):
            results["packed file in memory"].append(start([]))
        for _ in range(arguments.runs):
            for path in packed():
                drop_from_memory(path)
            results["packed file on disk"].append(start([]))
    for _ in range(arguments.runs):
        drop_from_memory(model)
        results["packing, model on disk"].append(start(["--no-packed-cache"]))
    shutil.rmtree(cache, ignore_errors=True)

    weights = next(iter(results.values()))[0].weights
    print(f"{model.name}: {weights / 1e9:.2f} GB of packed weights, {arguments.threads} threads, "
          f"median of {arguments.runs}\n")
    print(f"| {'start':<24} | loading | first token after | process ends after | peak resident memory "
          f"| of it not files |\n| --- | --- | --- | --- | --- | --- |")
    for name, starts in results.items():
        def median(of) -> float:
            return statistics.median(of(s) for s in starts)
        print(f"| {name:<24} | {median(lambda s: s.load):.2f} s "
              f"| {median(lambda s: s.first_token):.2f} s | {median(lambda s: s.whole):.2f} s "
              f"| {median(lambda s: s.peak) / weights:.2f}x "
              f"| {median(lambda s: s.anonymous) / weights:.2f}x |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
