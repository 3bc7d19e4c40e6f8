#include "plan/this_machine.h"

#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "base/cpu_topology.h"
#include "base/json.h"
#include "kernels/cpu_features.h"
#include "kernels/kernels.h"
#include "kernels/machine_limits.h"
#include "plan/fit.h"

namespace fathom::plan {
namespace {

using Json = nlohmann::ordered_json;

// Measuring takes a quarter of a GB; less than this free, and the system would swap.
constexpr int64_t kMemoryToMeasure = int64_t{512} << 20;

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string cpu_name(const std::filesystem::path& root) {
  std::ifstream file(root / "proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

// In bytes, of /proc/meminfo, which counts in kB; 0: it does not say.
int64_t memory_field(const std::filesystem::path& root, std::string_view field) {
  std::ifstream file(root / "proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(field)) continue;
    const size_t digit = line.find_first_of("0123456789");
    int64_t kilobytes = 0;
    if (digit != std::string::npos) {
      std::from_chars(line.data() + digit, line.data() + line.size(), kilobytes);
    }
    return kilobytes * 1024;
  }
  return 0;
}

// "512K", "32M".
int64_t size_of(const std::string& text) {
  int64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return 0;
  const char unit = rest < text.data() + text.size() ? *rest : '\0';
  return number << (unit == 'K' ? 10 : unit == 'M' ? 20 : unit == 'G' ? 30 : 0);
}

// sysfs: Documentation/ABI/testing/sysfs-devices-system-cpu.
std::vector<CpuCache> caches_of(const std::filesystem::path& root, int cpu) {
  std::vector<CpuCache> caches;
  for (int index = 0; index < 8; ++index) {
    const std::filesystem::path folder =
        root / fmt::format("sys/devices/system/cpu/cpu{}/cache/index{}", cpu, index);
    const std::string type = first_line(folder / "type");
    if (type.empty()) break;
    if (type == "Instruction") continue;
    const auto sharers = parse_cpu_list(first_line(folder / "shared_cpu_list"));
    caches.push_back(
        {.name = fmt::format("L{}{}", first_line(folder / "level"), type == "Data" ? "d" : ""),
         .bytes = size_of(first_line(folder / "size")),
         .sharers = sharers ? static_cast<int>(sharers->size()) : 1});
  }
  return caches;
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> sets;
  if (cpu_has_avx2()) sets.emplace_back("AVX2");
  if (cpu_has_avx512_vnni()) sets.emplace_back("AVX-512 VNNI");
  if (cpu_has_amx()) sets.emplace_back("AMX");
  if (cpu_has_neon()) sets.emplace_back("NEON");
  if (cpu_has_neon_dotprod()) sets.emplace_back("DotProd");
  if (cpu_has_neon_i8mm()) sets.emplace_back("I8MM");
  return sets;
}

struct Measurement {
  MachineLimits limits;
  std::string date;
};

// What says that a measurement was of this machine and program.
Json identity(const ThisMachine& machine) {
  return {{"cpu", machine.cpu},
          {"kernels", machine.kernels},
          {"threads", machine.threads},
          {"version", FATHOM_VERSION}};
}

std::optional<Measurement> read_kept(const std::filesystem::path& path,
                                     const ThisMachine& machine) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto json = parse_ordered_json(text, path.string());
  if (!json || !json->is_object() || json->value("machine", Json()) != identity(machine)) {
    return std::nullopt;
  }
  Measurement kept;
  for (const auto& [key, value] :
       {std::pair{"read_bytes_per_second", &kept.limits.read_bytes_per_second},
        std::pair{"int8_ops_per_second", &kept.limits.int8_ops_per_second},
        std::pair{"float_ops_per_second", &kept.limits.float_ops_per_second}}) {
    const auto found = json->find(key);
    if (found == json->end() || !found->is_number() || !(found->get<double>() > 0)) {
      return std::nullopt;
    }
    *value = found->get<double>();
  }
  const auto date = json->find("date");
  if (date == json->end() || !date->is_string()) return std::nullopt;
  kept.date = date->get<std::string>();
  return kept;
}

Result<Measurement> measure(Kernels& kernels, const ThisMachine& machine,
                            const std::filesystem::path& path, const std::filesystem::path& root) {
  const int64_t available = memory_field(root, "MemAvailable:");
  if (available > 0 && available < kMemoryToMeasure) {
    return fail(
        "This machine's ceilings cannot be measured: {} MB of memory are free and measuring takes "
        "{} MB. "
        "End other programs, or plan for named hardware (--hardware).",
        available >> 20, kMemoryToMeasure >> 20);
  }
  Measurement made{.limits = measure_machine_limits(kernels.threads()), .date = today()};
  const MachineLimits& limits = made.limits;
  if (!(limits.read_bytes_per_second > 0 && limits.int8_ops_per_second > 0 &&
        limits.float_ops_per_second > 0)) {
    return fail(
        "This machine's ceilings cannot be measured: for its processor ({}) there are only the "
        "reference "
        "kernels, which have none. Plan for named hardware (--hardware), or describe it in a file.",
        machine.cpu);
  }
  const Json json = {{"machine", identity(machine)},
                     {"date", made.date},
                     {"read_bytes_per_second", limits.read_bytes_per_second},
                     {"int8_ops_per_second", limits.int8_ops_per_second},
                     {"float_ops_per_second", limits.float_ops_per_second}};
  FATHOM_CHECK(
      write_measurements(path, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"));
  return made;
}

void look_up(ThisMachine& machine, const std::filesystem::path& folder,
             const std::filesystem::path& root) {
  const std::vector<int> cpus = allowed_cpus();
  machine.cpu = cpu_name(root);
  machine.instruction_sets = instruction_sets();
  machine.cores = ThreadPool::default_threads();
  machine.nodes = static_cast<int>(read_cpu_topology(cpus, root / "sys").nodes().size());
  machine.caches = caches_of(root, cpus.front());
  // Of the folder or the nearest above it that is there.
  std::error_code ignored;
  std::filesystem::path there = std::filesystem::absolute(folder, ignored);
  while (!there.empty() && there != there.root_path() && !std::filesystem::exists(there, ignored)) {
    there = there.parent_path();
  }
  if (const auto space = std::filesystem::space(there, ignored); !ignored) {
    machine.disk_bytes_free = static_cast<int64_t>(space.available);
  }
}

// "2 cores with AVX2, L1d 48 KiB, ... 1 memory node, 16.8 GB, 210 GB of disk free".
std::string parts_of(const ThisMachine& machine) {
  const auto count = [](int number, std::string_view what) {
    return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
  };
  std::string text = count(machine.cores, "core");
  if (!machine.instruction_sets.empty()) {
    text += fmt::format(" with {}", fmt::join(machine.instruction_sets, ", "));
  }
  for (const CpuCache& cache : machine.caches) {
    text += fmt::format(", {} {} KiB", cache.name, cache.bytes >> 10);
  }
  text += fmt::format(", {}, {:.1f} GB of memory", count(machine.nodes, "memory node"),
                      static_cast<double>(machine.hardware.memory_bytes) / 1e9);
  if (machine.disk_bytes_free > 0) {
    text +=
        fmt::format(", {:.1f} GB of disk free", static_cast<double>(machine.disk_bytes_free) / 1e9);
  }
  return text;
}

}  // namespace

std::string today() {
  const auto days = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  const std::chrono::year_month_day date{days};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

Status write_measurements(const std::filesystem::path& file, const std::string& text) {
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  const std::filesystem::path draft = fmt::format("{}.{}", file.string(), getpid());
  {
    std::ofstream out(draft, std::ios::binary);
    out << text;
    out.flush();
    if (!out) {
      return fail("{} could not be written, where measurements of this machine are kept.",
                  draft.string());
    }
  }
  std::filesystem::rename(draft, file, error);
  if (error) return fail("{} could not be written: {}", file.string(), error.message());
  return {};
}

Result<ThisMachine> this_machine(const MachineOptions& options) {
  ThisMachine machine;
  look_up(machine, options.folder, options.root);
  const auto kernels = Kernels::make(KernelChoice::kAuto, ThreadOptions(options.threads));
  machine.kernels = kernels->name();
  machine.threads = kernels->threads().size();
  Hardware& hardware = machine.hardware;
  hardware.memory_bytes = memory_field(options.root, "MemTotal:");
  if (hardware.memory_bytes == 0) {
    return fail(
        "This machine does not say how much memory it has (/proc/meminfo); plan for named "
        "hardware.");
  }
  if (const auto limit = memory_limit(options.root)) {
    hardware.memory_bytes = std::min(hardware.memory_bytes, *limit);
  }
  const std::filesystem::path path = options.folder / "machine.json";
  std::optional<Measurement> measured;
  if (!options.measure_again) measured = read_kept(path, machine);
  if (!measured) {
    FATHOM_TRY(measured, measure(*kernels, machine, path, options.root));
  }
  machine.measured_on = measured->date;

  hardware.name = "this";
  hardware.title = fmt::format("this machine: {}, {} threads", machine.cpu, machine.threads);
  hardware.kind = "cpu";
  hardware.ceilings = {.read_bytes_per_second = measured->limits.read_bytes_per_second,
                       .int8_ops_per_second = measured->limits.int8_ops_per_second,
                       .float_ops_per_second = measured->limits.float_ops_per_second};
  hardware.fathom_runs_here = true;
  hardware.measured = true;
  hardware.source = fmt::format(
      "{}; ceilings measured here on {}: {:.1f} GB/s, {:.0f} GOPS in INT8, {:.0f} in F32",
      parts_of(machine), measured->date, hardware.ceilings.read_bytes_per_second / 1e9,
      hardware.ceilings.int8_ops_per_second / 1e9, hardware.ceilings.float_ops_per_second / 1e9);
  if (auto fit = read_fit(options.folder / "fit.json", machine)) {
    hardware.source += fmt::format("; steps fitted to fathom bench on {}", fit->date);
    hardware.efficiency.measured = true;
    hardware.costs = std::make_shared<const StepCosts>(fit->costs);
  } else {
    hardware.costs = std::make_shared<const StepCosts>(likely_costs(hardware.ceilings));
    hardware.source += "; steps estimated from these, until fathom plan --fit";
  }
  return machine;
}

}  // namespace fathom::plan
