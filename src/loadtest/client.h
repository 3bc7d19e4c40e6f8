// Asks an OpenAI-compatible server and notes when each piece of the answer comes. Any number of
// requests may be under way; all belong to the one thread that runs the io_context. Connections are
// kept and used again.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "loadtest/record.h"
#include "loadtest/target.h"
#include "loadtest/workload.h"

namespace fathom::loadtest {

using Clock = std::chrono::steady_clock;

struct ClientOptions {
  Target target;
  std::string api_key;  // empty: none
  std::string model;    // empty: the request names none
  bool chat = true;     // chat/completions, or completions
  bool usage = true;    // ask for the token counts (stream_options.include_usage)
  nlohmann::json fields = nlohmann::json::object();  // further ones of every request
  double timeout = 600;  // seconds without a byte before a request counts as failed
  bool verify = true;    // the server's TLS certificate
};

class Client {
 public:
  // Finds the host's addresses. The io_context must outlive the client.
  static Result<std::unique_ptr<Client>> make(boost::asio::io_context& io,
                                              const ClientOptions& options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Whether the server answers, and the name of the first of its models; empty if it does not say.
  boost::asio::awaitable<Result<std::string>> first_model();
  void set_model(const std::string& model);
  // `start` is the time that the record's times count from, `due` when the request should begin.
  boost::asio::awaitable<Record> ask(Ask ask, Clock::time_point start, Clock::time_point due);
  // Cuts off all that is under way.
  void abort();

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fathom::loadtest
