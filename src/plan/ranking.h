// Which deployments serve a workload as wished, best first. Candidates are all models and
// precisions on all kinds of hardware, over the ways to divide a copy among devices; each is
// estimated by the closed formula, those that cannot do are ruled out with the constraint that
// binds and by how much, the rest are ranked, and the first few simulated. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plan/cost.h"
#include "plan/demand.h"
#include "plan/deployment.h"
#include "plan/prediction.h"
#include "plan/quality.h"
#include "plan/simulation.h"
#include "plan/workload.h"

namespace fathom::plan {

enum class RankBy {
  kCost,     // US dollars per million requests; unknown costs last, by latency
  kLatency,  // time to the first token and of the whole answer
  kQuality,  // score, then cost; unknown scores last
};
std::string_view name(RankBy by);
// Nothing for a name that is none of cost, latency and quality.
std::optional<RankBy> find_rank_by(std::string_view name);

struct Question {
  std::vector<ModelFacts> models;  // each at each precision to consider
  std::vector<Hardware> hardware;
  Workload workload;
  Wishes wishes;
  RankBy by = RankBy::kCost;
  std::vector<MeasuredQuality> qualities;
  std::string quality_task = {};  // of these, the task that counts; empty: task_of() chooses
  Prices prices;
  CacheType cache = CacheType::kF16;
  int64_t max_running = 256;
  int most_devices = 64;  // of all copies together
  size_t simulated = 5;   // so many of the best are simulated
  SimulationOptions simulation;
};

struct Ranked {
  Deployment deployment;
  Prediction prediction;
  std::optional<Quality> quality;
  bool cost_known = false;
  bool rented = false;
  int64_t kv_memory_bytes = 0;            // of one server, what the command gives the cache
  double most_requests_per_second = 0;    // that all copies keep up with, estimated
  std::string command = {};               // commands.h: fathom serve ..., or empty
  std::vector<std::string> prepare = {};  // what must be done before it
};

struct RuledOut {
  Deployment deployment;   // the one of this model, precision and hardware that came nearest
  std::string constraint;  // "memory", "load", "ttft", "itl", "budget", "quality", "context", ...
  std::string reason;      // with the numbers
  double excess = 0;  // how far over the limit, as a share of it; infinite where no number tells
};

struct Ranking {
  std::vector<Ranked> deployments;  // all that meet the wishes; the simulated ones first
  std::vector<RuledOut> ruled_out;  // the nearest miss first
  int64_t candidates = 0;           // that were estimated
  std::string quality_task = {};    // measured scores are of; empty: none were measured
};

// Fails (kUsage) where the workload or the wishes make no sense, or there is nothing to choose
// from.
Result<Ranking> rank(const Question& question);

// "h100-80gb x 8 (tp 8)"; for tables and messages.
std::string placement_text(const Deployment& deployment);

}  // namespace fathom::plan
