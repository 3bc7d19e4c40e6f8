#include "checkpoint/stored_temperature.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/json.h"
#include "checkpoint/gguf_file.h"
#include "checkpoint/hf_text.h"
#include "checkpoint/output_file.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kKey = "fathom.temperature";
constexpr std::string_view kBiasKey = "fathom.temperature_bias";
constexpr std::string_view kFile = "fathom.json";
constexpr size_t kMostOctaves = 63;
constexpr size_t kMostText = 1U << 20;

bool is_directory(const Checkpoint& checkpoint) {
  std::error_code ignored;
  return fs::is_directory(checkpoint.path(), ignored);
}

Result<StoredTemperature> checked(StoredTemperature temperature, std::string_view where) {
  if (temperature.bias.size() > kMostOctaves) {
    return fail("{}: the temperature has {} biases; there are {} at most.", where,
                temperature.bias.size(), kMostOctaves);
  }
  const auto check = [&](double value) -> Status {
    if (value >= kLeastTemperature && value <= kMostTemperature) return {};
    return fail(
        "{}: the temperature is {}; it must be {} to {}. Take it out, or "
        "quantise the original anew.",
        where, value, kLeastTemperature, kMostTemperature);
  };
  FATHOM_CHECK(check(temperature.value));
  for (const float bias : temperature.bias) {
    FATHOM_CHECK(check(temperature.value * std::exp(static_cast<double>(bias))));
  }
  return temperature;
}

// fathom.json, which may hold more than the temperature one day; empty where there is none.
Result<nlohmann::ordered_json> read_fathom_json(const fs::path& directory) {
  const fs::path path = directory / kFile;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return nlohmann::ordered_json::object();
  FATHOM_TRY(const std::string text, read_text_file(path, kMostText));
  FATHOM_TRY(auto json, parse_ordered_json(text, path.string()));
  if (!json.is_object()) return fail("{} should hold a JSON object", path.string());
  return json;
}

Status write_fathom_json(const fs::path& directory, const StoredTemperature& temperature) {
  FATHOM_TRY(auto json, read_fathom_json(directory));
  json["temperature"] = temperature.value;
  json.erase("temperature_bias");
  if (!temperature.bias.empty()) json["temperature_bias"] = temperature.bias;
  const std::string text =
      json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  FATHOM_TRY(OutputFile file,
             OutputFile::create(directory / kFile, static_cast<int64_t>(text.size())));
  FATHOM_CHECK(file.write(0, std::as_bytes(std::span(text))));
  return file.commit();
}

// A copy of the directory under a temporary name, which becomes its own when all is there.
Status copy_directory(const fs::path& from, const fs::path& to,
                      const StoredTemperature& temperature) {
  std::error_code error;
  if (fs::exists(to, error)) {
    return usage_error("{} is there already: name a directory that is not.", to.string());
  }
  fs::path temporary = to.lexically_normal();
  if (temporary.filename().empty()) temporary = temporary.parent_path();
  temporary += fmt::format(".partial-{}", getpid());
  fs::copy(from, temporary, fs::copy_options::recursive, error);
  Status written = error ? Status(fail("{}: cannot be copied to {}: {}", from.string(), to.string(),
                                       error.message()))
                         : write_fathom_json(temporary, temperature);
  if (written) {
    fs::rename(temporary, to, error);
    if (!error) return {};
    written = fail("{}: cannot be written: {}", to.string(), error.message());
  }
  fs::remove_all(temporary, error);
  return written;
}

// The parts of a GGUF file. parse_gguf() has accepted it, so nothing is checked again here.
class Walk {
 public:
  explicit Walk(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t position() const { return position_; }
  void skip(uint64_t count) { position_ += count; }
  template <typename T>
  T read() {
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof value);
    position_ += sizeof value;
    return value;
  }
  std::string_view string() {
    const auto length = read<uint64_t>();
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + position_, length);
    skip(length);
    return text;
  }
  void skip_value(GgufType type) {
    if (type == GgufType::kString) {
      string();
    } else if (type == GgufType::kArray) {
      const auto element = static_cast<GgufType>(read<uint32_t>());
      const auto count = read<uint64_t>();
      for (uint64_t i = 0; i < count; ++i) skip_value(element);
    } else {
      skip(byte_size(type));
    }
  }

 private:
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
};

template <typename T>
void append(std::vector<std::byte>& out, T value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_name(std::vector<std::byte>& out, std::string_view name) {
  append(out, static_cast<uint64_t>(name.size()));
  for (const char c : name) out.push_back(static_cast<std::byte>(c));
}

Status rewrite_gguf(const MappedFile& source, const StoredTemperature& temperature,
                    const fs::path& output) {
  const auto bytes = source.bytes();
  FATHOM_TRY(const GgufFile parsed, parse_gguf(bytes, source.path().string()));
  FATHOM_TRY(const auto stored_alignment, parsed.metadata.get_int("general.alignment"));
  const auto alignment = static_cast<size_t>(stored_alignment.value_or(32));
  const auto aligned = [&](size_t offset) {
    return (offset + alignment - 1) / alignment * alignment;
  };

  Walk walk(bytes);
  walk.skip(8);  // "GGUF" and the version
  const auto tensors = walk.read<uint64_t>();
  const auto keys = walk.read<uint64_t>();
  std::vector<std::byte> kept;  // keys with their values, but those of an earlier temperature
  uint64_t kept_keys = 0;
  const auto add = [&](std::vector<std::byte>& to, size_t begin, size_t end) {
    to.insert(to.end(), bytes.begin() + static_cast<std::ptrdiff_t>(begin),
              bytes.begin() + static_cast<std::ptrdiff_t>(end));
  };
  for (uint64_t i = 0; i < keys; ++i) {
    const size_t begin = walk.position();
    const std::string_view key = walk.string();
    walk.skip_value(static_cast<GgufType>(walk.read<uint32_t>()));
    if (key == kKey || key == kBiasKey) continue;
    add(kept, begin, walk.position());
    ++kept_keys;
  }
  const size_t table = walk.position();
  for (uint64_t i = 0; i < tensors; ++i) {
    walk.string();
    walk.skip(uint64_t{8} * walk.read<uint32_t>());  // the shape
    walk.skip(4 + 8);                                // type, offset from the data's start
  }
  const size_t table_end = walk.position();
  const size_t data = std::min(aligned(table_end), bytes.size());

  std::vector<std::byte> header(bytes.begin(), bytes.begin() + 16);
  const bool biased = !temperature.bias.empty();
  append(header, kept_keys + (biased ? 2 : 1));
  header.insert(header.end(), kept.begin(), kept.end());
  append_name(header, kKey);
  append(header, static_cast<uint32_t>(GgufType::kF32));
  append(header, static_cast<float>(temperature.value));
  if (biased) {
    append_name(header, kBiasKey);
    append(header, static_cast<uint32_t>(GgufType::kArray));
    append(header, static_cast<uint32_t>(GgufType::kF32));
    append(header, static_cast<uint64_t>(temperature.bias.size()));
    for (const float bias : temperature.bias) append(header, bias);
  }
  add(header, table, table_end);
  header.resize(aligned(header.size()));

  const auto rest = bytes.subspan(data);
  const auto head = static_cast<int64_t>(header.size());
  FATHOM_TRY(OutputFile file, OutputFile::create(output, head + static_cast<int64_t>(rest.size())));
  FATHOM_CHECK(file.write(0, header));
  FATHOM_CHECK(file.write(head, rest));
  return file.commit();
}

Result<std::vector<float>> bias_of(const nlohmann::ordered_json& json, const std::string& where) {
  const auto found = json.find("temperature_bias");
  if (found == json.end()) return std::vector<float>();
  const bool numbers = found->is_array() && std::ranges::all_of(*found, [](const auto& bias) {
                         return bias.is_number();
                       });
  if (!numbers) return fail("{}: temperature_bias should be an array of numbers", where);
  return found->get<std::vector<float>>();
}

}  // namespace

int64_t StoredTemperature::octave(int64_t position) {
  return std::bit_width(static_cast<uint64_t>(position) + 1) - 1;
}

double StoredTemperature::at(int64_t position) const {
  if (bias.empty()) return value;
  const int64_t index = std::min(octave(position), static_cast<int64_t>(bias.size()) - 1);
  return value * std::exp(static_cast<double>(bias[static_cast<size_t>(index)]));
}

Result<std::optional<StoredTemperature>> stored_temperature(const Checkpoint& checkpoint) {
  if (is_directory(checkpoint)) {
    FATHOM_TRY(const auto json, read_fathom_json(checkpoint.path()));
    const std::string where = (checkpoint.path() / kFile).string();
    const auto found = json.find("temperature");
    if (found == json.end()) return std::nullopt;
    if (!found->is_number()) return fail("{}: temperature should be a number", where);
    FATHOM_TRY(auto bias, bias_of(json, where));
    FATHOM_TRY(auto temperature, checked({found->get<double>(), std::move(bias)}, where));
    return temperature;
  }
  if (checkpoint.files().empty()) return std::nullopt;  // made in memory
  const MappedFile& first = checkpoint.files().front();
  FATHOM_TRY(const GgufFile file, parse_gguf(first.bytes(), first.path().string()));
  FATHOM_TRY(const auto stored, file.metadata.get_float(std::string(kKey)));
  if (!stored) return std::nullopt;
  FATHOM_TRY(auto bias, file.metadata.get_floats(std::string(kBiasKey)));
  FATHOM_TRY(auto temperature, checked({*stored, std::move(bias)}, first.path().string()));
  return temperature;
}

Status store_temperature(const Checkpoint& checkpoint, const StoredTemperature& temperature,
                         const fs::path& output) {
  FATHOM_CHECK(checked(temperature, checkpoint.path().string()));
  if (is_directory(checkpoint)) {
    return output.empty() ? write_fathom_json(checkpoint.path(), temperature)
                          : copy_directory(checkpoint.path(), output, temperature);
  }
  if (checkpoint.files().empty()) return fail("The model is not in a file.");
  const MappedFile& first = checkpoint.files().front();
  if (output.empty()) return rewrite_gguf(first, temperature, first.path());
  if (checkpoint.files().size() > 1) {
    return fail(
        "{} is one of {} parts of a model, which are calibrated in place: copy them all first.",
        first.path().string(), checkpoint.files().size());
  }
  return rewrite_gguf(first, temperature, output);
}

}  // namespace fathom
