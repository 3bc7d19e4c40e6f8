#include "checkpoint/stored_temperature.h"

#include <unistd.h>

#include <array>
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
constexpr std::string_view kFile = "fathom.json";
constexpr size_t kMostText = 1U << 20;

bool is_directory(const Checkpoint& checkpoint) {
  std::error_code ignored;
  return fs::is_directory(checkpoint.path(), ignored);
}

Result<double> checked(double temperature, std::string_view where) {
  if (temperature >= kLeastTemperature && temperature <= kMostTemperature) return temperature;
  return fail(
      "{}: the temperature is {}; it must be {} to {}. Take it out, or "
      "quantise the original anew.",
      where, temperature, kLeastTemperature, kMostTemperature);
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

Status write_fathom_json(const fs::path& directory, double temperature) {
  FATHOM_TRY(auto json, read_fathom_json(directory));
  json["temperature"] = temperature;
  const std::string text =
      json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  FATHOM_TRY(OutputFile file,
             OutputFile::create(directory / kFile, static_cast<int64_t>(text.size())));
  FATHOM_CHECK(file.write(0, std::as_bytes(std::span(text))));
  return file.commit();
}

// A copy of the directory under a temporary name, which becomes its own when all is there.
Status copy_directory(const fs::path& from, const fs::path& to, double temperature) {
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

Status rewrite_gguf(const MappedFile& source, double temperature, const fs::path& output) {
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
  const size_t first_key = walk.position();
  size_t old_begin = 0;  // of the key as it stands, if it does
  size_t old_end = 0;
  for (uint64_t i = 0; i < keys; ++i) {
    const size_t begin = walk.position();
    const bool ours = walk.string() == kKey;
    walk.skip_value(static_cast<GgufType>(walk.read<uint32_t>()));
    if (ours) {
      old_begin = begin;
      old_end = walk.position();
    }
  }
  const size_t table = walk.position();
  if (old_end == 0) old_begin = old_end = table;
  for (uint64_t i = 0; i < tensors; ++i) {
    walk.string();
    walk.skip(uint64_t{8} * walk.read<uint32_t>());  // the shape
    walk.skip(4 + 8);                                // type, offset from the data's start
  }
  const size_t table_end = walk.position();
  const size_t data = std::min(aligned(table_end), bytes.size());

  std::vector<std::byte> header(bytes.begin(), bytes.begin() + 16);
  append(header, keys + (old_begin == old_end ? 1 : 0));
  const auto add = [&](size_t begin, size_t end) {
    header.insert(header.end(), bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                  bytes.begin() + static_cast<std::ptrdiff_t>(end));
  };
  add(first_key, old_begin);
  append(header, static_cast<uint64_t>(kKey.size()));
  for (const char c : kKey) header.push_back(static_cast<std::byte>(c));
  append(header, static_cast<uint32_t>(GgufType::kF32));
  append(header, static_cast<float>(temperature));
  add(old_end, table_end);
  header.resize(aligned(header.size()));

  const auto rest = bytes.subspan(data);
  const auto head = static_cast<int64_t>(header.size());
  FATHOM_TRY(OutputFile file, OutputFile::create(output, head + static_cast<int64_t>(rest.size())));
  FATHOM_CHECK(file.write(0, header));
  FATHOM_CHECK(file.write(head, rest));
  return file.commit();
}

}  // namespace

Result<std::optional<double>> stored_temperature(const Checkpoint& checkpoint) {
  if (is_directory(checkpoint)) {
    FATHOM_TRY(const auto json, read_fathom_json(checkpoint.path()));
    const std::string where = (checkpoint.path() / kFile).string();
    const auto found = json.find("temperature");
    if (found == json.end()) return std::nullopt;
    if (!found->is_number()) return fail("{}: temperature should be a number", where);
    FATHOM_TRY(const double temperature, checked(found->get<double>(), where));
    return temperature;
  }
  if (checkpoint.files().empty()) return std::nullopt;  // made in memory
  const MappedFile& first = checkpoint.files().front();
  FATHOM_TRY(const GgufFile file, parse_gguf(first.bytes(), first.path().string()));
  FATHOM_TRY(const auto stored, file.metadata.get_float(std::string(kKey)));
  if (!stored) return std::nullopt;
  FATHOM_TRY(const double temperature, checked(*stored, first.path().string()));
  return temperature;
}

Status store_temperature(const Checkpoint& checkpoint, double temperature, const fs::path& output) {
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
