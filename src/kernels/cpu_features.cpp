#include "kernels/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace fathom {

#if defined(__x86_64__)
namespace {

// Bits as in Intel's Software Developer's Manual, volume 2, CPUID.
constexpr uint32_t kFma = 1U << 12;  // leaf 1, ecx
constexpr uint32_t kXsaveInUse = 1U << 27;
constexpr uint32_t kF16c = 1U << 29;
constexpr uint32_t kAvx2 = 1U << 5;  // leaf 7, ebx
constexpr uint32_t kAvx512F = 1U << 16;
constexpr uint32_t kAvx512Dq = 1U << 17;
constexpr uint32_t kAvx512Bw = 1U << 30;
constexpr uint32_t kAvx512Vl = 1U << 31;
constexpr uint32_t kAvx512Vnni = 1U << 11;  // leaf 7, ecx
constexpr uint32_t kAmxTile = 1U << 24;     // leaf 7, edx
constexpr uint32_t kAmxInt8 = 1U << 25;
constexpr uint32_t kAvx512Bf16 = 1U << 5;  // leaf 7, subleaf 1, eax
// Register states the system saves, in XCR0.
constexpr uint64_t kYmmState = 0x6;
constexpr uint64_t kZmmState = 0xe6;
constexpr uint64_t kTileState = 0x60000;

struct Features {
  uint32_t leaf1_ecx = 0;
  uint32_t leaf7_ebx = 0;
  uint32_t leaf7_ecx = 0;
  uint32_t leaf7_edx = 0;
  uint32_t leaf7_1_eax = 0;
  uint64_t saved = 0;
};

Features read_features() {
  Features f;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) != 0) f.leaf1_ecx = c;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
    f.leaf7_ebx = b;
    f.leaf7_ecx = c;
    f.leaf7_edx = d;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) f.leaf7_1_eax = a;
  }
  if ((f.leaf1_ecx & kXsaveInUse) != 0) {
    uint32_t low = 0;
    uint32_t high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    f.saved = (uint64_t{high} << 32) | low;
  }
  return f;
}

const Features& features() {
  static const Features kFeatures = read_features();
  return kFeatures;
}

bool all(uint64_t bits, uint64_t wanted) {
  return (bits & wanted) == wanted;
}

// Palette 1: eight tiles of 16 rows of 64 bytes, or more (leaf 1DH, subleaf 1).
bool tiles_are_large_enough() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid_count(0x1d, 1, &a, &b, &c, &d) == 0) return false;
  return (b & 0xffffU) >= 64 && b >> 16 >= 8 && (c & 0xffffU) >= 16;
}

bool system_grants_tiles() {
#if defined(SYS_arch_prctl)
  constexpr int64_t kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM, Linux 5.16
  constexpr int64_t kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

bool cpu_has_avx2() {
  const Features& f = features();
  return all(f.leaf1_ecx, kFma | kF16c) && all(f.leaf7_ebx, kAvx2) && all(f.saved, kYmmState);
}

bool cpu_has_avx512_vnni() {
  const Features& f = features();
  return cpu_has_avx2() && all(f.leaf7_ebx, kAvx512F | kAvx512Dq | kAvx512Bw | kAvx512Vl) &&
         all(f.leaf7_ecx, kAvx512Vnni) && all(f.saved, kZmmState);
}

bool cpu_has_avx512_bf16() {
  return cpu_has_avx512_vnni() && all(features().leaf7_1_eax, kAvx512Bf16);
}

bool cpu_has_amx() {
  static const bool kHas = [] {
    const Features& f = features();
    return cpu_has_avx512_vnni() && all(f.leaf7_edx, kAmxTile | kAmxInt8) &&
           all(f.saved, kTileState) && tiles_are_large_enough() && system_grants_tiles();
  }();
  return kHas;
}
#else
bool cpu_has_avx2() {
  return false;
}
bool cpu_has_avx512_vnni() {
  return false;
}
bool cpu_has_avx512_bf16() {
  return false;
}
bool cpu_has_amx() {
  return false;
}
#endif

#if defined(__aarch64__)
bool cpu_has_neon() {
  return true;
}
bool cpu_has_neon_dotprod() {
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}
bool cpu_has_neon_i8mm() {
  return cpu_has_neon_dotprod() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
}
#else
bool cpu_has_neon() {
  return false;
}
bool cpu_has_neon_dotprod() {
  return false;
}
bool cpu_has_neon_i8mm() {
  return false;
}
#endif

}  // namespace fathom
