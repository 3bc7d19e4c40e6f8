// What a model can be run on, as the planner sees it: one device (a processor with its memory, or
// an accelerator), how many of them a machine has, what links them, what they draw and cost. From
// three sources: this machine, measured (this_machine.h); the built-in catalogue, with the source
// of each row; a user's file. Plain data; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fathom::plan {

// Ceilings of one device. 0: unknown, and then nothing is bound by it.
struct Ceilings {
  double read_bytes_per_second = 0;
  // Dense, no sparsity; a multiplication and an addition are two operations.
  double int8_ops_per_second = 0;
  double float_ops_per_second = 0;  // F16 or BF16 on accelerators, F32 on processors
  double fp8_ops_per_second = 0;    // 0: FP8 weights are computed as float
};

// What share of a ceiling real steps reach, as stated; where steps were measured (`costs` below),
// these are not used.
struct Efficiency {
  double memory = 0.8;
  double compute = 0.5;
  double step_seconds = 0;  // beyond bytes and operations: launching, sampling, scheduling
  bool measured = false;
};

struct StepCosts;  // step_costs.h

struct Link {
  double bytes_per_second = 0;  // in one direction, of one device; 0: there is none
  double latency_seconds = 0;
};

struct Hardware {
  std::string name;          // as --hardware spells it: "h100-80gb", "rpi5-8gb", "this"
  std::string title;         // "NVIDIA H100 SXM 80 GB"
  std::string kind;          // "gpu", "cpu", "edge", "mac"
  int64_t memory_bytes = 0;  // of one device, before what the system needs
  Ceilings ceilings;
  Efficiency efficiency;
  std::shared_ptr<const StepCosts> costs;  // fitted on this machine (fit.h); null: by `efficiency`
  int devices = 1;                         // of one machine
  Link device_link;                        // between devices of one machine (NVLink, PCIe)
  Link machine_link;                       // between machines
  int64_t host_memory_bytes =
      0;                  // where experts may be kept instead; 0: the device's own memory is all
  Link host_link;         // from there to the device
  double busy_watts = 0;  // of one device
  double idle_watts = 0;
  double usd_per_hour = 0;  // of one device, rented; 0: not for rent
  double purchase_usd = 0;  // of one device; 0: unknown
  bool on_premises = true;  // can stand at the user's
  bool fathom_runs_here =
      false;           // this program can run on it today (processors); else a calculation only
  std::string source;  // where the figures come from, and their date
  bool measured = false;
};

// The built-in ones, by name.
const std::vector<Hardware>& hardware_catalogue();
// A user's own, {"hardware": [{"name": ..., ...}]} in JSON or the same in YAML, as the file's name
// or else its first letter says; unknown fields and absurd numbers are errors (kUsage) that name
// the field and its line. `file` is what errors call it.
Result<std::vector<Hardware>> parse_hardware(std::string_view text, std::string_view file);
// By name, in `own` first, then in the catalogue; fails (kUsage) with the nearest names, and for
// products that do not exist (an A800 of 120 GB) with what does.
Result<Hardware> find_hardware(std::string_view name, const std::vector<Hardware>& own = {});

}  // namespace fathom::plan
