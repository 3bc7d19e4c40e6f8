"""Reference logits: Hugging Face transformers in float32 on the CPU with eager attention.

Where transformers has no model, or its port does not do what DeepSeek's own modelling file does,
the reference is put together here from transformers' modules:

* deepseek_moe ("DeepseekForCausalLM", deepseek-moe-16b) is not in transformers. It is a Llama
  (LlamaForCausalLM: same attention, norms and rotary embedding) whose sparse layers have
  transformers' DeepseekV2Moe as their feed-forward: softmax over the router's logits, the top k
  without groups, gates not scaled, plus the shared experts. DeepSeek's file divides the gates by
  their sum (+ 1e-20) where norm_topk_prob is true, which DeepseekV2TopkRouter never does, so
  NormalizedRouter does it here.

* deepseek_v2: transformers' port was compared with DeepSeek's modeling_deepseek.py (the interleaved
  rotary pairs; YaRN's ramp; cos and sin scaled by mscale(mscale) / mscale(mscale_all_dim); softmax
  scale times mscale(mscale_all_dim) squared; group-limited selection by each group's best expert).
  They agree but for norm_topk_prob = true, which the port ignores. DeepSeek's file then normalises
  *instead of* multiplying by routed_scaling_factor, as NormalizedRouter does.

* deepseek_v3: transformers' port agrees with DeepSeek's current modelling file, which masks the
  experts of unchosen groups with -inf (its first version used 0).
"""

import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModelForCausalLM, DeepseekV2Config, LlamaConfig, LlamaForCausalLM
from transformers.models.deepseek_v2 import modeling_deepseek_v2 as v2


class NormalizedRouter(v2.DeepseekV2TopkRouter):
    def forward(self, hidden_states):
        logits, weights, indices = super().forward(hidden_states)
        weights = weights / self.routed_scaling_factor
        return logits, weights / (weights.sum(dim=-1, keepdim=True) + 1e-20), indices


def _load_moe(module, weights, prefix):
    """Real checkpoints have a tensor for each expert; transformers' modules stack them."""

    def expert(i, name):
        return weights[f"{prefix}experts.{i}.{name}_proj.weight"]

    n = module.experts.num_experts
    with torch.no_grad():
        module.experts.gate_up_proj.copy_(
            torch.stack([torch.cat([expert(i, "gate"), expert(i, "up")]) for i in range(n)])
        )
        module.experts.down_proj.copy_(torch.stack([expert(i, "down") for i in range(n)]))
        module.gate.weight.copy_(weights[f"{prefix}gate.weight"])
        for name in ("gate", "up", "down"):
            getattr(module.shared_experts, f"{name}_proj").weight.copy_(
                weights[f"{prefix}shared_experts.{name}_proj.weight"]
            )


def _deepseek_moe(config, weights):
    same = (
        "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads "
        "num_key_value_heads max_position_embeddings rms_norm_eps rope_theta tie_word_embeddings "
        "attention_bias"
    ).split()
    model = LlamaForCausalLM(
        LlamaConfig(**{k: config[k] for k in same}, attn_implementation="eager")
    )
    moe_config = DeepseekV2Config(
        **{k: config[k] for k in ("hidden_size", "moe_intermediate_size", "n_routed_experts",
                                  "n_shared_experts", "num_experts_per_tok")},
        topk_method="greedy", routed_scaling_factor=1.0, num_attention_heads=4,
        experts_implementation="eager",
    )
    for i, layer in enumerate(model.model.layers):
        if i >= config["first_k_dense_replace"] and i % config["moe_layer_freq"] == 0:
            layer.mlp = v2.DeepseekV2Moe(moe_config)
            if config["norm_topk_prob"]:
                layer.mlp.gate = NormalizedRouter(moe_config)
            _load_moe(layer.mlp, weights, f"model.layers.{i}.mlp.")
    own = {k: v for k, v in weights.items() if ".experts." not in k}
    missing, unexpected = model.load_state_dict(own, strict=False)
    assert not unexpected, unexpected
    assert all(".experts." in k for k in missing), missing
    return model


def load(config, weights):
    """config: as in config.json; weights: real checkpoints' names, float32."""
    weights = {k: v.float() for k, v in weights.items()}
    if config["model_type"] == "deepseek":
        return _deepseek_moe(config, weights).eval()
    with tempfile.TemporaryDirectory() as directory:
        plain = {k: v for k, v in config.items() if k != "quantization_config"}
        Path(directory, "config.json").write_text(json.dumps(plain))
        save_file(weights, Path(directory, "model.safetensors"), {"format": "pt"})
        model, report = AutoModelForCausalLM.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager",
            experts_implementation="eager", output_loading_info=True,
        )
    mtp = tuple(
        f"model.layers.{config['num_hidden_layers'] + i}."
        for i in range(config.get("num_nextn_predict_layers", 0))
    )
    assert not [k for k in report["missing_keys"] if "mtp" not in k], report
    assert not [k for k in report["unexpected_keys"] if not k.startswith(mtp or "-")], report
    assert not report["mismatched_keys"], report
    if config["model_type"] == "deepseek_v2" and config["norm_topk_prob"]:
        for layer in model.model.layers:
            if isinstance(layer.mlp, v2.DeepseekV2Moe):
                router = NormalizedRouter(model.config)
                router.load_state_dict(layer.mlp.gate.state_dict())
                layer.mlp.gate = router
    return model.eval()


@torch.no_grad()
def logits(model, tokens):
    return model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0].float()


@torch.no_grad()
def sensitivity(model, tokens, noise=1e-5, tries=3):
    """How far logits move when the embeddings move by `noise` (relative): large where the choice of
    an expert hangs on rounding, which makes a prompt useless as a golden."""
    embedded = model.get_input_embeddings()(torch.tensor([tokens]))
    want = model(inputs_embeds=embedded, use_cache=False).logits
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for _ in range(tries):
        shaken = embedded * (1 + noise * torch.randn(embedded.shape, generator=generator))
        got = model(inputs_embeds=shaken, use_cache=False).logits
        worst = max(worst, (got - want).abs().max().item())
    return worst
