#include "base/json.h"

#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/quote.h"

namespace fathom {

namespace {

constexpr size_t kMaxDepth = 64;

// Adds a member whose value is to come; null if there is one of that name.
nlohmann::json* add_member(nlohmann::json& object, std::string& name,
                           std::unordered_set<std::string>&) {
  const auto [member, is_new] = object.emplace(name, nullptr);
  return is_new ? &*member : nullptr;
}

// The library would look for the name among all members; a set of them takes no such time.
nlohmann::ordered_json* add_member(nlohmann::ordered_json& object, std::string& name,
                                   std::unordered_set<std::string>& names) {
  if (!names.insert(name).second) return nullptr;
  auto& members = object.get_ref<nlohmann::ordered_json::object_t&>();
  return &members.Container::emplace_back(name, nullptr).second;
}

// Builds the document while the parser reads it, so that limits hold before memory is spent.
template <typename Json>
class Builder : public nlohmann::json_sax<Json> {
 public:
  using typename nlohmann::json_sax<Json>::number_integer_t;
  using typename nlohmann::json_sax<Json>::number_unsigned_t;
  using typename nlohmann::json_sax<Json>::number_float_t;
  using typename nlohmann::json_sax<Json>::string_t;
  using typename nlohmann::json_sax<Json>::binary_t;

  explicit Builder(size_t max_values) : values_left_(max_values) {}

  Json take() { return std::move(root_); }
  const std::string& problem() const { return problem_; }

  bool null() override { return add(Json(nullptr)) != nullptr; }
  bool boolean(bool value) override { return add(Json(value)) != nullptr; }
  bool number_integer(number_integer_t value) override { return add(Json(value)) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return add(Json(value)) != nullptr; }
  bool number_float(number_float_t value, const string_t&) override {
    return add(Json(value)) != nullptr;
  }
  bool string(string_t& value) override { return add(Json(std::move(value))) != nullptr; }
  bool binary(binary_t&) override { return refuse("it contains binary data"); }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    member_ = add_member(*open_.back(), name, names_.back());
    if (member_ != nullptr) return true;
    return refuse(fmt::format("the key {} occurs twice in one object", in_quotes(name)));
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // The library's message ends in what we need: "...: syntax error while parsing value - ..."
    std::string reason = error.what();
    if (const size_t end = reason.find("; last read"); end != std::string::npos) {
      reason = reason.substr(0, end);
    }
    if (const size_t start = reason.rfind(": "); start != std::string::npos) {
      reason = reason.substr(start + 2);
    }
    return refuse(fmt::format("{} (byte {})", in_quotes(reason), position));
  }

 private:
  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  Json* add(Json value) {
    if (values_left_ == 0) {
      refuse("it has more values than any real file of this kind");
      return nullptr;
    }
    --values_left_;
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) return &open_.back()->emplace_back(std::move(value));
    *member_ = std::move(value);
    return member_;
  }

  bool open(Json container) {
    if (open_.size() == kMaxDepth) {
      return refuse(fmt::format("it is nested deeper than {} levels", kMaxDepth));
    }
    Json* added = add(std::move(container));
    if (added == nullptr) return false;
    names_.emplace_back();
    open_.push_back(added);  // stays valid: a container gains nothing while its child is open
    return true;
  }

  bool close() {
    open_.pop_back();
    names_.pop_back();
    return true;
  }

  Json root_;
  std::vector<Json*> open_;
  std::vector<std::unordered_set<std::string>> names_;  // of the members of the open objects
  Json* member_ = nullptr;  // of the innermost object: where its next value goes
  size_t values_left_;
  std::string problem_;
};

template <typename Json>
Result<Json> parse(std::string_view text, std::string_view what, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    return fail("{} has {} bytes, more than the {} that are allowed: it cannot be a real one", what,
                text.size(), limits.bytes);
  }
  Builder<Json> builder(limits.values);
  if (!Json::sax_parse(text, &builder)) {
    return fail("{} is not usable JSON: {}", what, builder.problem());
  }
  return builder.take();
}

}  // namespace

Result<nlohmann::json> parse_json(std::string_view text, std::string_view what,
                                  const JsonLimits& limits) {
  return parse<nlohmann::json>(text, what, limits);
}

Result<nlohmann::ordered_json> parse_ordered_json(std::string_view text, std::string_view what,
                                                  const JsonLimits& limits) {
  return parse<nlohmann::ordered_json>(text, what, limits);
}

}  // namespace fathom
