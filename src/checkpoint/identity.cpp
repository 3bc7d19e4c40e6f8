#include "checkpoint/identity.h"

#include <algorithm>
#include <system_error>

#include "base/fingerprint.h"

namespace fathom {

namespace {

// Few enough that a cold disk answers in some milliseconds.
constexpr size_t kSamples = 32;
constexpr size_t kSampleBytes = 4096;

// Bytes of the file before its first tensor: the whole file if it has none.
size_t header_bytes(const MappedFile& file, const std::vector<Tensor>& tensors) {
  size_t bytes = file.bytes().size();
  for (const Tensor& tensor : tensors) {
    if (!file.contains(tensor.data)) continue;
    bytes = std::min(bytes, static_cast<size_t>(tensor.data - file.bytes().data()));
  }
  return bytes;
}

void add_samples(Fingerprint& fingerprint, std::span<const std::byte> bytes, size_t count) {
  const size_t size = std::min(kSampleBytes, bytes.size());
  for (size_t i = 0; i < count; ++i) {
    // The first sample at the beginning, the last at the end.
    const size_t at = count == 1 ? 0 : (bytes.size() - size) / (count - 1) * i;
    fingerprint.add(bytes.subspan(at, size));
  }
  fingerprint.add(bytes.last(size));
}

}  // namespace

std::optional<CheckpointIdentity> identify(const Checkpoint& checkpoint) {
  const auto files = checkpoint.files();
  if (files.empty()) return std::nullopt;
  std::error_code error;
  auto path = std::filesystem::canonical(checkpoint.path(), error);
  if (error) path = std::filesystem::absolute(checkpoint.path(), error);
  if (error) return std::nullopt;

  Fingerprint place;
  place.add(path.string());
  Fingerprint content;
  content.add(place.value());
  const size_t samples = std::max<size_t>(1, kSamples / files.size());
  for (const MappedFile& file : files) {
    content.add(uint64_t{file.bytes().size()});
    content.add(static_cast<uint64_t>(file.modified()));
    const size_t header = header_bytes(file, checkpoint.tensors());
    content.add(file.bytes().first(header));
    add_samples(content, file.bytes().subspan(header), samples);
  }
  return CheckpointIdentity{place.value(), content.value()};
}

}  // namespace fathom
