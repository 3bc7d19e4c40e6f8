#include "serve/raw_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <stdexcept>

namespace fathom::test {

RawClient::RawClient(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval limit{10, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    throw std::runtime_error("cannot connect");
  }
}

RawClient::~RawClient() {
  close();
}

void RawClient::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void RawClient::shut_sending() {
  ::shutdown(socket_, SHUT_WR);
}

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool RawClient::read_some() {
  std::array<char, 65536> block{};
  const ssize_t got = ::recv(socket_, block.data(), block.size(), 0);
  if (got <= 0) return false;
  received_.append(block.data(), static_cast<size_t>(got));
  return true;
}

std::string RawClient::read_until(std::string_view text) {
  while (received_.find(text) == std::string::npos && read_some()) {
  }
  return received_;
}

std::string RawClient::read_all() {
  while (read_some()) {
  }
  return received_;
}

std::string RawClient::read_response() {
  read_until("\r\n\r\n");
  const size_t body = received_.find("\r\n\r\n") + 4;
  const std::string_view head = std::string_view(received_).substr(0, body);
  size_t size = received_.size();
  if (const size_t at = head.find("Content-Length: "); at != std::string_view::npos) {
    size = body + static_cast<size_t>(std::atoll(received_.c_str() + at + 16));
    while (received_.size() < size && read_some()) {
    }
  } else if (head.find("chunked") != std::string_view::npos) {
    read_until("\r\n0\r\n\r\n");
    size = received_.find("\r\n0\r\n\r\n");
    size = size == std::string::npos ? received_.size() : size + 7;
  }
  const std::string response = received_.substr(0, size);
  received_.erase(0, size);
  return response;
}

std::string ask(uint16_t port, std::string_view request) {
  RawClient client(port);
  client.send(request);
  return client.read_response();
}

std::string http_request(std::string_view method, std::string_view path, std::string_view body,
                         std::string_view headers) {
  std::string request =
      fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n{}", method, path, headers);
  if (method == "POST") {
    request += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
  }
  return request + "\r\n" + std::string(body);
}

int status_of(std::string_view response) {
  if (!response.starts_with("HTTP/1.1 ") || response.size() < 12) return 0;
  int status = 0;
  std::from_chars(response.data() + 9, response.data() + 12, status);
  return status;
}

std::string body_of(std::string_view response) {
  const size_t end = response.find("\r\n\r\n");
  if (end == std::string_view::npos) return {};
  std::string_view rest = response.substr(end + 4);
  if (response.substr(0, end).find("chunked") == std::string_view::npos) return std::string(rest);
  std::string body;
  while (true) {
    size_t size = 0;
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), size, 16);
    const auto digits = static_cast<size_t>(parsed.ptr - rest.data());
    if (digits == 0 || size == 0 || rest.size() < digits + 2 + size) return body;
    body += rest.substr(digits + 2, size);
    rest.remove_prefix(std::min(rest.size(), digits + size + 4));
  }
}

}  // namespace fathom::test
