#include "serve/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <fstream>
#include <utility>

namespace fathom::serve {
namespace {

using prometheus::Histogram;
using prometheus::MetricFamily;
using prometheus::MetricType;

const Histogram::BucketBoundaries kTokenSeconds = {
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.085, 0.12, 0.16, 0.25, 0.5, 1, 2.5};
const Histogram::BucketBoundaries kWaitSeconds = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                  1,    2.5,   5,    10,  30,   60};
const Histogram::BucketBoundaries kRequestSeconds = {0.05, 0.1, 0.25, 0.5, 1,   2.5,
                                                     5,    10,  30,   60,  120, 300};

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0;
  int64_t resident = 0;
  file >> size >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

MetricFamily family(const char* name, const char* help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

void add_value(MetricFamily& family, double value, const std::string& model) {
  prometheus::ClientMetric metric;
  if (!model.empty()) metric.label.push_back({"model", model});
  (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  family.metric.push_back(std::move(metric));
}

// One number of each engine, or of the process.
struct EngineMetric {
  const char* name;
  const char* help;
  MetricType type;
  double (*read)(const ServingStats&);
};

template <auto kMember>
double member(const ServingStats& stats) {
  return static_cast<double>(stats.*kMember);
}

template <auto kPages>
double bytes(const ServingStats& stats) {
  return static_cast<double>(stats.*kPages * stats.page_bytes);
}

using S = ServingStats;
constexpr MetricType kGauge = MetricType::Gauge;
constexpr MetricType kCounter = MetricType::Counter;
constexpr EngineMetric kEngineMetrics[] = {
    {"fathom_queue_answers", "Answers that wait for their turn", kGauge, member<&S::waiting>},
    {"fathom_batch_answers", "Answers computed together now", kGauge, member<&S::running>},
    {"fathom_batch_tokens", "Tokens computed in the last step", kGauge, member<&S::step_rows>},
    {"fathom_batch_prompt_tokens", "Those of them that belong to prompts", kGauge,
     member<&S::step_prompt_rows>},
    {"fathom_step_seconds", "Time of the last step", kGauge, member<&S::step_seconds>},
    {"fathom_kv_bytes", "Memory for keys and values", kGauge, bytes<&S::pages_total>},
    {"fathom_kv_used_bytes", "Of it, held by answers in the batch", kGauge, bytes<&S::pages_used>},
    {"fathom_kv_cached_bytes", "Of it, prefixes kept for later requests", kGauge,
     bytes<&S::pages_cached>},
    {"fathom_kv_resident_bytes", "Of it, ever used, so that it takes memory", kGauge,
     bytes<&S::pages_touched>},
    {"fathom_requests_total", "Requests taken by the engine", kCounter, member<&S::requests>},
    {"fathom_refused_total", "Requests refused because the queue was full", kCounter,
     member<&S::refusals>},
    {"fathom_answers_ended_total", "Answers that ended", kCounter, member<&S::answers_ended>},
    {"fathom_answers_cancelled_total", "Answers whose client went away", kCounter,
     member<&S::answers_cancelled>},
    {"fathom_answers_failed_total", "Answers that failed", kCounter, member<&S::answers_failed>},
    {"fathom_preemptions_total", "Answers that gave their memory to older ones for a while",
     kCounter, member<&S::preemptions>},
    {"fathom_prompt_tokens_total", "Tokens of prompts", kCounter, member<&S::prompt_tokens>},
    {"fathom_cached_tokens_total", "Those of them found in the prefix cache", kCounter,
     member<&S::cached_tokens>},
    {"fathom_answer_tokens_total", "Tokens of answers", kCounter, member<&S::answer_tokens>},
    {"fathom_computed_tokens_total", "Tokens that went through the model", kCounter,
     member<&S::computed_tokens>},
    {"fathom_drafted_tokens_total", "Guesses of how answers go on that were checked", kCounter,
     member<&S::drafted_tokens>},
    {"fathom_accepted_tokens_total", "Those of them that were right", kCounter,
     member<&S::accepted_tokens>},
    {"fathom_evicted_pages_total", "Pages of the prefix cache given up for others", kCounter,
     member<&S::evicted_pages>},
    {"fathom_steps_total", "Steps of the model", kCounter, member<&S::steps>},
    {"fathom_step_seconds_total", "Time in steps", kCounter, member<&S::total_seconds>},
    {"fathom_model_seconds_total", "Of it, in the model", kCounter, member<&S::model_seconds>},
    {"fathom_sampling_seconds_total", "Of it, drawing tokens", kCounter,
     member<&S::sampling_seconds>},
    {"fathom_draft_seconds_total", "Of it, guessing how answers go on", kCounter,
     member<&S::draft_seconds>},
};

std::vector<MetricFamily> engine_families(const Metrics::Gauges& now) {
  std::vector<MetricFamily> families;
  const auto add = [&](const char* name, const char* help, MetricType type, double value) {
    families.push_back(family(name, help, type));
    add_value(families.back(), value, {});
  };
  add("fathom_connections", "Open connections", kGauge, now.connections);
  add("process_resident_memory_bytes", "Resident memory of the process", kGauge,
      static_cast<double>(resident_bytes()));
  add("fathom_ledger_lost_total", "Requests that could not be written to the ledger", kCounter,
      static_cast<double>(now.ledger_lost));
  const bool labelled = now.engines.size() > 1;
  for (const EngineMetric& metric : kEngineMetrics) {
    families.push_back(family(metric.name, metric.help, metric.type));
    for (const auto& [model, stats] : now.engines) {
      add_value(families.back(), metric.read(stats), labelled ? model : std::string());
    }
  }
  return families;
}

}  // namespace

struct Metrics::Impl {
  std::function<Gauges()> read;
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& responses = prometheus::BuildCounter()
                                                           .Name("fathom_http_responses_total")
                                                           .Help("HTTP responses by status")
                                                           .Register(registry);
  prometheus::Family<prometheus::Counter>& ended = prometheus::BuildCounter()
                                                       .Name("fathom_requests_ended_total")
                                                       .Help("Requests by how they ended")
                                                       .Register(registry);
  Histogram& first_token = histogram("fathom_first_token_seconds",
                                     "From a request's arrival to its first token", kWaitSeconds);
  Histogram& next_token =
      histogram("fathom_inter_token_seconds", "Between two tokens of an answer", kTokenSeconds);
  Histogram& request =
      histogram("fathom_request_seconds", "From a request's arrival to its end", kRequestSeconds);

  Histogram& histogram(const char* name, const char* help,
                       const Histogram::BucketBoundaries& boundaries) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({},
                                                                                     boundaries);
  }
};

Metrics::Metrics(std::function<Gauges()> read) : impl_(std::make_unique<Impl>()) {
  impl_->read = std::move(read);
}

Metrics::~Metrics() = default;

void Metrics::response(int status) {
  impl_->responses.Add({{"status", std::to_string(status)}}).Increment();
}

void Metrics::request_ended(const std::string& outcome, double seconds) {
  impl_->ended.Add({{"outcome", outcome}}).Increment();
  impl_->request.Observe(seconds);
}

void Metrics::first_token(double seconds) {
  impl_->first_token.Observe(seconds);
}

void Metrics::next_token(double seconds) {
  impl_->next_token.Observe(seconds);
}

std::string Metrics::text() const {
  std::vector<MetricFamily> families = engine_families(impl_->read());
  for (auto& own : impl_->registry.Collect()) families.push_back(std::move(own));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace fathom::serve
