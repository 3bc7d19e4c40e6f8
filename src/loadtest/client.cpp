#include "loadtest/client.h"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <charconv>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/quote.h"
#include "loadtest/answer_events.h"

namespace fathom::loadtest {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using TlsStream = asio::ssl::stream<beast::tcp_stream>;
using ErrorCode = boost::system::error_code;
using Parser = http::response_parser<http::buffer_body>;
using Json = nlohmann::json;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr size_t kMostErrorBytes = size_t{64} << 10;  // of a response that is no answer
constexpr size_t kMostListBytes = size_t{4} << 20;    // of the list of models

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

struct Connection {
  std::optional<beast::tcp_stream> plain;
  std::optional<TlsStream> tls;
  beast::flat_buffer buffer{size_t{256} << 10};
  bool used = false;  // it has brought a whole response before

  beast::tcp_stream& lowest() { return tls ? tls->next_layer() : *plain; }
};

// A response as it comes in.
struct Response {
  int status = 0;
  std::string content_type;
  std::string retry_after;
  bool keep_alive = false;
  bool begun = false;  // at least its head has come
  bool complete = false;
  ErrorCode error;
};

std::string kind_of_failure(const ErrorCode& error, bool begun) {
  if (error == beast::error::timeout) return "timeout";
  if (error.category() == http::make_error_code(http::error::bad_version).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message) {
    return "not HTTP";
  }
  return begun ? "broken off" : "connection closed";
}

// Of {"error": {"message": ...}}, or the beginning of the text.
std::string message_in(const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_object() && json.contains("error")) {
    const Json& error = json["error"];
    if (error.is_string()) return in_quotes(error.get<std::string>());
    if (error.is_object() && error.contains("message") && error["message"].is_string()) {
      return in_quotes(error["message"].get<std::string>());
    }
  }
  return in_quotes(body);
}

double seconds_in(const std::string& retry_after) {
  double seconds = 0;
  const char* end = retry_after.data() + retry_after.size();
  const auto parsed = std::from_chars(retry_after.data(), end, seconds);
  // The other form, a date, is rare enough to be met with a second's patience.
  if (parsed.ec != std::errc() || parsed.ptr != end || !(seconds >= 0)) return 1;
  return seconds;
}

}  // namespace

struct Client::Impl {
  Impl(asio::io_context& io_in, ClientOptions options_in)
      : io(io_in), options(std::move(options_in)) {}

  asio::io_context& io;
  ClientOptions options;
  std::vector<tcp::endpoint> endpoints;
  std::optional<asio::ssl::context> tls;
  std::vector<std::unique_ptr<Connection>> idle;
  std::set<Connection*> busy;
  bool aborted = false;

  std::string head(std::string_view method, std::string_view path) const;
  std::string request(const Ask& ask) const;
  asio::awaitable<std::string> connect(Connection& connection);
  // Sends a request and hands over the body as it comes, together with its time; ends early once
  // `on_bytes` returns false.
  using OnBytes = std::function<bool(const Response&, std::string_view, Clock::time_point)>;
  asio::awaitable<Response> exchange(const std::string& request, OnBytes on_bytes,
                                     std::string& no_connection);
  template <typename Stream>
  asio::awaitable<Response> exchange_on(Stream& stream, Connection& connection,
                                        const std::string& request, const OnBytes& on_bytes);
};

std::string Client::Impl::head(std::string_view method, std::string_view path) const {
  std::string text = fmt::format("{} {}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: fathom-loadtest\r\n",
                                 method, options.target.base, path, options.target.authority());
  if (!options.api_key.empty())
    text += fmt::format("Authorization: Bearer {}\r\n", options.api_key);
  return text;
}

std::string Client::Impl::request(const Ask& ask) const {
  Json body = {{"stream", true}, {"max_tokens", ask.max_tokens}};
  if (!options.model.empty()) body["model"] = options.model;
  if (options.usage) body["stream_options"] = {{"include_usage", true}};
  if (options.chat) {
    Json messages = Json::array();
    if (!ask.system.empty()) messages.push_back({{"role", "system"}, {"content", ask.system}});
    messages.push_back({{"role", "user"}, {"content", ask.prompt}});
    body["messages"] = std::move(messages);
  } else {
    body["prompt"] = ask.system.empty() ? ask.prompt : ask.system + "\n" + ask.prompt;
  }
  body.update(options.fields);
  const std::string text = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return head("POST", options.chat ? "/chat/completions" : "/completions") +
         fmt::format(
             "Content-Type: application/json\r\nAccept: text/event-stream\r\n"
             "Content-Length: {}\r\n\r\n",
             text.size()) +
         text;
}

// Empty: connected. Otherwise why not.
asio::awaitable<std::string> Client::Impl::connect(Connection& connection) {
  const auto limit = std::chrono::duration<double>(options.timeout);
  const auto until = std::chrono::duration_cast<Clock::duration>(limit);
  if (tls) {
    connection.tls.emplace(beast::tcp_stream(io), *tls);
  } else {
    connection.plain.emplace(io);
  }
  connection.lowest().expires_after(until);
  auto [error, endpoint] = co_await connection.lowest().async_connect(endpoints, kToken);
  if (error) co_return error.message();
  ErrorCode ignored;
  connection.lowest().socket().set_option(tcp::no_delay(true), ignored);
  if (!tls) co_return std::string();
  SSL_set_tlsext_host_name(connection.tls->native_handle(), options.target.host.c_str());
  if (options.verify) {
    connection.tls->set_verify_callback(asio::ssl::host_name_verification(options.target.host),
                                        ignored);
  }
  connection.lowest().expires_after(until);
  auto [refused] = co_await connection.tls->async_handshake(asio::ssl::stream_base::client, kToken);
  co_return refused ? "TLS: " + refused.message() : std::string();
}

template <typename Stream>
asio::awaitable<Response> Client::Impl::exchange_on(Stream& stream, Connection& connection,
                                                    const std::string& request,
                                                    const OnBytes& on_bytes) {
  const auto limit = std::chrono::duration<double>(options.timeout);
  const auto patience = std::chrono::duration_cast<Clock::duration>(limit);
  beast::tcp_stream& lowest = connection.lowest();
  Response response;
  lowest.expires_after(patience);
  auto [send_error, sent] = co_await asio::async_write(stream, asio::buffer(request), kToken);
  // A server may answer (a refusal) and close before it has read everything.
  Parser parser;
  parser.header_limit(64U << 10);
  parser.body_limit(boost::none);
  lowest.expires_after(patience);
  auto [head_error, head_bytes] =
      co_await http::async_read_header(stream, connection.buffer, parser, kToken);
  if (head_error) {
    response.error = send_error ? send_error : head_error;
    co_return response;
  }
  response.begun = true;
  response.status = static_cast<int>(parser.get().result_int());
  response.content_type = std::string(parser.get()[http::field::content_type]);
  response.retry_after = std::string(parser.get()[http::field::retry_after]);
  std::array<char, 16384> block;
  while (!parser.is_done()) {
    parser.get().body().data = block.data();
    parser.get().body().size = block.size();
    lowest.expires_after(patience);
    auto [error, count] = co_await http::async_read_some(stream, connection.buffer, parser, kToken);
    const auto now = Clock::now();
    const size_t got = block.size() - parser.get().body().size;
    if (got > 0 && !on_bytes(response, std::string_view(block.data(), got), now)) {
      co_return response;
    }
    if (error && error != http::error::need_buffer) {
      response.error = error;
      co_return response;
    }
  }
  response.complete = true;
  response.keep_alive = parser.keep_alive();
  co_return response;
}

asio::awaitable<Response> Client::Impl::exchange(const std::string& request, OnBytes on_bytes,
                                                 std::string& no_connection) {
  while (true) {
    std::unique_ptr<Connection> connection;
    if (!idle.empty()) {
      connection = std::move(idle.back());
      idle.pop_back();
    } else {
      connection = std::make_unique<Connection>();
    }
    busy.insert(connection.get());
    if (!connection->used) no_connection = co_await connect(*connection);
    Response response;
    if (no_connection.empty()) {
      if (connection->tls) {
        response = co_await exchange_on(*connection->tls, *connection, request, on_bytes);
      } else {
        response = co_await exchange_on(*connection->plain, *connection, request, on_bytes);
      }
    }
    busy.erase(connection.get());
    // A kept connection that the server had closed meanwhile: once more, on a new one.
    const bool stale = connection->used && !response.begun && !aborted &&
                       kind_of_failure(response.error, false) == "connection closed";
    if (stale) {
      idle.clear();
      continue;
    }
    if (response.complete && response.keep_alive) {
      connection->used = true;
      idle.push_back(std::move(connection));
    }
    co_return response;
  }
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::make(asio::io_context& io, const ClientOptions& options) {
  auto impl = std::make_unique<Impl>(io, options);
  ErrorCode error;
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(options.target.host, std::to_string(options.target.port), error);
  if (error || found.empty()) {
    return fail("The host {} cannot be found: {}.", in_quotes(options.target.host),
                error.message());
  }
  for (const auto& entry : found) impl->endpoints.push_back(entry.endpoint());
  if (options.target.tls) {
    impl->tls.emplace(asio::ssl::context::tls_client);
    if (options.verify) {
      impl->tls->set_default_verify_paths(error);
      impl->tls->set_verify_mode(asio::ssl::verify_peer, error);
    }
  }
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

void Client::set_model(const std::string& model) {
  impl_->options.model = model;
}

void Client::abort() {
  impl_->aborted = true;
  for (Connection* connection : impl_->busy) {
    if (connection->plain || connection->tls) connection->lowest().cancel();
  }
}

asio::awaitable<Result<std::string>> Client::first_model() {
  const std::string request = impl_->head("GET", "/models") + "\r\n";
  std::string body;
  std::string no_connection;
  Impl::OnBytes keep = [&body](const Response&, std::string_view bytes, Clock::time_point) {
    body += bytes;
    return body.size() <= kMostListBytes;
  };
  const Target& target = impl_->options.target;
  const Response response = co_await impl_->exchange(request, std::move(keep), no_connection);
  if (!no_connection.empty()) {
    co_return fail("There is no connection to {}: {}. {}", target.authority(), no_connection,
                   no_connection.starts_with("TLS") ? "--insecure does not check certificates."
                                                    : "Is the server running there?");
  }
  if (!response.complete) {
    co_return fail("{} does not answer as an HTTP server ({}). Is the URL right?",
                   target.authority(), kind_of_failure(response.error, response.begun));
  }
  if (response.status == 401 || response.status == 403) {
    co_return fail("{} wants an API key (HTTP {}): {} Give one with --api-key.", target.authority(),
                   response.status, message_in(body));
  }
  const Json json = Json::parse(body, nullptr, false);
  if (response.status == 200 && json.is_object() && json.contains("data") &&
      json["data"].is_array() && !json["data"].empty() && json["data"][0].is_object() &&
      json["data"][0].contains("id") && json["data"][0]["id"].is_string()) {
    co_return json["data"][0]["id"].get<std::string>();
  }
  co_return std::string();
}

asio::awaitable<Record> Client::ask(Ask ask, Clock::time_point start, Clock::time_point due) {
  Record record;
  record.begun = seconds_between(start, due);
  AnswerEvents events;
  std::string other;  // a body that is no stream of events
  Impl::OnBytes take = [&](const Response& response, std::string_view bytes,
                           Clock::time_point now) {
    if (response.status == 200 && response.content_type.starts_with("text/event-stream")) {
      return events.feed(bytes, seconds_between(start, now));
    }
    other += bytes.substr(0, kMostErrorBytes - std::min(kMostErrorBytes, other.size()));
    return true;
  };
  const std::string request = impl_->request(ask);
  std::string no_connection;
  const Response response = co_await impl_->exchange(request, std::move(take), no_connection);
  record.ended = seconds_between(start, Clock::now());
  record.status = response.status;
  record.arrivals = std::move(events.arrivals);
  record.prompt_tokens = events.prompt_tokens;
  record.cached_tokens = events.cached_tokens;
  record.completion_tokens = events.completion_tokens;
  if (!no_connection.empty()) {
    record.error = "no connection";
    record.detail = no_connection;
  } else if (!response.begun) {
    record.error = kind_of_failure(response.error, false);
    record.detail = response.error.message();
  } else if (response.status != 200) {
    record.error = fmt::format("HTTP {}", response.status);
    record.detail = message_in(other);
    if (!response.retry_after.empty()) record.retry_after = seconds_in(response.retry_after);
  } else if (!response.content_type.starts_with("text/event-stream")) {
    record.error = "no event stream";
    record.detail =
        fmt::format("the answer is {}: {}", in_quotes(response.content_type), in_quotes(other));
  } else if (!events.error.empty()) {
    record.error = events.error;
    record.detail = events.detail;
  } else if (!response.complete && !events.done) {
    record.error = kind_of_failure(response.error, true);
    record.detail = response.error.message();
  } else if (!events.done && !events.finished) {
    record.error = "broken off";
    record.detail = "the stream ended before its answer did";
  }
  co_return record;
}

}  // namespace fathom::loadtest
