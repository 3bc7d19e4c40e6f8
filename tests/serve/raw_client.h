// A client that sends exactly the bytes it is told to and reads what comes: for requests that no
// decent client would send. Loopback only; every wait ends after ten seconds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fathom::test {

class RawClient {
 public:
  explicit RawClient(uint16_t port);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool send(std::string_view bytes);  // false once the other side has closed
  // Reads until the text that came holds `text`, or the other side closes.
  std::string read_until(std::string_view text);
  std::string read_all();
  // One response with a Content-Length or in chunks; its head, and its body as it came.
  std::string read_response();
  void close();
  void shut_sending();
  int descriptor() const { return socket_; }

 private:
  bool read_some();

  int socket_;
  std::string received_;
};

// One request on a connection of its own, and the whole response.
std::string ask(uint16_t port, std::string_view request);
// A request with that method, path and JSON body; further header lines end in \r\n.
std::string http_request(std::string_view method, std::string_view path, std::string_view body = {},
                         std::string_view headers = {});
int status_of(std::string_view response);
std::string body_of(std::string_view response);  // chunks put together

}  // namespace fathom::test
