#include "serve/http_server.h"

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/quote.h"
#include "serve/connection.h"

namespace fathom::serve {

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

}  // namespace

struct HttpServer::Impl {
  ConnectionContext context;
  std::optional<asio::ssl::context> tls;
  tcp::acceptor acceptor{context.io};
  std::thread thread;
  uint16_t port = 0;
  std::set<std::shared_ptr<Connection>> open;  // of the server's thread
  std::atomic<int> connections = 0;

  Status listen();
  Status prepare_tls();
  asio::awaitable<void> accept();
  asio::awaitable<void> serve(std::shared_ptr<Connection> connection, beast::tcp_stream stream);
};

Status HttpServer::Impl::prepare_tls() {
  const HttpOptions& options = context.options;
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
  const HttpOptions& options = context.options;
  ErrorCode error;
  tcp::resolver resolver(context.io);
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
  asio::steady_timer pause(context.io);
  while (!context.draining) {
    auto [error, socket] = co_await acceptor.async_accept(kToken);
    if (error == asio::error::operation_aborted || context.draining) co_return;
    if (error) {  // out of descriptors, most likely: some will become free
      pause.expires_after(std::chrono::milliseconds(100));
      co_await pause.async_wait(kToken);
      continue;
    }
    if (connections >= context.options.max_connections) continue;  // closes it
    ErrorCode ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    auto connection = std::make_shared<Connection>(
        context, socket.remote_endpoint(ignored).address().to_string());
    co_spawn(context.io, serve(std::move(connection), beast::tcp_stream(std::move(socket))),
             asio::detached);
  }
}

asio::awaitable<void> HttpServer::Impl::serve(std::shared_ptr<Connection> connection,
                                              beast::tcp_stream stream) {
  open.insert(connection);
  ++connections;
  if (tls) {
    co_await connection->serve_tls(std::move(stream), *tls);
  } else {
    co_await connection->serve_plain(std::move(stream));
  }
  open.erase(connection);
  --connections;
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpOptions& options,
                                                      HttpHandler handler, HttpRefusal refusal) {
  auto impl = std::make_unique<Impl>();
  impl->context.options = options;
  impl->context.handler = std::move(handler);
  impl->context.refusal = std::move(refusal);
  FATHOM_CHECK(impl->prepare_tls());
  FATHOM_CHECK(impl->listen());
  co_spawn(impl->context.io, impl->accept(), asio::detached);
  impl->thread = std::thread([&io = impl->context.io] { io.run(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

// What it posts takes memory; without any there is no orderly end to be had.
// NOLINTNEXTLINE(bugprone-exception-escape)
HttpServer::~HttpServer() {
  drain(std::chrono::milliseconds(0));
  asio::post(impl_->context.io, [this] {
    // Their coroutines end, and with them the last work of the thread.
    for (const auto& connection : impl_->open) connection->cut();
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
  ConnectionContext& context = impl_->context;
  if (!context.draining.exchange(true)) {
    asio::post(context.io, [this] {
      ErrorCode ignored;
      impl_->acceptor.close(ignored);
      for (const auto& connection : impl_->open) {
        if (connection->idle()) connection->close();
      }
    });
  }
  std::unique_lock lock(context.mutex);
  return context.changed.wait_for(lock, limit, [&] { return context.exchanges == 0; });
}

}  // namespace fathom::serve
