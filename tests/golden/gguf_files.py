"""GGUF files of the tiny checkpoints, with the names and metadata that llama.cpp's converter writes.

Layouts:
    f32, f16, bf16   the type of the matrices (norms, biases and routers are F32, as converted files
                     have them)
    split_file       F16, in two files NAME-00001-of-00002.gguf
    mla_whole        deepseek2 as converted before April 2025: attn_kv_b in one piece, key_length =
                     nope + rope, a KV head for each head, no *_mla keys
    mla_split        deepseek2 since then: attn_k_b (transposed) and attn_v_b, one KV head, key_length
                     = rank + rope, key_length_mla and value_length_mla
    mla_mtp          mla_split with the MTP layer as one more block and its own parts as nextn.*
                     (without copies of the embedding and the head, which are the main model's)

Llama's and DeepSeek-MoE's q and k rows are permuted from halves to interleaved pairs.
"""

import math

import gguf
import numpy as np
import torch

ARCH = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "deepseek": gguf.MODEL_ARCH.DEEPSEEK,
    "deepseek_v2": gguf.MODEL_ARCH.DEEPSEEK2,
    "deepseek_v3": gguf.MODEL_ARCH.DEEPSEEK2,
}


def _interleave(w, heads):
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def _llama3_factors(config):
    scaling = config["rope_scaling"]
    dim = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
    original = scaling["original_max_position_embeddings"]
    longest = original / scaling["low_freq_factor"]
    shortest = original / scaling["high_freq_factor"]
    factors = []
    for i in range(0, dim, 2):
        wavelength = 2 * math.pi * config["rope_theta"] ** (i / dim)
        if wavelength < shortest:
            factors.append(1.0)
        elif wavelength > longest:
            factors.append(scaling["factor"])
        else:
            smooth = (original / wavelength - scaling["low_freq_factor"]) / (
                scaling["high_freq_factor"] - scaling["low_freq_factor"])
            factors.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return np.array(factors, np.float32)


def metadata(w, c, name, layout):
    mla = "kv_lora_rank" in c
    whole = layout == "mla_whole"
    w.add_type("model")
    w.add_name(name)
    mtp = c["num_nextn_predict_layers"] if layout == "mla_mtp" else 0
    w.add_block_count(c["num_hidden_layers"] + mtp)
    if mtp:
        w.add_nextn_predict_layers(mtp)
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_head_count_kv(1 if mla and not whole else c["num_key_value_heads"])
    w.add_rope_freq_base(float(c["rope_theta"]))
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_file_type(gguf.LlamaFileType.ALL_F32 if layout == "f32"
                    else gguf.LlamaFileType.MOSTLY_BF16 if layout == "bf16"
                    else gguf.LlamaFileType.MOSTLY_F16)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    if c["model_type"] not in ("qwen2", "qwen3"):
        w.add_vocab_size(c["vocab_size"])
    if not mla and "head_dim" in c:
        w.add_key_length(c["head_dim"])
        w.add_value_length(c["head_dim"])
    if c["model_type"] in ("llama", "deepseek"):
        w.add_rope_dimension_count(
            c.get("head_dim", c["hidden_size"] // c["num_attention_heads"]))
    if "n_routed_experts" in c:
        w.add_expert_used_count(c["num_experts_per_tok"])
        w.add_leading_dense_block_count(c["first_k_dense_replace"])
        w.add_expert_feed_forward_length(c["moe_intermediate_size"])
        w.add_expert_count(c["n_routed_experts"])
        w.add_expert_shared_count(c["n_shared_experts"])
        w.add_expert_weights_scale(float(c.get("routed_scaling_factor", 1.0)))
        if mla and c["norm_topk_prob"]:
            w.add_expert_weights_norm(True)
        sigmoid = c["scoring_func"] == "sigmoid"
        if sigmoid or not whole:  # files older than V3 do not say
            w.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID if sigmoid
                                     else gguf.ExpertGatingFuncType.SOFTMAX)
        if c.get("n_group", 1) > 1:
            w.add_expert_group_count(c["n_group"])
            w.add_expert_group_used_count(c["topk_group"])
    if mla:
        if c["q_lora_rank"] is not None:
            w.add_q_lora_rank(c["q_lora_rank"])
        w.add_kv_lora_rank(c["kv_lora_rank"])
        key = c["qk_nope_head_dim"] + c["qk_rope_head_dim"]
        if whole:
            w.add_key_length(key)
            w.add_value_length(c["v_head_dim"])
        else:
            w.add_key_length(c["kv_lora_rank"] + c["qk_rope_head_dim"])
            w.add_value_length(c["kv_lora_rank"])
            w.add_key_length_mla(key)
            w.add_value_length_mla(c["v_head_dim"])
        w.add_rope_dimension_count(c["qk_rope_head_dim"])
    scaling = c.get("rope_scaling") or {}
    kind = scaling.get("type", scaling.get("rope_type"))
    if kind == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(scaling["factor"])
    elif kind == "yarn":
        assert scaling["mscale"] == scaling["mscale_all_dim"], "GGUF cannot say it"
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(scaling["factor"])
        w.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
        w.add_rope_scaling_yarn_log_mul(0.1 * scaling["mscale_all_dim"])
        if not whole:
            w.add_rope_scaling_yarn_beta_fast(scaling["beta_fast"])
            w.add_rope_scaling_yarn_beta_slow(scaling["beta_slow"])
    elif c["model_type"] == "deepseek":
        w.add_rope_scaling_type(gguf.RopeScalingType.NONE)


def _converted(c, weights, layout):
    """(name in Hugging Face's convention or a stacked one, array) in the order of the layers."""
    layers, experts = c["num_hidden_layers"], c.get("n_routed_experts", 0)
    for name, tensor in weights.items():
        layer = int(name.split(".")[2]) if name.startswith("model.layers.") else 0
        if layer >= layers and (layout != "mla_mtp" or "embed_tokens" in name or "head.head" in name):
            continue  # most converted files have no MTP layers
        if c["model_type"] in ("llama", "deepseek"):
            if ".q_proj." in name:
                tensor = _interleave(tensor, c["num_attention_heads"])
            if ".k_proj." in name:
                tensor = _interleave(tensor, c["num_key_value_heads"])
        if ".mlp.experts." in name:
            if ".mlp.experts.0." in name:
                parts = [weights[name.replace("experts.0.", f"experts.{e}.")]
                         for e in range(experts)]
                yield name.replace("experts.0.", "experts."), torch.stack(parts)
            continue
        if name.endswith("kv_b_proj.weight") and layout in ("mla_split", "mla_mtp"):
            heads, nope, v = c["num_attention_heads"], c["qk_nope_head_dim"], c["v_head_dim"]
            k_b, v_b = tensor.view(heads, nope + v, -1).split([nope, v], dim=1)
            yield name.replace("kv_b_proj", "k_b_proj"), k_b.transpose(1, 2)
            yield name.replace("kv_b_proj", "v_b_proj"), v_b
            continue
        yield name.replace("e_score_correction_bias", "e_score_correction.bias"), tensor


def nextn_name(name):
    """gguf-py knows these names for other architectures only."""
    _, _, layer, *rest = name.split(".")
    parts = {"eh_proj.weight": "eh_proj", "enorm.weight": "enorm", "hnorm.weight": "hnorm",
             "shared_head.norm.weight": "shared_head_norm"}
    return f"blk.{layer}.nextn.{parts['.'.join(rest)]}.weight"


def add_tensor(writer, name, array, matrix_type):
    if matrix_type == "f32" or array.ndim == 1 or "ffn_gate_inp" in name:
        writer.add_tensor(name, array)
    elif matrix_type == "bf16":
        kind = gguf.GGMLQuantizationType.BF16
        writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
    else:
        half = array.astype(np.float16)
        assert (half.astype(np.float32) == array).all(), name
        writer.add_tensor(name, half)


def write(path, name, config, weights, layout):
    arch = ARCH[config["model_type"]]
    tensors = list(_converted(config, weights, layout))
    split = -(-len(tensors) // 2) + 1 if layout == "split_file" else 0
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch], split_max_tensors=split)
    metadata(writer, config, name, layout)
    names = gguf.get_tensor_name_map(
        arch, config["num_hidden_layers"] + config.get("num_nextn_predict_layers", 0))
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", _llama3_factors(config))
    for hf_name, tensor in tensors:
        gguf_name = names.get_name(hf_name, try_suffixes=(".weight", ".bias")) or nextn_name(hf_name)
        assert gguf_name, hf_name
        array = np.ascontiguousarray(tensor.float().numpy())
        add_tensor(writer, gguf_name, array, layout if layout in ("f32", "bf16") else "f16")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
