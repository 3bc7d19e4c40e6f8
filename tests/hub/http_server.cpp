#include "hub/http_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <string_view>

namespace fathom::hub {
namespace {

// A connection, encrypted or not.
class Stream {
 public:
  Stream(int socket, SSL_CTX* tls) : socket_(socket), ssl_(nullptr, SSL_free) {
    if (tls == nullptr) return;
    ssl_.reset(SSL_new(tls));
    SSL_set_fd(ssl_.get(), socket);
    open_ = SSL_accept(ssl_.get()) == 1;
  }
  bool open() const { return open_; }
  int64_t read(char* data, size_t size) {
    return ssl_ ? SSL_read(ssl_.get(), data, static_cast<int>(size)) : recv(socket_, data, size, 0);
  }
  bool write(std::string_view data) {
    while (!data.empty()) {
      const int64_t count = ssl_ ? SSL_write(ssl_.get(), data.data(), static_cast<int>(data.size()))
                                 : send(socket_, data.data(), data.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      data.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }

 private:
  int socket_;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
  bool open_ = true;
};

SSL_CTX* self_signed_context() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("127.0.0.1"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_sign(certificate, key, EVP_sha256());
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(context, certificate);
  SSL_CTX_use_PrivateKey(context, key);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return context;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && (text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

HttpServer::Request parse_request(std::string_view head) {
  HttpServer::Request request;
  const size_t line_end = head.find('\n');
  const auto first = trim(head.substr(0, line_end));
  const size_t space = first.find(' ');
  request.path = first.substr(space + 1, first.rfind(' ') - space - 1);
  size_t begin = line_end + 1;
  while (begin < head.size()) {
    const size_t end = std::min(head.find('\n', begin), head.size());
    const auto line = trim(head.substr(begin, end - begin));
    if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
      std::string name(line.substr(0, colon));
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      request.headers[name] = trim(line.substr(colon + 1));
    }
    begin = end + 1;
  }
  return request;
}

}  // namespace

HttpServer::HttpServer(Handler handler, bool tls)
    : handler_(std::move(handler)), tls_(tls ? self_signed_context() : nullptr, SSL_CTX_free) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, generic, size) != 0 || listen(listener_, 64) != 0 ||
      getsockname(listener_, generic, &size) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_connections(); });
}

HttpServer::~HttpServer() {
  stopping_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  {
    const std::lock_guard lock(mutex_);
    for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
  }
  for (auto& connection : connections_) connection.join();
  for (const int socket : sockets_) close(socket);
}

std::string HttpServer::url() const {
  return fmt::format("{}://127.0.0.1:{}", tls_ ? "https" : "http", port_);
}

std::vector<HttpServer::Record> HttpServer::records() const {
  const std::lock_guard lock(mutex_);
  return records_;
}

void HttpServer::accept_connections() {
  while (!stopping_) {
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    const std::lock_guard lock(mutex_);
    sockets_.push_back(socket);
    connections_.emplace_back([this, socket] { serve(socket); });
  }
}

void HttpServer::serve(int socket) {
  Stream stream(socket, tls_.get());
  std::string buffer;
  bool open = stream.open();
  while (open && !stopping_) {
    size_t end = buffer.find("\r\n\r\n");
    if (end == std::string::npos) {
      char block[4096];
      const int64_t count = stream.read(block, sizeof block);
      if (count <= 0) break;
      buffer.append(block, static_cast<size_t>(count));
      continue;
    }
    Request request = parse_request(buffer.substr(0, end + 2));
    buffer.erase(0, end + 4);
    request.number = next_number_++;
    const int now = ++at_once_;
    for (int most = most_at_once_; now > most;) {
      if (most_at_once_.compare_exchange_weak(most, now)) break;
    }
    const Response response = handler_(request);
    size_t index = 0;
    {
      const std::lock_guard lock(mutex_);
      index = records_.size();
      records_.push_back({request, response.status, 0});
    }

    std::string head = fmt::format("HTTP/1.1 {} X\r\n", response.status);
    for (const auto& [name, value] : response.headers) {
      head += fmt::format("{}: {}\r\n", name, value);
    }
    if (!response.headers.contains("Content-Length")) {
      head += fmt::format("Content-Length: {}\r\n", response.body.size());
    }
    open = stream.write(head + "\r\n");
    std::string_view body = response.body;
    if (response.drop_after >= 0) body = body.substr(0, static_cast<size_t>(response.drop_after));
    // A slow connection sends 100 pieces each second.
    const size_t piece =
        response.bytes_per_second > 0
            ? static_cast<size_t>(std::max<int64_t>(1, response.bytes_per_second / 100))
            : 64 * 1024;
    for (; open && !stopping_ && !body.empty(); body.remove_prefix(std::min(piece, body.size()))) {
      open = stream.write(body.substr(0, piece));
      if (open) {
        const std::lock_guard lock(mutex_);
        records_[index].body_bytes += static_cast<int64_t>(std::min(piece, body.size()));
      }
      if (response.bytes_per_second > 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    }
    --at_once_;
    if (response.drop_after >= 0) open = false;
  }
  shutdown(socket, SHUT_RDWR);
}

}  // namespace fathom::hub
