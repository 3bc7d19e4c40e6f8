// Configurations of published models: what each model's own config.json says, as far as sizes
// depend on it; the context is what the model's page promises where that is less. Parameters and
// bytes are computed from these; what lies beside the language model (image encoders, image heads)
// is counted below from the layers that the published code makes.
#include <array>

#include "base/nearest.h"
#include "plan/model_facts.h"

namespace fathom::plan {
namespace {

struct CatalogueModel {
  std::string_view name;
  std::string_view title;
  std::string_view tier;
  std::string_view repository;  // on Hugging Face, whose config.json it is
  std::string_view released;
  std::string_view licence;
  std::string_view config;
  bool fp8 = false;             // published in FP8
  double extra_parameters = 0;  // beside the language model
  bool runs_here = true;
  // A file of its maker beside config.json that has the same dimensions; empty: none was read.
  std::string_view agrees_with = {};
};

// Of the makers' own program, which reads files like config.json with names of its own.
constexpr std::string_view kInference16b =
    "github.com/deepseek-ai/DeepSeek-V3 inference/configs/config_16B.json";
constexpr std::string_view kInference236b =
    "github.com/deepseek-ai/DeepSeek-V3 inference/configs/config_236B.json";
constexpr std::string_view kInference671b =
    "github.com/deepseek-ai/DeepSeek-V3 inference/configs/config_671B.json";
constexpr std::string_view kInferenceV31 =
    "github.com/deepseek-ai/DeepSeek-V3 inference/configs/config_v3.1.json";

constexpr std::string_view kDeepseekLicence = "DeepSeek Model License (commercial use allowed)";

constexpr std::string_view kV2Lite =
    R"({"architectures": ["DeepseekV2ForCausalLM"], "vocab_size": 102400,
  "hidden_size": 2048, "intermediate_size": 10944, "num_hidden_layers": 27, "num_attention_heads": 16,
  "max_position_embeddings": 32768, "tie_word_embeddings": false, "kv_lora_rank": 512, "q_lora_rank": null,
  "n_routed_experts": 64, "num_experts_per_tok": 6, "n_shared_experts": 2, "moe_intermediate_size": 1408,
  "first_k_dense_replace": 1, "topk_method": "greedy"})";
constexpr std::string_view kV2 =
    R"({"architectures": ["DeepseekV2ForCausalLM"], "vocab_size": 102400,
  "hidden_size": 5120, "intermediate_size": 12288, "num_hidden_layers": 60, "num_attention_heads": 128,
  "max_position_embeddings": 131072, "tie_word_embeddings": false, "kv_lora_rank": 512, "q_lora_rank": 1536,
  "n_routed_experts": 160, "num_experts_per_tok": 6, "n_shared_experts": 2, "moe_intermediate_size": 1536,
  "first_k_dense_replace": 1, "topk_method": "group_limited_greedy", "n_group": 8, "topk_group": 3,
  "routed_scaling_factor": 16.0})";
constexpr std::string_view kV3 =
    R"({"architectures": ["DeepseekV3ForCausalLM"], "vocab_size": 129280,
  "hidden_size": 7168, "intermediate_size": 18432, "num_hidden_layers": 61, "num_attention_heads": 128,
  "max_position_embeddings": 131072, "tie_word_embeddings": false, "kv_lora_rank": 512, "q_lora_rank": 1536,
  "n_routed_experts": 256, "num_experts_per_tok": 8, "n_shared_experts": 1, "moe_intermediate_size": 2048,
  "first_k_dense_replace": 3, "n_group": 8, "topk_group": 4, "num_nextn_predict_layers": 1})";
constexpr std::string_view kCoder = R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 32256,
  "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
  "num_key_value_heads": 32, "max_position_embeddings": 16384, "tie_word_embeddings": false})";
constexpr std::string_view kLlm7b = R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 102400,
  "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 30, "num_attention_heads": 32,
  "num_key_value_heads": 32, "max_position_embeddings": 4096, "tie_word_embeddings": false})";
constexpr std::string_view kLlm67b =
    R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 102400,
  "hidden_size": 8192, "intermediate_size": 22016, "num_hidden_layers": 95, "num_attention_heads": 64,
  "num_key_value_heads": 8, "max_position_embeddings": 4096, "tie_word_embeddings": false})";
constexpr std::string_view kQwen1b =
    R"({"architectures": ["Qwen2ForCausalLM"], "vocab_size": 151936,
  "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
  "num_key_value_heads": 2, "max_position_embeddings": 131072, "tie_word_embeddings": false})";
constexpr std::string_view kQwen7b =
    R"({"architectures": ["Qwen2ForCausalLM"], "vocab_size": 152064,
  "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
  "num_key_value_heads": 4, "max_position_embeddings": 131072, "tie_word_embeddings": false})";
constexpr std::string_view kQwen14b =
    R"({"architectures": ["Qwen2ForCausalLM"], "vocab_size": 152064,
  "hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 48, "num_attention_heads": 40,
  "num_key_value_heads": 8, "max_position_embeddings": 131072, "tie_word_embeddings": false})";
constexpr std::string_view kQwen32b =
    R"({"architectures": ["Qwen2ForCausalLM"], "vocab_size": 152064,
  "hidden_size": 5120, "intermediate_size": 27648, "num_hidden_layers": 64, "num_attention_heads": 40,
  "num_key_value_heads": 8, "max_position_embeddings": 131072, "tie_word_embeddings": false})";
constexpr std::string_view kLlama8b =
    R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 128256,
  "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
  "num_key_value_heads": 8, "max_position_embeddings": 131072, "tie_word_embeddings": false})";
constexpr std::string_view kLlama70b =
    R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 128256,
  "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
  "num_key_value_heads": 8, "max_position_embeddings": 131072, "tie_word_embeddings": false})";
constexpr std::string_view kQwen3 = R"({"architectures": ["Qwen3ForCausalLM"], "vocab_size": 151936,
  "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32,
  "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 131072,
  "tie_word_embeddings": false})";
constexpr std::string_view kJanus1b =
    R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 102400,
  "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24, "num_attention_heads": 16,
  "num_key_value_heads": 16, "max_position_embeddings": 4096, "tie_word_embeddings": false})";
constexpr std::string_view kJanus7b =
    R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 102400,
  "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 30, "num_attention_heads": 32,
  "num_key_value_heads": 32, "max_position_embeddings": 4096, "tie_word_embeddings": false})";
// Its language model has ordinary attention, which the first generation's architecture describes.
constexpr std::string_view kVl2Tiny =
    R"({"architectures": ["DeepseekForCausalLM"], "vocab_size": 129280,
  "hidden_size": 1280, "intermediate_size": 6848, "num_hidden_layers": 12, "num_attention_heads": 10,
  "num_key_value_heads": 10, "max_position_embeddings": 4096, "tie_word_embeddings": false,
  "n_routed_experts": 64, "num_experts_per_tok": 6, "n_shared_experts": 2, "moe_intermediate_size": 896,
  "first_k_dense_replace": 1})";
// As V2-Lite, with a shorter context.
constexpr std::string_view kVl2Small =
    R"({"architectures": ["DeepseekV2ForCausalLM"], "vocab_size": 102400,
  "hidden_size": 2048, "intermediate_size": 10944, "num_hidden_layers": 27, "num_attention_heads": 16,
  "max_position_embeddings": 4096, "tie_word_embeddings": false, "kv_lora_rank": 512, "q_lora_rank": null,
  "n_routed_experts": 64, "num_experts_per_tok": 6, "n_shared_experts": 2, "moe_intermediate_size": 1408,
  "first_k_dense_replace": 1, "topk_method": "greedy"})";
constexpr std::string_view kVl2Base =
    R"({"architectures": ["DeepseekV3ForCausalLM"], "vocab_size": 129280,
  "hidden_size": 2560, "intermediate_size": 12288, "num_hidden_layers": 30, "num_attention_heads": 32,
  "max_position_embeddings": 4096, "tie_word_embeddings": false, "kv_lora_rank": 512, "q_lora_rank": null,
  "n_routed_experts": 72, "num_experts_per_tok": 6, "n_shared_experts": 2, "moe_intermediate_size": 1536,
  "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1})";
constexpr std::string_view kSmol = R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 49152,
  "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
  "num_key_value_heads": 3, "max_position_embeddings": 8192, "tie_word_embeddings": true})";

// Of VL2 (github.com/deepseek-ai/DeepSeek-VL2, deepseek_vl2/models): SigLIP-SO400M/14 at 384 pixels
// with its pooling head (428,225,600), two linear layers 4608 -> hidden -> hidden, two vectors.
constexpr double kVl2TinyVision = 435'767'360;
constexpr double kVl2SmallVision = 441'865'280;
constexpr double kVl2Vision = 446'585'920;
// Of Janus-Pro (github.com/deepseek-ai/Janus, janus/models): SigLIP-L/16 at 384 pixels with its
// pooling head (316,283,904), the tokenizer of images VQ-16 (71,883,403), an embedding of its
// 16,384 codes of 8, two pairs of linear layers into the language model and one out of it to the
// codes.
constexpr double kJanusVision = 436'575'883;
constexpr double kJanus7bVision = 510'002'827;

constexpr std::array kModels{
    CatalogueModel{"smollm2-135m", "SmolLM2-135M-Instruct", "Nano",
                   "HuggingFaceTB/SmolLM2-135M-Instruct", "2024-11", "Apache-2.0", kSmol},
    CatalogueModel{"r1-distill-qwen-1.5b", "DeepSeek-R1-Distill-Qwen-1.5B", "Lite",
                   "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "2025-01", "MIT", kQwen1b},
    CatalogueModel{"r1-distill-qwen-7b", "DeepSeek-R1-Distill-Qwen-7B", "Lite",
                   "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "2025-01", "MIT", kQwen7b},
    CatalogueModel{"r1-distill-qwen-14b", "DeepSeek-R1-Distill-Qwen-14B", "Lite",
                   "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", "2025-01", "MIT", kQwen14b},
    CatalogueModel{"r1-distill-qwen-32b", "DeepSeek-R1-Distill-Qwen-32B", "Lite",
                   "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", "2025-01", "MIT", kQwen32b},
    CatalogueModel{"r1-distill-llama-8b", "DeepSeek-R1-Distill-Llama-8B", "Lite",
                   "deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "2025-01",
                   "MIT, on weights under the Llama 3.1 Community License", kLlama8b},
    CatalogueModel{"r1-distill-llama-70b", "DeepSeek-R1-Distill-Llama-70B", "Lite",
                   "deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "2025-01",
                   "MIT, on weights under the Llama 3.3 Community License", kLlama70b},
    CatalogueModel{"r1-0528-qwen3-8b", "DeepSeek-R1-0528-Qwen3-8B", "Lite",
                   "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", "2025-05", "MIT", kQwen3},
    CatalogueModel{"coder-6.7b", "DeepSeek-Coder-6.7B-Instruct", "Lite",
                   "deepseek-ai/deepseek-coder-6.7b-instruct", "2023-11", kDeepseekLicence, kCoder},
    CatalogueModel{"llm-7b", "DeepSeek-LLM-7B-Chat", "Lite", "deepseek-ai/deepseek-llm-7b-chat",
                   "2023-11", kDeepseekLicence, kLlm7b},
    CatalogueModel{"llm-67b", "DeepSeek-LLM-67B-Chat", "Lite", "deepseek-ai/deepseek-llm-67b-chat",
                   "2023-11", kDeepseekLicence, kLlm67b},
    CatalogueModel{"v2-lite", "DeepSeek-V2-Lite-Chat", "V1", "deepseek-ai/DeepSeek-V2-Lite-Chat",
                   "2024-05", kDeepseekLicence, kV2Lite, false, 0, true, kInference16b},
    CatalogueModel{"v2", "DeepSeek-V2-Chat", "V1", "deepseek-ai/DeepSeek-V2-Chat", "2024-05",
                   kDeepseekLicence, kV2, false, 0, true, kInference236b},
    CatalogueModel{"v3", "DeepSeek-V3", "V1", "deepseek-ai/DeepSeek-V3", "2024-12",
                   kDeepseekLicence, kV3, true, 0, true, kInference671b},
    CatalogueModel{"r1", "DeepSeek-R1", "V1", "deepseek-ai/DeepSeek-R1", "2025-01", "MIT", kV3,
                   true, 0, true, kInference671b},
    CatalogueModel{"v3.1", "DeepSeek-V3.1", "V1", "deepseek-ai/DeepSeek-V3.1", "2025-08", "MIT",
                   kV3, true, 0, true, kInferenceV31},
    CatalogueModel{"janus-pro-1b", "Janus-Pro-1B", "Pro", "deepseek-ai/Janus-Pro-1B", "2025-01",
                   kDeepseekLicence, kJanus1b, false, kJanusVision, false},
    CatalogueModel{"janus-pro-7b", "Janus-Pro-7B", "Pro", "deepseek-ai/Janus-Pro-7B", "2025-01",
                   kDeepseekLicence, kJanus7b, false, kJanus7bVision, false},
    CatalogueModel{"vl2-tiny", "DeepSeek-VL2-Tiny", "Pro", "deepseek-ai/deepseek-vl2-tiny",
                   "2024-12", kDeepseekLicence, kVl2Tiny, false, kVl2TinyVision, false},
    CatalogueModel{"vl2-small", "DeepSeek-VL2-Small", "Pro", "deepseek-ai/deepseek-vl2-small",
                   "2024-12", kDeepseekLicence, kVl2Small, false, kVl2SmallVision, false},
    CatalogueModel{"vl2", "DeepSeek-VL2", "Pro", "deepseek-ai/deepseek-vl2", "2024-12",
                   kDeepseekLicence, kVl2Base, false, kVl2Vision, false},
};

Result<const CatalogueModel*> find(std::string_view name) {
  for (const CatalogueModel& model : kModels) {
    if (model.name == name) return &model;
  }
  const auto nearest = nearest_names(name, catalogue_models(), 3);
  return usage_error("The catalogue has no model \"{}\". The nearest are {}, {} and {}.", name,
                     nearest[0], nearest[1], nearest[2]);
}

}  // namespace

const std::vector<std::string>& catalogue_models() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> made;
    made.reserve(kModels.size());
    for (const CatalogueModel& model : kModels) made.emplace_back(model.name);
    return made;
  }();
  return names;
}

std::vector<std::string> precisions_of(std::string_view catalogue_name) {
  std::vector<std::string> had{"q4_0", "q8_0", "bf16"};
  const auto model = find(catalogue_name);
  if (model && (*model)->fp8) had.emplace_back("fp8");
  return had;
}

Result<ModelFacts> catalogue_facts(std::string_view name, std::string_view precision) {
  FATHOM_TRY(const CatalogueModel* model, find(name));
  if (precision == "fp8" && !model->fp8) {
    return usage_error("{} was not published in FP8; it can be had in q4_0, q8_0 and bf16.",
                       model->title);
  }
  FATHOM_TRY(ModelFacts facts, facts_of_config(model->config, model->name, precision));
  facts.title = model->title;
  facts.tier = model->tier;
  facts.released = model->released;
  facts.licence = model->licence;
  facts.repository = model->repository;
  facts.published = model->fp8 ? "fp8" : "bf16";
  facts.source = fmt::format("computed from huggingface.co/{} config.json", model->repository);
  if (!model->agrees_with.empty()) {
    facts.source += fmt::format(", with which {} agrees", model->agrees_with);
  }
  facts.runs_here = model->runs_here;
  if (model->extra_parameters > 0) {
    // Encoders of images stay in 16 bits, whatever the language model is.
    facts.extra_bytes = 2 * model->extra_parameters;
    facts.parameters += static_cast<int64_t>(model->extra_parameters);
    facts.file_bytes += static_cast<int64_t>(facts.extra_bytes);
    facts.modalities = {"text", "image"};
    facts.source +=
        "; what is beside the language model counted from the layers of its published code";
  }
  return facts;
}

}  // namespace fathom::plan
