// How a block or a convolution is cut up.
#pragma once

#include "mobileone/kernels/pointwise/pointwise_plan.hpp"

namespace mobileone::kernels {

/// Any choice is correct; choose_tiling (cost_model.hpp, conv_tiling.hpp) makes a fast one.
struct Tiling {
  Algorithm algorithm = Algorithm::kDirect;
  int tile_rows = 1;          // output rows per tile; with squeeze-and-excite, per pointwise call
  int column_parts = 1;       // each tile's output channels are cut into this many units
  bool weights_stay = false;  // all panels and a tile fit L2: only the first tile fetches them
};

}  // namespace mobileone::kernels
