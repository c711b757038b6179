// 3 x 3 depthwise convolution of stride 1, two output rows at a time, with two thirds of the
// multiplications: Winograd's minimal filtering F(2, 3) down the columns (Lavin and Gray 2016,
// arXiv 1509.09308, section 4.1). Of a column's four inputs x0..x3 and a column g0..g2 of weights
//   m0 = (x0 - x2) g0,  m1 = (x1 + x2) (g0 + g1 + g2) / 2,
//   m3 = (x1 - x3) g2,  m2 = (x2 - x1) (g0 - g1 + g2) / 2,
// and the two outputs are m0 + m1 + m2 and m1 - m2 - m3, each m summed over the three columns.
//
// Additions have units of their own beside those of the multiply-adds, and a loaded row serves two
// output rows: where the projection after it is of bfloat16, or has fewer products by Strassen's
// algorithm, the depthwise is too much of a block's time to go without. Pairs are rows 2i and 2i +
// 1 of the map; half a pair, at the edge of a part of the map, has the bits that it has in the
// whole.
#pragma once

#include "mobileone/kernels/depthwise/depthwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// As depthwise_rows, of kernel 3 and stride 1, with taps of pack_row_pairs; `first` is the map's
/// row of the first output row.
void depthwise_row_pairs(const DepthwiseWindow& window, const float* const* rows, int first,
                         int count, int width, float* dst);

}  // namespace mobileone::kernels::MOBILEONE_ISA
