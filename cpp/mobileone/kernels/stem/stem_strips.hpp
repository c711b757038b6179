// The 3 x 3 depthwise of stride 2 after a stem by windows, strip by strip: both of the stem's rows
// are read while they are in L1, and then given up. What the odd one is to the next output row is
// added to that one's bias at once, in the order of depthwise_rows: the same bits.
#pragma once

#include "mobileone/kernels/stem/stem_rows.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Rows of the stem, and of T, one after the other from `first_row` of the depthwise on.
class StemStrips {
 public:
  StemStrips(const StemBlockPlan& plan, const StemBlockArgs& args, const WindowedStem& stem,
             int first_row);

  /// Output row y of all channel blocks, to row `row` of T.
  void make(int y, int row) const;

 private:
  /// use(first, count) of each strip of the pair of rows, once those from row_begin on are made.
  template <typename Use>
  void for_strips(int pair, int row_begin, const Use& use) const;
  /// Of outputs [first, first + count) of a row the sums of the next row, and before them, with
  /// `outputs`, the row in T.
  void run_groups(int first, int count, float* t, bool outputs) const;
  /// A pixel of a row, of all blocks.
  void clear(int row, int pixel) const;
  float* row(int block, int row) const {
    return rows_ + (2 * block + row) * StemBlockPlan::strip_row_floats();
  }
  int num_blocks() const { return plan_.block.project.k_blocks; }

  const StemBlockPlan& plan_;
  const WindowedStem& stem_;
  const float* taps_;
  float* t_;
  float* rows_;  // [blocks][2][1 + 2 kMostWindows][16], from the column before a strip on
  float* sums_;  // [blocks][width][16], what the next output row begins with
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
