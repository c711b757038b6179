// Rows that a depthwise convolution still needs, with borders as wide as its kernel reaches.
#pragma once

#include "mobileone/kernels/block/block.hpp"
#include "mobileone/kernels/simd/simd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Row y of the depthwise convolution's input in slot y mod slots of its channel block. Rows
/// outside the map are one row of zeros.
class RowRing {
 public:
  /// Zeroes the borders in `storage`.
  RowRing(const BlockPlan& plan, float* storage)
      : plan_(plan), storage_(storage), zeros_(storage + blocks() * plan.ring_block()) {
    const std::ptrdiff_t row = plan.ring_row(), border = plan.shape.reach() * kBlock;
    for (std::ptrdiff_t i = 0; i < row; i += kLanes) store(zeros_ + i, zero());
    float* slot = storage;
    for (int i = 0; i < blocks() * plan.ring_slots(); ++i, slot += row) {
      for (std::ptrdiff_t at = 0; at < border; at += kLanes) {
        store(slot + at, zero());
        store(slot + row - border + at, zero());
      }
    }
  }

  /// Row y of channel block `block` at its first border pixel.
  float* row(int block, int y) const {
    if (y < 0 || y >= plan_.shape.height) return zeros_;
    return storage_ + block * plan_.ring_block() + y % plan_.ring_slots() * plan_.ring_row();
  }
  /// The same at its first pixel; y inside the map.
  float* pixels(int block, int y) const { return row(block, y) + plan_.shape.reach() * kBlock; }

 private:
  int blocks() const { return plan_.project.k_blocks; }

  const BlockPlan& plan_;
  float* storage_;
  float* zeros_;
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
