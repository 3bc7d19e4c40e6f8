#include "compress/sites.h"

#include "layers/names.h"

namespace fathom {

namespace {

class SiteFinder {
 public:
  SiteFinder(const Checkpoint& checkpoint, int64_t layer)
      : checkpoint_(checkpoint), config_(checkpoint.config()), layer_(layer) {}

  std::vector<Site> find() {
    config_.is_mla() ? latent_attention() : grouped_attention();
    const bool sparse = config_.is_sparse_layer(layer_);
    sparse ? experts() : dense("mlp.", one_input({"mlp.gate_proj", "mlp.up_proj"}));
    return std::move(sites_);
  }

 private:
  const Tensor* weight(const std::string& name) const {
    return checkpoint_.find(layer_name(layer_, name));
  }
  void produced_by(Site& site, const std::string& name) const {
    if (const Tensor* tensor = weight(name)) site.producers.push_back(tensor);
  }

  // A site whose matrices all see the same tokens.
  Site one_input(std::initializer_list<const char*> matrices) const {
    Site site;
    for (const char* name : matrices) {
      const Tensor* tensor = weight(std::string(name) + ".weight");
      if (tensor == nullptr) continue;
      if (site.inputs.empty()) site.inputs.push_back(tensor->name);
      site.consumers.push_back({tensor, 0});
    }
    return site;
  }

  void grouped_attention() {
    Site in = one_input({"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"});
    produced_by(in, "input_layernorm.weight");
    sites_.push_back(std::move(in));
    Site out = one_input({"self_attn.o_proj"});
    produced_by(out, "self_attn.v_proj.weight");
    produced_by(out, "self_attn.v_proj.bias");
    out.heads_per_row = config_.heads / config_.kv_heads;
    out.head_dim = config_.head_dim;
    sites_.push_back(std::move(out));
  }

  void latent_attention() {
    Site in = one_input({"self_attn.q_a_proj", "self_attn.q_proj", "self_attn.kv_a_proj_with_mqa"});
    produced_by(in, "input_layernorm.weight");
    sites_.push_back(std::move(in));
    if (config_.mla.q_lora_rank > 0) {
      Site query = one_input({"self_attn.q_b_proj"});
      produced_by(query, "self_attn.q_a_layernorm.weight");
      sites_.push_back(std::move(query));
    }
    sites_.push_back(one_input({"self_attn.o_proj"}));
  }

  // The input of a feed-forward layer, then what its down_proj reads.
  void dense(const std::string& prefix, Site in) {
    produced_by(in, "post_attention_layernorm.weight");
    sites_.push_back(std::move(in));
    down(prefix);
  }

  void down(const std::string& prefix) {
    Site site = one_input({(prefix + "down_proj").c_str()});
    produced_by(site, prefix + "up_proj.weight");
    sites_.push_back(std::move(site));
  }

  void experts() {
    Site in;
    const auto add = [&](const std::string& prefix) {
      const Tensor* gate = weight(prefix + "gate_proj.weight");
      const Tensor* up = weight(prefix + "up_proj.weight");
      if (gate == nullptr || up == nullptr) return;
      in.consumers.push_back({gate, in.inputs.size()});
      in.consumers.push_back({up, in.inputs.size()});
      in.inputs.push_back(gate->name);
    };
    for (int64_t e = 0; e < config_.moe.experts; ++e) add(fmt::format("mlp.experts.{}.", e));
    if (config_.moe.shared_experts > 0) add("mlp.shared_experts.");
    if (const Tensor* router = weight("mlp.gate.weight")) in.exact.push_back(router);
    produced_by(in, "post_attention_layernorm.weight");
    sites_.push_back(std::move(in));
    for (int64_t e = 0; e < config_.moe.experts; ++e) down(fmt::format("mlp.experts.{}.", e));
    if (config_.moe.shared_experts > 0) down("mlp.shared_experts.");
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  int64_t layer_;
  std::vector<Site> sites_;
};

}  // namespace

int64_t Site::width() const {
  return consumers.front().weight->shape[1];
}

int64_t Site::producer_width() const {
  return width() / heads_per_row;
}

int64_t Site::producer_row(int64_t column) const {
  if (heads_per_row == 1) return column;
  const int64_t head = column / head_dim;
  return head / heads_per_row * head_dim + column % head_dim;
}

std::vector<Site> sites_of(const Checkpoint& checkpoint, int64_t layer) {
  return SiteFinder(checkpoint, layer).find();
}

}  // namespace fathom
