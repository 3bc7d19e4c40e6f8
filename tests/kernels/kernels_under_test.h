// The fast kernels that this machine can execute, and random material to test them with.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/packed/vector_ops.h"

namespace fathom::testing {

// Instruction sets to test: those the CPU has, and AVX-512 emulated. The others are skipped aloud
// by a test of their own.
std::vector<const VectorOps*> instruction_sets();
// The AVX-512 kernels on emulated intrinsics; null without SIMDe (libsimde-dev).
const VectorOps* emulated_avx512_ops();
// Those with AMX tiles, which differ in matrix products alone; null likewise.
const VectorOps* emulated_amx_ops();
// instruction_sets(), and those that differ from them in attention alone.
std::vector<const VectorOps*> attention_sets();
// instruction_sets(), and those that differ from them in matrix products alone.
std::vector<const VectorOps*> matmul_sets();
std::unique_ptr<Kernels> make_kernels(const VectorOps& ops, int threads);

// A matrix with its memory.
struct OwnedMatrix {
  Tensor tensor;
  std::vector<std::byte> bytes;
  std::vector<float> block_scales;
};
// Random codes, and scales that make elements of order 1.
OwnedMatrix random_matrix(DType dtype, int64_t out, int64_t in, uint32_t seed);
// Every computable type.
std::vector<DType> weight_types();
// Columns a type allows, from about n.
int64_t columns_for(DType dtype, int64_t n);

std::vector<float> random_floats(int64_t n, uint32_t seed, float scale = 1.0F);
// Values that INT8 with a scale for each 32 holds exactly: q * 2^e with a 127 in each block.
std::vector<float> exact_activations(int64_t rows, int64_t cols, uint32_t seed);

}  // namespace fathom::testing
