"""Writes GGUF files with the shapes of real models and random Q4_0 weights, to measure speed with.

All matrices are Q4_0 and all vectors F32. One random pattern is reused for every tensor, so that a file
is written as fast as the disk takes it. Scales are drawn so that activations stay finite. The names are
those of `fathom bench --shape`. There is no vocabulary, unless --words asks for a made-up one, with which
`fathom serve` can show what it says:

    bench/shape_files.py v2-lite-16b FOLDER [--words]
"""

import dataclasses
import pathlib

import gguf
import numpy as np

Q4_0 = gguf.GGMLQuantizationType.Q4_0
BLOCK_ELEMENTS, BLOCK_BYTES = 32, 18


@dataclasses.dataclass
class Shape:
    title: str
    architecture: str
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    vocab: int
    context: int
    norm_eps: float
    rope_theta: float
    linear_scaling: float = 0
    qkv_bias: bool = False
    latent: bool = False  # MLA and experts as DeepSeek-V2-Lite has them


SHAPES = {
    "distill-1.5b": Shape("R1-Distill-Qwen-1.5B", "qwen2", 28, 1536, 8960, 12, 2, 151936, 131072, 1e-6, 10000,
                          qkv_bias=True),
    "lite-6.7b": Shape("DeepSeek-Coder-6.7B", "llama", 32, 4096, 11008, 32, 32, 32256, 16384, 1e-6, 100000,
                       linear_scaling=4),
    "v2-lite-16b": Shape("DeepSeek-V2-Lite", "deepseek2", 27, 2048, 10944, 16, 16, 102400, 163840, 1e-6, 10000,
                         latent=True),
}

# DeepSeek-V2-Lite's own numbers.
NOPE, ROPE, VALUE, KV_RANK = 128, 64, 128, 512
EXPERTS, EXPERTS_PER_TOKEN, SHARED_EXPERTS, EXPERT_HIDDEN = 64, 6, 2, 1408


class RandomBlocks:
    """Q4_0 tensors as views of one buffer of random blocks.

    Each tensor begins elsewhere and weights are 0 on average: layers that are all alike would turn every token's
    activations the same way, and routers would send all tokens to the same experts.
    """

    PATTERN = 1_048_573  # blocks: a prime, so that a matrix's rows fall into it differently each time

    def __init__(self, bytes_needed):
        random = np.random.default_rng(1)
        low, high = random.integers(1, 16, (2, self.PATTERN, BLOCK_BYTES), dtype=np.uint8)  # -7 to 7
        pattern = low | high << 4
        scales = random.uniform(0.003, 0.006, len(pattern)).astype(np.float16)
        pattern[:, :2] = scales.view(np.uint8).reshape(-1, 2)
        repeats = -(-bytes_needed // pattern.size) + 1
        self.buffer = np.tile(pattern.reshape(-1), repeats)
        self.random = random

    def take(self, *shape):
        row = shape[-1] // BLOCK_ELEMENTS * BLOCK_BYTES
        count = int(np.prod(shape[:-1])) * row
        begin = int(self.random.integers(self.PATTERN)) * BLOCK_BYTES
        return self.buffer[begin:begin + count].reshape(*shape[:-1], row)


def add_words(writer, count):
    """Every byte by GPT-2's name for it, made-up words, and an end: nothing is ever merged."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    tokens = [chr(byte) for byte in shown] + [chr(0x100 + i) for i in range(256 - len(shown))]
    tokens += [f"word{number}" for number in range(count - len(tokens) - 1)] + ["<end>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * (count - 1) + [gguf.TokenType.CONTROL])
    writer.add_eos_token_id(count - 1)
    writer.add_add_bos_token(False)


def add_metadata(writer, shape, words):
    writer.add_name(shape.title + " (random weights)")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_vocab_size(shape.vocab)
    add_words(writer, shape.vocab) if words else writer.add_tokenizer_model("none")
    if shape.linear_scaling:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(shape.linear_scaling)
    if not shape.latent:
        writer.add_head_count_kv(shape.kv_heads)
        writer.add_rope_dimension_count(shape.hidden // shape.heads)
        return
    writer.add_head_count_kv(1)
    writer.add_kv_lora_rank(KV_RANK)
    writer.add_key_length(KV_RANK + ROPE)
    writer.add_value_length(KV_RANK)
    writer.add_key_length_mla(NOPE + ROPE)
    writer.add_value_length_mla(VALUE)
    writer.add_rope_dimension_count(ROPE)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(40)
    writer.add_rope_scaling_orig_ctx_len(4096)
    writer.add_rope_scaling_yarn_log_mul(0.0707)
    writer.add_leading_dense_block_count(1)
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(EXPERTS_PER_TOKEN)
    writer.add_expert_shared_count(SHARED_EXPERTS)
    writer.add_expert_feed_forward_length(EXPERT_HIDDEN)
    writer.add_expert_weights_scale(1.0)
    writer.add_expert_weights_norm(False)
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SOFTMAX)


def matrices(shape):
    """(name, shape) of every matrix; the last number is the row's length."""
    hidden = shape.hidden
    yield "token_embd", (shape.vocab, hidden)
    yield "output", (shape.vocab, hidden)
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        if shape.latent:
            yield block + "attn_q", (shape.heads * (NOPE + ROPE), hidden)
            yield block + "attn_kv_a_mqa", (KV_RANK + ROPE, hidden)
            yield block + "attn_k_b", (shape.heads, KV_RANK, NOPE)
            yield block + "attn_v_b", (shape.heads, VALUE, KV_RANK)
            yield block + "attn_output", (hidden, shape.heads * VALUE)
        else:
            head = hidden // shape.heads
            yield block + "attn_q", (hidden, hidden)
            yield block + "attn_k", (shape.kv_heads * head, hidden)
            yield block + "attn_v", (shape.kv_heads * head, hidden)
            yield block + "attn_output", (hidden, hidden)
        if shape.latent and layer > 0:
            for kind, stack, width in (("exps", (EXPERTS,), EXPERT_HIDDEN),
                                       ("shexp", (), SHARED_EXPERTS * EXPERT_HIDDEN)):
                yield block + "ffn_gate_" + kind, (*stack, width, hidden)
                yield block + "ffn_up_" + kind, (*stack, width, hidden)
                yield block + "ffn_down_" + kind, (*stack, hidden, width)
        else:
            yield block + "ffn_gate", (shape.feed_forward, hidden)
            yield block + "ffn_up", (shape.feed_forward, hidden)
            yield block + "ffn_down", (hidden, shape.feed_forward)


def vectors(shape):
    """(name, values) of everything that is F32."""
    random = np.random.default_rng(2)

    def ones(count):
        return np.ones(count, dtype=np.float32)

    yield "output_norm.weight", ones(shape.hidden)
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", ones(shape.hidden)
        yield block + "ffn_norm.weight", ones(shape.hidden)
        if shape.qkv_bias:
            head = shape.hidden // shape.heads
            for name, heads in (("q", shape.heads), ("k", shape.kv_heads), ("v", shape.kv_heads)):
                yield f"{block}attn_{name}.bias", random.normal(0, 0.1, heads * head).astype(np.float32)
        if shape.latent:
            yield block + "attn_kv_a_norm.weight", ones(KV_RANK)
            if layer > 0:
                router = random.normal(0, shape.hidden**-0.5, (EXPERTS, shape.hidden))
                yield block + "ffn_gate_inp.weight", router.astype(np.float32)


def write(name, path, words):
    shape = SHAPES[name]
    wanted = dict(matrices(shape))
    largest = max(int(np.prod(dims)) for dims in wanted.values())
    blocks = RandomBlocks(largest // BLOCK_ELEMENTS * BLOCK_BYTES)
    part = path.with_name(path.name + ".part")
    writer = gguf.GGUFWriter(part, shape.architecture)
    add_metadata(writer, shape, words)
    for tensor, dims in wanted.items():
        writer.add_tensor(tensor + ".weight", blocks.take(*dims), raw_dtype=Q4_0)
    for tensor, values in vectors(shape):
        writer.add_tensor(tensor, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.rename(path)


def shape_file(name, folder, words=False):
    """The file of that shape in `folder`, written if it is not there."""
    path = pathlib.Path(folder) / f"{name}{'-words' if words else ''}-q4_0.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(name, path, words)
    return path


if __name__ == "__main__":
    import sys

    words = sys.argv[3:] == ["--words"]
    if len(sys.argv) != 3 + words or sys.argv[1] not in SHAPES:
        sys.exit(f"usage: shape_files.py {'|'.join(SHAPES)} FOLDER [--words]")
    print(shape_file(sys.argv[1], sys.argv[2], words))
