// What one core of this machine can do, measured once, and the tiling that follows from it.
#pragma once

#include "mobileone/kernels/kernels.hpp"

namespace mobileone::kernels {

struct MachineModel {
  double l1_bytes = 0;
  double l2_bytes = 0;
  double peak_flops = 0;            // per second, FMAs in registers
  double l2_bytes_per_second = 0;   // one core reading a buffer of half L2
  double far_bytes_per_second = 0;  // one core reading a buffer far larger than L2 (L3 or memory)
};

/// Reads the cache sizes and times the table's loops; takes about 20 ms.
MachineModel measure_machine(const KernelTable& table);

/// measure_machine of that table, measured on first use and kept for the life of the process.
const MachineModel& machine_model(const KernelTable& table);

/// Estimated seconds of one image's block on `threads` threads. A roofline: the larger of
/// arithmetic (products, stores, restarts of the microkernel, sums of Strassen's operands) and of
/// what has to come from beyond L2 (weights, once per tile if they do not stay in L2, and T if it
/// does not).
double estimate_seconds(const KernelTable& table, const MachineModel& machine,
                        const BlockShape& shape, const Tiling& tiling, int threads);

enum class AlgorithmChoice { kAuto, kDirect, kStrassen };

/// Floats of the next step's data that a block with this plan should be asked to fetch: as much of
/// L2 as its own tile, weights and maps are expected to leave.
std::ptrdiff_t next_step_floats(const MachineModel& machine);

/// The fastest tiling by that estimate. kStrassen falls back to direct where Strassen's algorithm
/// cannot run; kAuto takes it only where it promises at least 3 %, because it rounds more often.
Tiling choose_tiling(const KernelTable& table, const MachineModel& machine, const BlockShape& shape,
                     AlgorithmChoice choice, int threads);

}  // namespace mobileone::kernels
