// A site is a place in a layer where several matrices read one input: what calibration observes
// and where AWQ may move scales. In a decoder layer:
//   input norm             q, k, v (MLA: q or q_a, and kv_a)
//   q_a norm               q_b                    (MLA with a factored query)
//   rows of v              o                      (not MLA: its v is in the up-projection)
//   post-attention norm    gate, up; of a sparse layer those of all experts, and the router, which
//                          is scaled too but stays as exact as it was
//   rows of up             down, for each expert
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace fathom {

struct Site {
  struct Consumer {
    const Tensor* weight;
    size_t input;  // of `inputs`
  };
  std::vector<Consumer> consumers;
  // The tensor to watch for each distinct input: one, or one for each expert that sees its own
  // tokens.
  std::vector<std::string> inputs;
  std::vector<const Tensor*> exact;      // read the input too, and are not quantised
  std::vector<const Tensor*> producers;  // whose rows may be divided; none: nothing can be folded
  // Grouped queries: this many heads of head_dim input elements come from one head of the producer.
  int64_t heads_per_row = 1;
  int64_t head_dim = 0;

  int64_t width() const;           // of the input
  int64_t producer_width() const;  // rows of a producer
  // The producer's row that an element of the input comes from.
  int64_t producer_row(int64_t column) const;
};

std::vector<Site> sites_of(const Checkpoint& checkpoint, int64_t layer);

}  // namespace fathom
