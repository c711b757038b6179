// Winograd's minimal filtering F(2x2, 3x3) (Winograd 1980; Lavin and Gray, arXiv 1509.09308,
// section 4.1): Y = A' [sum over channels of (G g G') * (B' d B)] A with d a 4x4 window of the
// source, g the kernel, Y 2x2 outputs, * element by element, and
//
//        1  0 -1  0         1    0    0
//   B' = 0  1  1  0     G = 1/2  1/2  1/2    A' = 1  1  1  0
//        0 -1  1  0         1/2 -1/2  1/2         0  1 -1 -1
//        0  1  0 -1         0    0    1
//
// Each of the 16 positions of a window is a product [windows][C] x [C][N], which the pointwise
// microkernels make: 16 multiply-adds per channel pair and window where the definition has 36. G g
// G' is made when the weights are packed and rounded once. Packed: bias [16 n_blocks], then by
// panel the matrices of all forms, [16 k_blocks][panel width].
//
// Of stride 2 (as in DWM, Huang et al., AAAI 2020, arXiv 2002.00552): even and odd pixels of the
// source meet different weights, so that along one side two outputs of five pixels a d0 b d1 c are
//
//   y0 = [(a - b) g0 + d0 g1] + b (g0 + g2)      y1 = [(c - b) g2 + d1 g1] + b (g0 + g2)
//
// two sums of twice the channels and one that both share: 5 products for 6, and 25 for 36 of 2x2
// outputs, as nine matrix products with K = 4 C, 2 C and C. What lies in brackets is one sum.
//
// Wide windows have four columns of outputs, of nine pixels e0 d0 e1 .. d3 e4: F(4, 2) of the even
// ones, of the points 0, 1, -1, 2 and infinity, and the odd ones' products with g1. The first and
// the last of the five products are one output's alone, and one sum with d0 g1 and d3 g1. 9
// products for 12, and 45 for 72 of 2x4 outputs, as 21 matrix products.
//
// Windows begin at even pixels of the output wherever a tile of rows is cut: the same bits for any
// tiling.
#pragma once

#include "mobileone/kernels/conv/conv.hpp"

namespace mobileone::kernels {

/// Matrix products of a window.
constexpr int winograd_positions(Windows windows) {
  return windows == Windows::kPlain ? 16 : windows == Windows::kStrided ? 9 : 21;
}
/// Of those of a row of a wide window, how many forms one sums over.
constexpr int wide_forms(int column) { return column == 0 || column == 4 ? 2 : 1; }
/// Forms of the source (and of the kernel) that one product sums over.
constexpr int position_forms(Windows windows, int position) {
  if (windows == Windows::kPlain) return 1;
  if (windows == Windows::kWide) return (position < 14 ? 2 : 1) * wide_forms(position % 7);
  return (position < 6 ? 2 : 1) * (position % 3 < 2 ? 2 : 1);
}
/// Where a window of stride 2 has the pair of a form of rows and one of columns, each 0..4: a - b,
/// d0, c - b, d1, b. Those of one product lie one after the other.
constexpr int strided_slot(int row, int column) {
  const int rows = row < 4 ? 2 : 1, columns = column < 4 ? 2 : 1;
  return 10 * (row / 2) + 2 * rows * (column / 2) + columns * (row % 2) + column % 2;
}

/// The same of a wide window, where forms of columns are that of the point 0, d0; those of 1, of -1
/// and of 2; that of infinity, d3; d1; d2.
constexpr int wide_slot(int row, int column) {
  const int rows = row < 4 ? 2 : 1;
  const int product = column < 2 ? 0 : column < 5 ? column - 1 : column < 7 ? 4 : column - 2;
  const int first = product < 1 ? 0 : product < 5 ? product + 1 : product + 2;
  return 18 * (row / 2) + rows * first + wide_forms(product) * (row % 2) + column - first;
}

/// Parts of the scratch of a plan by Winograd's algorithm, in floats.
struct WinogradScratch {
  static constexpr int kMostBlocks = 3;  // of a panel

  explicit WinogradScratch(const ConvPlan& plan)
      : kind(windows_of(plan.shape)),
        k_blocks(plan.pointwise.k_blocks),
        windows(plan.pointwise.tile_pixels),
        pitch(tile_pitch(windows)) {}

  Windows kind;
  int k_blocks, windows;
  int pitch;  // windows from one 16-channel block to the next

  /// Forms of the source, B' d B, [forms][k_blocks][pitch][16].
  std::ptrdiff_t source() const { return 0; }
  std::ptrdiff_t source_form() const { return std::ptrdiff_t{k_blocks} * pitch * kBlock; }
  /// The products of one panel, [positions][pitch][columns].
  std::ptrdiff_t result() const { return winograd_forms(kind) * source_form(); }
  std::ptrdiff_t result_position(const Panel& panel) const {
    return std::ptrdiff_t{pitch} * panel.columns();
  }
  /// Zeros in place of a bias.
  std::ptrdiff_t zeros() const {
    return result() + std::ptrdiff_t{winograd_positions(kind)} * kMostBlocks * pitch * kBlock;
  }
  std::ptrdiff_t floats() const { return zeros() + kMostBlocks * kBlock; }
};

/// As pack_conv.
void pack_winograd(const ConvPlan& plan, const float* weight, const float* bias, float* packed);

}  // namespace mobileone::kernels
