#include "serve/http_server.h"

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/quote.h"
#include "serve/http_refusals.h"

namespace fathom::serve {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using TlsStream = asio::ssl::stream<beast::tcp_stream>;
using ErrorCode = boost::system::error_code;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr size_t kWriteSlice = 64U << 10;  // each has the whole write_time
constexpr size_t kReadSlice = 1024;
constexpr std::chrono::milliseconds kLinger{1000};
constexpr size_t kLingerBytes = 4U << 20;
constexpr std::chrono::milliseconds kLookAgain{250};

struct Connection {
  explicit Connection(asio::io_context& io) : wake(io), again(io) {}
  tcp::socket* socket = nullptr;
  asio::steady_timer wake;   // cancelled when there is output
  asio::steady_timer again;  // to look again whether the client is still there
  std::string peer;
  unsigned generation = 0;  // counts requests, so that what watched an earlier one stops
  bool idle = true;         // no request is being read or answered
  bool gone = false;

  void close() {
    ErrorCode ignored;
    socket->close(ignored);
    wake.cancel();
    again.cancel();
  }
};

// Whether the other side has closed, even if bytes of it are still unread.
bool peer_has_closed(int descriptor) {
  pollfd entry{descriptor, POLLRDHUP, 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

using Parser = http::request_parser<http::string_body>;

// What one attempt to read a request ended in: a request, a refusal, or (neither) a closed
// connection.
struct ReadResult {
  std::optional<HttpRequest> request;
  std::optional<RefusedRequest> refused;
  bool keep_alive = false;
  bool http_1_0 = false;
  size_t reserved = 0;  // of the memory for all bodies
};

HttpRequest take_request(Parser& parser, const std::string& peer) {
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

struct HttpServer::Impl {
  HttpOptions options;
  HttpHandler handler;
  HttpRefusal refusal;
  asio::io_context io{1};
  std::optional<asio::ssl::context> tls;
  tcp::acceptor acceptor{io};
  std::thread thread;
  uint16_t port = 0;

  // Of the server's thread:
  std::set<std::shared_ptr<Connection>> open;
  size_t body_bytes = 0;

  std::atomic<int> connections = 0;
  std::atomic<bool> draining = false;
  std::mutex mutex;
  std::condition_variable changed;
  int exchanges = 0;  // under mutex

  Status listen();
  Status prepare_tls();
  asio::awaitable<void> accept();
  asio::awaitable<void> serve_plain(beast::tcp_stream stream, std::shared_ptr<Connection> self);
  asio::awaitable<void> serve_tls(beast::tcp_stream socket, std::shared_ptr<Connection> self);
  template <typename Stream>
  asio::awaitable<void> serve(Stream& stream, std::shared_ptr<Connection> self);
  template <typename Stream>
  asio::awaitable<ReadResult> read_request(Stream& stream, beast::flat_buffer& buffer,
                                           const Connection& self);
  std::optional<RefusedRequest> check_head(Parser& parser, ReadResult& result);
  template <typename Stream>
  asio::awaitable<bool> answer(Stream& stream, std::shared_ptr<Connection> self,
                               ReadResult& result);
  template <typename Stream>
  asio::awaitable<bool> write_output(Stream& stream, Connection& self, Exchange& exchange);
  template <typename Stream>
  asio::awaitable<bool> write_bytes(Stream& stream, const std::string& bytes);
  template <typename Stream>
  asio::awaitable<void> refuse(Stream& stream, const RefusedRequest& refused);
  void watch(const std::shared_ptr<Connection>& self, const std::shared_ptr<Exchange>& exchange,
             unsigned generation);
};

Status HttpServer::Impl::prepare_tls() {
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return usage_error("TLS needs a certificate and its key: give both.");
  }
  if (options.tls_certificate.empty()) return {};
  tls.emplace(asio::ssl::context::tls_server);
  tls->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
  SSL_CTX_set_mode(tls->native_handle(), SSL_MODE_RELEASE_BUFFERS);
  ErrorCode error;
  if (tls->use_certificate_chain_file(options.tls_certificate, error); error) {
    return fail("The certificate {} cannot be used: {}.", options.tls_certificate, error.message());
  }
  if (tls->use_private_key_file(options.tls_key, asio::ssl::context::pem, error); error) {
    return fail("The key {} cannot be used: {}.", options.tls_key, error.message());
  }
  if (SSL_CTX_check_private_key(tls->native_handle()) != 1) {
    return fail("The key {} does not belong to the certificate {}.", options.tls_key,
                options.tls_certificate);
  }
  return {};
}

Status HttpServer::Impl::listen() {
  ErrorCode error;
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    return fail("The host {} is no address of this machine: {}.", in_quotes(options.host),
                error.message());
  }
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(4096, error);
  if (error) {
    return fail("Cannot listen on {} port {}: {}. Choose another --port or --host.", options.host,
                options.port, error.message());
  }
  port = acceptor.local_endpoint(error).port();
  return {};
}

asio::awaitable<void> HttpServer::Impl::accept() {
  asio::steady_timer pause(io);
  while (!draining) {
    auto [error, socket] = co_await acceptor.async_accept(kToken);
    if (error == asio::error::operation_aborted || draining) co_return;
    if (error) {  // out of descriptors, most likely: some will become free
      pause.expires_after(std::chrono::milliseconds(100));
      co_await pause.async_wait(kToken);
      continue;
    }
    if (connections >= options.max_connections) continue;  // closes it
    ErrorCode ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    auto connection = std::make_shared<Connection>(io);
    connection->peer = socket.remote_endpoint(ignored).address().to_string();
    beast::tcp_stream stream(std::move(socket));
    if (tls) {
      co_spawn(io, serve_tls(std::move(stream), connection), asio::detached);
    } else {
      co_spawn(io, serve_plain(std::move(stream), connection), asio::detached);
    }
  }
}

asio::awaitable<void> HttpServer::Impl::serve_plain(beast::tcp_stream stream,
                                                    std::shared_ptr<Connection> self) {
  self->socket = &stream.socket();
  open.insert(self);
  ++connections;
  co_await serve(stream, self);
  open.erase(self);
  --connections;
}

asio::awaitable<void> HttpServer::Impl::serve_tls(beast::tcp_stream socket,
                                                  std::shared_ptr<Connection> self) {
  TlsStream stream(std::move(socket), *tls);
  self->socket = &stream.next_layer().socket();
  open.insert(self);
  ++connections;
  stream.next_layer().expires_after(options.header_time);
  auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, kToken);
  if (!error) {
    co_await serve(stream, self);
    if (self->socket->is_open()) {
      stream.next_layer().expires_after(kLinger);
      co_await stream.async_shutdown(kToken);
    }
  }
  open.erase(self);
  --connections;
}

// One connection from its first request to its end. While it idles it holds no more than this frame
// and a small buffer.
template <typename Stream>
asio::awaitable<void> HttpServer::Impl::serve(Stream& stream, std::shared_ptr<Connection> self) {
  beast::flat_buffer buffer(options.header_bytes + kWriteSlice);
  auto& lowest = beast::get_lowest_layer(stream);
  bool go_on = true;
  while (go_on && !draining) {
    if (buffer.size() == 0) {
      if (buffer.capacity() > 4 * kReadSlice) buffer.shrink_to_fit();
      self->idle = true;
      lowest.expires_after(options.idle_time);
      auto [error, count] = co_await stream.async_read_some(buffer.prepare(kReadSlice), kToken);
      if (error) co_return;
      buffer.commit(count);
    }
    self->idle = false;
    ReadResult result = co_await read_request(stream, buffer, *self);
    if (result.request) {
      go_on = co_await answer(stream, self, result);
    } else {
      if (result.refused) co_await refuse(stream, *result.refused);
      go_on = false;
    }
    body_bytes -= result.reserved;
  }
  self->generation++;
  self->again.cancel();
}

std::optional<RefusedRequest> HttpServer::Impl::check_head(Parser& parser, ReadResult& result) {
  const auto& head = parser.get();
  if (auto problem = ambiguous_head(head, head.version() == 11)) return problem;
  if (head.target().empty() || head.target().front() != '/') {
    return RefusedRequest{400, "The request's target must be a path."};
  }
  const size_t wanted = parser.chunked()          ? options.body_bytes
                        : parser.content_length() ? *parser.content_length()
                                                  : 0;
  if (wanted > options.all_body_bytes - std::min(body_bytes, options.all_body_bytes)) {
    return RefusedRequest{503, "The server is reading too many large requests. Try again later."};
  }
  result.reserved = wanted;
  body_bytes += wanted;
  return std::nullopt;
}

template <typename Stream>
asio::awaitable<ReadResult> HttpServer::Impl::read_request(Stream& stream,
                                                           beast::flat_buffer& buffer,
                                                           const Connection& self) {
  ReadResult result;
  auto& lowest = beast::get_lowest_layer(stream);
  Parser parser;
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
  result.keep_alive = parser.get().keep_alive() && !result.http_1_0 && !draining;
  result.request = take_request(parser, self.peer);
  co_return result;
}

template <typename Stream>
asio::awaitable<bool> HttpServer::Impl::answer(Stream& stream, std::shared_ptr<Connection> self,
                                               ReadResult& result) {
  auto exchange =
      std::make_shared<Exchange>(Exchange::Options{.keep_alive = result.keep_alive,
                                                   .head_only = result.request->method == "HEAD",
                                                   .chunked = !result.http_1_0,
                                                   .output_limit = options.output_bytes});
  {
    const std::lock_guard lock(mutex);
    ++exchanges;
  }
  exchange->on_output([this, self, weak = std::weak_ptr(exchange)] {
    asio::post(io, [self, weak] {
      self->wake.cancel();
      const auto waiting = weak.lock();
      if (waiting && waiting->broken()) self->close();
    });
  });
  self->gone = false;
  watch(self, exchange, ++self->generation);
  handler(*std::exchange(result.request, std::nullopt), exchange);
  const bool done = co_await write_output(stream, *self, *exchange);
  ++self->generation;
  self->again.cancel();
  ErrorCode ignored;
  self->socket->cancel(ignored);
  exchange->client_gone();  // after its end: lets go of the callbacks
  {
    const std::lock_guard lock(mutex);
    --exchanges;
  }
  changed.notify_all();
  co_return done&& result.keep_alive;
}

template <typename Stream>
asio::awaitable<bool> HttpServer::Impl::write_output(Stream& stream, Connection& self,
                                                     Exchange& exchange) {
  while (true) {
    const Exchange::Output output = exchange.take();
    if (output.broken || self.gone) co_return false;
    if (!output.bytes.empty()) {
      if (!co_await write_bytes(stream, output.bytes)) co_return false;
      continue;
    }
    if (output.ended) co_return true;
    // Whoever adds output cancels the timer on this very thread, so no wake-up is lost between
    // take() and here.
    self.wake.expires_at(asio::steady_timer::time_point::max());
    co_await self.wake.async_wait(kToken);
  }
}

template <typename Stream>
asio::awaitable<bool> HttpServer::Impl::write_bytes(Stream& stream, const std::string& bytes) {
  auto& lowest = beast::get_lowest_layer(stream);
  for (size_t at = 0; at < bytes.size(); at += kWriteSlice) {
    const size_t size = std::min(kWriteSlice, bytes.size() - at);
    lowest.expires_after(options.write_time);
    auto [error, written] =
        co_await asio::async_write(stream, asio::buffer(bytes.data() + at, size), kToken);
    if (error) co_return false;
  }
  lowest.expires_never();
  co_return true;
}

// Says why, and reads what the client still sends for a moment: closing at once would make its
// system throw the answer away.
template <typename Stream>
asio::awaitable<void> HttpServer::Impl::refuse(Stream& stream, const RefusedRequest& refused) {
  Exchange exchange({.keep_alive = false});
  exchange.respond(refusal(refused.status, refused.message));
  const std::string bytes = exchange.take().bytes;
  auto& lowest = beast::get_lowest_layer(stream);
  if (!lowest.socket().is_open()) co_return;
  if (!co_await write_bytes(stream, bytes)) co_return;
  ErrorCode ignored;
  lowest.socket().shutdown(tcp::socket::shutdown_send, ignored);
  lowest.expires_after(kLinger);
  std::string discarded(16U << 10, '\0');
  for (size_t total = 0; total < kLingerBytes;) {
    auto [error, count] = co_await lowest.async_read_some(asio::buffer(discarded), kToken);
    if (error) break;
    total += count;
  }
  lowest.socket().close(ignored);
}

// While a request is answered, notices that the client closes. Bytes of a next request may be
// waiting; then the socket stays readable, and there is nothing to do but look now and then.
void HttpServer::Impl::watch(const std::shared_ptr<Connection>& self,
                             const std::shared_ptr<Exchange>& exchange, unsigned generation) {
  if (!self->socket->is_open()) return;
  self->socket->async_wait(
      tcp::socket::wait_read, [this, self, exchange, generation](const ErrorCode& error) {
        if (generation != self->generation || error == asio::error::operation_aborted) return;
        if (error || peer_has_closed(self->socket->native_handle())) {
          self->gone = true;
          exchange->client_gone();
          self->wake.cancel();
          return;
        }
        self->again.expires_after(kLookAgain);
        self->again.async_wait([this, self, exchange, generation](const ErrorCode& stopped) {
          if (!stopped && generation == self->generation) watch(self, exchange, generation);
        });
      });
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpOptions& options,
                                                      HttpHandler handler, HttpRefusal refusal) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->handler = std::move(handler);
  impl->refusal = std::move(refusal);
  FATHOM_CHECK(impl->prepare_tls());
  FATHOM_CHECK(impl->listen());
  co_spawn(impl->io, impl->accept(), asio::detached);
  impl->thread = std::thread([&io = impl->io] { io.run(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

// What it posts takes memory; without any there is no orderly end to be had.
// NOLINTNEXTLINE(bugprone-exception-escape)
HttpServer::~HttpServer() {
  drain(std::chrono::milliseconds(0));
  asio::post(impl_->io, [this] {
    // Their coroutines end, and with them the last work of the thread.
    for (const auto& connection : impl_->open) {
      connection->gone = true;
      connection->close();
    }
  });
  impl_->thread.join();
}

uint16_t HttpServer::port() const {
  return impl_->port;
}

int HttpServer::connections() const {
  return impl_->connections;
}

bool HttpServer::drain(std::chrono::milliseconds limit) {
  if (!impl_->draining.exchange(true)) {
    asio::post(impl_->io, [this] {
      ErrorCode ignored;
      impl_->acceptor.close(ignored);
      for (const auto& connection : impl_->open) {
        if (connection->idle) connection->close();
      }
    });
  }
  std::unique_lock lock(impl_->mutex);
  return impl_->changed.wait_for(lock, limit, [&] { return impl_->exchanges == 0; });
}

}  // namespace fathom::serve
