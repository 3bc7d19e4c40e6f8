// The tile operations of kernels/amx/tiles.h in plain C++, from the pseudo-code of Intel's Software
// Developer's Manual (volume 2, LDTILECFG, TILELOADD, TILESTORED, TDPBSUD). What the
// processor answers with an exception aborts here. Each thread has tiles of its own, as there.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels/amx/tiles.h"

namespace fathom::testing {

class EmulatedTiles {
 public:
  static void configure(const amx::TileConfig& config) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&config);
    require(bytes[0] == 1 && bytes[1] == 0);
    for (int i = 2; i < 16; ++i) require(bytes[i] == 0);
    State& s = state();
    s = State{};
    for (int t = 0; t < 16; ++t) {
      uint16_t row_bytes = 0;
      std::memcpy(&row_bytes, bytes + 16 + 2 * t, sizeof row_bytes);
      const int rows = bytes[48 + t];
      require(row_bytes <= amx::kTileRowBytes && rows <= amx::kTileRows);
      require((row_bytes == 0) == (rows == 0));
      if (t >= amx::kTiles) {
        require(rows == 0);
        continue;
      }
      s.tile[t].row_bytes = row_bytes;
      s.tile[t].rows = rows;
    }
    s.configured = true;
  }
  static void release() { state() = State{}; }

  template <int kTile>
  static void zero() {
    Tile& t = used(kTile);
    std::memset(t.bytes, 0, sizeof t.bytes);
  }
  template <int kTile>
  static void load(const void* p, int64_t stride) {
    Tile& t = used(kTile);
    std::memset(t.bytes, 0, sizeof t.bytes);
    const auto* from = static_cast<const uint8_t*>(p);
    for (int r = 0; r < t.rows; ++r) {
      std::memcpy(t.bytes[r], from + r * stride, static_cast<size_t>(t.row_bytes));
    }
  }
  template <int kTile>
  static void store(void* p, int64_t stride) {
    const Tile& t = used(kTile);
    auto* to = static_cast<uint8_t*>(p);
    for (int r = 0; r < t.rows; ++r) {
      std::memcpy(to + r * stride, t.bytes[r], static_cast<size_t>(t.row_bytes));
    }
  }

  template <int kC, int kA, int kB>
  static void multiply_signed_unsigned() {
    const auto [c, a, b] = operands<kC, kA, kB>();
    for (int m = 0; m < c.rows; ++m) {
      for (int n = 0; n < c.row_bytes / 4; ++n) {
        auto sum = get<int32_t>(c, m, n);
        for (int k = 0; k < a.row_bytes / 4; ++k) {
          for (int i = 0; i < 4; ++i) {
            const auto x = static_cast<int8_t>(a.bytes[m][4 * k + i]);
            sum += int32_t{x} * int32_t{b.bytes[k][4 * n + i]};
          }
        }
        put(c, m, n, sum);
      }
    }
  }

 private:
  struct Tile {
    int rows = 0;
    int row_bytes = 0;
    uint8_t bytes[amx::kTileRows][amx::kTileRowBytes] = {};
  };
  struct State {
    bool configured = false;
    Tile tile[amx::kTiles];
  };
  struct Operands {
    Tile& c;
    const Tile& a;
    const Tile& b;
  };

  static State& state() {
    thread_local State kState;
    return kState;
  }
  static void require(bool allowed) {
    if (!allowed) std::abort();
  }
  static Tile& used(int tile) {
    State& s = state();
    require(s.configured && s.tile[tile].rows > 0);
    return s.tile[tile];
  }
  template <int kC, int kA, int kB>
  static Operands operands() {
    static_assert(kC != kA && kC != kB && kA != kB);
    const Operands o = {used(kC), used(kA), used(kB)};
    require(o.a.row_bytes % 4 == 0 && o.b.row_bytes % 4 == 0);
    require(o.a.rows == o.c.rows && o.b.row_bytes == o.c.row_bytes &&
            o.a.row_bytes / 4 == o.b.rows);
    return o;
  }
  template <typename Element>
  static Element get(const Tile& tile, int row, int column) {
    Element element;
    std::memcpy(&element, &tile.bytes[row][column * 4], sizeof element);
    return element;
  }
  template <typename Element>
  static void put(Tile& tile, int row, int column, Element element) {
    std::memcpy(&tile.bytes[row][column * 4], &element, sizeof element);
  }
};

}  // namespace fathom::testing
