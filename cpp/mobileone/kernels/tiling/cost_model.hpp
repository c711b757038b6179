// The tiling that follows from what one core of a machine can do.
#pragma once

#include "mobileone/kernels/tiling/machine.hpp"

namespace mobileone::kernels {

/// Estimated seconds of one image's block on `threads` threads. A roofline: the larger of
/// arithmetic (products, stores, restarts of the microkernel, sums of Strassen's operands) and of
/// what has to come from beyond L2 (weights, once per tile if they do not stay in L2, and T if it
/// does not).
double estimate_seconds(const KernelTable& table, const MachineModel& machine,
                        const BlockShape& shape, const Tiling& tiling, int threads);

enum class AlgorithmChoice { kAuto, kDirect, kStrassen };

/// Floats of the next step's data that a step should be asked to fetch: as much of
/// L2 as its own tile, weights and maps are expected to leave.
std::ptrdiff_t next_step_floats(const MachineModel& machine);

/// What a tiling is chosen for. kStrassen falls back to fewer levels where Strassen's algorithm
/// cannot run so many; kAuto takes it only where it promises at least 3 %, because it rounds more
/// often. Two levels are faster on one thread and slower on two, which have an image's bits in
/// common: only who measures asks for them.
struct TilingRequest {
  AlgorithmChoice choice = AlgorithmChoice::kAuto;
  int threads = 1;
  int rows = 0;         // of a tile; 0: any
  int most_levels = 1;  // of Strassen's algorithm
  int least_levels = 0;
};

/// The fastest tiling by that estimate.
Tiling choose_tiling(const KernelTable& table, const MachineModel& machine, const BlockShape& shape,
                     const TilingRequest& request);

}  // namespace mobileone::kernels
