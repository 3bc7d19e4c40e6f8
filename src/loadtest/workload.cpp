#include "loadtest/workload.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json_lines.h"
#include "base/quote.h"

namespace fathom::loadtest {
namespace {

using Json = nlohmann::json;

// Common nouns, most of them one token in most vocabularies.
constexpr auto kWords = std::to_array<std::string_view>(
    {"river",   "stone",   "window",  "garden",   "letter",   "market",  "winter",  "summer",
     "bridge",  "island",  "forest",  "mountain", "station",  "village", "teacher", "doctor",
     "engine",  "paper",   "music",   "painting", "history",  "science", "weather", "morning",
     "evening", "journey", "kitchen", "dinner",   "coffee",   "sugar",   "bread",   "butter",
     "apple",   "orange",  "horse",   "sheep",    "eagle",    "tiger",   "fish",    "whale",
     "planet",  "moon",    "star",    "light",    "shadow",   "colour",  "silver",  "gold",
     "iron",    "copper",  "glass",   "wood",     "cotton",   "leather", "chair",   "table",
     "door",    "floor",   "wall",    "roof",     "street",   "road",    "corner",  "square",
     "church",  "castle",  "palace",  "tower",    "school",   "college", "office",  "factory",
     "farm",    "field",   "valley",  "desert",   "ocean",    "lake",    "beach",   "harbour",
     "ship",    "boat",    "train",   "wheel",    "wagon",    "plane",   "pilot",   "captain",
     "soldier", "king",    "queen",   "prince",   "farmer",   "baker",   "writer",  "singer",
     "actor",   "judge",   "lawyer",  "friend",   "brother",  "sister",  "mother",  "father",
     "child",   "baby",    "family",  "story",    "poem",     "novel",   "page",    "chapter",
     "number",  "circle",  "angle",   "line",     "point",    "shape",   "pattern", "model",
     "method",  "theory",  "reason",  "answer",   "question", "problem", "secret",  "promise",
     "money",   "price",   "profit",  "trade",    "bank",     "ticket",  "basket",  "bottle"});

std::string join(std::string text, std::string_view word) {
  if (!text.empty()) text += ' ';
  text += word;
  return text;
}

uint64_t mixed(uint64_t x) {  // the finaliser of splitmix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

Result<int64_t> whole(const Json& value, std::string_view name) {
  if (value.is_number_integer()) {
    const auto number = value.get<int64_t>();
    if (number >= 1 && number <= 1'000'000) return number;
  }
  return fail("{} must be a whole number from 1 to 1000000", name);
}

Result<TraceEntry> parse_entry(const Json& json) {
  TraceEntry entry;
  bool has_prompt = false;
  for (const auto& [name, value] : json.items()) {
    if (name == "at") {
      if (!value.is_number() || !(value.get<double>() >= 0)) {
        return fail("\"at\" must be seconds from the start, 0 or more");
      }
      entry.at = value.get<double>();
    } else if (name == "prompt") {
      if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
        return fail("\"prompt\" must be a text");
      }
      entry.prompt = value.get<std::string>();
      has_prompt = true;
    } else if (name == "prompt_words") {
      FATHOM_TRY(entry.prompt_words, whole(value, "\"prompt_words\""));
    } else if (name == "max_tokens") {
      FATHOM_TRY(entry.max_tokens, whole(value, "\"max_tokens\""));
    } else {
      return fail("{} is not known; there are at, prompt, prompt_words and max_tokens",
                  in_quotes(name));
    }
  }
  if (has_prompt == (entry.prompt_words > 0)) {
    return fail("there must be either \"prompt\" or \"prompt_words\"");
  }
  if (entry.max_tokens == 0) return fail("\"max_tokens\" is missing");
  return entry;
}

}  // namespace

Result<std::vector<TraceEntry>> parse_trace(std::string_view text, std::string_view what) {
  std::vector<TraceEntry> trace;
  FATHOM_CHECK(read_json_lines(text, what, [&](const Json& line) -> Status {
    FATHOM_TRY(TraceEntry entry, parse_entry(line));
    if (!trace.empty()) {
      if (trace.back().at.has_value() != entry.at.has_value()) {
        return fail("\"at\" must be in all lines or in none");
      }
      if (entry.at && *entry.at < *trace.back().at) {
        return fail("\"at\" is before that of the line above");
      }
    }
    trace.push_back(std::move(entry));
    return {};
  }));
  if (trace.empty()) return fail("{} has no requests in it.", what);
  return trace;
}

Workload::Workload(WorkloadOptions options) : Workload(std::move(options), {}) {}

Workload::Workload(WorkloadOptions options, std::vector<TraceEntry> trace)
    : options_(std::move(options)), trace_(std::move(trace)) {
  Random words = random(~uint64_t{0});
  for (int64_t i = 0; i < options_.system_words; ++i) {
    system_ = join(std::move(system_), kWords[words() % kWords.size()]);
  }
}

Random Workload::random(uint64_t stream) const {
  return Random(mixed(options_.seed + mixed(stream + 0x9e3779b97f4a7c15U)));
}

// The first two words spell the request's number in the base of the list, shifted by the seed: no
// two of the first thousands of requests begin with the same two.
std::string Workload::prompt(uint64_t index, int64_t words, Random& random) const {
  const uint64_t base = kWords.size();
  const uint64_t number = index + options_.seed % (base * base);
  std::string text;
  for (int64_t i = 0; i < words; ++i) {
    const uint64_t word = i == 0 ? number : i == 1 ? number / base : random();
    text = join(std::move(text), kWords[word % base]);
  }
  return text;
}

Ask Workload::ask(uint64_t index) const {
  Random own = random(index);
  if (trace_.empty()) {
    const int64_t words = options_.prompt_words.draw(own);
    const int64_t tokens = options_.output_tokens.draw(own);
    return {.system = system_, .prompt = prompt(index, words, own), .max_tokens = tokens};
  }
  const TraceEntry& entry = trace_[index % trace_.size()];
  return {.system = system_,
          .prompt = entry.prompt_words > 0 ? prompt(index, entry.prompt_words, own) : entry.prompt,
          .max_tokens = entry.max_tokens};
}

}  // namespace fathom::loadtest
