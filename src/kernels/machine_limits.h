// What this machine could do at best, measured: the ceilings that speeds are compared with.
// Decoding is bound by how fast weights are read, prefill by integer arithmetic. Takes less than a
// second and a quarter of a GB of memory, and uses all threads of the pool; other programs lower
// the result, so take it in the same run as what is compared.
#pragma once

#include "base/thread_pool.h"

namespace fathom {

struct MachineLimits {
  double read_bytes_per_second = 0;  // from memory, all threads
  // Operations (a multiplication and an addition are two) of the instructions that the kernels
  // use, without loads; 0 where there are only the reference kernels.
  double int8_ops_per_second = 0;
  double float_ops_per_second = 0;
};

MachineLimits measure_machine_limits(ThreadPool& pool);

}  // namespace fathom
