#include "checkpoint/safetensors_output.h"

#include <nlohmann/json.hpp>

namespace fathom {

namespace {

std::string_view safetensors_type(DType dtype) {
  return dtype == DType::kF8E4M3 ? "F8_E4M3" : name(dtype);
}

}  // namespace

Result<SafetensorsOutput> SafetensorsOutput::create(const OutputPlace& place,
                                                    const std::vector<Announced>& tensors) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  std::vector<int64_t> offsets;
  int64_t end = 0;
  for (const Announced& tensor : tensors) {
    if (info(tensor.dtype).quantized) {
      return fail("{}: safetensors has no type {} for the tensor {}", place.path.string(),
                  name(tensor.dtype), tensor.name);
    }
    offsets.push_back(end);
    end += byte_size(tensor.dtype, tensor.shape.elements());
    std::vector<int64_t> shape;
    shape.reserve(static_cast<size_t>(tensor.shape.rank()));
    for (int i = 0; i < tensor.shape.rank(); ++i) shape.push_back(tensor.shape[i]);
    header[tensor.name] = {{"dtype", safetensors_type(tensor.dtype)},
                           {"shape", shape},
                           {"data_offsets", {offsets.back(), end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  const auto length = static_cast<uint64_t>(text.size());
  const int64_t start = static_cast<int64_t>(sizeof length + text.size());
  for (int64_t& offset : offsets) offset += start;
  FATHOM_TRY(OutputFile file, OutputFile::create(place, start + end));
  FATHOM_CHECK(file.write(0, std::as_bytes(std::span(&length, 1))));
  FATHOM_CHECK(file.write(sizeof length, std::as_bytes(std::span(text))));
  return SafetensorsOutput(std::move(file), std::move(offsets), start + end);
}

}  // namespace fathom
