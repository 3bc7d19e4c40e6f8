// Which processors this process may use, and how they share cores and memory: Linux's sysfs
// (Documentation/ABI/stable/sysfs-devices-system-cpu and -node) and cgroup v2's cpu.max and
// memory.max.
//
// What cannot be read or makes no sense is taken for the simplest machine: every processor a core
// of its own, all on one node, no quota. Elsewhere than on Linux nothing can be read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace fathom {

struct Cpu {
  int id = 0;
  int core = 0;  // the lowest of the processors that share its core; its own id if none do
  int node = 0;  // of memory

  bool operator==(const Cpu&) const = default;
};

// In the order in which threads should take them: cores first, then their further processors, the
// nodes in turn, so that few threads have many cores' caches and all nodes' memory.
struct CpuTopology {
  std::vector<Cpu> cpus;

  std::vector<int> nodes() const;  // ascending
};

// Of the processors in `allowed`. `root` is where sysfs' devices/ lies, "/sys".
CpuTopology read_cpu_topology(const std::vector<int>& allowed, const std::filesystem::path& root);

// Ids in this process's affinity mask, ascending; 0, 1, .. where there is none. Never empty.
std::vector<int> allowed_cpus();

// How many processors' time the process's control groups allow, the least of them and those above;
// nothing: no limit. `root` is where proc/self/cgroup and sys/fs/cgroup/ lie, "/".
std::optional<double> cpu_quota(const std::filesystem::path& root);
// The same for bytes of memory.
std::optional<int64_t> memory_limit(const std::filesystem::path& root);

// "0-3,8,10-11" -> 0 1 2 3 8 10 11; nothing if it is not such a list or has an id above 65535.
std::optional<std::vector<int>> parse_cpu_list(std::string_view text);

}  // namespace fathom
