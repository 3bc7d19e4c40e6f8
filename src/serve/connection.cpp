#include "serve/connection.h"

#include <poll.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <utility>

namespace fathom::serve {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using TlsStream = asio::ssl::stream<beast::tcp_stream>;
using ErrorCode = boost::system::error_code;
using RequestParser = http::request_parser<http::string_body>;
using std::chrono::steady_clock;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr size_t kWriteSlice = 64U << 10;  // each has the whole write_time
constexpr size_t kReadSlice = 1024;
constexpr std::chrono::milliseconds kTlsGoodbye{1000};
constexpr std::chrono::milliseconds kLookAgain{250};

// Whether the other side has closed, even if bytes of it are still unread.
bool peer_has_closed(int descriptor) {
  pollfd entry{descriptor, POLLRDHUP, 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

HttpRequest take_request(RequestParser& parser, const std::string& peer) {
  HttpRequest request;
  auto message = parser.release();
  request.method = std::string(message.method_string());
  const std::string_view target(message.target().data(), message.target().size());
  const size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string_view::npos) request.query = target.substr(question + 1);
  for (const auto& field : message) {
    request.headers.emplace_back(field.name_string(), field.value());
  }
  request.body = std::move(message.body());
  request.peer = peer;
  return request;
}

}  // namespace

// What one attempt to read a request ended in: a request, a refusal, or (neither) a closed
// connection.
struct Connection::ReadResult {
  std::optional<HttpRequest> request;
  std::optional<RefusedRequest> refused;
  bool keep_alive = false;
  bool http_1_0 = false;
  size_t reserved = 0;  // of the memory for all bodies
};

Connection::Connection(ConnectionContext& context, std::string peer)
    : context_(context), peer_(std::move(peer)), wake_(context.io), again_(context.io) {}

void Connection::close() {
  ErrorCode ignored;
  if (socket_ != nullptr) socket_->close(ignored);
  wake_.cancel();
  again_.cancel();
}

void Connection::cut() {
  gone_ = true;
  close();
}

asio::awaitable<void> Connection::serve_plain(beast::tcp_stream stream) {
  socket_ = &stream.socket();
  co_await serve(stream);
  socket_ = nullptr;
}

asio::awaitable<void> Connection::serve_tls(beast::tcp_stream socket, asio::ssl::context& tls) {
  TlsStream stream(std::move(socket), tls);
  socket_ = &stream.next_layer().socket();
  stream.next_layer().expires_after(context_.options.header_time);
  auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, kToken);
  if (!error) {
    co_await serve(stream);
    if (socket_->is_open()) {
      stream.next_layer().expires_after(kTlsGoodbye);
      co_await stream.async_shutdown(kToken);
    }
  }
  socket_ = nullptr;
}

// While it idles, a connection holds no more than this frame and a small buffer.
template <typename Stream>
asio::awaitable<void> Connection::serve(Stream& stream) {
  beast::flat_buffer buffer(context_.options.header_bytes + kWriteSlice);
  auto& lowest = beast::get_lowest_layer(stream);
  bool go_on = true;
  while (go_on && !context_.draining) {
    if (buffer.size() == 0) {
      if (buffer.capacity() > 4 * kReadSlice) buffer.shrink_to_fit();
      idle_ = true;
      lowest.expires_after(context_.options.idle_time);
      auto [error, count] = co_await stream.async_read_some(buffer.prepare(kReadSlice), kToken);
      if (error) co_return;
      buffer.commit(count);
    }
    idle_ = false;
    ReadResult result = co_await read_request(stream, buffer);
    go_on = result.request && co_await answer(stream, result);
    context_.body_bytes -= result.reserved;
    if (!result.refused) continue;
    buffer.clear();
    buffer.shrink_to_fit();
    co_await refuse(stream, *std::move(result.refused));
  }
  ++generation_;
  again_.cancel();
}

template <typename Parser>
std::optional<RefusedRequest> Connection::check_head(Parser& parser, ReadResult& result) {
  const HttpOptions& options = context_.options;
  const auto& head = parser.get();
  if (auto problem = ambiguous_head(head, head.version() == 11)) return problem;
  if (head.target().empty() || head.target().front() != '/') {
    return RefusedRequest{400, "The request's target must be a path."};
  }
  const size_t wanted = parser.chunked()          ? options.body_bytes
                        : parser.content_length() ? *parser.content_length()
                                                  : 0;
  if (wanted > options.all_body_bytes - std::min(context_.body_bytes, options.all_body_bytes)) {
    return RefusedRequest{503, "The server is reading too many large requests. Try again later."};
  }
  result.reserved = wanted;
  context_.body_bytes += wanted;
  return std::nullopt;
}

template <typename Stream>
asio::awaitable<Connection::ReadResult> Connection::read_request(Stream& stream,
                                                                 beast::flat_buffer& buffer) {
  const HttpOptions& options = context_.options;
  ReadResult result;
  auto& lowest = beast::get_lowest_layer(stream);
  RequestParser parser;
  parser.header_limit(static_cast<uint32_t>(options.header_bytes));
  parser.body_limit(options.body_bytes);
  lowest.expires_after(options.header_time);
  auto [head_error, head_bytes] = co_await http::async_read_header(stream, buffer, parser, kToken);
  if (head_error) {
    result.refused = refusal_for(head_error, options.body_bytes);
    co_return result;
  }
  result.refused = check_head(parser, result);
  if (result.refused) co_return result;

  lowest.expires_after(options.body_time);
  if (beast::iequals(parser.get()[http::field::expect], "100-continue") && !parser.is_done()) {
    const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await asio::async_write(stream, asio::buffer(go_on), kToken);
  }
  auto [body_error, body_read] = co_await http::async_read(stream, buffer, parser, kToken);
  if (body_error) {
    result.refused = refusal_for(body_error, options.body_bytes);
    co_return result;
  }
  lowest.expires_never();
  result.http_1_0 = parser.get().version() < 11;
  result.keep_alive = parser.get().keep_alive() && !result.http_1_0 && !context_.draining;
  result.request = take_request(parser, peer_);
  co_return result;
}

template <typename Stream>
asio::awaitable<bool> Connection::answer(Stream& stream, ReadResult& result) {
  auto exchange =
      std::make_shared<Exchange>(Exchange::Options{.keep_alive = result.keep_alive,
                                                   .head_only = result.request->method == "HEAD",
                                                   .chunked = !result.http_1_0,
                                                   .output_limit = context_.options.output_bytes});
  {
    const std::lock_guard lock(context_.mutex);
    ++context_.exchanges;
  }
  exchange->on_output([self = shared_from_this(), weak = std::weak_ptr(exchange)] {
    asio::post(self->context_.io, [self, weak] {
      self->wake_.cancel();
      const auto waiting = weak.lock();
      if (waiting && waiting->broken()) self->close();
    });
  });
  gone_ = false;
  watch(exchange, ++generation_);
  context_.handler(*std::exchange(result.request, std::nullopt), exchange);
  const bool done = co_await write_output(stream, *exchange);
  ++generation_;
  again_.cancel();
  ErrorCode ignored;
  socket_->cancel(ignored);
  exchange->client_gone();  // after its end: lets go of the callbacks
  {
    const std::lock_guard lock(context_.mutex);
    --context_.exchanges;
  }
  context_.changed.notify_all();
  if (!done) co_return false;
  co_return result.keep_alive;
}

template <typename Stream>
asio::awaitable<bool> Connection::write_output(Stream& stream, Exchange& exchange) {
  while (true) {
    const Exchange::Output output = exchange.take();
    if (output.broken || gone_) co_return false;
    if (!output.bytes.empty()) {
      if (!co_await write_bytes(stream, output.bytes)) co_return false;
      continue;
    }
    if (output.ended) co_return true;
    // Whoever adds output cancels the timer on this very thread, so no wake-up is lost between
    // take() and here.
    wake_.expires_at(asio::steady_timer::time_point::max());
    co_await wake_.async_wait(kToken);
  }
}

template <typename Stream>
asio::awaitable<bool> Connection::write_bytes(Stream& stream, const std::string& bytes) {
  auto& lowest = beast::get_lowest_layer(stream);
  for (size_t at = 0; at < bytes.size(); at += kWriteSlice) {
    const size_t size = std::min(kWriteSlice, bytes.size() - at);
    lowest.expires_after(context_.options.write_time);
    auto [error, written] =
        co_await asio::async_write(stream, asio::buffer(bytes.data() + at, size), kToken);
    if (error) co_return false;
  }
  lowest.expires_never();
  co_return true;
}

template <typename Stream>
asio::awaitable<void> Connection::refuse(Stream& stream, RefusedRequest refused) {
  auto& lowest = beast::get_lowest_layer(stream);
  if (!lowest.socket().is_open()) co_return;
  Exchange exchange({.keep_alive = false});
  exchange.respond(context_.refusal(refused.status, refused.message));
  if (!co_await write_bytes(stream, exchange.take().bytes)) co_return;
  co_await linger(lowest);
}

// Ends when the client closes, falls silent, or has used up its time or its bytes. Under TLS what
// comes is not even deciphered.
asio::awaitable<void> Connection::linger(beast::tcp_stream& stream) {
  const HttpOptions& options = context_.options;
  ErrorCode ignored;
  stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  const auto end = steady_clock::now() + options.linger_time;
  for (size_t total = 0; total < options.linger_bytes;) {
    const auto now = steady_clock::now();
    if (now >= end) break;
    stream.expires_at(std::min(end, now + options.linger_silence));
    auto [error, count] = co_await stream.async_read_some(asio::buffer(context_.discarded), kToken);
    if (error) break;
    total += count;
  }
  stream.socket().close(ignored);
}

// While a request is answered, notices that the client closes. Bytes of a next request may be
// waiting; then the socket stays readable, and there is nothing to do but look now and then.
void Connection::watch(const std::shared_ptr<Exchange>& exchange, unsigned generation) {
  if (!socket_->is_open()) return;
  socket_->async_wait(tcp::socket::wait_read, [self = shared_from_this(), exchange,
                                               generation](const ErrorCode& error) {
    if (generation != self->generation_ || error == asio::error::operation_aborted) return;
    if (error || peer_has_closed(self->socket_->native_handle())) {
      self->gone_ = true;
      exchange->client_gone();
      self->wake_.cancel();
      return;
    }
    self->again_.expires_after(kLookAgain);
    self->again_.async_wait([self, exchange, generation](const ErrorCode& stopped) {
      if (!stopped && generation == self->generation_) self->watch(exchange, generation);
    });
  });
}

}  // namespace fathom::serve
