"""Speed of OpenVINO GenAI on a GGUF file, measured as far as its interface allows like llama_cpp_peer.py.

Its pipelines generate and do not show their logits, so a greedy choice of each token is in the times.
Prefill: from the call to the first token of a prompt of N ids; the best of some runs after one of the
same length, for which it compiles. Decode: B prompts of --context ids (1 at least) at once, from the second token of each to
the last. Files need a tokenizer, of architectures that it knows. Prints one JSON object.
"""

import json
import random
import sys

import numpy
import openvino
import openvino_genai

import peer_options


class Peer:
    def __init__(self, path, threads):
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.enable_prefix_caching = False
        scheduler.max_num_batched_tokens = 4096
        try:
            self.pipeline = openvino_genai.LLMPipeline(str(path), "CPU", scheduler_config=scheduler,
                                                       INFERENCE_NUM_THREADS=threads)
        except (RuntimeError, IndexError) as failure:
            sys.exit(f"OpenVINO GenAI cannot load {path}: {failure}")
        self.random = random.Random(1)

    def seconds(self, batch, length, new_tokens):
        """When each of new_tokens tokens was there, counted from the call; all prompts step together."""
        # Ids that any vocabulary has.
        ids = numpy.array([[self.random.randrange(1000, 30000) for _ in range(length)]
                           for _ in range(batch)], dtype=numpy.int64)
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = new_tokens
        config.ignore_eos = True
        config.do_sample = False
        inputs = openvino_genai.TokenizedInputs(openvino.Tensor(ids),
                                                openvino.Tensor(numpy.ones_like(ids)))
        metrics = self.pipeline.generate(inputs, config).perf_metrics
        first = metrics.get_ttft().mean / 1000
        times = metrics.raw_metrics.m_new_token_times  # milliseconds of a steady clock
        if len(times) != new_tokens:
            sys.exit(f"OpenVINO GenAI made {len(times)} steps instead of {new_tokens}")
        return [first + (time - times[0]) / 1000 for time in times]

    def prefill(self, count, repeat):
        self.seconds(1, count, 1)
        return count / min(self.seconds(1, count, 1)[0] for _ in range(repeat))

    def decode(self, steps, batch, context):
        times = self.seconds(batch, max(1, context), steps + 2)
        return steps * batch / (times[-1] - times[1])


def main():
    options = peer_options.parser(__doc__).parse_args()
    peer = Peer(options.model, options.threads)
    results = [{"phase": "prefill", "tokens": count, "batch": 1, "context": 0,
                "tokens_per_second": peer.prefill(count, options.repeat)} for count in options.prefill]
    for batch in options.batch if options.decode else []:
        results.append({"phase": "decode", "tokens": options.decode, "batch": batch, "context": options.context,
                        "tokens_per_second": peer.decode(options.decode, batch, options.context)})
    print(json.dumps({"version": openvino_genai.__version__, "results": results}))


if __name__ == "__main__":
    main()
