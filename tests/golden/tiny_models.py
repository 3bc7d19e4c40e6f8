"""The tiny random checkpoints: what config.json says and which tensors there are.

Configs have the keys, spellings and order of the real models' config.json (rope_scaling with
"type" or "rope_type", torch_dtype, no rope_parameters). Weights are scaled so that logits are of
order 1, attention is far from uniform and routing is decided; norm weights differ from one and
biases from zero. Unless said otherwise, matrices are values that BF16 and F16 both hold exactly, so
that one golden serves every file the same weights are stored in.
"""

import math
from dataclasses import dataclass, field

import torch


@dataclass
class TinyModel:
    name: str
    config: dict
    store: str = "BF16"  # F32, BF16, F16, FP8: type of the matrices in the file
    exact: bool = True  # matrices rounded to what both BF16 and F16 hold
    shards: int = 1
    gguf: list = field(default_factory=list)  # layouts to write as GGUF, see gguf_files.py


def dense(**changes):
    config = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 80,
        "max_position_embeddings": 512,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.45.0",
        "use_cache": True,
        "vocab_size": 96,
    }
    config.update(changes)
    return config


def qwen(kind, **changes):
    config = dense(
        architectures=["Qwen2ForCausalLM" if kind == "qwen2" else "Qwen3ForCausalLM"],
        model_type=kind,
        rms_norm_eps=1e-06,
        rope_theta=1000000.0,
        max_window_layers=2,
        sliding_window=None if kind == "qwen3" else 4096,
        use_sliding_window=False,
        **changes,
    )
    for key in ("mlp_bias", "pretraining_tp"):
        del config[key]
    if kind == "qwen2":
        del config["attention_bias"], config["rope_scaling"]
    return config


def deepseek_moe(**changes):
    config = {
        "architectures": ["DeepseekForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "auto_map": {
            "AutoConfig": "configuration_deepseek.DeepseekConfig",
            "AutoModel": "modeling_deepseek.DeepseekModel",
            "AutoModelForCausalLM": "modeling_deepseek.DeepseekForCausalLM",
        },
        "aux_loss_alpha": 0.001,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "first_k_dense_replace": 1,
        "hidden_act": "silu",
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 72,
        "max_position_embeddings": 512,
        "model_type": "deepseek",
        "moe_intermediate_size": 24,
        "moe_layer_freq": 1,
        "n_routed_experts": 8,
        "n_shared_experts": 2,
        "norm_topk_prob": False,
        "num_attention_heads": 4,
        "num_experts_per_tok": 3,
        "num_hidden_layers": 3,
        "num_key_value_heads": 4,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 10000,
        "scoring_func": "softmax",
        "seq_aux": True,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.36.0",
        "use_cache": True,
        "vocab_size": 96,
    }
    config.update(changes)
    return config


def yarn(mscale, mscale_all_dim, original=64, factor=8, beta_fast=32, beta_slow=1):
    # With so short an original context the real betas leave no frequency untouched; others do.
    return {
        "beta_fast": beta_fast,
        "beta_slow": beta_slow,
        "factor": factor,
        "mscale": mscale,
        "mscale_all_dim": mscale_all_dim,
        "original_max_position_embeddings": original,
        "type": "yarn",
    }


def deepseek_v2(**changes):
    config = {
        "architectures": ["DeepseekV2ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "auto_map": {
            "AutoConfig": "configuration_deepseek.DeepseekV2Config",
            "AutoModel": "modeling_deepseek.DeepseekV2Model",
            "AutoModelForCausalLM": "modeling_deepseek.DeepseekV2ForCausalLM",
        },
        "aux_loss_alpha": 0.001,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "first_k_dense_replace": 1,
        "hidden_act": "silu",
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 72,
        "kv_lora_rank": 32,
        "max_position_embeddings": 512,
        "model_type": "deepseek_v2",
        "moe_intermediate_size": 24,
        "moe_layer_freq": 1,
        "n_group": 1,
        "n_routed_experts": 8,
        "n_shared_experts": 2,
        "norm_topk_prob": False,
        "num_attention_heads": 4,
        "num_experts_per_tok": 3,
        "num_hidden_layers": 3,
        "num_key_value_heads": 4,
        "pretraining_tp": 1,
        "q_lora_rank": None,
        "qk_nope_head_dim": 24,
        "qk_rope_head_dim": 16,
        "rms_norm_eps": 1e-06,
        "rope_scaling": yarn(0.707, 0.707),
        "rope_theta": 10000,
        "routed_scaling_factor": 1.0,
        "scoring_func": "softmax",
        "seq_aux": True,
        "tie_word_embeddings": False,
        "topk_group": 1,
        "topk_method": "greedy",
        "torch_dtype": "bfloat16",
        "transformers_version": "4.33.1",
        "use_cache": True,
        "v_head_dim": 16,
        "vocab_size": 96,
    }
    config.update(changes)
    return config


def deepseek_v3(**changes):
    config = deepseek_v2(
        architectures=["DeepseekV3ForCausalLM"],
        auto_map={
            "AutoConfig": "configuration_deepseek.DeepseekV3Config",
            "AutoModel": "modeling_deepseek.DeepseekV3Model",
            "AutoModelForCausalLM": "modeling_deepseek.DeepseekV3ForCausalLM",
        },
        ep_size=1,
        kv_lora_rank=24,
        model_type="deepseek_v3",
        moe_intermediate_size=16,
        n_group=4,
        n_routed_experts=16,
        n_shared_experts=1,
        norm_topk_prob=True,
        num_experts_per_tok=4,
        num_nextn_predict_layers=1,
        q_lora_rank=40,
        rope_scaling=yarn(1.0, 1.0),
        routed_scaling_factor=2.5,
        scoring_func="sigmoid",
        topk_group=2,
        topk_method="noaux_tc",
    )
    config.update(changes)
    return config


FP8 = {
    "activation_scheme": "dynamic",
    "fmt": "e4m3",
    "quant_method": "fp8",
    "weight_block_size": [128, 128],
}
LLAMA3 = {
    "factor": 8.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 64,
    "rope_type": "llama3",
}

MODELS = [
    TinyModel("llama_mha", dense(num_key_value_heads=4), store="F32", exact=False, gguf=["f32"]),
    TinyModel("llama_gqa_tied", dense(tie_word_embeddings=True), gguf=["f16"]),
    TinyModel("llama_linear_rope_f16", dense(
        rope_scaling={"factor": 4.0, "type": "linear"}, rope_theta=100000, torch_dtype="float16"),
        store="F16", gguf=["f16"]),
    TinyModel("llama_llama3_rope", dense(rope_scaling=LLAMA3, rope_theta=500000.0), gguf=["bf16"]),
    TinyModel("llama_attention_bias", dense(attention_bias=True)),
    TinyModel("llama_head_dim_sharded", dense(head_dim=24), shards=3, gguf=["split_file"]),
    TinyModel("qwen2_tied", qwen("qwen2", tie_word_embeddings=True), gguf=["f16"]),
    TinyModel("qwen3", qwen("qwen3", head_dim=24), gguf=["f16"]),
    TinyModel("deepseek_moe", deepseek_moe(num_hidden_layers=2), gguf=["f16"]),
    TinyModel("deepseek_moe_normalized", deepseek_moe(norm_topk_prob=True)),
    TinyModel("deepseek_v2_lite", deepseek_v2(num_hidden_layers=2), gguf=["mla_whole", "mla_split"]),
    TinyModel("deepseek_v2_mscale", deepseek_v2(rope_scaling=yarn(1.2, 0.6, beta_fast=2),
                                                  num_hidden_layers=2)),
    TinyModel("deepseek_v2_groups", deepseek_v2(
        q_lora_rank=40, n_group=4, topk_group=2, n_routed_experts=16, moe_intermediate_size=16,
        topk_method="group_limited_greedy", routed_scaling_factor=16.0, num_hidden_layers=2,
        rope_scaling=yarn(0.707, 0.707, beta_fast=2, beta_slow=0.5)), gguf=["mla_split"]),
    TinyModel("deepseek_v2_normalized", deepseek_v2(
        norm_topk_prob=True, routed_scaling_factor=4.0, rope_scaling=None, num_hidden_layers=2)),
    TinyModel("deepseek_v3", deepseek_v3(num_hidden_layers=2),
              gguf=["mla_whole", "mla_split", "mla_mtp"]),
    TinyModel("deepseek_v3_fp8", deepseek_v3(
        hidden_size=160, intermediate_size=144, moe_intermediate_size=136, kv_lora_rank=136,
        q_lora_rank=48, n_routed_experts=6, n_group=2, topk_group=1, num_experts_per_tok=2,
        num_hidden_layers=2, num_nextn_predict_layers=0, quantization_config=FP8),
        store="FP8", exact=False),
]


def _exact_in_halves(x):
    x = x.to(torch.bfloat16).float()
    return torch.where(x.abs() < 2.0**-14, torch.zeros_like(x), x)


def make_weights(model: TinyModel, seed: int) -> dict:
    """Real checkpoints' names -> float32 tensors."""
    c = model.config
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    hidden = c["hidden_size"]

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    def linear(name, out, inner, gain=1.0, bias=False):
        w = normal(out, inner) * (gain / math.sqrt(inner))
        weights[name + ".weight"] = _exact_in_halves(w) if model.exact else w
        if bias:
            weights[name + ".bias"] = _exact_in_halves(0.4 * normal(out))

    def norm(name, width):
        w = 0.5 + torch.rand(width, generator=generator)
        weights[name + ".weight"] = _exact_in_halves(w)

    def mlp(prefix, width):
        linear(prefix + "gate_proj", width, hidden, 1.5)
        linear(prefix + "up_proj", width, hidden, 1.2)
        linear(prefix + "down_proj", hidden, width, 1.2)

    def attention(prefix):
        heads, kv_heads = c["num_attention_heads"], c["num_key_value_heads"]
        head_dim = c.get("head_dim", hidden // heads)
        bias = c.get("attention_bias", False) or c["model_type"] == "qwen2"
        linear(prefix + "q_proj", heads * head_dim, hidden, 1.7, bias)
        linear(prefix + "k_proj", kv_heads * head_dim, hidden, 1.7, bias)
        linear(prefix + "v_proj", kv_heads * head_dim, hidden, 1.0, bias)
        linear(prefix + "o_proj", hidden, heads * head_dim, 1.5, c.get("attention_bias", False))
        if c["model_type"] == "qwen3":
            norm(prefix + "q_norm", head_dim)
            norm(prefix + "k_norm", head_dim)

    def mla(prefix):
        heads, rank = c["num_attention_heads"], c["kv_lora_rank"]
        nope, rope, v = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
        if c["q_lora_rank"] is None:
            linear(prefix + "q_proj", heads * (nope + rope), hidden, 1.7)
        else:
            linear(prefix + "q_a_proj", c["q_lora_rank"], hidden)
            norm(prefix + "q_a_layernorm", c["q_lora_rank"])
            linear(prefix + "q_b_proj", heads * (nope + rope), c["q_lora_rank"], 1.7)
        linear(prefix + "kv_a_proj_with_mqa", rank + rope, hidden, 1.5)
        norm(prefix + "kv_a_layernorm", rank)
        linear(prefix + "kv_b_proj", heads * (nope + v), rank, 1.5)
        linear(prefix + "o_proj", hidden, heads * v, 1.5)

    def layer(i, sparse):
        prefix = f"model.layers.{i}."
        norm(prefix + "input_layernorm", hidden)
        (mla if "kv_lora_rank" in c else attention)(prefix + "self_attn.")
        norm(prefix + "post_attention_layernorm", hidden)
        if not sparse:
            mlp(prefix + "mlp.", c["intermediate_size"])
            return
        experts, width = c["n_routed_experts"], c["moe_intermediate_size"]
        for e in range(experts):
            mlp(f"{prefix}mlp.experts.{e}.", width)
        linear(prefix + "mlp.gate", experts, hidden, 2.0)
        if c["model_type"] == "deepseek_v3":
            # Wide enough to change which experts are chosen; some scores become negative.
            weights[prefix + "mlp.gate.e_score_correction_bias"] = 0.3 * normal(experts) - 0.2
        mlp(prefix + "mlp.shared_experts.", width * c["n_shared_experts"])

    embedding_scale = 1 / math.sqrt(hidden) if c["tie_word_embeddings"] else 1.0
    embedding = embedding_scale * normal(c["vocab_size"], hidden)
    weights["model.embed_tokens.weight"] = _exact_in_halves(embedding) if model.exact else embedding
    dense_layers = c.get("first_k_dense_replace", c["num_hidden_layers"])
    for i in range(c["num_hidden_layers"]):
        layer(i, sparse=i >= dense_layers)
    norm("model.norm", hidden)
    if not c["tie_word_embeddings"]:
        linear("lm_head", c["vocab_size"], hidden)
    for i in range(c.get("num_nextn_predict_layers", 0)):
        n = c["num_hidden_layers"] + i
        prefix = f"model.layers.{n}."
        layer(n, sparse=True)
        norm(prefix + "enorm", hidden)
        norm(prefix + "hnorm", hidden)
        linear(prefix + "eh_proj", hidden, 2 * hidden)
        weights[prefix + "embed_tokens.weight"] = weights["model.embed_tokens.weight"].clone()
        norm(prefix + "shared_head.norm", hidden)
        weights[prefix + "shared_head.head.weight"] = weights["lm_head.weight"].clone()
    return weights


def _fp8_blocks(w):
    """DeepSeek-V3's storage: E4M3 values and one F32 scale for each 128 x 128 block."""
    rows, cols = w.shape
    stored = torch.empty(rows, cols, dtype=torch.float8_e4m3fn)
    scales = torch.empty(-(-rows // 128), -(-cols // 128))
    value = torch.empty(rows, cols)
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            part = slice(128 * i, 128 * (i + 1)), slice(128 * j, 128 * (j + 1))
            scales[i, j] = w[part].abs().max() / 448
            stored[part] = (w[part] / scales[i, j]).to(torch.float8_e4m3fn)
            value[part] = stored[part].float() * scales[i, j]
    return stored, scales, value


def stored_tensors(model: TinyModel, weights: dict):
    """(what the file holds, the float32 values this stands for)"""
    plain = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16,
             "FP8": torch.bfloat16}[model.store]
    files, values = {}, {}
    for name, w in weights.items():
        if "e_score_correction_bias" in name:
            files[name], values[name] = w, w
            continue
        projection = name.endswith(("_proj.weight", "kv_a_proj_with_mqa.weight"))
        if model.store == "FP8" and projection:
            files[name], files[name + "_scale_inv"], values[name] = _fp8_blocks(w)
        else:
            files[name] = w.to(plain)
            values[name] = files[name].float()
    return files, values
