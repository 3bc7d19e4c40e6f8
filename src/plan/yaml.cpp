#include "plan/yaml.h"

#include <yaml.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <memory>
#include <vector>

#include "base/quote.h"

namespace fathom::plan {
namespace {

using nlohmann::json;

constexpr size_t kMaxDepth = 64;

int64_t line_of(const yaml_mark_t& mark) {
  return static_cast<int64_t>(mark.line) + 1;
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

// All of it, or nothing.
template <typename Number>
bool parse_number(std::string_view text, Number& number) {
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.empty()) return false;
  const char* begin = text.data();
  const char* end = begin + text.size();
  const auto [stop, error] = std::from_chars(begin, end, number);
  return error == std::errc() && stop == end;
}

json plain_scalar(std::string_view text) {
  if (is_one_of(text, {"", "~", "null", "Null", "NULL"})) return nullptr;
  if (is_one_of(text, {"true", "True", "TRUE"})) return true;
  if (is_one_of(text, {"false", "False", "FALSE"})) return false;
  // Neither "inf" nor "nan", which from_chars would take.
  if (text.find_first_not_of("0123456789+-.eE") == std::string_view::npos) {
    int64_t whole = 0;
    if (parse_number(text, whole)) return whole;
    double real = 0;
    if (parse_number(text, real)) return real;
  }
  return std::string(text);
}

struct DeleteEvent {
  void operator()(yaml_event_t* event) const {
    yaml_event_delete(event);
    delete event;
  }
};
using Event = std::unique_ptr<yaml_event_t, DeleteEvent>;

class Reader {
 public:
  Reader(std::string_view text, std::string_view file, size_t values)
      : file_(file), values_left_(values) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~Reader() { yaml_parser_delete(&parser_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Result<YamlDocument> read() {
    int documents = 0;
    while (true) {
      FATHOM_TRY(const Event event, next());
      if (event->type == YAML_STREAM_END_EVENT) return std::move(document_);
      if (event->type == YAML_DOCUMENT_START_EVENT && ++documents > 1) {
        return wrong(event->start_mark, "there must be one document alone");
      }
      FATHOM_CHECK(take(*event));
    }
  }

 private:
  // A mapping or sequence that has not ended.
  struct Open {
    json* value;
    std::string path;
    std::string key = {};  // whose value comes next
    bool has_key = false;
  };

  std::unexpected<Error> wrong(const yaml_mark_t& mark, std::string_view why) const {
    return usage_error("{}, line {}: {}.", file_, line_of(mark), why);
  }

  Result<Event> next() {
    Event event(new yaml_event_t());
    if (yaml_parser_parse(&parser_, event.get()) != 0) return event;
    const std::string_view why =
        parser_.problem != nullptr ? std::string_view(parser_.problem) : "it cannot be read";
    // Of bytes that are no text the parser tells only where they are.
    if (parser_.error == YAML_READER_ERROR) {
      return usage_error("{} is not usable YAML: {} (byte {}).", file_, why,
                         parser_.problem_offset);
    }
    return wrong(parser_.problem_mark, why);
  }

  Status take(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_ALIAS_EVENT:
        return wrong(event.start_mark, "aliases (*) are not supported here");
      case YAML_SCALAR_EVENT: {
        const auto& scalar = event.data.scalar;
        if (scalar.tag != nullptr)
          return wrong(event.start_mark, "tags (!) are not supported here");
        const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
        const bool plain = scalar.style == YAML_PLAIN_SCALAR_STYLE;
        if (expects_key()) return take_key(event.start_mark, text);
        return add(event.start_mark, plain ? plain_scalar(text) : json(text)) != nullptr
                   ? Status()
                   : too_many(event.start_mark);
      }
      case YAML_MAPPING_START_EVENT:
        return open(event.start_mark, event.data.mapping_start.tag, json::object());
      case YAML_SEQUENCE_START_EVENT:
        return open(event.start_mark, event.data.sequence_start.tag, json::array());
      case YAML_MAPPING_END_EVENT:
      case YAML_SEQUENCE_END_EVENT:
        open_.pop_back();
        return {};
      default:
        return {};
    }
  }

  bool expects_key() const {
    return !open_.empty() && open_.back().value->is_object() && !open_.back().has_key;
  }

  Status too_many(const yaml_mark_t& mark) const {
    return wrong(mark, "there are more values than any real file of this kind has");
  }

  Status take_key(const yaml_mark_t& mark, std::string_view key) {
    Open& object = open_.back();
    if (object.value->contains(key)) {
      return wrong(mark, fmt::format("{} occurs twice", in_quotes(key)));
    }
    object.key = key;
    object.has_key = true;
    document_.lines[fmt::format("{}/{}", object.path, key)] = line_of(mark);
    return {};
  }

  Status open(const yaml_mark_t& mark, const unsigned char* tag, json container) {
    if (tag != nullptr) return wrong(mark, "tags (!) are not supported here");
    if (expects_key()) return wrong(mark, "a key must be a text");
    if (open_.size() == kMaxDepth) {
      return wrong(mark, fmt::format("it is nested deeper than {} levels", kMaxDepth));
    }
    std::string path = next_path();
    json* added = add(mark, std::move(container));
    if (added == nullptr) return too_many(mark);
    open_.push_back({.value = added, .path = std::move(path)});
    return {};
  }

  std::string next_path() const {
    if (open_.empty()) return "";
    const Open& into = open_.back();
    return into.value->is_array() ? fmt::format("{}/{}", into.path, into.value->size())
                                  : fmt::format("{}/{}", into.path, into.key);
  }

  // Null where there are too many.
  json* add(const yaml_mark_t& mark, json value) {
    if (values_left_ == 0) return nullptr;
    --values_left_;
    if (open_.empty()) {
      document_.value = std::move(value);
      return &document_.value;
    }
    Open& into = open_.back();
    if (into.value->is_array()) {
      document_.lines[next_path()] = line_of(mark);
      return &into.value->emplace_back(std::move(value));
    }
    into.has_key = false;
    return &((*into.value)[into.key] = std::move(value));
  }

  std::string_view file_;
  size_t values_left_;
  yaml_parser_t parser_{};
  YamlDocument document_;
  // Pointers stay valid: a container gains nothing while its child is open.
  std::vector<Open> open_;
};

}  // namespace

Result<YamlDocument> parse_yaml(std::string_view text, std::string_view file,
                                const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    return usage_error("{} has {} bytes, more than the {} that are allowed.", file, text.size(),
                       limits.bytes);
  }
  return Reader(text, file, limits.values).read();
}

}  // namespace fathom::plan
