#!/usr/bin/env python3
"""What `fathom quantize` costs: processor time and memory, by calibration tokens and by parameters.

    bench/quantize_cost.py build/fathom original.gguf text.txt     (gguf, numpy)

`original.gguf` is SmolLM2-135M in a plain type (`fathom quantize -o original.gguf --method none --type
f16`); the text needs as many tokens as --tokens says. Larger models are random F16 weights in the shapes
of SmolLM2's family, with the original's tokenizer, in a temporary folder.

Time is the processor's (user and system, of all threads), which other programs disturb less than a clock
would. Memory is the process's own (RssAnon, sampled every 10 ms); pages of the source and of the output
are mapped files, which the system may take back at any time, and stand beside it.
"""

import argparse
import dataclasses
import os
import pathlib
import subprocess
import tempfile
import time

import gguf
import numpy as np

MB = 1e6


@dataclasses.dataclass
class Shape:
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int

    def matrices(self, vocab):
        yield "token_embd", (vocab, self.hidden)
        kv = self.hidden // self.heads * self.kv_heads
        for layer in range(self.layers):
            block = f"blk.{layer}."
            yield block + "attn_q", (self.hidden, self.hidden)
            yield block + "attn_k", (kv, self.hidden)
            yield block + "attn_v", (kv, self.hidden)
            yield block + "attn_output", (self.hidden, self.hidden)
            yield block + "ffn_gate", (self.feed_forward, self.hidden)
            yield block + "ffn_up", (self.feed_forward, self.hidden)
            yield block + "ffn_down", (self.hidden, self.feed_forward)

    def layer_weights(self):
        return sum(int(np.prod(dims)) for name, dims in self.matrices(0) if name.startswith("blk.0."))


SHAPES = {
    "135m-half": Shape(15, 576, 1536, 9, 3),
    "135m": Shape(30, 576, 1536, 9, 3),
    "360m": Shape(32, 960, 2560, 15, 5),
    "1.7b-four-layers": Shape(4, 2048, 8192, 32, 32),
    "1.7b": Shape(24, 2048, 8192, 32, 32),
}


def write_shape(shape, original, path):
    """A file of random F16 weights that reads text as the original does."""
    reader = gguf.GGUFReader(original)
    vocab = len(reader.fields["tokenizer.ggml.tokens"].data)
    writer = gguf.GGUFWriter(path, "llama")
    for name, field in reader.fields.items():
        if name.startswith("tokenizer."):
            element = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], element)
    writer.add_block_count(shape.layers)
    writer.add_context_length(8192)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.hidden // shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1e5)
    writer.add_vocab_size(vocab)
    random = np.random.default_rng(1)
    pattern = random.standard_normal(16_777_259, np.float32)
    for name, dims in shape.matrices(vocab):
        count = int(np.prod(dims))
        values = np.roll(pattern, int(random.integers(len(pattern))))
        weights = np.resize(values, count).reshape(dims) * dims[-1] ** -0.5
        writer.add_tensor(name + ".weight", weights.astype(np.float16))
    names = ["output_norm"]
    for layer in range(shape.layers):
        names += [f"blk.{layer}.attn_norm", f"blk.{layer}.ffn_norm"]
    for name in names:
        writer.add_tensor(name + ".weight", random.uniform(0.5, 1.5, shape.hidden).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def kilobytes(pid, keys):
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return [0] * len(keys)
    found = dict(line.split(":", 1) for line in lines)
    return [int(found[key].split()[0]) if key in found else 0 for key in keys]


def cost(command):
    """Processor seconds, and the most bytes of memory and of mapped files."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
    most = [0, 0]
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid != 0:
            break
        most = [max(pair) for pair in zip(most, kilobytes(process.pid, ["RssAnon", "RssFile"]))]
        time.sleep(0.01)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command} failed with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, most[0] * 1024, most[1] * 1024


def quantized(arguments, source, method, tokens, folder):
    output = folder / "small.gguf"
    found = cost([arguments.fathom, "quantize", "-m", source, "-o", output, "--method", method,
                  "--calibration", arguments.text, "--calibration-tokens", tokens, "--threads", arguments.threads])
    output.unlink()
    return found


def main(arguments):
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = pathlib.Path(name)
        print("| method | calibration tokens | processor, s | memory, MB | mapped, MB |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for method in arguments.methods:
            for tokens in arguments.tokens:
                seconds, memory, mapped = quantized(arguments, arguments.original, method, tokens, folder)
                print(f"| {method} | {tokens:,} | {seconds:.1f} | {memory / MB:.0f} | {mapped / MB:.0f} |", flush=True)
        print("\n| shape | method | layers' weights, M | processor, s | s for 100 M | layer, MB | memory, MB | "
              "mapped, MB |")
        print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for shape_name in arguments.shapes:
            shape = SHAPES[shape_name]
            source = folder / "shape.gguf"
            write_shape(shape, arguments.original, source)
            weights = shape.layers * shape.layer_weights() / MB  # the embedding is rounded to 8 bits, without the text
            for method in arguments.shape_methods:
                seconds, memory, mapped = quantized(arguments, source, method, arguments.shape_tokens, folder)
                print(f"| {shape_name} | {method} | {weights:.0f} | {seconds:.0f} | {seconds / weights * 100:.1f} | "
                      f"{shape.layer_weights() * 2 / MB:.0f} | {memory / MB:.0f} | {mapped / MB:.0f} |", flush=True)
            source.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fathom")
    parser.add_argument("original")
    parser.add_argument("text")
    parser.add_argument("--methods", default="awq", type=lambda text: text.split(","))
    parser.add_argument("--tokens", default="1024,4096,16384",
                        type=lambda text: [int(n) for n in text.split(",") if n])
    parser.add_argument("--shapes", default="135m-half,135m,360m,1.7b-four-layers",
                        type=lambda text: [s for s in text.split(",") if s])
    parser.add_argument("--shape-methods", default="awq", type=lambda text: text.split(","))
    parser.add_argument("--shape-tokens", default=2048, type=int)
    parser.add_argument("--threads", default=1, type=int, 
                        help="more where nothing else runs: threads that wait count as busy")
    parser.add_argument("--folder", help="where temporary files go: 5 GB for the largest shape")
    main(parser.parse_args())
