// Where a simulation's requests come from: by chance, from sessions, or as a trace has them. Each
// is drawn when it comes, from the workload's seed. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>

#include "loadtest/lengths.h"
#include "plan/workload.h"

namespace fathom::plan {

class Arrivals {
 public:
  static constexpr double kNever = std::numeric_limits<double>::infinity();

  // The workload must outlive it. Of a trace all requests come, otherwise so many.
  Arrivals(const Workload& workload, int64_t requests);

  bool closed() const { return workload_.sessions > 0; }  // sessions
  // When the next one comes; kNever: none does, or not before a session is free.
  double next() const;

  struct Drawn {
    double at = 0;
    int64_t prompt = 0;
    int64_t output = 0;
  };
  Drawn take();
  // One of the sessions asks again.
  void free_at(double time);

 private:
  double next_time();

  const Workload& workload_;
  loadtest::Random lengths_;
  loadtest::Random gaps_;
  int64_t left_ = 0;
  int64_t taken_ = 0;
  double next_ = 0;
  std::deque<double> ready_;  // sessions that may ask, since when
};

}  // namespace fathom::plan
