"""Speed of llama.cpp on a GGUF file, measured as `fathom bench` measures Fathom's.

Calls llama.cpp's C interface (llama_decode with hand-made batches), so that neither text nor sampling
costs anything. Prefill: one sequence of N tokens, logits of the last; the best of some runs after a
short one that warms up. Decode: one token for each of B sequences a step, logits for all, after one step that
warms up. Prints one JSON object with the results in the form of `fathom bench --json`. With --tune,
tries llama.cpp's settings and prints each one's speed.
"""

import ctypes
import json
import random
import sys
import time

import llama_cpp

import peer_options

WARM_UP_TOKENS = 64  # as `fathom bench`

# The fastest of what --tune tries (docs/performance.md has its output).
DEFAULTS = {"ubatch": 512, "flash": True, "unified": False}


def quiet_log():
    """Silences llama.cpp's log; the callback must stay alive, so it is returned."""
    callback = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    return callback


class Context:
    """A llama.cpp context for `sequences` sequences of at most `length` tokens each."""

    def __init__(self, model, threads, sequences, length, ubatch, flash, unified):
        params = llama_cpp.llama_context_default_params()
        length = (length + 255) // 256 * 256  # llama.cpp pads its cache so
        params.n_ctx = length * sequences
        params.n_batch = max(2048, length)
        params.n_ubatch = ubatch
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = 1 if flash else 0
        params.kv_unified = unified
        params.no_perf = True
        self.handle = llama_cpp.llama_init_from_model(model, params)
        if not self.handle:
            sys.exit("llama.cpp made no context")
        self.batch = llama_cpp.llama_batch_init(max(length, sequences), 0, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        llama_cpp.llama_batch_free(self.batch)
        llama_cpp.llama_free(self.handle)

    def clear(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.handle), True)

    def decode(self, rows):
        """`rows`: (token, position, sequence, wants logits) each."""
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, logits) in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = logits
        if llama_cpp.llama_decode(self.handle, batch) != 0:
            sys.exit("llama_decode failed")
        llama_cpp.llama_synchronize(self.handle)

    def feed(self, tokens, sequence, want_last):
        last = len(tokens) - 1
        self.decode([(t, i, sequence, want_last and i == last) for i, t in enumerate(tokens)])


class Peer:
    def __init__(self, path, threads):
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            sys.exit(f"llama.cpp cannot load {path}")
        self.threads = threads
        self.vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.random = random.Random(1)

    def tokens(self, count):
        return [self.random.randrange(self.vocab) for _ in range(count)]

    def prefill(self, count, repeat, **settings):
        with Context(self.model, self.threads, 1, count, **settings) as context:
            context.feed(self.tokens(min(count, WARM_UP_TOKENS)), 0, True)
            best = float("inf")
            for _ in range(repeat):
                context.clear()
                tokens = self.tokens(count)
                start = time.perf_counter()
                context.feed(tokens, 0, True)
                best = min(best, time.perf_counter() - start)
        return count / best

    def decode(self, steps, batch, depth, **settings):
        with Context(self.model, self.threads, batch, depth + 1 + steps, **settings) as context:
            for sequence in range(batch if depth > 0 else 0):
                context.feed(self.tokens(depth), sequence, False)

            def step(position):
                context.decode([(t, position, s, True) for s, t in enumerate(self.tokens(batch))])

            step(depth)
            start = time.perf_counter()
            for i in range(steps):
                step(depth + 1 + i)
            return steps * batch / (time.perf_counter() - start)


def tune(peer, options):
    for flash in (False, True):
        for ubatch in (64, 128, 256, 512):
            for count in options.prefill:
                speed = peer.prefill(count, options.repeat, ubatch=ubatch, flash=flash, unified=False)
                print(f"prefill {count:5} ubatch {ubatch:4} flash {flash:d}: {speed:9.1f}", flush=True)
        for unified in (False, True):
            for batch in options.batch if options.decode else []:
                speed = peer.decode(options.decode, batch, 0, ubatch=512, flash=flash, unified=unified)
                print(f"decode batch {batch:4} unified {unified:d} flash {flash:d}: {speed:9.1f}", flush=True)


def main():
    parser = peer_options.parser(__doc__)
    parser.add_argument("--tune", action="store_true", help="try settings instead")
    options = parser.parse_args()
    keep = quiet_log()  # noqa: F841
    peer = Peer(options.model, options.threads)
    if options.tune:
        tune(peer, options)
        return
    results = []

    def add(phase, tokens, batch, context, speed):
        results.append({"phase": phase, "tokens": tokens, "batch": batch, "context": context,
                        "tokens_per_second": speed})

    for count in options.prefill:
        add("prefill", count, 1, 0, peer.prefill(count, options.repeat, **DEFAULTS))
    for batch in options.batch if options.decode else []:
        speed = peer.decode(options.decode, batch, options.context, **DEFAULTS)
        add("decode", options.decode, batch, options.context, speed)
    system = llama_cpp.llama_print_system_info().decode().strip()
    print(json.dumps({"version": llama_cpp.__version__, "system": system, "settings": DEFAULTS,
                      "results": results}))


if __name__ == "__main__":
    main()
