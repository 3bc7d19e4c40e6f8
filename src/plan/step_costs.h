// What the parts of a step cost on a machine where steps were measured: the engine runs its kernels one
// after another, so their seconds add up, and each is a number of units (bytes, elements, rows) times what
// a unit costs. fit.h finds the costs of units; StepTimer counts the units. Plain data; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fathom::plan {

// Kernels do not cost the same for one row, for few and for many: a matrix's cost grows with its rows by a
// slope of its own between two of these, and beyond the last by the last slope.
inline constexpr std::array<double, 9> kRowKnots{1, 2, 4, 8, 16, 32, 64, 128, 256};

// The units, in the order in which costs and counts lie in vectors.
struct Unit {
  enum : size_t {
    kStep,            // one step
    kLayer,           // of dense or shared work: parallel regions to start
    kRowWidth,        // rows * layers * hidden size: norms, rotation, activations
    kWeightByte,      // of matrices, read once a step
    kCode,            // elements of quantised matrices, for the first row
    kCodeRow,         // ... for each further row: one unit between each two knots
    kFloat = kCodeRow + kRowKnots.size(),  // elements of plain matrices, for the first row
    kFloatRow,                             // for each further row
    kExpert,                               // expert of a layer that has rows
    kExpertRow,                            // rows * experts of each * hidden size
    kDecodePair,  // one query head looking at one position, times widths of key and value, one row a sequence
    kPromptPair,  // the same for rows of prompts, which share what they read
    kLatentDecodePair,  // for MLA
    kLatentPromptPair,
    kCacheByte,  // of the KV cache that is read
    kCount
  };
};
using UnitCounts = std::array<double, Unit::kCount>;

struct StepCosts {
  UnitCounts seconds{};  // of one unit, at least 0
  // Beyond forward(): what a server adds to each step, and to each token drawn in it.
  double serve_step_seconds = 0;
  double serve_row_seconds = 0;
  double serve_vocab_seconds = 0;  // for each logit of each token drawn
  double program_bytes = 0;        // of the process without weights, cache and activations
};

}  // namespace fathom::plan
