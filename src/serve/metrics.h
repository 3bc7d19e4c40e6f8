// What /metrics shows, in Prometheus' text format: histograms of latencies and counters of
// responses, kept here, and the engine's own numbers, read when somebody asks. Any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/serving_engine.h"

namespace fathom::serve {

class Metrics {
 public:
  struct EngineStats {
    std::string model;
    ServingStats stats;
  };
  struct Gauges {
    // With several, each has lines of its own with the label `model`.
    std::vector<EngineStats> engines;
    int connections = 0;
    int64_t ledger_lost = 0;
  };
  explicit Metrics(std::function<Gauges()> read);
  ~Metrics();

  void response(int status);
  void request_ended(const std::string& outcome, double seconds);
  void first_token(double seconds);
  void next_token(double seconds);  // since the one before, of the same answer

  std::string text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fathom::serve
