#include "cli/plan_catalogue.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "cli/wrapped_text.h"
#include "plan/hardware.h"
#include "plan/model_facts.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kGiB = 1024.0 * 1024 * 1024;

// A model as published, and its file in Q4_0.
struct Entry {
  plan::ModelFacts published;
  plan::ModelFacts small;
};

Result<std::vector<Entry>> all_models() {
  std::vector<Entry> all;
  all.reserve(plan::catalogue_models().size());
  for (const std::string& name : plan::catalogue_models()) {
    FATHOM_TRY(plan::ModelFacts small, plan::catalogue_facts(name, "q4_0"));
    FATHOM_TRY(plan::ModelFacts published, plan::catalogue_facts(name, small.published));
    all.push_back({.published = std::move(published), .small = std::move(small)});
  }
  return all;
}

double billions(int64_t number) {
  return static_cast<double>(number) / 1e9;
}

// "-" for what there is none of.
std::string number(double value, int digits = 0) {
  return value > 0 ? fmt::format("{:.{}f}", value, digits) : "-";
}

std::string model_text(const Entry& entry) {
  const plan::ModelFacts& model = entry.published;
  return fmt::format(
      "  {:<20} {:<4} {:<7} {:>8.2f} {:>8.2f} {:>8.1f} {:>8.2f} {:>7}\n{}", model.name, model.tier,
      model.released, billions(model.parameters), billions(model.active_parameters),
      billions(model.file_bytes), billions(entry.small.file_bytes), model.config.context,
      wrapped("", 4, fmt::format("{}; {}; {}", model.title, model.licence, model.source)));
}

std::string hardware_text(const plan::Hardware& hardware) {
  const plan::Ceilings& ceilings = hardware.ceilings;
  return fmt::format("  {:<20} {:>7} {:>6.0f} {:>6} {:>7} {:>4} {:>6} {:>6}\n{}", hardware.name,
                     number(static_cast<double>(hardware.memory_bytes) / kGiB, 1),
                     ceilings.read_bytes_per_second / 1e9,
                     number(ceilings.int8_ops_per_second / 1e12, 1),
                     number(ceilings.float_ops_per_second / 1e12, 1), number(hardware.busy_watts),
                     number(hardware.usd_per_hour, 2), number(hardware.purchase_usd),
                     wrapped("", 4, fmt::format("{}; {}", hardware.title, hardware.source)));
}

Json price(double usd) {
  return usd > 0 ? Json(usd) : Json(nullptr);
}

}  // namespace

Result<std::string> catalogue_text() {
  FATHOM_TRY(const std::vector<Entry> models, all_models());
  std::string text = fmt::format(
      "models: billions of parameters, and of those that a token uses; GB as published and in "
      "Q4_0\n  {:<20} {:<4} {:<7} {:>8} {:>8} {:>8} {:>8} {:>7}\n",
      "", "tier", "", "all", "used", "GB", "Q4_0", "context");
  for (const Entry& entry : models) text += model_text(entry);
  text += fmt::format(
      "\nhardware: a device's GiB, GB/s, dense INT8 and 16-bit (processors: F32) 10^12 operations "
      "a "
      "second,\nwatts when busy, and US$ an hour or to buy\n  {:<20} {:>7} {:>6} {:>6} {:>7} {:>4} "
      "{:>6} {:>6}\n",
      "", "GiB", "GB/s", "INT8", "float", "W", "US$/h", "US$");
  for (const plan::Hardware& hardware : plan::hardware_catalogue()) text += hardware_text(hardware);
  return text;
}

Result<std::string> catalogue_json() {
  FATHOM_TRY(const std::vector<Entry> all, all_models());
  Json models = Json::array();
  for (const auto& [model, small] : all) {
    models.push_back({{"name", model.name},
                      {"title", model.title},
                      {"tier", model.tier},
                      {"released", model.released},
                      {"licence", model.licence},
                      {"repository", model.repository},
                      {"published", model.published},
                      {"modalities", model.modalities},
                      {"parameters", model.parameters},
                      {"active_parameters", model.active_parameters},
                      {"file_bytes", model.file_bytes},
                      {"q4_0_file_bytes", small.file_bytes},
                      {"context", model.config.context},
                      {"runs_here", model.runs_here},
                      {"source", model.source}});
  }
  Json hardware = Json::array();
  for (const plan::Hardware& one : plan::hardware_catalogue()) {
    hardware.push_back({{"name", one.name},
                        {"title", one.title},
                        {"kind", one.kind},
                        {"memory_bytes", one.memory_bytes},
                        {"read_bytes_per_second", one.ceilings.read_bytes_per_second},
                        {"int8_ops_per_second", one.ceilings.int8_ops_per_second},
                        {"float_ops_per_second", one.ceilings.float_ops_per_second},
                        {"fp8_ops_per_second", one.ceilings.fp8_ops_per_second},
                        {"devices", one.devices},
                        {"busy_watts", one.busy_watts},
                        {"idle_watts", one.idle_watts},
                        {"usd_per_hour", price(one.usd_per_hour)},
                        {"purchase_usd", price(one.purchase_usd)},
                        {"runs_fathom", one.fathom_runs_here},
                        {"source", one.source}});
  }
  return fmt::format(
      "{}\n", Json{{"models", std::move(models)}, {"hardware", std::move(hardware)}}.dump(2));
}

}  // namespace fathom::cli
