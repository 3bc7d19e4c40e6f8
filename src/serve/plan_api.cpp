#include "serve/plan_api.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/json.h"
#include "base/quote.h"
#include "plan/curves.h"
#include "plan/evaluations.h"
#include "plan/ranking.h"
#include "serve/answer_json.h"
#include "serve/fields.h"

namespace fathom::serve {
namespace {

constexpr size_t kMostNames = 64;
constexpr size_t kDrawn = 5;  // deployments with curves

// Where a request names none: one of each size and kind, so that an answer takes a tenth of a
// second.
constexpr std::array<std::string_view, 6> kModels{
    "r1-distill-qwen-1.5b", "coder-6.7b", "r1-0528-qwen3-8b",
    "r1-distill-qwen-32b",  "v2-lite",    "v3"};
constexpr std::array<std::string_view, 9> kHardware{
    "rpi5-8gb",  "agx-orin-64gb", "rtx4090-24gb", "l40s-48gb",     "a100-80gb",
    "h100-80gb", "h200-141gb",    "epyc-9654",    "m3-ultra-512gb"};

struct PlanRequest {
  plan::Question question;
  size_t limit = 10;
};

// The catalogue's models at all precisions, computed once.
const std::vector<plan::ModelFacts>& all_models() {
  static const std::vector<plan::ModelFacts> facts = [] {
    std::vector<plan::ModelFacts> made;
    made.reserve(plan::catalogue_models().size() * plan::precisions().size());
    for (const std::string& name : plan::catalogue_models()) {
      for (const std::string& precision : plan::precisions_of(name)) {
        if (auto one = plan::catalogue_facts(name, precision)) made.push_back(*std::move(one));
      }
    }
    return made;
  }();
  return facts;
}

ApiResult<std::vector<std::string>> names(Fields& fields, std::string_view field) {
  std::vector<std::string> list;
  const OrderedJson* value = fields.find(field);
  if (value == nullptr) return list;
  const bool right =
      value->is_array() && !value->empty() && value->size() <= kMostNames &&
      std::ranges::all_of(*value, [](const OrderedJson& v) { return v.is_string(); });
  if (!right) return bad_request(field, "{} must be a list of 1 to {} names.", field, kMostNames);
  list.reserve(value->size());
  for (const OrderedJson& name : *value) list.push_back(name.get<std::string>());
  return list;
}

ApiStatus read_models(Fields& fields, plan::Question& question) {
  FATHOM_TRY(std::vector<std::string> wanted, names(fields, "models"));
  FATHOM_TRY(std::vector<std::string> at, names(fields, "precisions"));
  for (const std::string& name : wanted) {
    const auto known = plan::catalogue_facts(name, "q4_0");
    if (!known) return bad_request("models", "{}", known.error().message);
  }
  for (const std::string& precision : at) {
    if (!plan::is_precision(precision)) {
      return bad_request("precisions", "precisions has {}; it may have {}.", in_quotes(precision),
                         fmt::join(plan::precisions(), ", "));
    }
  }
  if (at.empty()) at = {"q4_0", "fp8"};
  if (wanted.empty()) wanted.assign(kModels.begin(), kModels.end());
  question.models.reserve(all_models().size());
  for (const plan::ModelFacts& facts : all_models()) {
    const bool asked = std::ranges::find(wanted, facts.name) != wanted.end();
    if (asked && std::ranges::find(at, facts.precision) != at.end())
      question.models.push_back(facts);
  }
  return {};
}

ApiStatus read_hardware(Fields& fields, plan::Question& question) {
  FATHOM_TRY(std::vector<std::string> wanted, names(fields, "hardware"));
  if (wanted.empty()) wanted.assign(kHardware.begin(), kHardware.end());
  question.hardware.reserve(wanted.size());
  for (const std::string& name : wanted) {
    auto found = plan::find_hardware(name);
    if (!found) return bad_request("hardware", "{}", found.error().message);
    question.hardware.push_back(*std::move(found));
  }
  return {};
}

ApiStatus read_load(Fields& fields, plan::Workload& workload) {
  FATHOM_TRY(const auto rate, fields.number("requests_per_second", 1e-6, 1e6));
  FATHOM_TRY(const auto sessions, fields.integer("sessions", 1, 1'000'000));
  if (rate.has_value() == sessions.has_value()) {
    return bad_request("requests_per_second", "Give either requests_per_second or sessions.");
  }
  workload.requests_per_second = rate.value_or(0);
  workload.sessions = sessions.value_or(0);
  for (const auto& [field, lengths] : {std::pair{"prompt_tokens", &workload.prompt_tokens},
                                       std::pair{"output_tokens", &workload.output_tokens}}) {
    FATHOM_TRY(const auto tokens, fields.integer(field, 1, 1'000'000));
    const auto parsed = loadtest::Lengths::parse(std::to_string(tokens.value_or(256)), field);
    if (!parsed) return bad_request(field, "{}", parsed.error().message);
    *lengths = *parsed;
  }
  FATHOM_TRY(const auto shared, fields.integer("shared_prefix_tokens", 0, 1'000'000));
  workload.shared_prefix_tokens = shared.value_or(0);
  return {};
}

ApiStatus read_wishes(Fields& fields, plan::Question& question) {
  plan::Wishes& wishes = question.wishes;
  FATHOM_TRY(const auto ttft, fields.number("ttft_ms", 0, 1e7));
  FATHOM_TRY(const auto itl, fields.number("itl_ms", 0, 1e7));
  FATHOM_TRY(const auto percentile, fields.number("percentile", 50, 99));
  FATHOM_TRY(const auto context, fields.integer("context", 16, 1'000'000));
  FATHOM_TRY(wishes.least_quality, fields.number("least_quality", 0, 100));
  FATHOM_TRY(const auto modality, fields.string("modality"));
  FATHOM_TRY(const auto on_premises, fields.boolean("on_premises"));
  FATHOM_TRY(const auto budget, fields.number("usd_per_hour", 0, 1e9));
  FATHOM_TRY(const auto devices, fields.integer("most_devices", 1, 1024));
  FATHOM_TRY(const auto by, fields.string("by"));
  wishes.ttft_ms = ttft.value_or(wishes.ttft_ms);
  wishes.itl_ms = itl.value_or(wishes.itl_ms);
  wishes.percentile = percentile.value_or(wishes.percentile);
  wishes.context = context.value_or(wishes.context);
  wishes.modality = modality.value_or(wishes.modality);
  wishes.on_premises = on_premises.value_or(wishes.on_premises);
  wishes.usd_per_hour = budget.value_or(wishes.usd_per_hour);
  question.prices.buy = wishes.on_premises;
  question.most_devices = static_cast<int>(devices.value_or(question.most_devices));
  if (wishes.modality != "text" && wishes.modality != "image") {
    return bad_request("modality", "modality is {}; it must be text or image.",
                       in_quotes(wishes.modality));
  }
  FATHOM_TRY(const auto task, fields.string("quality_task"));
  question.quality_task = task.value_or("");
  if (!by) return {};
  const auto order = plan::find_rank_by(*by);
  if (!order) {
    return bad_request("by", "by is {}; it must be cost, latency or quality.", in_quotes(*by));
  }
  question.by = *order;
  return {};
}

ApiResult<PlanRequest> parse_plan_request(std::string_view body) {
  auto json = parse_ordered_json(body, "The body", {.bytes = 64 << 10, .values = 1000});
  if (!json) return bad_request("", "{}", json.error().message);
  FATHOM_TRY(Fields fields, Fields::of(*json));
  PlanRequest request;
  FATHOM_CHECK(read_load(fields, request.question.workload));
  FATHOM_CHECK(read_wishes(fields, request.question));
  FATHOM_CHECK(read_models(fields, request.question));
  FATHOM_CHECK(read_hardware(fields, request.question));
  FATHOM_TRY(const auto limit, fields.integer("limit", 1, 100));
  request.limit = static_cast<size_t>(limit.value_or(10));
  FATHOM_CHECK(fields.unknown());
  request.question.simulated = 0;
  return request;
}

ApiStatus add_qualities(const std::filesystem::path& evaluations, PlanRequest& request) {
  plan::Question& question = request.question;
  auto measured = plan::read_evaluations(evaluations);
  if (!measured) {
    return std::unexpected(
        ApiError{.status = 500, .message = "The results of evaluations cannot be read."});
  }
  question.qualities = *std::move(measured);
  if (question.quality_task.empty()) return {};
  auto task = plan::find_task(question.quality_task, question.qualities);
  if (!task) return bad_request("quality_task", "{}", task.error().message);
  question.quality_task = *std::move(task);
  return {};
}

OrderedJson known(bool is_known, double value) {
  return is_known ? OrderedJson(value) : OrderedJson();
}

OrderedJson percentiles(const plan::Percentiles& seconds) {
  return {{"p50", 1000 * seconds.p50}, {"p90", 1000 * seconds.p90}, {"p99", 1000 * seconds.p99}};
}

OrderedJson identity(const plan::Deployment& deployment) {
  return {{"model", deployment.model.name},
          {"title", deployment.model.title},
          {"tier", deployment.model.tier},
          {"precision", deployment.model.precision},
          {"hardware", deployment.hardware.name},
          {"hardware_title", deployment.hardware.title},
          {"placement", plan::placement_text(deployment)}};
}

OrderedJson curves(const plan::Question& question, const plan::Demand& demand,
                   const plan::Ranked& ranked) {
  OrderedJson cost = OrderedJson::array();
  for (const svg::Point& point :
       plan::cost_over_volume(ranked.deployment, ranked.prediction, question.prices)) {
    cost.push_back({point.x, point.y});
  }
  OrderedJson latency = OrderedJson::array();
  for (const plan::LatencyAtLoad& point :
       plan::latency_over_load(ranked.deployment, demand, ranked.prediction)) {
    latency.push_back({point.requests_per_second, point.ttft_ms, point.itl_ms});
  }
  return {{"usd_a_month_over_requests", std::move(cost)}, {"ms_over_load", std::move(latency)}};
}

OrderedJson quality_json(const std::optional<plan::Quality>& quality) {
  if (!quality) return {};
  const auto text = [](const std::string& value) {
    return value.empty() ? OrderedJson() : OrderedJson(value);
  };
  return {{"score", quality->score},
          {"benchmark", quality->benchmark},
          {"measured", quality->measured},
          {"date", text(quality->date)},
          {"precision", text(quality->precision)}};
}

OrderedJson deployment_json(const plan::Ranked& ranked) {
  const plan::Deployment& deployment = ranked.deployment;
  const plan::Prediction& prediction = ranked.prediction;
  const plan::MemoryUse& memory = prediction.memory;
  OrderedJson json = identity(deployment);
  json.update(OrderedJson{
      {"tp", deployment.tp},
      {"pp", deployment.pp},
      {"ep", deployment.ep},
      {"dp", deployment.dp()},
      {"replicas", deployment.replicas},
      {"devices", deployment.devices()},
      {"offloaded_experts", deployment.offloaded},
      {"memory_bytes", memory.total()},
      {"memory",
       {{"weights", memory.weights},
        {"cache", memory.cache},
        {"activations", memory.activations},
        {"program", memory.program},
        {"host", memory.host},
        {"device", deployment.hardware.memory_bytes}}},
      {"ttft_ms", percentiles(prediction.ttft_seconds)},
      {"itl_ms", percentiles(prediction.itl_seconds)},
      {"tokens_per_second", prediction.output_tokens_per_second},
      {"utilisation", prediction.utilisation},
      {"most_requests_per_second", prediction.most_requests_per_second},
      {"watts", prediction.watts},
      {"usd_per_hour", known(ranked.cost_known, prediction.usd_per_hour)},
      {"usd_per_million_requests", known(ranked.cost_known, prediction.usd_per_million_requests)},
      {"usd_per_million_tokens", known(ranked.cost_known, prediction.usd_per_million_tokens)},
      {"quality", quality_json(ranked.quality)},
      {"bound_by", name(prediction.step.bound)},
      {"prepare", ranked.prepare},
      {"command", ranked.command}});
  return json;
}

}  // namespace

ApiResult<std::string> answer_plan(std::string_view body,
                                   const std::filesystem::path& evaluations) {
  const auto begun = std::chrono::steady_clock::now();
  FATHOM_TRY(PlanRequest request, parse_plan_request(body));
  FATHOM_CHECK(add_qualities(evaluations, request));
  const auto ranking = plan::rank(request.question);
  if (!ranking) return bad_request("", "{}", ranking.error().message);
  const plan::Demand demand = plan::demand_of(request.question.workload);
  OrderedJson deployments = OrderedJson::array();
  for (size_t i = 0; i < std::min(request.limit, ranking->deployments.size()); ++i) {
    deployments.push_back(deployment_json(ranking->deployments[i]));
    if (i < kDrawn)
      deployments.back()["curves"] = curves(request.question, demand, ranking->deployments[i]);
  }
  OrderedJson ruled_out = OrderedJson::array();
  for (size_t i = 0; i < std::min(request.limit, ranking->ruled_out.size()); ++i) {
    const plan::RuledOut& out = ranking->ruled_out[i];
    OrderedJson json = identity(out.deployment);
    json["constraint"] = out.constraint;
    json["reason"] = out.reason;
    ruled_out.push_back(std::move(json));
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return dump({{"object", "plan"},
               {"deployments", std::move(deployments)},
               {"ruled_out", std::move(ruled_out)},
               {"candidates", ranking->candidates},
               {"quality_task",
                ranking->quality_task.empty() ? OrderedJson() : OrderedJson(ranking->quality_task)},
               {"able", ranking->deployments.size()},
               {"milliseconds", 1000 * seconds}});
}

}  // namespace fathom::serve
