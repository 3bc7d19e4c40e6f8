#include "serve/web_page.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/zlib/inflate_stream.hpp>
#include <string_view>

#include "base/quote.h"
#include "serve/api_error.h"
#include "serve/web_files.h"

namespace fathom::serve {
namespace {

// The page runs its own files alone, talks to its own server alone, may not be framed, and cannot
// make markup of text. Should a model's answer ever get past the page's own care, this holds.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

struct Type {
  std::string_view ending;
  const char* type;
};
constexpr std::array kTypes = {
    Type{".html", "text/html; charset=utf-8"}, Type{".js", "text/javascript; charset=utf-8"},
    Type{".css", "text/css; charset=utf-8"},   Type{".svg", "image/svg+xml"},
    Type{".txt", "text/plain; charset=utf-8"},
};

const char* content_type(std::string_view path) {
  for (const auto& [ending, type] : kTypes) {
    if (path.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

const WebFile* find(std::string_view path) {
  if (path == "/") path = "/index.html";
  const auto files = web_files();
  const auto found = std::ranges::find(files, path, &WebFile::path);
  return found == files.end() ? nullptr : &*found;
}

// The next item of a header's list, without spaces around it; removes it from the list.
std::string_view next_item(std::string_view& list) {
  std::string_view item = list.substr(0, list.find(','));
  list.remove_prefix(std::min(item.size() + 1, list.size()));
  while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
  while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
  return item;
}

// RFC 9110, 12.5.3, as far as gzip goes: named and not with the weight 0.
bool takes_gzip(std::string_view accepted) {
  while (!accepted.empty()) {
    std::string_view item = next_item(accepted);
    const std::string_view coding = item.substr(0, item.find_first_of("; \t"));
    if (coding != "gzip" && coding != "*") continue;
    const size_t weight = item.find("q=");
    return weight == std::string_view::npos ||
           item.find_first_of("123456789", weight) != std::string_view::npos;
  }
  return false;
}

// RFC 9110, 13.1.2: whether the client has what has this tag.
bool has_tag(std::string_view tags, std::string_view tag) {
  while (!tags.empty()) {
    std::string_view item = next_item(tags);
    if (item.starts_with("W/")) item.remove_prefix(2);
    if (item == tag || item == "*") return true;
  }
  return false;
}

// RFC 1952, for files as web/scripts/pack.mjs writes them: a head of ten bytes without further
// fields, and at the end a checksum and the length.
std::string unpacked(std::span<const unsigned char> gzip) {
  constexpr size_t kHead = 10;
  constexpr size_t kTail = 8;
  size_t length = 0;
  for (size_t i = 0; i < 4; ++i) length |= size_t{gzip[gzip.size() - 4 + i]} << (8 * i);
  std::string text(length, '\0');
  namespace zlib = boost::beast::zlib;
  zlib::z_params state;
  state.next_in = gzip.data() + kHead;
  state.avail_in = gzip.size() - kHead - kTail;
  state.next_out = text.data();
  state.avail_out = text.size();
  zlib::inflate_stream inflate;
  boost::system::error_code error;
  inflate.write(state, zlib::Flush::finish, error);
  text.resize(state.total_out);
  return text;
}

}  // namespace

std::optional<HttpResponse> web_page_response(const HttpRequest& request) {
  const WebFile* file = find(request.path);
  if (file == nullptr) return std::nullopt;
  if (request.method != "GET" && request.method != "HEAD") {
    HttpResponse response =
        error_response({.status = 405,
                        .message = fmt::format("{} does not take {}; it takes GET.", request.path,
                                               in_quotes(request.method))});
    response.headers.emplace_back("Allow", "GET, HEAD");
    return response;
  }
  const bool gzip = takes_gzip(request.header("Accept-Encoding"));
  const std::string tag = fmt::format("\"{}{}\"", file->hash, gzip ? "-gzip" : "");
  // Names under /assets/ hold a hash of the contents, so that what they name never changes.
  const bool lasts = file->path.starts_with("/assets/");
  HttpResponse response{
      .content_type = content_type(file->path),
      .headers = {{"ETag", tag},
                  {"Cache-Control", lasts ? "public, max-age=31536000, immutable" : "no-cache"},
                  {"Vary", "Accept-Encoding"},
                  {"Content-Security-Policy", std::string(kPolicy)},
                  {"Referrer-Policy", "no-referrer"},
                  {"Cross-Origin-Opener-Policy", "same-origin"},
                  {"X-Frame-Options", "DENY"}}};
  if (has_tag(request.header("If-None-Match"), tag)) {
    response.status = 304;
    response.content_type.clear();
    return response;
  }
  if (gzip) {
    response.headers.emplace_back("Content-Encoding", "gzip");
    response.body.assign(file->gzip.begin(), file->gzip.end());
  } else {
    response.body = unpacked(file->gzip);
  }
  return response;
}

}  // namespace fathom::serve
