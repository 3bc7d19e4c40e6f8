// One connection of the HTTP server, from its first request to its end. Everything here runs on the
// server's thread, but for what is said to be read by others.
//
// A connection whose request is refused before its body has been read lingers: the answer goes out,
// its sending side is shut, and what the client still sends is thrown away for a while. To close at
// once would reset the connection, and the client's system would throw the answer away (RFC 9112,
// section 9.6).
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "serve/http_refusals.h"
#include "serve/http_server.h"

namespace fathom::serve {

// What the connections of a server have in common; it outlives them.
struct ConnectionContext {
  HttpOptions options;
  HttpHandler handler;
  HttpRefusal refusal;
  boost::asio::io_context io{1};
  size_t body_bytes = 0;                  // of all requests being read or answered
  std::array<char, 64U << 10> discarded;  // where all who linger read to, and nobody looks

  std::atomic<bool> draining = false;  // set by any thread: no further requests
  std::mutex mutex;
  std::condition_variable changed;
  int exchanges = 0;  // being answered; under mutex
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(ConnectionContext& context, std::string peer);

  // Each is called once, and the connection lives as long as it takes.
  boost::asio::awaitable<void> serve_plain(boost::beast::tcp_stream stream);
  boost::asio::awaitable<void> serve_tls(boost::beast::tcp_stream socket,
                                         boost::asio::ssl::context& tls);
  bool idle() const { return idle_; }  // no request is being read or answered
  void close();
  void cut();  // closes, whatever is being answered

 private:
  struct ReadResult;

  template <typename Stream>
  boost::asio::awaitable<void> serve(Stream& stream);
  template <typename Stream>
  boost::asio::awaitable<ReadResult> read_request(Stream& stream,
                                                  boost::beast::flat_buffer& buffer);
  template <typename Parser>
  std::optional<RefusedRequest> check_head(Parser& parser, ReadResult& result);
  template <typename Stream>
  boost::asio::awaitable<bool> answer(Stream& stream, ReadResult& result);
  template <typename Stream>
  boost::asio::awaitable<bool> write_output(Stream& stream, Exchange& exchange);
  template <typename Stream>
  boost::asio::awaitable<bool> write_bytes(Stream& stream, const std::string& bytes);
  template <typename Stream>
  boost::asio::awaitable<void> refuse(Stream& stream, RefusedRequest refused);
  boost::asio::awaitable<void> linger(boost::beast::tcp_stream& stream);
  void watch(const std::shared_ptr<Exchange>& exchange, unsigned generation);

  ConnectionContext& context_;
  const std::string peer_;
  boost::asio::ip::tcp::socket* socket_ = nullptr;  // none before and after
  boost::asio::steady_timer wake_;                  // cancelled when there is output
  boost::asio::steady_timer again_;  // to look again whether the client is still there
  unsigned generation_ = 0;          // counts requests, so that what watched an earlier one stops
  bool idle_ = true;
  bool gone_ = false;
};

}  // namespace fathom::serve
