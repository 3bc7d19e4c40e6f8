#include "plan/deployment.h"

#include <algorithm>
#include <cmath>

namespace fathom::plan {
namespace {

constexpr double kFloatBytes = 4;
// Between devices activations travel in 16 bits.
constexpr double kSentBytes = 2;
constexpr double kUsable = 0.95;
// Of a process beside weights, cache and activations, where none was measured.
constexpr double kProgramBytes = 100e6;
constexpr double kGpuProgramBytes = 600e6;  // an accelerator's context and libraries
// Of each token of a vocabulary, in the tokenizer: measured of eight (docs/planning.md).
constexpr double kTokenBytes = 315;

double d(int64_t n) {
  return static_cast<double>(n);
}

// Floats of a row that the engine's workspace holds at once: the residual stream with its norm and
// update, and the widest of attention and feed-forward.
double workspace_floats(const ModelConfig& config) {
  double attention =
      2 * d(config.heads * config.head_dim) + 2 * d(config.kv_heads * config.head_dim);
  if (config.is_mla()) {
    const MlaConfig& mla = config.mla;
    const int64_t key = mla.kv_lora_rank + mla.rope_head_dim;
    attention = d(config.heads * config.head_dim + key +
                  config.heads * (key + mla.kv_lora_rank + mla.v_head_dim));
  }
  double feed_forward = 2 * d(config.intermediate_size);
  if (config.is_moe()) {
    const MoeConfig& moe = config.moe;
    const double routed = d(moe.experts_per_token * (2 * moe.expert_hidden + config.hidden_size));
    const double shared = 2 * d(moe.shared_experts * moe.expert_hidden);
    feed_forward = std::max(feed_forward, routed + shared);
  }
  return 3 * d(config.hidden_size) + std::max(attention, feed_forward);
}

double cache_share(const Deployment& deployment) {
  // The latent is one for all heads, so every device of a stage has all of it.
  const double split = deployment.model.config.is_mla()
                           ? 1
                           : std::min(d(deployment.tp), d(deployment.model.config.kv_heads));
  return 1 / (split * d(deployment.pp));
}

double program_bytes(const Hardware& hardware) {
  if (hardware.costs != nullptr) return hardware.costs->program_bytes;
  return hardware.kind == "gpu" ? kGpuProgramBytes : kProgramBytes;
}

double divide(double amount, double per_second) {
  return per_second > 0 ? amount / per_second : 0;
}

// A ring's all-reduce of `bytes` among n: 2 (n - 1) / n of them go through each link, in 2 (n - 1)
// steps (Thakur, Rabenseifner and Gropp 2005).
double all_reduce(const Link& link, double n, double bytes) {
  return 2 * (n - 1) * link.latency_seconds +
         divide(2 * (n - 1) / n * bytes, link.bytes_per_second);
}

// Each of n devices sends 1 / n of its `bytes` to each, all at a time: to those of its machine
// through one link and to the others through another, at the same time.
double all_to_all(const Hardware& hardware, double n, double bytes) {
  const double near = std::min(n, d(std::max(hardware.devices, 1)));
  const double inside = divide((near - 1) / n * bytes, hardware.device_link.bytes_per_second);
  const double outside = divide((n - near) / n * bytes, hardware.machine_link.bytes_per_second);
  const Link& slower = n > near ? hardware.machine_link : hardware.device_link;
  return slower.latency_seconds + std::max(inside, outside);
}

// Of all experts, what a device has of them.
double expert_share(const Deployment& deployment) {
  if (deployment.ep <= 1) return 1 / d(deployment.tp);
  const double experts = d(std::max<int64_t>(deployment.model.config.moe.experts, 1));
  return std::ceil(experts / d(deployment.ep)) / experts;
}

}  // namespace

std::string_view name(Bound bound) {
  switch (bound) {
    case Bound::kMemory:
      return "memory bandwidth";
    case Bound::kCompute:
      return "arithmetic";
    case Bound::kLink:
      return "links";
    case Bound::kHost:
      return "host link";
    case Bound::kOverhead:
      return "overhead";
  }
  return "";
}

MemoryUse memory_of(const Deployment& deployment, double cached_tokens) {
  const ModelFacts& model = deployment.model;
  const double split = d(deployment.tp) * d(deployment.pp);
  const double embedding = model.embedding_row_bytes * d(model.config.vocab_size);
  const double head = model.config.tied_embeddings ? 0 : model.head.bytes;
  // The first stage has the embedding and the last one the head.
  const double ends = deployment.pp > 1 ? std::max(embedding, head) : embedding + head;
  const double experts = model.experts.bytes * expert_share(deployment) / d(deployment.pp);
  MemoryUse use;
  use.weights = model.dense.bytes / split + ends / d(deployment.tp) +
                experts * (1 - deployment.offloaded) + model.extra_bytes;
  use.host = experts * deployment.offloaded;
  use.cache =
      cached_tokens * d(model.cache_bytes_per_token(deployment.cache)) * cache_share(deployment);
  const double logits = std::min(d(deployment.max_running), d(deployment.max_batch_tokens));
  use.activations = kFloatBytes *
                    (d(deployment.max_batch_tokens) * workspace_floats(model.config) +
                     logits * d(model.config.vocab_size)) /
                    d(deployment.tp);
  use.program = program_bytes(deployment.hardware) + tokenizer_bytes(model);
  return use;
}

double tokenizer_bytes(const ModelFacts& model) {
  return kTokenBytes * d(model.config.vocab_size);
}

double usable_bytes(const Hardware& hardware) {
  return kUsable * d(hardware.memory_bytes);
}

double cache_tokens_that_fit(const Deployment& deployment) {
  const MemoryUse use = memory_of(deployment, 0);
  const double free = usable_bytes(deployment.hardware) - use.total();
  if (free < 0) return free;
  return free /
         (d(deployment.model.cache_bytes_per_token(deployment.cache)) * cache_share(deployment));
}

StepTimer::StepTimer(const Deployment& deployment)
    : counter_(deployment.model, deployment.cache),
      hardware_(deployment.hardware),
      tp_(deployment.tp),
      pp_(deployment.pp),
      ep_(deployment.model.config.is_moe() ? deployment.ep : 1),
      dp_(deployment.dp()),
      offloaded_(deployment.offloaded),
      experts_(deployment.model.experts),
      experts_count_(d(deployment.model.config.moe.experts)),
      layers_(d(deployment.model.config.layers)),
      sparse_layers_(d(deployment.model.sparse_layers())),
      hidden_(d(deployment.model.config.hidden_size)),
      vocab_(d(deployment.model.config.vocab_size)),
      // A micro-batch goes through all stages, each with its own layers' cache.
      cache_share_(cache_share(deployment) * pp_) {
  const Ceilings& ceilings = hardware_.ceilings;
  const bool fp8 = deployment.model.precision == "fp8" && ceilings.fp8_ops_per_second > 0;
  float_ops_ = fp8 ? ceilings.fp8_ops_per_second : ceilings.float_ops_per_second;
  // Accelerators decode 4- and 8-bit weights to multiply them in 16 bits; processors quantise
  // activations and multiply integers.
  const bool integers = hardware_.kind != "gpu" && ceilings.int8_ops_per_second > 0;
  code_ops_ = integers ? ceilings.int8_ops_per_second : ceilings.float_ops_per_second;
  if (ep_ > 1) {
    load_ = ExpertLoad(experts_count_, d(deployment.model.experts_per_token()), deployment.ep);
  }
}

double StepTimer::link_seconds(double rows, double most_choices) const {
  const double bytes = rows * hidden_ * kSentBytes;
  double seconds = 0;
  if (tp_ > 1) {
    const Link& link = tp_ > hardware_.devices ? hardware_.machine_link : hardware_.device_link;
    // One all-reduce after attention and one after the feed-forward layer. Where experts are whole
    // on a device, the second of a sparse layer is what gathers rows that were shared out for them.
    const double routed = ep_ > 1 ? sparse_layers_ : 0;
    seconds += (2 * layers_ - routed) * all_reduce(link, tp_, bytes);
  }
  if (ep_ > 1) {
    // Each row goes to its experts and comes back.
    const double sent = most_choices * hidden_ * kSentBytes;
    seconds += 2 * sparse_layers_ * all_to_all(hardware_, ep_, sent);
  }
  if (pp_ > 1) {
    const Link& link =
        tp_ * pp_ > hardware_.devices ? hardware_.machine_link : hardware_.device_link;
    seconds += pp_ * (link.latency_seconds + divide(bytes / tp_, link.bytes_per_second));
  }
  return seconds;
}

StepTime StepTimer::time(const StepWork& work) const {
  StepWork each = work;
  each.decode_rows /= pp_;
  each.prompt_rows /= pp_;
  each.prompts = std::max(1.0, work.prompts / pp_);
  each.logits /= pp_;
  const UnitCounter::Count count = counter_.count(each);
  const Ceilings& ceilings = hardware_.ceilings;
  const double rows = each.decode_rows + each.prompt_rows;
  double expert_bytes = count.expert_bytes / tp_;
  double expert_code_ops = count.expert_code_ops / tp_;
  double expert_float_ops = count.expert_float_ops / tp_;
  ExpertLoad::Most most;
  if (ep_ > 1) {
    // Whole experts: all wait for the device with the most to do.
    most = load_.most(rows * dp_);
    expert_bytes = experts_.bytes * most.experts / experts_count_;
    expert_code_ops = 2 * most.choices * experts_.int8_elements / experts_count_;
    expert_float_ops = 2 * most.choices * experts_.float_elements / experts_count_;
  }
  const double host_bytes = expert_bytes * offloaded_;
  const double bytes = (count.weight_bytes - count.expert_bytes) / tp_ + expert_bytes - host_bytes +
                       count.cache_bytes * cache_share_;
  const double code_ops = (count.code_ops - count.expert_code_ops) / tp_ + expert_code_ops;
  const double float_ops = (count.float_ops - count.expert_float_ops) / tp_ + expert_float_ops;

  StepTime time;
  time.memory = divide(bytes, ceilings.read_bytes_per_second);
  time.compute = divide(code_ops, code_ops_) + divide(float_ops, float_ops_) +
                 divide(count.attention_ops / tp_, ceilings.float_ops_per_second);
  time.link = link_seconds(rows, most.choices);
  if (host_bytes > 0) {
    time.host = layers_ * hardware_.host_link.latency_seconds +
                divide(host_bytes, hardware_.host_link.bytes_per_second);
  }
  if (hardware_.costs != nullptr) {
    const StepCosts& costs = *hardware_.costs;
    const UnitCounts& units = count.units;
    for (const size_t unit : {Unit::kStep, Unit::kLayer, Unit::kRowLayer, Unit::kRowWidth,
                              Unit::kExpert, Unit::kExpertRow}) {
      time.overhead += units[unit] * costs.seconds[unit];
    }
    time.model = costs.seconds_of(units) / tp_ + time.link + time.host;
    const double serving =
        costs.serve_step_seconds +
        (costs.serve_logit_seconds * vocab_ + costs.serve_token_seconds) * work.logits;
    time.overhead += serving;
    time.seconds = time.model + serving;
  } else {
    const Efficiency& efficiency = hardware_.efficiency;
    time.memory /= efficiency.memory;
    time.compute /= efficiency.compute;
    time.overhead = efficiency.step_seconds;
    time.model = std::max(time.memory, time.compute) + time.link + time.host;
    time.seconds = time.model + time.overhead;
  }
  fill_bound(time);
  return time;
}

void StepTimer::fill_bound(StepTime& time) const {
  double most = time.memory;
  const auto consider = [&](double seconds, Bound bound) {
    if (seconds <= most) return;
    most = seconds;
    time.bound = bound;
  };
  consider(time.compute, Bound::kCompute);
  consider(time.link, Bound::kLink);
  consider(time.host, Bound::kHost);
  consider(time.overhead, Bound::kOverhead);
}

double StepTimer::watts(const StepTime& time) const {
  const double busy =
      time.seconds > 0 ? std::min(1.0, std::max(time.memory, time.compute) / time.seconds) : 0;
  return tp_ * pp_ * (hardware_.idle_watts + (hardware_.busy_watts - hardware_.idle_watts) * busy);
}

}  // namespace fathom::plan
