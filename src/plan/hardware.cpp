#include "plan/hardware.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "base/json.h"
#include "base/nearest.h"
#include "base/quote.h"
#include "plan/yaml.h"

namespace fathom::plan {
namespace {

constexpr double kGiB = 1024.0 * 1024 * 1024;
constexpr double kMost = 1e7;  // of any figure in its unit: what is larger is a mistake
constexpr size_t kMostEntries = 1000;
constexpr std::array<std::string_view, 4> kKinds{"gpu", "cpu", "edge", "mac"};

// "A100 80GB" and "a100_80gb" are "a100-80gb".
std::string normal(std::string_view name) {
  std::string out;
  out.reserve(name.size());
  for (const char c : name) {
    const bool gap = c == ' ' || c == '_';
    out += gap ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

// The file that entries come from, for errors: which line something begins on is looked up when
// there is something to say of it.
class File {
 public:
  File(std::string_view text, std::string_view name) : text_(text), name_(name) {}

  // "own.yaml, line 7", or the name alone where the line cannot be told.
  std::string at(std::string_view path) const {
    if (!read_) {
      read_ = true;
      if (auto document = parse_yaml(text_, name_)) lines_ = std::move(document->lines);
    }
    const auto line = lines_.find(path);
    return line == lines_.end() ? std::string(name_)
                                : fmt::format("{}, line {}", name_, line->second);
  }
  std::string_view name() const { return name_; }

 private:
  std::string_view text_;
  std::string_view name_;
  mutable bool read_ = false;
  mutable std::map<std::string, int64_t, std::less<>> lines_;
};

// One entry of the list, whose fields it takes one by one, so that one nobody took is found.
class Entry {
 public:
  Entry(const nlohmann::json& object, const File& file, std::string path, std::string name)
      : object_(object), file_(file), path_(std::move(path)), name_(std::move(name)) {}

  Result<std::string> text(std::string_view field) {
    FATHOM_TRY(const std::optional<std::string> value, optional_text(field));
    if (!value || value->empty()) return usage_error("{}: \"{}\" is missing.", where(), field);
    return *value;
  }
  Result<std::optional<std::string>> optional_text(std::string_view field) {
    known_.emplace(field);
    const nlohmann::json* value = find(field);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) return wrong_type(field, "a text");
    return value->get<std::string>();
  }
  Result<double> number(std::string_view field, double otherwise, double low, double high = kMost) {
    known_.emplace(field);
    const nlohmann::json* value = find(field);
    if (value == nullptr) return otherwise;
    if (!value->is_number()) return wrong_type(field, "a number");
    const auto number = value->get<double>();
    if (!std::isfinite(number) || number < low || number > high) {
      return usage_error("{}: \"{}\" is {:g}; it must be {:g} to {:g}.", where(field), field,
                         number, low, high);
    }
    return number;
  }
  // Must be there, and above 0.
  Result<double> required(std::string_view field, double high = kMost) {
    known_.emplace(field);
    if (!object_.contains(field)) return usage_error("{}: \"{}\" is missing.", where(), field);
    FATHOM_TRY(const double value, number(field, 0, 0, high));
    if (value <= 0) return usage_error("{}: \"{}\" must be above 0.", where(field), field);
    return value;
  }
  Result<bool> flag(std::string_view field, bool otherwise) {
    known_.emplace(field);
    const nlohmann::json* value = find(field);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) return wrong_type(field, "true or false");
    return value->get<bool>();
  }
  Result<Link> link(std::string_view field) {
    known_.emplace(field);
    const nlohmann::json* value = find(field);
    if (value == nullptr) return Link{};
    if (!value->is_object()) return wrong_type(field, "an object");
    Entry inner(*value, file_, fmt::format("{}/{}", path_, field),
                fmt::format("{}, {}", name_, field));
    FATHOM_TRY(const double speed, inner.required("gb_per_s"));
    FATHOM_TRY(const double latency, inner.number("latency_us", 0, 0));
    FATHOM_CHECK(inner.nothing_else());
    return Link{.bytes_per_second = speed * 1e9, .latency_seconds = latency * 1e-6};
  }
  Status nothing_else() const {
    for (const auto& [field, value] : object_.items()) {
      if (known_.contains(field)) continue;
      return usage_error("{}: there is no field {}. The nearest is \"{}\".", where(field),
                         in_quotes(field),
                         nearest_names(field, {known_.begin(), known_.end()}, 1).front());
    }
    return {};
  }
  // "own.yaml, line 7: our-box"
  std::string where() const { return fmt::format("{}: {}", file_.at(path_), name_); }
  std::string where(std::string_view field) const {
    return fmt::format("{}: {}", file_.at(fmt::format("{}/{}", path_, field)), name_);
  }

 private:
  // Null where it is missing, or null.
  const nlohmann::json* find(std::string_view field) const {
    const auto found = object_.find(field);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  std::unexpected<Error> wrong_type(std::string_view field, std::string_view wanted) const {
    return usage_error("{}: \"{}\" must be {}, and is {}.", where(field), field, wanted,
                       in_quotes(find(field)->dump(-1, ' ', true)));
  }

  const nlohmann::json& object_;
  const File& file_;
  std::string path_;
  std::string name_;
  std::set<std::string, std::less<>> known_;
};

Status read_figures(Entry& entry, Hardware& hardware) {
  FATHOM_TRY(const double memory, entry.required("memory_gib", 1e5));
  hardware.memory_bytes = static_cast<int64_t>(memory * kGiB);
  FATHOM_TRY(const double read, entry.required("read_gb_per_s"));
  hardware.ceilings.read_bytes_per_second = read * 1e9;
  FATHOM_TRY(const double floats, entry.required("float_tflops"));
  hardware.ceilings.float_ops_per_second = floats * 1e12;
  FATHOM_TRY(const double int8, entry.number("int8_tops", floats, 0));
  hardware.ceilings.int8_ops_per_second = int8 * 1e12;
  FATHOM_TRY(const double fp8, entry.number("fp8_tflops", 0, 0));
  hardware.ceilings.fp8_ops_per_second = fp8 * 1e12;
  Efficiency& efficiency = hardware.efficiency;
  FATHOM_TRY(efficiency.memory, entry.number("memory_efficiency", efficiency.memory, 0.01, 1));
  FATHOM_TRY(efficiency.compute, entry.number("compute_efficiency", efficiency.compute, 0.01, 1));
  FATHOM_TRY(const double step, entry.number("step_us", 0, 0, 1e6));
  efficiency.step_seconds = step * 1e-6;
  FATHOM_TRY(const double devices, entry.number("devices", 1, 1, 1024));
  if (devices != std::floor(devices)) {
    return usage_error("{}: \"devices\" must be a whole number.", entry.where("devices"));
  }
  hardware.devices = static_cast<int>(devices);
  FATHOM_TRY(hardware.device_link, entry.link("device_link"));
  FATHOM_TRY(hardware.machine_link, entry.link("machine_link"));
  FATHOM_TRY(const double host, entry.number("host_memory_gib", 0, 0, 1e5));
  hardware.host_memory_bytes = static_cast<int64_t>(host * kGiB);
  FATHOM_TRY(hardware.host_link, entry.link("host_link"));
  FATHOM_TRY(hardware.busy_watts, entry.number("busy_watts", 0, 0));
  FATHOM_TRY(hardware.idle_watts, entry.number("idle_watts", 0, 0));
  if (hardware.idle_watts > hardware.busy_watts) {
    return usage_error("{}: \"idle_watts\" is {:g}, more than \"busy_watts\", {:g}.",
                       entry.where("idle_watts"), hardware.idle_watts, hardware.busy_watts);
  }
  FATHOM_TRY(hardware.usd_per_hour, entry.number("usd_per_hour", 0, 0));
  FATHOM_TRY(hardware.purchase_usd, entry.number("purchase_usd", 0, 0, 1e9));
  return {};
}

Result<Hardware> read_hardware(const nlohmann::json& object, const File& file, size_t index) {
  std::string path = fmt::format("/hardware/{}", index);
  if (!object.is_object()) {
    return usage_error("{}: hardware[{}] must be an object.", file.at(path), index);
  }
  const auto name = object.find("name");
  const bool named = name != object.end() && name->is_string();
  Entry entry(object, file, std::move(path),
              named ? name->get<std::string>() : fmt::format("hardware[{}]", index));
  Hardware hardware;
  FATHOM_TRY(hardware.name, entry.text("name"));
  if (normal(hardware.name) != hardware.name) {
    return usage_error("{}: a name has no spaces, underscores or capital letters, as in \"{}\".",
                       entry.where("name"), normal(hardware.name));
  }
  if (hardware.name == "this") {
    return usage_error("{}: this name means the machine that asks; choose another.",
                       entry.where("name"));
  }
  FATHOM_TRY(const auto title, entry.optional_text("title"));
  hardware.title = title.value_or(hardware.name);
  FATHOM_TRY(const auto kind, entry.optional_text("kind"));
  hardware.kind = kind.value_or("gpu");
  if (std::ranges::find(kKinds, hardware.kind) == kKinds.end()) {
    return usage_error("{}: \"kind\" is \"{}\"; it must be gpu, cpu, edge or mac.",
                       entry.where("kind"), hardware.kind);
  }
  FATHOM_CHECK(read_figures(entry, hardware));
  FATHOM_TRY(hardware.on_premises, entry.flag("on_premises", true));
  FATHOM_TRY(hardware.fathom_runs_here, entry.flag("runs_fathom", hardware.kind == "cpu"));
  FATHOM_TRY(const auto source, entry.optional_text("source"));
  hardware.source = source.value_or(std::string(file.name()));
  FATHOM_CHECK(entry.nothing_else());
  return hardware;
}

bool is_json(std::string_view text, std::string_view name) {
  if (name.ends_with(".json")) return true;
  if (name.ends_with(".yaml") || name.ends_with(".yml")) return false;
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string_view::npos || text[first] == '{' || text[first] == '[';
}

Result<nlohmann::json> parse(std::string_view text, std::string_view name) {
  if (!is_json(text, name)) {
    FATHOM_TRY(YamlDocument document, parse_yaml(text, name));
    return std::move(document.value);
  }
  auto document = parse_json(text, name);
  if (document) return *std::move(document);
  // The YAML reader's complaint has the line, where it has one too.
  if (const auto lined = parse_yaml(text, name); !lined) return std::unexpected(lined.error());
  return usage_error("{}.", document.error().message);
}

// Says so where a product is asked for that was never made.
std::optional<std::string> never_made(std::string_view name) {
  if (name.find("a800") != std::string_view::npos && name.find("120") != std::string_view::npos) {
    return "There is no A800 with 120 GB: NVIDIA made it with 40 and 80 GB. The catalogue has "
           "a800-80gb; with more memory there is h200-141gb.";
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<Hardware>> parse_hardware(std::string_view text, std::string_view name) {
  const File file(text, name);
  FATHOM_TRY(const nlohmann::json document, parse(text, name));
  const bool right = document.is_object() && document.size() == 1 &&
                     document.contains("hardware") && document["hardware"].is_array();
  if (!right) {
    return usage_error("{}: must have a list called \"hardware\", and nothing beside it.", name);
  }
  const nlohmann::json& list = document["hardware"];
  if (list.empty() || list.size() > kMostEntries) {
    return usage_error("{}: has {} entries; it must have 1 to {}.", file.at("/hardware"),
                       list.size(), kMostEntries);
  }
  std::vector<Hardware> all;
  all.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    FATHOM_TRY(Hardware hardware, read_hardware(list[i], file, i));
    if (std::ranges::find(all, hardware.name, &Hardware::name) != all.end()) {
      return usage_error("{}: the name {} occurs twice.", file.at(fmt::format("/hardware/{}", i)),
                         hardware.name);
    }
    all.push_back(std::move(hardware));
  }
  return all;
}

Result<Hardware> find_hardware(std::string_view name, const std::vector<Hardware>& own) {
  const std::string wanted = normal(name);
  for (const std::vector<Hardware>* list : {&own, &hardware_catalogue()}) {
    const auto found = std::ranges::find(*list, wanted, &Hardware::name);
    if (found != list->end()) return *found;
  }
  if (const auto reason = never_made(wanted)) return usage_error("{}", *reason);
  std::vector<std::string> names{"this"};
  names.reserve(1 + own.size() + hardware_catalogue().size());
  for (const std::vector<Hardware>* list : {&own, &hardware_catalogue()}) {
    for (const Hardware& hardware : *list) names.push_back(hardware.name);
  }
  // What the name begins says more than how many letters it has.
  std::vector<std::string> nearest;
  for (const std::string& known : names) {
    if (wanted.size() >= 2 && known.starts_with(wanted)) nearest.push_back(known);
  }
  for (const std::string& known : nearest_names(wanted, names, 3)) {
    if (nearest.size() < 3 && std::ranges::find(nearest, known) == nearest.end()) {
      nearest.push_back(known);
    }
  }
  return usage_error("There is no hardware \"{}\". The nearest are {}.", name,
                     fmt::join(nearest, ", "));
}

}  // namespace fathom::plan
