#include "plan/candidates.h"

#include <algorithm>
#include <array>

namespace fathom::plan {
namespace {

constexpr std::array kOffloaded{0.25, 0.5, 0.75, 0.9, 1.0};
constexpr int kMostStages = 8;

bool divides(int parts, int64_t whole) {
  return whole % parts == 0;
}

std::vector<int> powers_up_to(int most) {
  std::vector<int> powers;
  powers.reserve(8);
  for (int power = 1; power <= most; power *= 2) powers.push_back(power);
  if (powers.back() != most) powers.push_back(most);
  return powers;
}

}  // namespace

std::vector<Deployment> copies_of(const Question& question, const ModelFacts& model,
                                  const Hardware& hardware) {
  std::vector<Deployment> copies;
  copies.reserve(16);
  Deployment base{.model = model, .hardware = hardware};
  base.cache = question.cache;
  base.context = question.wishes.context;
  base.max_running = question.max_running;
  base.max_batch_tokens = std::max(base.max_batch_tokens, base.max_running);
  const auto add = [&](Deployment copy) {
    copies.push_back(copy);
    if (!model.config.is_moe() || hardware.host_memory_bytes <= 0) return;
    if (cache_tokens_that_fit(copy) >= static_cast<double>(copy.context)) return;
    for (const double share : kOffloaded) {
      copy.offloaded = share;
      copies.push_back(copy);
    }
  };
  if (hardware.fathom_runs_here) {
    add(base);
    return copies;
  }
  const int machine = std::max(hardware.devices, 1);
  for (const int tp : powers_up_to(machine)) {
    if (!divides(tp, model.config.heads)) continue;
    for (int pp = 1; pp <= kMostStages; pp *= 2) {
      if (pp > 1 && pp > model.config.layers) break;
      if (tp * pp > question.most_devices) break;
      const bool crosses = tp * pp > machine;
      if (pp > 1 && crosses && hardware.machine_link.bytes_per_second <= 0) break;
      if (tp > 1 && hardware.device_link.bytes_per_second <= 0) break;
      base.tp = tp;
      base.pp = pp;
      base.ep = 1;
      add(base);
      if (tp > 1 && model.config.is_moe() && divides(tp, model.config.moe.experts)) {
        base.ep = tp;
        add(base);
      }
    }
    if (!model.config.is_moe()) continue;
    // Experts over more devices than attention, also of several machines.
    base.tp = tp;
    base.pp = 1;
    for (int ep = 2 * tp; ep <= question.most_devices; ep *= 2) {
      if (!divides(ep, model.config.moe.experts)) break;
      const bool crosses = ep > machine;
      const Link& link = crosses ? hardware.machine_link : hardware.device_link;
      if (link.bytes_per_second <= 0) break;
      base.ep = ep;
      add(base);
    }
  }
  return copies;
}

int most_replicas(const Question& question, const Deployment& copy) {
  if (copy.hardware.measured) return 1;
  return std::max(question.most_devices / copy.devices(), 1);
}

}  // namespace fathom::plan
