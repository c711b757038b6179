// How convolutions and blocks with a ring of rows are cut up on this machine.
#pragma once

#include "mobileone/kernels/tiling/cost_model.hpp"

namespace mobileone::kernels {

/// As for a pair (cost_model.hpp). kAuto takes Winograd's algorithm for 3x3 kernels of 32 channels
/// or more, and else stays with the direct product: Strassen's sums of im2col's operand take what
/// it saves, until there are more output channels than MobileViT has.
Tiling choose_tiling(const KernelTable& table, const MachineModel& machine, const ConvShape& shape,
                     const TilingRequest& request);

/// Of a block that is cut up as no pair is (BlockShape::is_pair). Rows
/// per tile: enough pixels to multiply each weight by, a ring and a T that stay in L2, and tiles
/// for all threads. column_parts is 1, and kAuto stays with the direct product.
Tiling choose_ring_tiling(const KernelTable& table, const MachineModel& machine,
                          const BlockShape& shape, const TilingRequest& request);

}  // namespace mobileone::kernels
