#include "compress/observing_kernels.h"

namespace fathom {

PackedMatrix ObservingKernels::pack(const Tensor& matrix) {
  PackedMatrix packed = inner_.pack(matrix);
  if (const auto found = watched_.find(matrix.name); found != watched_.end()) {
    observers_[place(packed)] = found->second;
  }
  return packed;
}

void ObservingKernels::matmul(std::span<const MatmulJob> jobs) {
  if (!observers_.empty()) {
    for (const MatmulJob& job : jobs) {
      const auto found = observers_.find(place(*job.w));
      if (found != observers_.end()) found->second(job);
    }
  }
  inner_.matmul(jobs);
}

}  // namespace fathom
