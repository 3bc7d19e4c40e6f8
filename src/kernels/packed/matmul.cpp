#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "kernels/packed/packed_kernels.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

// A chunk of panels stays in a core's L2 while the rows go past; the decoding of one row streams
// through panels once, and wants pieces large enough to hide the hand-out.
constexpr int64_t kResidentBytes = 192 * 1024;
constexpr int64_t kStreamedBytes = 64 * 1024;
constexpr int64_t kStreamedRows = 8;  // at most: above, arithmetic takes longer than reading
constexpr int64_t kTileRows = 128;    // rows of a tile
// At least, where weights are few: what the last tile leaves other threads to wait for is then a
// small part. The decoding of few rows reads on through the next tile, and wants larger ones.
constexpr int64_t kTilesPerThread = 16;
constexpr int64_t kStreamedTilesPerThread = 4;
// Quantising fewer floats than this is quicker than waking the other threads.
constexpr int64_t kSerialFloats = 16384;

// The ways in which sums of activations are folded (vector_ops.h), by index.
constexpr std::array<ActivationVariant, kActivationVariants> kVariants = {{
    {32, 1.0F},
    {32, -8.0F},
    {32, -16.0F},
    {32, -128.0F},
    {16, 1.0F},
    {16, -4.0F},
    {16, -32.0F},
}};

int variant_for(DType dtype, bool unsigned8) {
  const CodeFormat format = code_format(dtype);
  const int offset = format.bits == 8 && unsigned8 ? 128 : format.offset;
  const float factor = format.minimum || offset == 0 ? 1.0F : static_cast<float>(-offset);
  const int group = std::min(format.group, 32);
  const auto* found =
      std::find(kVariants.begin(), kVariants.end(), ActivationVariant{group, factor});
  FATHOM_ASSERT(found != kVariants.end());
  return static_cast<int>(found - kVariants.begin());
}

// Lays the sections of the used variants behind the codes; returns the record's bytes.
int64_t lay_out_record(int64_t in, unsigned used,
                       std::array<ActivationVariant, kActivationVariants>& sections) {
  int64_t at = in;
  for (size_t v = 0; v < kVariants.size(); ++v) {
    sections[v] = kVariants[v];
    if ((used >> v & 1U) == 0) continue;
    sections[v].offset = at;
    at += in / 32 * (kVariants[v].group == 32 ? 8 : 16);
  }
  // An odd number of cache lines, so that the rows of a tile do not compete for the same sets.
  const int64_t lines = (at + 63) / 64;
  return (lines | 1) * 64;
}

// PackedMatrix::layout is the type as it is kept, and this where panels are narrow: adapters' lower
// halves, whose few rows would leave half of each panel empty.
constexpr int kNarrow = 0x100;

DType kept_type(const PackedMatrix& matrix) {
  return static_cast<DType>(matrix.layout & ~kNarrow);
}

bool is_narrow(DType dtype, int64_t out, int lanes) {
  return (dtype == DType::kF32 || dtype == DType::kF16) && out <= lanes;
}

bool has_nan_code(const Tensor& matrix) {
  return std::any_of(matrix.data, matrix.data + matrix.bytes,
                     [](std::byte b) { return (b & std::byte{0x7f}) == std::byte{0x7f}; });
}

}  // namespace

PanelLayout PackedKernels::layout_of(const PackedMatrix& matrix) const {
  return {kept_type(matrix), matrix.in, ops_.lanes, ops_.unsigned8, (matrix.layout & kNarrow) != 0};
}

PackedMatrix PackedKernels::pack(const Tensor& matrix) {
  FATHOM_ASSERT(matrix.shape.rank() == 2);
  FATHOM_ASSERT(info(matrix.dtype).computable);
  if (matrix.dtype == DType::kF8E4M3 && has_nan_code(matrix)) {
    // The FP8 kernel has no NaN (its codes are read as halves); such a matrix is kept as F32.
    std::vector<float> values(static_cast<size_t>(matrix.shape.elements()));
    dequantize_rows(matrix, 0, matrix.shape[0], values.data());
    Tensor widened = matrix;
    widened.dtype = DType::kF32;
    widened.data = reinterpret_cast<const std::byte*>(values.data());
    widened.bytes = static_cast<int64_t>(values.size() * sizeof(float));
    widened.block_scales = nullptr;
    PackedMatrix packed = pack(widened);
    packed.dtype = matrix.dtype;
    return packed;
  }
  PackedMatrix packed;
  packed.out = matrix.shape[0];
  packed.in = matrix.shape[1];
  packed.dtype = matrix.dtype;
  packed.layout = static_cast<int>(matrix.dtype);
  if (is_narrow(matrix.dtype, packed.out, ops_.lanes)) packed.layout |= kNarrow;
  const PanelLayout layout = layout_of(packed);
  const int64_t panels = (packed.out + layout.width - 1) / layout.width;
  packed.bytes = panels * layout.bytes;
  std::shared_ptr<std::byte> memory = weights_.allocate(packed.bytes);
  std::byte* data = memory.get();
  pool_.parallel_for(panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      pack_panel(layout, matrix, p * layout.width, data + p * layout.bytes);
    }
  });
  packed.data = std::move(memory);
  return packed;
}

bool PackedKernels::can_be_packed(const PackedMatrix& matrix) const {
  // FP8 with NaN is kept as F32, see pack().
  const DType kept = kept_type(matrix);
  const bool widened = matrix.dtype == DType::kF8E4M3 && kept == DType::kF32;
  const bool narrow = (matrix.layout & kNarrow) != 0;
  if (!info(matrix.dtype).computable || matrix.out <= 0 || matrix.in <= 0 ||
      (kept != matrix.dtype && !widened) || (narrow && !is_narrow(kept, matrix.out, ops_.lanes)) ||
      matrix.in % info(matrix.dtype).block_elements != 0) {
    return false;
  }
  const PanelLayout layout = layout_of(matrix);
  const int64_t panels = (matrix.out + layout.width - 1) / layout.width;
  return matrix.bytes == panels * layout.bytes;
}

void PackedKernels::gather_rows(const PackedMatrix& matrix, std::span<const int32_t> row_ids,
                                float* out, int64_t out_stride) {
  const PanelLayout layout = layout_of(matrix);
  const auto rows = static_cast<int64_t>(row_ids.size());
  pool_.parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = row_ids[static_cast<size_t>(i)];
      FATHOM_ASSERT(row >= 0 && row < matrix.out);
      unpack_row(layout, matrix.data.get() + row / layout.width * layout.bytes, row % layout.width,
                 out + i * out_stride);
    }
  });
}

int PackedKernels::input_for(const MatmulJob& job, int variant) {
  int64_t rows = job.rows;
  if (job.x_rows != nullptr) rows = *std::max_element(job.x_rows, job.x_rows + job.rows) + 1;
  // Jobs that share an input come close together; not finding one only costs time.
  constexpr int kLookBack = 8;
  const int count = static_cast<int>(inputs_.size());
  for (int i = count - 1; i >= std::max(0, count - kLookBack); --i) {
    QuantizedInput& input = inputs_[static_cast<size_t>(i)];
    if (input.x != job.x || input.stride != job.x_stride || input.in != job.w->in) continue;
    input.rows = std::max(input.rows, rows);
    input.variants |= 1U << variant;
    input.fine |= job.fine_input;
    return i;
  }
  inputs_.push_back({job.x, job.x_stride, job.w->in, rows, 1U << variant, job.fine_input, 0, 0, 0});
  return count;
}

void PackedKernels::quantize_inputs() {
  int64_t rows = 0;
  int64_t bytes = 0;
  int64_t floats = 0;
  for (QuantizedInput& input : inputs_) {
    std::array<ActivationVariant, kActivationVariants> sections;
    input.record_bytes = lay_out_record(input.in, input.variants, sections);
    input.first_row = rows;
    input.first_record = bytes;
    rows += input.rows;
    bytes += input.rows * input.row_bytes();
    floats += input.rows * input.in;
  }
  if (rows == 0) return;
  records_.grow(bytes);
  const auto quantize = [&](int thread, int64_t begin, int64_t end) {
    auto next =
        std::upper_bound(inputs_.begin(), inputs_.end(), begin,
                         [](int64_t row, const QuantizedInput& i) { return row < i.first_row; });
    for (int64_t row = begin; row < end; ++next) {
      const QuantizedInput& input = *(next - 1);
      const int64_t stop = std::min(end, next == inputs_.end() ? rows : next->first_row);
      float* residual =
          input.fine ? scratch_[static_cast<size_t>(thread)].grow_floats(input.in) : nullptr;
      quantize_rows(input, row - input.first_row, stop - input.first_row, residual);
      row = stop;
    }
  };
  if (floats <= kSerialFloats) {
    quantize(0, 0, rows);
  } else {
    pool_.parallel_for(rows, std::max<int64_t>(1, kSerialFloats / 4 / (floats / rows)), quantize);
  }
}

// residual [in]: scratch, for fine inputs.
void PackedKernels::quantize_rows(const QuantizedInput& input, int64_t begin, int64_t end,
                                  float* residual) {
  std::array<ActivationVariant, kActivationVariants> sections;
  lay_out_record(input.in, input.variants, sections);
  int used = 0;
  for (size_t v = 0; v < sections.size(); ++v) {
    if ((input.variants >> v & 1U) != 0) sections[static_cast<size_t>(used++)] = sections[v];
  }
  for (int64_t row = begin; row < end; ++row) {
    const float* x = input.x + row * input.stride;
    std::byte* record = records_.data() + input.first_record + row * input.row_bytes();
    ops_.quantize_row(x, input.in, record, sections.data(), used);
    if (!input.fine) continue;
    const ActivationVariant& section = sections[0];
    const auto* entry = reinterpret_cast<const float*>(record + section.offset);
    const auto* codes = reinterpret_cast<const int8_t*>(record);
    for (int64_t at = 0; at < input.in; at += 32) {
      for (int64_t i = at; i < at + 32; ++i) {
        residual[i] = x[i] - entry[0] * static_cast<float>(codes[i]);
      }
      entry += section.group == 32 ? 2 : 4;
    }
    ops_.quantize_row(residual, input.in, record + input.record_bytes, sections.data(), used);
  }
}

void PackedKernels::multiply(const Cut& cut, int64_t tile_index, AlignedBuffer& scratch) const {
  const MatmulJob& job = *cut.job;
  const int64_t chunk = tile_index / cut.row_chunks;
  const int64_t row = tile_index % cut.row_chunks * kTileRows;
  const int64_t panel = chunk * cut.panels_each;
  std::array<const void*, kTileRows> x;
  std::array<float*, kTileRows> y;
  MatmulTile tile;
  tile.panels = job.w->data.get() + panel * cut.layout.bytes;
  tile.panel_bytes = cut.layout.bytes;
  tile.panel_count = std::min(cut.panels_each, cut.panels - panel);
  tile.resident = row > 0;
  // Tiles of a matrix lie one after the other; another matrix may lie anywhere.
  const bool last = panel + tile.panel_count == cut.panels;
  if (last && &cut != &cuts_.back()) tile.next = (&cut + 1)->job->w->data.get();
  tile.scale_offset = cut.layout.scale_offset;
  tile.in = job.w->in;
  tile.narrow = cut.layout.narrow;
  tile.outputs =
      std::min(tile.panel_count * cut.layout.width, job.w->out - panel * cut.layout.width);
  tile.rows = std::min(kTileRows, job.rows - row);
  tile.x = x.data();
  tile.y = y.data();
  const QuantizedInput* input = nullptr;
  if (cut.input >= 0) {
    input = &inputs_[static_cast<size_t>(cut.input)];
    std::array<ActivationVariant, kActivationVariants> sections;
    lay_out_record(input->in, input->variants, sections);
    tile.section = sections[static_cast<size_t>(cut.variant)].offset;
  }
  for (int64_t r = 0; r < tile.rows; ++r) {
    const int64_t from = job.x_rows != nullptr ? job.x_rows[row + r] : row + r;
    auto& pointer = x[static_cast<size_t>(r)];
    if (input != nullptr) {
      pointer = records_.data() + input->first_record + from * input->row_bytes();
    } else {
      pointer = job.x + from * job.x_stride;
    }
    y[static_cast<size_t>(r)] = job.y + (row + r) * job.y_stride + panel * cut.layout.width;
  }
  ops_.matmul(static_cast<int>(kept_type(*job.w)), tile);
  if (input != nullptr && job.fine_input) add_rounded_off(job, *input, tile, scratch);
}

// Multiplies the second records, what rounding lost, and adds the products to y.
void PackedKernels::add_rounded_off(const MatmulJob& job, const QuantizedInput& input,
                                    const MatmulTile& tile, AlignedBuffer& scratch) const {
  float* products = scratch.grow_floats(tile.rows * tile.outputs);
  std::array<const void*, kTileRows> x;
  std::array<float*, kTileRows> y;
  for (int64_t r = 0; r < tile.rows; ++r) {
    const auto i = static_cast<size_t>(r);
    x[i] = static_cast<const std::byte*>(tile.x[i]) + input.record_bytes;
    y[i] = products + r * tile.outputs;
  }
  MatmulTile lost = tile;
  lost.resident = true;
  lost.x = x.data();
  lost.y = y.data();
  ops_.matmul(static_cast<int>(kept_type(*job.w)), lost);
  for (int64_t r = 0; r < tile.rows; ++r) {
    const auto i = static_cast<size_t>(r);
    ops_.add(tile.y[i], y[i], tile.outputs);
  }
}

void PackedKernels::matmul(std::span<const MatmulJob> jobs) {
  inputs_.clear();
  cuts_.clear();
  int64_t work_bytes = 0;  // read by all tiles together
  for (const MatmulJob& job : jobs) {
    if (job.rows == 0 || job.w->out == 0) continue;
    Cut cut{&job, layout_of(*job.w), -1, 0, 0, 0, 0, 0};
    if (has_codes(cut.layout.dtype)) {
      cut.variant = variant_for(cut.layout.dtype, ops_.unsigned8);
      cut.input = input_for(job, cut.variant);
    }
    cut.panels = (job.w->out + cut.layout.width - 1) / cut.layout.width;
    cut.row_chunks = (job.rows + kTileRows - 1) / kTileRows;
    work_bytes += cut.panels * cut.layout.bytes * cut.row_chunks;
    cuts_.push_back(cut);
  }
  quantize_inputs();

  int64_t tiles = 0;
  const int64_t each = work_bytes / pool_.size();
  for (Cut& cut : cuts_) {
    const bool streamed = cut.job->rows <= kStreamedRows;
    const int64_t limit = streamed ? kStreamedBytes : kResidentBytes;
    const int64_t share = each / (streamed ? kStreamedTilesPerThread : kTilesPerThread);
    cut.panels_each = std::max<int64_t>(1, std::min(limit, share) / cut.layout.bytes);
    // Several rows take panels two at a time (simd/expanded_matmul.h).
    if (cut.panels_each > 1 || cut.job->rows > 2) cut.panels_each += cut.panels_each % 2;
    cut.first_tile = tiles;
    tiles += (cut.panels + cut.panels_each - 1) / cut.panels_each * cut.row_chunks;
  }
  pool_.parallel_for(tiles, 1, [&](int thread, int64_t tile, int64_t /*end*/) {
    const auto after =
        std::upper_bound(cuts_.begin(), cuts_.end(), tile,
                         [](int64_t index, const Cut& cut) { return index < cut.first_tile; });
    const Cut& cut = *(after - 1);
    multiply(cut, tile - cut.first_tile, scratch_[static_cast<size_t>(thread)]);
  });
}

}  // namespace fathom
