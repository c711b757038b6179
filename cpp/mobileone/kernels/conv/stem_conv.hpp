// A stem and the dense 3x3 convolution of stride 2 that follows it, in one: the stem's map is never
// stored; the convolution reads the rows of one of its tiles.
#pragma once

#include "mobileone/kernels/conv/conv.hpp"
#include "mobileone/kernels/stem/stem.hpp"

namespace mobileone::kernels {

/// Scratch: the convolution's, the stem's, and the stem's rows for one tile.
struct StemConvPlan {
  StemPlan stem;
  ConvPlan conv;

  /// From the one above a tile's first on.
  int rows() const { return 2 * conv.tile_rows + 1; }
  /// Floats of such rows of one channel block.
  std::ptrdiff_t block_floats() const { return rows() * stem.dst().row_stride(); }
  std::size_t scratch_bytes() const {
    return conv.scratch_bytes() + stem.scratch_bytes() +
           sizeof(float) * static_cast<std::size_t>(blocks(stem.channels) * block_floats());
  }
};

/// Throws std::invalid_argument when the convolution's input is not the stem's output, or for
/// another one than 3x3 with stride 2, one source, no residual and one column part.
StemConvPlan plan_stem_conv(const StemPlan& stem, const ConvPlan& conv);

struct StemConvArgs {
  const float* image = nullptr;  // [3][height][width]
  float* dst = nullptr;          // blocked map of the convolution's output
  const float* stem_packed = nullptr;
  const float* conv_packed = nullptr;
  void* scratch = nullptr;
};

}  // namespace mobileone::kernels
