#include "base/assert.h"
#include "plan/hardware.h"

namespace fathom::plan {
namespace {

// In the format of users' own files. Arithmetic is dense: makers' figures "with sparsity" are
// halved. Peaks of processors are cores * base clock * operations a cycle of the kernels that
// Fathom has (AVX2, AVX-512 VNNI, NEON dot product), not of matrix extensions that it does not use.
// Links are in one direction. What a source does not name is our assumption: links between machines
// and to the host, the host's memory, latencies, idle watts, and efficiencies, which are what
// published serving measurements commonly reach and nothing that was measured here.
constexpr std::string_view kCatalogue = R"json({"hardware": [
{"name": "a100-40gb", "title": "NVIDIA A100 SXM 40 GB", "kind": "gpu", "memory_gib": 39.5, "read_gb_per_s": 1555, "int8_tops": 624, "float_tflops": 312, "step_us": 1000, "devices": 8,
 "device_link": {"gb_per_s": 300, "latency_us": 5}, "machine_link": {"gb_per_s": 25, "latency_us": 10}, "host_memory_gib": 1024, "host_link": {"gb_per_s": 25, "latency_us": 10},
 "busy_watts": 400, "idle_watts": 55, "usd_per_hour": 1.29, "source": "NVIDIA A100 data sheet (nvidia-a100-datasheet-us-nvidia-1758950-r4, 2021-06); memory as the driver shows it; rent: our estimate (2025)"},
{"name": "a100-80gb", "title": "NVIDIA A100 SXM 80 GB", "kind": "gpu", "memory_gib": 80, "read_gb_per_s": 2039, "int8_tops": 624, "float_tflops": 312, "step_us": 1000, "devices": 8,
 "device_link": {"gb_per_s": 300, "latency_us": 5}, "machine_link": {"gb_per_s": 25, "latency_us": 10}, "host_memory_gib": 2048, "host_link": {"gb_per_s": 25, "latency_us": 10},
 "busy_watts": 400, "idle_watts": 55, "usd_per_hour": 1.39, "source": "NVIDIA A100 data sheet (nvidia-a100-datasheet-us-nvidia-1758950-r4, 2021-06); rent: RunPod's, as listed by deploybase.ai on 2026-03-10"},
{"name": "a800-80gb", "title": "NVIDIA A800 SXM 80 GB", "kind": "gpu", "memory_gib": 80, "read_gb_per_s": 2039, "int8_tops": 624, "float_tflops": 312, "step_us": 1000, "devices": 8,
 "device_link": {"gb_per_s": 200, "latency_us": 5}, "machine_link": {"gb_per_s": 25, "latency_us": 10}, "host_memory_gib": 2048, "host_link": {"gb_per_s": 25, "latency_us": 10},
 "busy_watts": 400, "idle_watts": 55, "source": "an A100 of 80 GB with NVLink of 400 GB/s in both directions together, as NVIDIA told Reuters (2022-11-07); no list price"},
{"name": "h100-80gb", "title": "NVIDIA H100 SXM 80 GB", "kind": "gpu", "memory_gib": 79.6, "read_gb_per_s": 3350, "int8_tops": 1979, "float_tflops": 989, "fp8_tflops": 1979, "step_us": 1000, "devices": 8,
 "device_link": {"gb_per_s": 450, "latency_us": 5}, "machine_link": {"gb_per_s": 50, "latency_us": 10}, "host_memory_gib": 2048, "host_link": {"gb_per_s": 50, "latency_us": 10},
 "busy_watts": 700, "idle_watts": 74, "usd_per_hour": 2.69, "source": "NVIDIA H100 data sheet (2023-03), halved for dense; memory, idle and greatest watts as the driver of one shows them (2026-11); rent: RunPod's, as listed by deploybase.ai on 2026-03-10"},
{"name": "h200-141gb", "title": "NVIDIA H200 SXM 141 GB", "kind": "gpu", "memory_gib": 140.4, "read_gb_per_s": 4800, "int8_tops": 1979, "float_tflops": 989, "fp8_tflops": 1979, "step_us": 1000, "devices": 8,
 "device_link": {"gb_per_s": 450, "latency_us": 5}, "machine_link": {"gb_per_s": 50, "latency_us": 10}, "host_memory_gib": 2048, "host_link": {"gb_per_s": 50, "latency_us": 10},
 "busy_watts": 700, "idle_watts": 78, "usd_per_hour": 3.59, "source": "NVIDIA H200 data sheet (2023-11), halved for dense; memory, idle and greatest watts as the driver of one shows them (2026-11); rent: RunPod's, as listed by deploybase.ai on 2026-03-10"},
{"name": "l40s-48gb", "title": "NVIDIA L40S 48 GB", "kind": "gpu", "memory_gib": 45, "read_gb_per_s": 864, "int8_tops": 733, "float_tflops": 362, "fp8_tflops": 733, "step_us": 1000, "devices": 8,
 "device_link": {"gb_per_s": 25, "latency_us": 10}, "machine_link": {"gb_per_s": 12, "latency_us": 20}, "host_memory_gib": 1024, "host_link": {"gb_per_s": 25, "latency_us": 10},
 "busy_watts": 350, "idle_watts": 35, "usd_per_hour": 0.79, "source": "NVIDIA L40S data sheet (2023-08), halved for dense; memory as the driver shows it, with ECC; rent: RunPod's, as listed by deploybase.ai on 2026-03-10"},
{"name": "rtx4090-24gb", "title": "NVIDIA GeForce RTX 4090 24 GB", "kind": "gpu", "memory_gib": 24, "read_gb_per_s": 1008, "int8_tops": 660, "float_tflops": 165, "fp8_tflops": 330, "step_us": 1000, "devices": 2,
 "device_link": {"gb_per_s": 25, "latency_us": 10}, "machine_link": {"gb_per_s": 1.2, "latency_us": 50}, "host_memory_gib": 128, "host_link": {"gb_per_s": 25, "latency_us": 10},
 "busy_watts": 450, "idle_watts": 20, "usd_per_hour": 0.34, "purchase_usd": 1599, "source": "NVIDIA Ada GPU architecture paper (2022-09), FP16 and FP8 with F32 sums; launch price (2022-10); rent: RunPod's, as listed by deploybase.ai on 2026-03-10"},
{"name": "rtx5090-32gb", "title": "NVIDIA GeForce RTX 5090 32 GB", "kind": "gpu", "memory_gib": 31.8, "read_gb_per_s": 1792, "int8_tops": 838, "float_tflops": 209, "fp8_tflops": 419, "step_us": 1000, "devices": 2,
 "device_link": {"gb_per_s": 50, "latency_us": 10}, "machine_link": {"gb_per_s": 1.2, "latency_us": 50}, "host_memory_gib": 128, "host_link": {"gb_per_s": 50, "latency_us": 10},
 "busy_watts": 575, "idle_watts": 30, "usd_per_hour": 0.69, "purchase_usd": 1999, "source": "NVIDIA's 3,352 TOPS of FP4 with sparsity (2025-01): a quarter of it for INT8, an eighth for FP8 and a sixteenth for FP16 with F32 sums; memory as the driver shows it; launch price (2025-01); rent: RunPod's, as listed by deploybase.ai on 2026-03-10"},
{"name": "orin-nano-8gb", "title": "NVIDIA Jetson Orin Nano 8 GB (15 W)", "kind": "edge", "memory_gib": 8, "read_gb_per_s": 68, "int8_tops": 20, "float_tflops": 10, "step_us": 2000,
 "machine_link": {"gb_per_s": 0.12, "latency_us": 100}, "busy_watts": 15, "idle_watts": 5, "purchase_usd": 499, "source": "NVIDIA Jetson Orin Nano (2023-01): 40 TOPS with sparsity, 68 GB/s, 15 W; the kit's launch price (2023-03)"},
{"name": "orin-nano-super-8gb", "title": "NVIDIA Jetson Orin Nano Super 8 GB (25 W)", "kind": "edge", "memory_gib": 8, "read_gb_per_s": 102, "int8_tops": 33, "float_tflops": 17, "step_us": 2000,
 "machine_link": {"gb_per_s": 0.12, "latency_us": 100}, "busy_watts": 25, "idle_watts": 5, "purchase_usd": 249, "source": "NVIDIA Jetson Orin Nano Super kit (2024-12): 67 TOPS with sparsity, 102 GB/s, 25 W, and its price"},
{"name": "orin-nx-16gb", "title": "NVIDIA Jetson Orin NX 16 GB", "kind": "edge", "memory_gib": 16, "read_gb_per_s": 102, "int8_tops": 30, "float_tflops": 15, "step_us": 2000,
 "machine_link": {"gb_per_s": 0.12, "latency_us": 100}, "busy_watts": 25, "idle_watts": 6, "purchase_usd": 599, "source": "NVIDIA Jetson Orin NX data sheet DS-10712 (2023-12), its GPU alone and dense: 100 TOPS count its DLAs and sparsity; price: our estimate (2023)"},
{"name": "agx-orin-64gb", "title": "NVIDIA Jetson AGX Orin 64 GB", "kind": "edge", "memory_gib": 64, "read_gb_per_s": 204.8, "int8_tops": 85, "float_tflops": 42.5, "step_us": 2000,
 "machine_link": {"gb_per_s": 1.2, "latency_us": 50}, "busy_watts": 60, "idle_watts": 10, "purchase_usd": 1999, "source": "NVIDIA Jetson AGX Orin technical brief (2022): 170 TOPS with sparsity of its GPU alone; 275 count its DLAs; the kit's launch price (2022-03)"},
{"name": "xavier-nx-8gb", "title": "NVIDIA Jetson Xavier NX 8 GB", "kind": "edge", "memory_gib": 8, "read_gb_per_s": 59.7, "int8_tops": 12, "float_tflops": 6, "step_us": 3000,
 "machine_link": {"gb_per_s": 0.12, "latency_us": 100}, "busy_watts": 20, "idle_watts": 5, "purchase_usd": 399, "source": "NVIDIA Jetson Xavier NX (2021, 20 W): its GPU alone, 48 tensor cores at 1.1 GHz; 21 TOPS count its DLAs. Modules of 2020 have 51.2 GB/s and 15 W (data sheet DA-09366, v1.3); launch price (2020-05)"},
{"name": "rpi5-4gb", "title": "Raspberry Pi 5, 4 GB", "kind": "edge", "memory_gib": 4, "read_gb_per_s": 17.1, "int8_tops": 0.614, "float_tflops": 0.154, "memory_efficiency": 0.7, "step_us": 500,
 "machine_link": {"gb_per_s": 0.12, "latency_us": 100}, "busy_watts": 9.8, "idle_watts": 3.3, "purchase_usd": 60, "runs_fathom": true, "source": "Raspberry Pi 5 product brief (2023-09): LPDDR4X-4267 of 32 bits, 4 Cortex-A76 at 2.4 GHz; launch price; watts as J. Geerling measured one of 4 GB under stress (2024-08)"},
{"name": "rpi5-8gb", "title": "Raspberry Pi 5, 8 GB", "kind": "edge", "memory_gib": 8, "read_gb_per_s": 17.1, "int8_tops": 0.614, "float_tflops": 0.154, "memory_efficiency": 0.7, "step_us": 500,
 "machine_link": {"gb_per_s": 0.12, "latency_us": 100}, "busy_watts": 9.8, "idle_watts": 3.3, "purchase_usd": 80, "runs_fathom": true, "source": "Raspberry Pi 5 product brief (2023-09): LPDDR4X-4267 of 32 bits, 4 Cortex-A76 at 2.4 GHz; launch price; watts as J. Geerling measured one of 4 GB under stress (2024-08)"},
{"name": "rpi5-16gb", "title": "Raspberry Pi 5, 16 GB", "kind": "edge", "memory_gib": 16, "read_gb_per_s": 17.1, "int8_tops": 0.614, "float_tflops": 0.154, "memory_efficiency": 0.7, "step_us": 500,
 "machine_link": {"gb_per_s": 0.12, "latency_us": 100}, "busy_watts": 9.8, "idle_watts": 3.3, "purchase_usd": 120, "runs_fathom": true, "source": "Raspberry Pi 5 product brief (2025-01): LPDDR4X-4267 of 32 bits, 4 Cortex-A76 at 2.4 GHz; launch price; watts as J. Geerling measured one of 4 GB under stress (2024-08)"},
{"name": "epyc-7763", "title": "AMD EPYC 7763 server (64 cores, Zen 3)", "kind": "cpu", "memory_gib": 512, "read_gb_per_s": 204.8, "int8_tops": 10.0, "float_tflops": 5.0, "step_us": 500,
 "machine_link": {"gb_per_s": 3, "latency_us": 30}, "busy_watts": 400, "idle_watts": 130, "purchase_usd": 12000, "runs_fathom": true, "source": "AMD EPYC 7763 (2021-03): 8 channels DDR4-3200, 2.45 GHz, AVX2; watts and price of a whole server with one processor: our estimate"},
{"name": "epyc-9654", "title": "AMD EPYC 9654 server (96 cores, Zen 4)", "kind": "cpu", "memory_gib": 768, "read_gb_per_s": 460.8, "int8_tops": 29.5, "float_tflops": 7.4, "step_us": 500,
 "machine_link": {"gb_per_s": 3, "latency_us": 30}, "busy_watts": 520, "idle_watts": 160, "purchase_usd": 18000, "runs_fathom": true, "source": "AMD EPYC 9654 (2022-11): 12 channels DDR5-4800, 2.4 GHz, AVX-512 in two halves; watts and price of a whole server with one processor: our estimate"},
{"name": "epyc-9755", "title": "AMD EPYC 9755 server (128 cores, Zen 5)", "kind": "cpu", "memory_gib": 768, "read_gb_per_s": 614.4, "int8_tops": 88.5, "float_tflops": 22.1, "step_us": 500,
 "machine_link": {"gb_per_s": 3, "latency_us": 30}, "busy_watts": 680, "idle_watts": 180, "purchase_usd": 22000, "runs_fathom": true, "source": "AMD EPYC 9755 (2024-10): 12 channels DDR5-6400, the most that the series takes (6000 is common), 2.7 GHz, AVX-512; watts and price of a whole server with one processor: our estimate"},
{"name": "xeon-8480", "title": "Intel Xeon Platinum 8480+ server (56 cores)", "kind": "cpu", "memory_gib": 512, "read_gb_per_s": 307.2, "int8_tops": 28.7, "float_tflops": 7.2, "step_us": 500,
 "machine_link": {"gb_per_s": 3, "latency_us": 30}, "busy_watts": 500, "idle_watts": 160, "purchase_usd": 16000, "runs_fathom": true, "source": "Intel Xeon Platinum 8480+ (2023-01): 8 channels DDR5-4800, 2.0 GHz, arithmetic of AVX-512 VNNI, without AMX's, which products of 32 rows and more use; watts and price of a whole server with one processor: our estimate"},
{"name": "xeon-6980p", "title": "Intel Xeon 6980P server (128 cores)", "kind": "cpu", "memory_gib": 768, "read_gb_per_s": 614.4, "int8_tops": 65.5, "float_tflops": 16.4, "step_us": 500,
 "machine_link": {"gb_per_s": 3, "latency_us": 30}, "busy_watts": 680, "idle_watts": 180, "purchase_usd": 22000, "runs_fathom": true, "source": "Intel Xeon 6980P (2024-09): 12 channels DDR5-6400, 2.0 GHz, arithmetic of AVX-512 VNNI, without AMX's, which products of 32 rows and more use; watts and price of a whole server with one processor: our estimate"},
{"name": "m2-ultra-192gb", "title": "Apple Mac Studio, M2 Ultra, 192 GB", "kind": "mac", "memory_gib": 192, "read_gb_per_s": 800, "float_tflops": 27.2, "step_us": 1000,
 "machine_link": {"gb_per_s": 1.2, "latency_us": 100}, "busy_watts": 295, "idle_watts": 10, "purchase_usd": 6599, "source": "Apple's announcement (2023-06): bandwidth, 27.2 TFLOPS in F32 with 76 GPU cores; price of that with 192 GB: our sum of Apple's options; watts: support.apple.com/102027"},
{"name": "m4-pro-64gb", "title": "Apple Mac mini, M4 Pro, 64 GB", "kind": "mac", "memory_gib": 64, "read_gb_per_s": 273, "float_tflops": 8.1, "step_us": 1000,
 "machine_link": {"gb_per_s": 0.12, "latency_us": 100}, "busy_watts": 140, "idle_watts": 5, "purchase_usd": 2199, "source": "Apple's announcement (2024-10): bandwidth; arithmetic: 20 cores * 128 lanes * 1.58 GHz, our estimate; price: our sum of Apple's options; watts: Apple's table for the Mac mini (2024-11-08)"},
{"name": "m4-max-128gb", "title": "Apple Mac Studio, M4 Max, 128 GB", "kind": "mac", "memory_gib": 128, "read_gb_per_s": 546, "float_tflops": 16.2, "step_us": 1000,
 "machine_link": {"gb_per_s": 1.2, "latency_us": 100}, "busy_watts": 145, "idle_watts": 9, "purchase_usd": 3499, "source": "Apple's announcement (2025-03): bandwidth; arithmetic: 40 cores * 128 lanes * 1.58 GHz, our estimate; price: our sum of Apple's options; watts: as of its predecessor (support.apple.com/102027), an estimate"},
{"name": "m3-ultra-512gb", "title": "Apple Mac Studio, M3 Ultra, 512 GB", "kind": "mac", "memory_gib": 512, "read_gb_per_s": 819, "float_tflops": 28.3, "step_us": 1000,
 "machine_link": {"gb_per_s": 1.2, "latency_us": 100}, "busy_watts": 270, "idle_watts": 9, "purchase_usd": 9499, "source": "Apple's announcement (2025-03): bandwidth; arithmetic: 80 cores * 128 lanes * 1.38 GHz, our estimate; price: our sum of Apple's options; watts: our estimate"}
]})json";

}  // namespace

const std::vector<Hardware>& hardware_catalogue() {
  static const std::vector<Hardware> catalogue = [] {
    Result<std::vector<Hardware>> parsed = parse_hardware(kCatalogue, "the catalogue");
    FATHOM_ASSERT(parsed.has_value());
    return parsed ? *std::move(parsed) : std::vector<Hardware>();
  }();
  return catalogue;
}

}  // namespace fathom::plan
