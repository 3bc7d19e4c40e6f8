#include "cli/loopback_server.h"

#include <fmt/format.h>

#include <utility>

namespace fathom::cli {
namespace {

constexpr int kSampledPrompts = 32;
constexpr const char* kName = "model";

}  // namespace

Result<std::unique_ptr<LoopbackServer>> LoopbackServer::start(const Model& model,
                                                              const ServingOptions& engine) {
  auto served = std::unique_ptr<LoopbackServer>(new LoopbackServer());
  serve::ServeOptions options;
  options.http.port = 0;
  options.keep_ledger = false;
  options.log = serve::LogFormat::kNone;
  options.web_page = false;
  options.engine = engine;
  FATHOM_TRY(served->server_, serve::Server::start({{.name = kName, .model = model}}, options));
  return served;
}

Result<double> mean_prompt_tokens(const Model& model, const loadtest::Workload& workload) {
  double sum = 0;
  for (uint64_t i = 0; i < kSampledPrompts; ++i) {
    FATHOM_TRY(const auto tokens, model.tokenize(workload.ask(i).prompt));
    sum += static_cast<double>(tokens.size());
  }
  return sum / kSampledPrompts;
}

Result<loadtest::Summary> LoopbackServer::put(loadtest::RunOptions options,
                                              const loadtest::Workload& workload) const {
  FATHOM_TRY(options.client.target,
             loadtest::Target::parse(fmt::format("http://127.0.0.1:{}", server_->port())));
  options.client.chat = false;
  options.client.model = kName;
  options.client.fields = {{"ignore_eos", true}};
  FATHOM_TRY(const loadtest::RunLog log, loadtest::run(options, workload));
  const loadtest::Summary summary = loadtest::summarise(log, 0);
  if (summary.answered == 0) return fail("The server answered no request of the load test.");
  return summary;
}

}  // namespace fathom::cli
