// Puts the load on: sessions that each ask, wait for the answer and ask again (closed loop), or
// requests that come when they come, whether earlier ones are answered or not (open loop). One
// thread, the caller's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "loadtest/client.h"
#include "loadtest/record.h"
#include "loadtest/workload.h"

namespace fathom::loadtest {

// When requests begin.
enum class Arrivals {
  kSessions,  // as soon as one of the sessions is free
  kPoisson,   // at `rate` on average, each independent of the others
  kTrace,     // as the trace says
};

struct Progress {
  double seconds = 0;
  int64_t open = 0;      // requests under way
  int64_t answered = 0;  // so far
  int64_t failed = 0;
  int64_t tokens = 0;
};

struct RunOptions {
  ClientOptions client;
  Arrivals arrivals = Arrivals::kSessions;
  int64_t sessions = 1;
  double rate = 0;                    // requests a second
  int64_t requests = 0;               // no more than so many; 0: no bound
  double duration = 0;                // seconds after which no request begins; 0: no bound
  std::function<bool()> interrupted;  // asked ten times a second; may be empty
  std::function<void(const Progress&)> on_second;  // may be empty
};

struct RunLog {
  std::string model;            // that was asked for; empty: none
  std::vector<Record> records;  // in the order in which they ended
  double seconds = 0;           // until the last has ended
  bool interrupted = false;
  std::string gone;  // the server went away, and the run was ended for that: what it said
};

// Fails where the server cannot be asked at all. The client's model, where it is empty, becomes the
// first that the server has.
//
// In a closed loop a session that gets status 429 waits as long as the server says and asks the
// same again; after another failure it waits a moment, longer each time. Each try is a record.
Result<RunLog> run(RunOptions options, const Workload& workload);

}  // namespace fathom::loadtest
