// The stem by minimal filtering along both sides (Winograd 1980; of stride 2 as in DWM, Huang et
// al., AAAI 2020, arXiv 2002.00552): even and odd pixels of the image meet different weights, so
// that along one side two outputs of five pixels a d0 b d1 c are
//
//   y0 = (a - b) g0 + d0 g1 + b (g0 + g2)      y1 = (c - b) g2 + d1 g1 + b (g0 + g2)
//
// A window is 2 x 2 outputs of 5 x 5 pixels: 25 products of forms for 36, of each channel. [rc]
// being those of forms of rows r and of columns c, 0 of y0 alone, 1 of y1 and b of both, output
// (r, c) is
//
//   (U_c + V_r) + [rc],      U_c = bias + [bb] + [bc],      V_r = [rb]
//
// Where a sum begins with others, its accumulators do: four additions are left for four outputs. A
// partial sum costs a store, which holds up the multipliers for a cycle on a Zen 5: hence [bb]
// twice, 26 products, and V in registers where there are enough.
//
// Windows begin at even rows and columns of the map, whatever is asked for: the same bits for any
// tiling.
#pragma once

#include "mobileone/kernels/stem/stem.hpp"

namespace mobileone::kernels::stem_windows {

/// A product's form of rows and of columns, along either side in the order (a - b) g0, d0 g1,
/// (c - b) g2, d1 g1, b (g0 + g2).
struct Product {
  int row, column;
};

/// In the order of the packed weights: of U_0, U_1; V_0, V_1; outputs 00, 01, 10, 11.
inline constexpr Product kProducts[kStemWindowForms] = {
    {4, 4}, {4, 0}, {4, 1}, {4, 4}, {4, 2}, {4, 3}, {0, 4}, {1, 4}, {2, 4},
    {3, 4}, {0, 0}, {0, 1}, {1, 0}, {1, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3},
    {2, 0}, {2, 1}, {3, 0}, {3, 1}, {2, 2}, {2, 3}, {3, 2}, {3, 3},
};
/// Where those of U_0, V_0 and output 00 begin, and how many one has.
inline constexpr int kU = 0, kV = 6, kOutputs = 10;
inline constexpr int kOfU = 3, kOfV = 2, kOfOutput = 4;

}  // namespace mobileone::kernels::stem_windows
