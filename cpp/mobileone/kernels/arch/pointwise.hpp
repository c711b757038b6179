// A pointwise convolution over one tile that already lies in scratch.
#pragma once

#include "mobileone/kernels/arch/microkernel.hpp"
#include "mobileone/kernels/pointwise_plan.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// One tile's operands. `scratch` is the plan's: T, then offsets, then Strassen's sums and
/// partials.
struct PointwiseTile {
  float* scratch = nullptr;
  int pixels = 0;                 // pixels in this tile, <= plan.max_pixels
  const float* packed = nullptr;  // pack_pointwise
  const float* bias = nullptr;    // [16 n_blocks]
  float floor = 0.0f;
  float* dst = nullptr;          // the tile's first pixel in channel block 0
  std::ptrdiff_t dst_block = 0;  // floats between channel blocks of dst
  float* sums = nullptr;         // [16 n_blocks] or null; see Product::sums
  int panel_begin = 0;
  int panel_end = 0;
};

inline float* tile(const PointwisePlan&, float* scratch) { return scratch; }
inline std::int32_t* offset_table(const PointwisePlan& plan, float* scratch) {
  return reinterpret_cast<std::int32_t*>(scratch + plan.tile_floats());
}

/// Fills the offset table for tiles of whole rows: pixel (y, x) at y * row_stride + 16 x.
void fill_offsets(const PointwisePlan& plan, int width, std::ptrdiff_t row_stride, float* scratch);

void pointwise_direct(const PointwisePlan& plan, const PointwiseTile& tile);
void pointwise_strassen(const PointwisePlan& plan, const PointwiseTile& tile);

inline void pointwise(const PointwisePlan& plan, const PointwiseTile& tile) {
  return plan.strassen() ? pointwise_strassen(plan, tile) : pointwise_direct(plan, tile);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
