#include "plan/closed_loop.h"

#include <algorithm>
#include <cmath>

namespace fathom::plan {

ClosedLoop::ClosedLoop(const StepTable& table, const ServerModel& server, const Demand& demand,
                       const ServiceState& state, double sessions)
    : table_(table), server_(server), prompt_(demand.computed.mean), sessions_(sessions) {
  decoding_ = std::max(demand.output.mean - 1, 0.0) * state.token;
  const double share = decoding_ / std::max(decoding_ + state.prefill, 1e-12);
  others_ = std::max((sessions - 1) * share, 1.0);
  alone_ = std::pow(1 - share, sessions - 1);
  for (double prompts = 1; prompts < sessions; prompts = std::ceil(prompts * 1.4)) {
    add_size(prompts);
  }
  add_size(sessions);
  fill_chances();
  fill_regular();
  // Any spread of lengths scatters those who would keep in step.
  chance_ = std::min(25 * (demand.output.variation + demand.computed.variation), 1.0);
}

double ClosedLoop::wait(double share) const {
  double below = 0;
  for (size_t n = 0; n < chances_.size(); ++n) {
    below += chances_[n];
    if (below < share) continue;
    const double within = n == 0 ? 0 : (share - below) / chances_[n] + 1;
    return mixed(wait_behind(static_cast<double>(n), within));
  }
  return mixed(wait_behind(static_cast<double>(chances_.size() - 1), 1));
}

double ClosedLoop::mean_wait() const {
  double sum = 0;
  for (size_t n = 1; n < chances_.size(); ++n) {
    sum += wait_behind(static_cast<double>(n), 0.5) * chances_[n];
  }
  return mixed(sum);
}

void ClosedLoop::add_size(double prompts) {
  sizes_.push_back(prompts);
  all_.push_back(seconds_of(prompts * prompt_, prompts));
}

// Of so many prompts that are there together.
double ClosedLoop::all_seconds(double prompts) const {
  const auto above = std::ranges::upper_bound(sizes_, prompts);
  const size_t high =
      std::min<size_t>(static_cast<size_t>(above - sizes_.begin()), sizes_.size() - 1);
  const size_t low = high == 0 ? 0 : high - 1;
  const double width = sizes_[high] - sizes_[low];
  const double share = width > 0 ? std::clamp((prompts - sizes_[low]) / width, 0.0, 1.0) : 0;
  return all_[low] + share * (all_[high] - all_[low]);
}

// With n before it, of the first of which `within` is left to compute.
double ClosedLoop::wait_behind(double n, double within) const {
  if (n < 1) return 0;
  const double before = std::max(n - 1 + within, 0.0);
  return std::max(all_seconds(before + 1) - all_seconds(1), 0.0);
}

void ClosedLoop::fill_chances() {
  const auto others = static_cast<size_t>(std::max(sessions_ - 1, 0.0));
  const double decoding = std::max(decoding_, 1e-9 * all_.front() + 1e-300);
  chances_.reserve(others + 1);
  chances_.push_back(1);
  double sum = 1;
  for (size_t n = 0; n < others; ++n) {
    const auto there = static_cast<double>(n + 1);
    const double each = all_seconds(there) / there;
    chances_.push_back(chances_.back() * static_cast<double>(others - n) * each / decoding);
    sum += chances_.back();
    if (sum < 1e200) continue;
    for (double& chance : chances_) chance /= sum;
    sum = 1;
  }
  for (double& chance : chances_) chance /= sum;
}

// Where all lengths are equal, each waits as long: those whose prompts fit into one step of an
// empty server for one another, and all of them for what decoding does not cover.
void ClosedLoop::fill_regular() {
  const double bunch =
      std::clamp(std::floor(table_.most_rows() / std::max(prompt_, 1.0)), 1.0, sessions_);
  regular_ = std::max(all_seconds(bunch) - all_.front(), 0.0);
  regular_ = std::max(regular_, all_.back() - decoding_ - all_.front());
}

double ClosedLoop::seconds_of(double rows, double prompts) const {
  const double idle = table_.whole_prompt(rows);
  if (sessions_ <= 1) return idle;
  const PrefillStep step = prefill_step(table_, server_, others_, prompts);
  const double full = std::max(std::ceil(rows / step.rows) - 1, 0.0);
  const double beside = full * step.seconds + table_.time(others_, rows - full * step.rows);
  return alone_ * idle + (1 - alone_) * beside;
}

}  // namespace fathom::plan
