// Rows that a depthwise convolution still needs, with borders as wide as its kernel reaches.
#pragma once

#include "mobileone/kernels/block/block.hpp"
#include "mobileone/kernels/simd/simd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Row y of the depthwise convolution's input in slot y mod slots of its channel block, for
/// plan.ring_blocks() blocks. Rows outside the map are one row of zeros.
class RowRing {
 public:
  /// Zeroes the borders in `storage`.
  RowRing(const BlockPlan& plan, float* storage)
      : storage_(storage),
        height_(plan.shape.height),
        slots_(plan.ring_slots()),
        row_(plan.ring_row()),
        border_(std::ptrdiff_t{plan.shape.reach()} * kBlock) {
    float* slot = storage;
    for (int i = 0; i < plan.ring_blocks() * slots_; ++i, slot += row_) {
      for (std::ptrdiff_t at = 0; at < border_; at += kLanes) {
        store(slot + at, zero());
        store(slot + row_ - border_ + at, zero());
      }
    }
    zeros_ = slot;
    for (std::ptrdiff_t i = 0; i < row_; i += kLanes) store(zeros_ + i, zero());
  }

  /// From now on the ring is for the blocks from `first_block` on.
  void start(int first_block) { first_block_ = first_block; }

  /// Row y of channel block `block` at its first border pixel.
  float* row(int block, int y) const {
    if (y < 0 || y >= height_) return zeros_;
    return storage_ + (std::ptrdiff_t{block - first_block_} * slots_ + y % slots_) * row_;
  }
  /// Rows [y, y + count) of it: one division for all.
  void rows(int block, int y, int count, const float** result) const {
    int slot = (y > 0 ? y : 0) % slots_;
    const float* const first = storage_ + std::ptrdiff_t{block - first_block_} * slots_ * row_;
    for (int i = 0; i < count; ++i, ++y) {
      if (y < 0 || y >= height_) {
        result[i] = zeros_;
        continue;
      }
      result[i] = first + slot * row_;
      slot = slot + 1 < slots_ ? slot + 1 : 0;
    }
  }
  /// Row y at its first pixel; y inside the map.
  float* pixels(int block, int y) const { return row(block, y) + border_; }

 private:
  float* storage_;
  float* zeros_ = nullptr;
  int height_, slots_;
  std::ptrdiff_t row_, border_;
  int first_block_ = 0;
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
