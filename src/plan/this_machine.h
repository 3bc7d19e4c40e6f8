// The machine that this runs on, as hardware to plan for: what it has is looked up, what it can do
// is measured (kernels/machine_limits) and kept with its date, so that a plan does not take a
// second and is the same the next time. One thread; measuring uses all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/hardware.h"

namespace fathom::plan {

struct CpuCache {
  std::string name;   // "L1d", "L2", "L3"
  int64_t bytes = 0;  // of one of them
  int sharers = 1;    // processors that share one
};

struct ThisMachine {
  Hardware hardware;  // "this"; with costs where steps were measured here (fit.h)
  std::string cpu;
  std::string kernels;                        // "avx512-vnni"
  std::vector<std::string> instruction_sets;  // that kernels here could use
  int cores = 0;                              // that this process may use
  int threads = 0;                            // that the ceilings were measured with
  int nodes = 1;                              // of memory
  std::vector<CpuCache> caches;
  int64_t disk_bytes_free = 0;  // where models are kept
  std::string measured_on;      // "2026-03-01"
};

struct MachineOptions {
  std::filesystem::path folder;  // where measurements are kept: the user's cache / "plan"
  bool measure_again = false;
  int threads = 0;                   // 0: as many as kernels take
  std::filesystem::path root = "/";  // that proc/ and sys/ are under
};

// Fails where the ceilings cannot be measured: the processor has only reference kernels, or the
// memory for it is not there. What is kept but damaged or of another processor, number of threads
// or version is measured again. What cannot be looked up stays empty or 0. Memory is what the
// process's control group allows, where that is less than the machine's.
Result<ThisMachine> this_machine(const MachineOptions& options);

// For files of measurements: whole or not at all.
Status write_measurements(const std::filesystem::path& file, const std::string& text);
std::string today();  // UTC, "2026-03-01"

}  // namespace fathom::plan
