// Whether a stem runs row by row or by windows on this machine.
#pragma once

#include "mobileone/kernels/stem/stem.hpp"
#include "mobileone/kernels/tiling/cost_model.hpp"

namespace mobileone::kernels {

/// kAuto takes windows where their products and forms of the image promise 5 %; never of bfloat16.
/// Rows are those of the whole map: a stem has no tiles of its own.
Tiling choose_tiling(const KernelTable& table, const MachineModel& machine, const StemPlan& stem,
                     const TilingRequest& request);

}  // namespace mobileone::kernels
