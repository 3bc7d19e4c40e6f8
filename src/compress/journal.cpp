#include "compress/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fingerprint.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "checkpoint/output_file.h"

namespace fathom {

namespace {

namespace fs = std::filesystem;

constexpr JsonLimits kLineLimits{64U << 20, 4'000'000};
constexpr size_t kFingerprintDigits = 16;

uint64_t chained(uint64_t before, std::string_view json) {
  Fingerprint fingerprint;
  fingerprint.add(before);
  fingerprint.add(json);
  return fingerprint.value();
}

// The first member in which two commands differ, in words.
std::string difference(const nlohmann::json& now, const nlohmann::json& then) {
  for (const auto& [key, value] : now.items()) {
    const auto before = then.find(key);
    if (before == then.end() || *before != value) {
      return fmt::format("{} is {} now and was {}", key, value.dump(-1, ' ', true),
                         before == then.end() ? "not there" : before->dump(-1, ' ', true));
    }
  }
  return "it has another form";
}

}  // namespace

Result<QuantizeJournal> QuantizeJournal::open(const fs::path& output, const std::string& command,
                                              const Note& note) {
  fs::path folder = output.lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();
  folder += ".partial";
  const fs::path path = folder / "journal";
  std::error_code error;
  if (fs::exists(folder, error) && !fs::exists(path, error) && !fs::is_empty(folder, error)) {
    return usage_error("{} is there already, and is no remains of an earlier run: remove it.",
                       folder.string());
  }
  fs::create_directory(folder, error);
  if (error) return fail("{}: cannot be written: {}", output.string(), error.message());
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) return fail("{}: cannot be written: {}", path.string(), std::strerror(errno));
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    close(descriptor);
    return fail("{} is being written by another process.", output.string());
  }
  QuantizeJournal journal(folder, descriptor);
  if (Status read = journal.read(command, note); !read) {
    journal.kept_ = true;  // another command's
    return std::unexpected(read.error());
  }
  return journal;
}

QuantizeJournal::QuantizeJournal(QuantizeJournal&& other) noexcept
    : folder_(std::move(other.folder_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      command_(std::move(other.command_)),
      fingerprint_(other.fingerprint_),
      end_(other.end_),
      types_(std::move(other.types_)),
      layers_(other.layers_),
      unreached_(other.unreached_),
      kept_(other.kept_) {}

QuantizeJournal::~QuantizeJournal() {
  if (descriptor_ < 0) return;
  std::error_code ignored;
  if (!kept_) fs::remove_all(folder_, ignored);
  close(descriptor_);
}

Status QuantizeJournal::read(const std::string& command, const Note& note) {
  command_ = command;
  FATHOM_TRY(const MappedFile file, MappedFile::open(folder_ / "journal"));
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                              file.bytes().size());
  std::vector<nlohmann::json> lines;
  uint64_t fingerprint = 0;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = text.find('\n', at);
    if (end == std::string_view::npos || end - at <= kFingerprintDigits) break;
    const std::string_view json =
        text.substr(at + kFingerprintDigits + 1, end - at - kFingerprintDigits - 1);
    const uint64_t expected = chained(fingerprint, json);
    if (text.substr(at, kFingerprintDigits) != fmt::format("{:016x}", expected)) break;
    auto line = parse_json(json, "journal", kLineLimits);
    if (!line || !line->is_object()) break;
    lines.push_back(*std::move(line));
    fingerprint = expected;
    at = end + 1;
  }
  const auto anew = [&](std::string_view why) {
    if (note && !text.empty()) {
      note(fmt::format("{} cannot be gone on with ({}): it is begun anew", folder_.string(), why));
    }
    return restart();
  };
  if (lines.empty()) return anew("its journal is damaged");
  FATHOM_TRY(const nlohmann::json now, parse_json(command, "command"));
  const bool same = lines.front() == now;
  if (!same && lines.size() > 2) {
    return usage_error(
        "{} holds {} layers that another command finished: {}. Say the same again to go on, or "
        "remove that directory.",
        folder_.string(), lines.size() - 2, difference(now, lines.front()));
  }
  if (!same || lines.size() < 2) return restart();  // nothing is lost by it
  types_ = lines[1].value("types", std::vector<int>());
  layers_ = static_cast<int64_t>(lines.size()) - 2;
  if (layers_ > 0) unreached_ = lines.back().value("unreached", int64_t{0});
  const bool streamed = layers_ > 0 && lines.back().value("stream", false);
  if (streamed && stream().empty()) return anew("what the calibration text became is missing");
  fingerprint_ = fingerprint;
  end_ = static_cast<int64_t>(at);
  if (note && layers_ > 0) {
    note(fmt::format("going on after {} layers that an earlier run finished", layers_));
  }
  return {};
}

Status QuantizeJournal::restart() {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    if (entry.path().filename() != "journal") fs::remove_all(entry.path(), error);
  }
  types_.clear();
  layers_ = 0;
  unreached_ = 0;
  fingerprint_ = 0;
  end_ = 0;
  return add_line(command_);
}

Status QuantizeJournal::add_line(const std::string& json) {
  const uint64_t fingerprint = chained(fingerprint_, json);
  const std::string line = fmt::format("{:016x} {}\n", fingerprint, json);
  const auto length = static_cast<int64_t>(line.size());
  const bool written = ftruncate(descriptor_, end_) == 0 &&
                       pwrite(descriptor_, line.data(), line.size(), end_) == length &&
                       fsync(descriptor_) == 0;
  if (!written) {
    return fail("{}: cannot be written: {}", (folder_ / "journal").string(),
                std::strerror(errno == 0 ? ENOSPC : errno));
  }
  fingerprint_ = fingerprint;
  end_ += length;
  return {};
}

bool QuantizeJournal::restore_types(std::vector<PlannedTensor>& plan) const {
  if (types_.size() != plan.size()) return false;
  for (size_t i = 0; i < plan.size(); ++i) {
    const auto type = static_cast<DType>(types_[i]);
    if (plan[i].target == type) continue;
    plan[i].target = type;
    plan[i].as_is = plan[i].source->dtype == type;
  }
  return true;
}

Status QuantizeJournal::set_types(const std::vector<PlannedTensor>& plan) {
  if (layers_ > 0) return {};
  const bool known = !types_.empty();
  types_.clear();
  types_.reserve(plan.size());
  for (const PlannedTensor& tensor : plan) types_.push_back(static_cast<int>(tensor.target));
  return known ? Status() : add_line(nlohmann::json{{"types", types_}}.dump());
}

fs::path QuantizeJournal::stream_path(int64_t layers) const {
  return folder_ / fmt::format("stream.{}", layers);
}

std::vector<float> QuantizeJournal::stream() const {
  const auto file = MappedFile::open(stream_path(layers_));
  if (!file || file->bytes().size() < sizeof(uint64_t)) return {};
  uint64_t stored = 0;
  std::memcpy(&stored, file->bytes().data(), sizeof stored);
  const auto values = file->bytes().subspan(sizeof stored);
  Fingerprint fingerprint;
  fingerprint.add(values);
  if (fingerprint.value() != stored) return {};
  std::vector<float> stream(values.size() / sizeof(float));
  std::memcpy(stream.data(), values.data(), stream.size() * sizeof(float));
  return stream;
}

Status QuantizeJournal::add_layer(int64_t unreached, std::span<const float> stream) {
  if (!stream.empty()) {
    const auto values = std::as_bytes(stream);
    Fingerprint fingerprint;
    fingerprint.add(values);
    const uint64_t value = fingerprint.value();
    FATHOM_TRY(OutputFile file,
               OutputFile::create(stream_path(layers_ + 1),
                                  static_cast<int64_t>(sizeof value + values.size())));
    FATHOM_CHECK(file.write(0, std::as_bytes(std::span(&value, 1))));
    FATHOM_CHECK(file.write(sizeof value, values));
    FATHOM_CHECK(file.commit());
  }
  const nlohmann::json line = {
      {"layer", layers_}, {"stream", !stream.empty()}, {"unreached", unreached}};
  FATHOM_CHECK(add_line(line.dump()));
  std::error_code ignored;
  fs::remove(stream_path(layers_), ignored);
  ++layers_;
  unreached_ = unreached;
  return {};
}

}  // namespace fathom
