// What this CPU can run, and the system saves: both are needed before a wide register is touched.
#pragma once

namespace fathom {

bool cpu_has_avx2();         // with FMA and F16C
bool cpu_has_avx512_vnni();  // F, BW, VL, DQ and VNNI

}  // namespace fathom
