// Any bytes as a GGUF file: either a checkpoint whose tensors can all be read, or an error.
#include <cstdint>

#include "checkpoint/describe.h"
#include "checkpoint/gguf_checkpoint.h"
#include "tensor/finite_scales.h"

// Reads the first and last byte of what open() promised to lie inside the file.
static uint8_t touch(const fathom::Tensor& tensor) {
  if (tensor.bytes == 0) return 0;
  return static_cast<uint8_t>(tensor.data[0] ^ tensor.data[tensor.bytes - 1]);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto checkpoint = fathom::read_gguf_checkpoint(bytes, "fuzz.gguf");
  if (!checkpoint) return checkpoint.error().message.empty() ? 1 : 0;
  uint8_t seen = 0;
  for (const fathom::Tensor& tensor : (*checkpoint)->tensors()) {
    seen ^= touch(tensor);
    if (!fathom::check_finite_scales(tensor)) seen ^= 1;
  }
  return fathom::describe(**checkpoint).tensor_bytes < 0 ? seen : 0;
}
