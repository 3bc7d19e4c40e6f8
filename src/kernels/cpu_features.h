// What this CPU can run, and the system saves: both are needed before a wide register is touched.
#pragma once

namespace fathom {

bool cpu_has_avx2();         // with FMA and F16C
bool cpu_has_avx512_vnni();  // F, BW, VL, DQ and VNNI
bool cpu_has_avx512_bf16();  // and BF16
// cpu_has_avx512_vnni() with AMX-TILE and AMX-INT8 besides. Tiles are so large that Linux saves
// them only for processes that asked; the first call asks, for all threads.
bool cpu_has_amx();

bool cpu_has_neon();          // every AArch64 CPU
bool cpu_has_neon_dotprod();  // FEAT_DotProd: Cortex-A76 and later, Apple M1
bool cpu_has_neon_i8mm();     // and FEAT_I8MM: Neoverse V1 and N2, Cortex-A510 and later, Apple M2

}  // namespace fathom
