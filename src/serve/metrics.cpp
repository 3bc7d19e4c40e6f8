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

MetricFamily family(const char* name, const char* help, MetricType type, double value) {
  prometheus::ClientMetric metric;
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  family.metric.push_back(std::move(metric));
  return family;
}

std::vector<MetricFamily> engine_families(const Metrics::Gauges& now) {
  const ServingStats& engine = now.engine;
  std::vector<MetricFamily> families;
  const auto gauge = [&](const char* name, const char* help, auto value) {
    families.push_back(family(name, help, MetricType::Gauge, static_cast<double>(value)));
  };
  const auto counter = [&](const char* name, const char* help, auto value) {
    families.push_back(family(name, help, MetricType::Counter, static_cast<double>(value)));
  };
  gauge("fathom_connections", "Open connections", now.connections);
  gauge("fathom_queue_answers", "Answers that wait for their turn", engine.waiting);
  gauge("fathom_batch_answers", "Answers computed together now", engine.running);
  gauge("fathom_batch_tokens", "Tokens computed in the last step", engine.step_rows);
  gauge("fathom_batch_prompt_tokens", "Those of them that belong to prompts",
        engine.step_prompt_rows);
  gauge("fathom_step_seconds", "Time of the last step", engine.step_seconds);
  gauge("fathom_kv_bytes", "Memory for keys and values", engine.pages_total * engine.page_bytes);
  gauge("fathom_kv_used_bytes", "Of it, held by answers in the batch",
        engine.pages_used * engine.page_bytes);
  gauge("fathom_kv_cached_bytes", "Of it, prefixes kept for later requests",
        engine.pages_cached * engine.page_bytes);
  gauge("process_resident_memory_bytes", "Resident memory of the process", resident_bytes());
  counter("fathom_requests_total", "Requests taken by the engine", engine.requests);
  counter("fathom_refused_total", "Requests refused because the queue was full", engine.refusals);
  counter("fathom_answers_ended_total", "Answers that ended", engine.answers_ended);
  counter("fathom_answers_cancelled_total", "Answers whose client went away",
          engine.answers_cancelled);
  counter("fathom_answers_failed_total", "Answers that failed", engine.answers_failed);
  counter("fathom_preemptions_total", "Answers that gave their memory to older ones for a while",
          engine.preemptions);
  counter("fathom_prompt_tokens_total", "Tokens of prompts", engine.prompt_tokens);
  counter("fathom_cached_tokens_total", "Those of them found in the prefix cache",
          engine.cached_tokens);
  counter("fathom_answer_tokens_total", "Tokens of answers", engine.answer_tokens);
  counter("fathom_computed_tokens_total", "Tokens that went through the model",
          engine.computed_tokens);
  counter("fathom_evicted_pages_total", "Pages of the prefix cache given up for others",
          engine.evicted_pages);
  counter("fathom_steps_total", "Steps of the model", engine.steps);
  counter("fathom_step_seconds_total", "Time in steps", engine.total_seconds);
  counter("fathom_model_seconds_total", "Of it, in the model", engine.model_seconds);
  counter("fathom_sampling_seconds_total", "Of it, drawing tokens", engine.sampling_seconds);
  counter("fathom_ledger_lost_total", "Requests that could not be written to the ledger",
          now.ledger_lost);
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
