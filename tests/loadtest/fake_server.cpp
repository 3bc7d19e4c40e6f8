#include "loadtest/fake_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace fathom::test {

FakeServer::FakeServer(Handler handler)
    : handler_(std::move(handler)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 128) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept(); });
}

FakeServer::~FakeServer() {
  stop();
}

std::string FakeServer::url() const {
  return fmt::format("http://127.0.0.1:{}", port_);
}

// May be called by a handler: threads are joined by whoever destroys it.
void FakeServer::stop() {
  if (!stopping_.exchange(true)) ::shutdown(listener_, SHUT_RDWR);
  {
    const std::lock_guard lock(mutex_);
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
    for (const std::thread& thread : threads_) {
      if (thread.get_id() == std::this_thread::get_id()) return;
    }
  }
  if (acceptor_.joinable()) acceptor_.join();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  for (const int socket : std::exchange(sockets_, {})) ::close(socket);
  if (listener_ >= 0) ::close(std::exchange(listener_, -1));
}

std::vector<FakeServer::Request> FakeServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void FakeServer::accept() {
  while (true) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const std::lock_guard lock(mutex_);
    sockets_.push_back(socket);
    if (stopping_) ::shutdown(socket, SHUT_RDWR);
    threads_.emplace_back([this, socket] { serve(socket); });
  }
}

void FakeServer::serve(int socket) {
  const Send send = [socket](std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  };
  std::string received;
  for (bool go_on = true; go_on;) {
    size_t wanted = std::string::npos;
    size_t end = std::string::npos;
    while (received.size() < wanted) {
      end = received.find("\r\n\r\n");
      if (end != std::string::npos) {
        const size_t at = received.find("Content-Length: ");
        wanted = end + 4 + (at < end ? std::strtoul(received.c_str() + at + 16, nullptr, 10) : 0);
        if (received.size() >= wanted) break;
      }
      std::array<char, 16384> block{};
      const ssize_t got = ::recv(socket, block.data(), block.size(), 0);
      if (got <= 0) return;
      received.append(block.data(), static_cast<size_t>(got));
    }
    Request request;
    request.head = received.substr(0, end);
    request.body = received.substr(end + 4, wanted - end - 4);
    received.erase(0, wanted);
    if (request.head.starts_with("GET")) {
      send(response("200 OK", R"({"object": "list", "data": [{"id": "fake"}]})"));
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      request.number = static_cast<int>(requests_.size());
      requests_.push_back(request);
    }
    go_on = handler_(request, send);
  }
  ::shutdown(socket, SHUT_RDWR);
}

std::string chunk(std::string_view bytes) {
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

std::string stream_head() {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
         "Transfer-Encoding: chunked\r\n\r\n";
}

std::string text_event(std::string_view text) {
  return fmt::format(
      "data: {{\"choices\": [{{\"index\": 0, \"delta\": {{\"content\": \"{}\"}}, "
      "\"finish_reason\": null}}]}}\n\n",
      text);
}

std::string streamed(int tokens, bool usage) {
  std::string text =
      stream_head() + chunk(
                          "data: {\"choices\": [{\"index\": 0, \"delta\": {\"role\": "
                          "\"assistant\", \"content\": \"\"}}]}\n\n");
  for (int i = 0; i < tokens; ++i) text += chunk(text_event("word "));
  text += chunk(
      "data: {\"choices\": [{\"index\": 0, \"delta\": {}, \"finish_reason\": \"length\"}]}\n\n");
  if (usage) {
    text +=
        chunk(fmt::format("data: {{\"choices\": [], \"usage\": {{\"prompt_tokens\": 50, "
                          "\"completion_tokens\": {}, \"prompt_tokens_details\": "
                          "{{\"cached_tokens\": 32}}}}}}\n\n",
                          2 * tokens));
  }
  return text + chunk("data: [DONE]\n\n") + "0\r\n\r\n";
}

std::string response(std::string_view status, std::string_view body, std::string_view headers) {
  return fmt::format("HTTP/1.1 {}\r\n{}Content-Length: {}\r\n\r\n{}", status, headers, body.size(),
                     body);
}

}  // namespace fathom::test
