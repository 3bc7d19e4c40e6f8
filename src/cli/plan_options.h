// The flags of fathom plan, and what they ask.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/eval_results.h"
#include "plan/ranking.h"

namespace CLI {
class App;
}

namespace fathom::cli {

struct PlanFlags {
  // As flags fill it in; plan_question() adds what they name.
  plan::Question question;
  std::vector<std::string> models;  // catalogue names, checkpoints, or folders with a config.json
  std::vector<std::string> precisions;
  std::vector<std::string> hardware;
  std::string hardware_file;

  std::string trace;
  std::string ledger;
  std::string prompt = "256";
  std::string output = "128";

  ResultsOptions results;    // of fathom eval
  std::string quality_task;  // whose scores count

  std::string by = "cost";
  std::string kv_cache = "f16";
  int64_t top = 5;

  std::vector<size_t> break_even;  // two places of the ranking
  double fixed_usd = 0;            // a month, of the first
  std::optional<double> escalated;

  bool json = false;
  bool document = false;               // instead of a ranking
  bool catalogue = false;              // instead of a ranking
  std::string html;                    // a file for the report
  bool fit = false;                    // instead of a ranking: what steps cost here
  std::vector<std::string> fit_files;  // of fathom bench --json
  bool verify = false;                 // run the best of the ranking here
  double verify_seconds = 20;          // each of three loads, at least
  double verify_minutes = 10;          // all three, at most
};

void add_plan_options(CLI::App& command, PlanFlags& flags);

// Reads traces, checkpoints and files of hardware, and measures this machine where it is asked for
// and not measured yet.
Result<plan::Question> plan_question(const PlanFlags& flags);

}  // namespace fathom::cli
