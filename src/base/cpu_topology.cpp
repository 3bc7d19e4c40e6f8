#include "base/cpu_topology.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>

#if defined(__linux__)
#include <sched.h>
#endif

namespace fathom {
namespace {

namespace fs = std::filesystem;

constexpr int kLargestId = 65535;

// A sysfs file's first line; empty if there is none.
std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<int> parse_id(std::string_view text) {
  int id = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  const auto [rest, error] = std::from_chars(begin, end, id);
  if (error != std::errc() || rest != end || id < 0 || id > kLargestId) return std::nullopt;
  return id;
}

// The node of each processor that a node's list names.
std::map<int, int> read_nodes(const fs::path& root) {
  std::map<int, int> nodes;
  std::error_code error;
  for (fs::directory_iterator entry(root / "devices/system/node", error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (!name.starts_with("node")) continue;
    const auto node = parse_id(std::string_view(name).substr(4));
    const auto cpus = parse_cpu_list(first_line(entry->path() / "cpulist"));
    if (!node || !cpus) continue;
    for (const int cpu : *cpus) nodes.emplace(cpu, *node);
  }
  return nodes;
}

int core_of(int cpu, const fs::path& root) {
  const fs::path topology =
      root / "devices/system/cpu" / ("cpu" + std::to_string(cpu)) / "topology";
  const auto siblings = parse_cpu_list(first_line(topology / "thread_siblings_list"));
  // A list without the processor itself is not to be trusted.
  if (!siblings || !std::ranges::binary_search(*siblings, cpu)) return cpu;
  return siblings->front();
}

// "max 100000" or "150000 100000": microseconds of each period.
std::optional<double> parse_quota(const std::string& line) {
  const size_t space = line.find(' ');
  if (space == std::string::npos) return std::nullopt;
  double quota = 0;
  double period = 0;
  const char* middle = line.data() + space;
  const char* end = line.data() + line.size();
  const auto first = std::from_chars(line.data(), middle, quota);
  const auto second = std::from_chars(middle + 1, end, period);
  if (first.ec != std::errc() || first.ptr != middle || second.ec != std::errc() ||
      second.ptr != end || !(quota > 0) || !(period > 0)) {
    return std::nullopt;
  }
  return quota / period;
}

// The folders of this process's control group and of those above it, the root's first.
std::vector<fs::path> groups_of_process(const fs::path& root) {
  // The line of version 2's one hierarchy is "0::/path".
  std::ifstream groups(root / "proc/self/cgroup");
  std::string path;
  for (std::string line; std::getline(groups, line);) {
    if (line.starts_with("0::/")) path = line.substr(4);
  }
  if (path.find("..") != std::string::npos) path.clear();  // outside what is mounted here
  std::vector<fs::path> folders{root / "sys/fs/cgroup"};
  for (const fs::path& part : fs::path(path)) folders.push_back(folders.back() / part);
  return folders;
}

}  // namespace

std::optional<std::vector<int>> parse_cpu_list(std::string_view text) {
  std::vector<int> ids;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, comma);
    if (comma + 1 == text.size()) return std::nullopt;  // ends in a comma
    text.remove_prefix(std::min(comma + 1, text.size()));
    const size_t dash = std::min(part.find('-'), part.size());
    const auto first = parse_id(part.substr(0, dash));
    const auto last = dash == part.size() ? first : parse_id(part.substr(dash + 1));
    if (!first || !last || *last < *first) return std::nullopt;
    for (int id = *first; id <= *last; ++id) ids.push_back(id);
  }
  std::ranges::sort(ids);
  ids.erase(std::ranges::unique(ids).begin(), ids.end());
  return ids;
}

std::vector<int> CpuTopology::nodes() const {
  std::vector<int> nodes;
  nodes.reserve(cpus.size());
  for (const Cpu& cpu : cpus) nodes.push_back(cpu.node);
  std::ranges::sort(nodes);
  nodes.erase(std::ranges::unique(nodes).begin(), nodes.end());
  return nodes;
}

CpuTopology read_cpu_topology(const std::vector<int>& allowed, const fs::path& root) {
  const std::map<int, int> nodes = read_nodes(root);
  struct Place {
    int turn_of_core;  // 0: the first allowed processor of its core
    int turn_of_node;  // how many of the same turn come before it on its node
    Cpu cpu;
  };
  std::vector<int> ids = allowed;
  std::ranges::sort(ids);
  ids.erase(std::ranges::unique(ids).begin(), ids.end());
  std::vector<Place> places;
  std::map<int, int> taken_of_core;
  std::map<std::pair<int, int>, int> taken_of_node;
  for (const int id : ids) {
    const auto node = nodes.find(id);
    const Cpu cpu = {id, core_of(id, root), node != nodes.end() ? node->second : 0};
    const int turn = taken_of_core[cpu.core]++;
    places.push_back({turn, taken_of_node[{turn, cpu.node}]++, cpu});
  }
  std::ranges::sort(places, {}, [](const Place& place) {
    return std::tuple(place.turn_of_core, place.turn_of_node, place.cpu.node, place.cpu.id);
  });
  CpuTopology topology;
  for (const Place& place : places) topology.cpus.push_back(place.cpu);
  return topology;
}

std::vector<int> allowed_cpus() {
  std::vector<int> ids;
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int id = 0; id < CPU_SETSIZE; ++id) {
      if (CPU_ISSET(id, &set)) ids.push_back(id);
    }
  }
#endif
  if (ids.empty()) {
    const int count = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    for (int id = 0; id < count; ++id) ids.push_back(id);
  }
  return ids;
}

std::optional<double> cpu_quota(const fs::path& root) {
  std::optional<double> least;
  for (const fs::path& group : groups_of_process(root)) {
    const auto quota = parse_quota(first_line(group / "cpu.max"));
    if (quota && (!least || *quota < *least)) least = quota;
  }
  return least;
}

std::optional<int64_t> memory_limit(const fs::path& root) {
  std::optional<int64_t> least;
  for (const fs::path& group : groups_of_process(root)) {
    // "max" is no number, and no limit.
    const std::string text = first_line(group / "memory.max");
    int64_t bytes = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
    if (error != std::errc() || rest != text.data() + text.size() || bytes <= 0) continue;
    if (!least || bytes < *least) least = bytes;
  }
  return least;
}

}  // namespace fathom
