"""Reference logits of DeepSeek-V3's multi-token prediction (MTP) layer, in float32.

transformers leaves MTP layers out, so the layer is put together here from transformers' own V3
modules, as the technical report has it (DeepSeek-AI 2024, section 2.2, equations 21 to 23) and as
the checkpoints name its parts:

    h'_i  = eh_proj [enorm(Emb(t_{i+1})) ; hnorm(h_i)]
    h^1_i = DecoderLayer(h')_i                             (a causal layer over all i)
    P(t_{i+2}) = softmax(Head(shared_head.norm(h^1_i)))

Two things the report leaves open are taken from DeepSeek's published modelling code and from the
engines that run the layer: the halves of eh_proj are in this order, and h_i is the main model's
output after its final norm. Embedding and head are the main model's. The row for t_{i+1} has the
rotary position i.
"""

import torch
from safetensors.torch import load_file
from torch import nn
from transformers.models.deepseek_v3 import modeling_deepseek_v3 as v3

import golden_file
import reference


class MtpLayer(nn.Module):
    def __init__(self, model, weights):
        super().__init__()
        config = self.config = model.config
        self.main = model
        hidden = config.hidden_size
        self.enorm = v3.DeepseekV3RMSNorm(hidden, config.rms_norm_eps)
        self.hnorm = v3.DeepseekV3RMSNorm(hidden, config.rms_norm_eps)
        self.norm = v3.DeepseekV3RMSNorm(hidden, config.rms_norm_eps)
        self.eh_proj = nn.Linear(2 * hidden, hidden, bias=False)
        self.block = v3.DeepseekV3DecoderLayer(config, config.num_hidden_layers)
        prefix = f"model.layers.{config.num_hidden_layers}."
        own = {k.removeprefix(prefix): w.float() for k, w in weights.items() if k.startswith(prefix)}
        with torch.no_grad():
            self.enorm.weight.copy_(own.pop("enorm.weight"))
            self.hnorm.weight.copy_(own.pop("hnorm.weight"))
            self.norm.weight.copy_(own.pop("shared_head.norm.weight"))
            self.eh_proj.weight.copy_(own.pop("eh_proj.weight"))
        assert (own.pop("embed_tokens.weight") == model.get_input_embeddings().weight).all()
        assert (own.pop("shared_head.head.weight") == model.lm_head.weight).all()
        reference._load_moe(self.block.mlp, own, "mlp.")
        own = {k: w for k, w in own.items() if ".experts." not in k}
        missing, unexpected = self.block.load_state_dict(own, strict=False)
        assert not unexpected, unexpected
        assert all(".experts." in k for k in missing), missing

    @torch.no_grad()
    def forward(self, tokens):
        """Row i: logits of token i + 2, from the tokens up to i + 1."""
        ids = torch.tensor([tokens])
        previous = self.main.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        embedded = self.main.get_input_embeddings()(ids[:, 1:])
        joined = torch.cat([self.enorm(embedded), self.hnorm(previous)], dim=-1)
        x = self.eh_proj(joined)
        rows = x.shape[1]
        positions = torch.arange(rows)[None]
        mask = torch.full((rows, rows), float("-inf")).triu(1)[None, None]
        x = self.block(
            x,
            attention_mask=mask,
            position_ids=positions,
            position_embeddings=self.main.model.rotary_emb(x, positions),
        )
        x = x[0] if isinstance(x, tuple) else x
        return self.main.lm_head(self.norm(x))[0].float()


def make(directory, config, seed=5):
    """Writes directory/mtp.golden from the checkpoint that is there."""
    weights = load_file(directory / "model.safetensors")
    layer = MtpLayer(reference.load(config, weights), weights).eval()
    answers = []
    for tokens in golden_file.random_prompts(config["vocab_size"], seed, (2, 7, 33, 90)):
        answers.append((tokens, list(range(len(tokens) - 1)), layer(tokens).numpy()))
    golden_file.write(directory / "mtp.golden", config["vocab_size"], answers)
    return answers[-1][2].std()
