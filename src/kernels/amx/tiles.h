// Intel's AMX: eight tile registers of at most 16 rows of 64 bytes, and products of two tiles that
// are added to a third (Intel SDM volume 1, chapter 18). HardwareTiles is one of two policies that
// the products in tile_matmul.h are written for; the tests bring an emulation of the same
// operations, so that everything but the instructions themselves is tested on any x86-64.
//
// Tiles are named by numbers known at compile time. Between configure() and release() a thread's
// tiles have the shapes of the configuration. Written in assembler rather than with the compiler's
// intrinsics, because those of GCC 12 do not say that a tile load reads memory, and stores that it
// depends on may be moved behind it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fathom::amx {

inline constexpr int kTiles = 8;
inline constexpr int kTileRows = 16;
inline constexpr int kTileRowBytes = 64;

// What LDTILECFG reads.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};  // of each tile; 0: not used
  uint8_t rows[16] = {};

  constexpr void set(int tile, int tile_rows, int bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(TileConfig) == 64);

struct HardwareTiles {
  // All tiles become zero.
  static void configure(const TileConfig& config) {
    asm volatile("ldtilecfg %0" : : "m"(config) : "memory");
  }
  static void release() { asm volatile("tilerelease" : : : "memory"); }

  template <int kTile>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }
  // Row r of the tile is at p + r * stride.
  template <int kTile>
  static void load(const void* p, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kTile>
  static void store(void* p, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(stride), "i"(kTile) : "memory");
  }
  // C[m][n] += A[m][4k .. 4k + 3] . B[k][4n .. 4n + 3] over k: bytes, signed in A and unsigned in
  // B; sums of 32 bits.
  template <int kC, int kA, int kB>
  static void multiply_signed_unsigned() {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
  }
};

}  // namespace fathom::amx
