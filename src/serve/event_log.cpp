#include "serve/event_log.h"

#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <string>

namespace fathom::serve {

struct EventLog::Impl {
  LogFormat format = LogFormat::kNone;
  std::shared_ptr<spdlog::details::thread_pool> writer;
  std::shared_ptr<spdlog::async_logger> logger;
};

namespace {
constexpr size_t kQueuedLines = 8192;

std::string dump(const EventLog::Fields& value) {
  return value.dump(-1, ' ', false, EventLog::Fields::error_handler_t::replace);
}
}  // namespace

EventLog::EventLog(LogFormat format) : impl_(std::make_unique<Impl>()) {
  impl_->format = format;
  if (format == LogFormat::kNone) return;
  impl_->writer = std::make_shared<spdlog::details::thread_pool>(kQueuedLines, 1);
  impl_->logger = std::make_shared<spdlog::async_logger>(
      "fathom", std::make_shared<spdlog::sinks::stderr_sink_mt>(), impl_->writer,
      spdlog::async_overflow_policy::overrun_oldest);
  const char* pattern = format == LogFormat::kJson
                            ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                            : "%Y-%m-%dT%H:%M:%S.%eZ %l %v";
  impl_->logger->set_formatter(
      std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
}

EventLog::~EventLog() = default;

std::string EventLog::line(std::string_view event, const Fields& fields) const {
  if (impl_->format == LogFormat::kJson) {
    Fields all = {{"event", event}};
    all.update(fields);
    const std::string object = dump(all);
    return object.substr(1, object.size() - 2);
  }
  std::string text(event);
  for (const auto& [name, value] : fields.items()) {
    text += ' ';
    text += name;
    text += '=';
    text += dump(value);
  }
  return text;
}

void EventLog::info(std::string_view event, const Fields& fields) {
  if (impl_->logger) impl_->logger->info("{}", line(event, fields));
}

void EventLog::error(std::string_view event, const Fields& fields) {
  if (impl_->logger) impl_->logger->error("{}", line(event, fields));
}

}  // namespace fathom::serve
