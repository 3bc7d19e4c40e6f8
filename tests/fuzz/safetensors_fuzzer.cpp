// Any bytes as a safetensors file: either tensors that all lie inside it, or an error.
#include <cstdint>
#include <cstdlib>

#include "checkpoint/hf_weights.h"
#include "checkpoint/safetensors_file.h"
#include "tensor/finite_scales.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  auto tensors = fathom::parse_safetensors(bytes, "fuzz.safetensors");
  if (!tensors) return 0;
  for (const fathom::Tensor& tensor : *tensors) {
    const auto* begin = reinterpret_cast<const uint8_t*>(tensor.data);
    if (tensor.bytes < 0 || begin < data || begin + tensor.bytes > data + size) std::abort();
  }
  auto sorted = fathom::prepare_hf_tensors(*std::move(tensors), "fuzz.safetensors");
  if (!sorted) return 0;
  for (const fathom::Tensor& tensor : sorted->tensors) {
    static_cast<void>(fathom::check_finite_scales(tensor));
  }
  return 0;
}
