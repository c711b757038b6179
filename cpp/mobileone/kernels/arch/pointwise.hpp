// A pointwise convolution over one tile that already lies in scratch.
#pragma once

#include "mobileone/kernels/arch/microkernel.hpp"
#include "mobileone/kernels/pointwise_plan.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Memory to bring into L2 bit by bit while the microkernels run.
struct PrefetchStream {
  const float* next = nullptr;
  const float* end = nullptr;
  bool active() const { return next < end; }
  const float* take(std::ptrdiff_t floats) {
    const float* at = next;
    next += floats;
    return at;
  }
};

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
  PrefetchStream* background = nullptr;  // PanelProduct::background
};

inline std::int32_t* offset_table(const PointwisePlan& plan, float* scratch) {
  return reinterpret_cast<std::int32_t*>(scratch + plan.tile_floats());
}
/// Partial results: V, then (Strassen) U0 and U1.
inline float* partials(const PointwisePlan& plan, float* scratch) {
  return scratch + plan.tile_floats() + padded(plan.max_pixels);
}

/// One operand of A: pixel i of channel block b at data[b * block + 16 i].
struct Operand {
  const float* data;
  std::ptrdiff_t block;
};

/// A product of `pixels` rows of A with one packed panel of B. `product` holds what its microkernel
/// calls have in common: b, bias, dst, sums, floor and finish; its start, partial and other point
/// at the first pixel, its offsets too.
struct PanelProduct {
  Product product;
  Operand a;
  int pixels = 0;
  int k_blocks = 0;
  int vectors = 0;
  int k_chunk = 0;
  float* spill = nullptr;                // V: accumulators between chunks of k
  PrefetchStream panel;                  // the panel that is needed next
  PrefetchStream* background = nullptr;  // after that: whatever the next step will read
};

/// Runs all pixel groups, chunk of k by chunk of k.
void multiply_panel(PanelProduct& job);

/// Fills the offset table for tiles of whole rows: pixel (y, x) at y * row_stride + 16 x.
void fill_offsets(const PointwisePlan& plan, int width, std::ptrdiff_t row_stride, float* scratch);

void pointwise_direct(const PointwisePlan& plan, const PointwiseTile& tile);
void pointwise_strassen(const PointwisePlan& plan, const PointwiseTile& tile);

inline void pointwise(const PointwisePlan& plan, const PointwiseTile& tile) {
  return plan.strassen() ? pointwise_strassen(plan, tile) : pointwise_direct(plan, tile);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
