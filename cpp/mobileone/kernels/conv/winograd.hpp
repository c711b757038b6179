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
// panel the 16 matrices [16 k_blocks][panel width].
//
// Windows begin at even pixels wherever a tile of rows is cut: the same bits for any tiling.
#pragma once

#include "mobileone/kernels/conv/conv.hpp"

namespace mobileone::kernels {

/// Parts of the scratch of a plan by Winograd's algorithm, in floats.
struct WinogradScratch {
  static constexpr int kMostBlocks = 3;  // of a panel

  explicit WinogradScratch(const ConvPlan& plan)
      : k_blocks(plan.pointwise.k_blocks),
        windows(plan.pointwise.tile_pixels),
        pitch(tile_pitch(windows)) {}

  int k_blocks, windows;
  int pitch;  // windows from one 16-channel block to the next

  /// B' d B, [16][k_blocks][pitch][16].
  std::ptrdiff_t source() const { return 0; }
  std::ptrdiff_t source_product() const { return std::ptrdiff_t{k_blocks} * pitch * kBlock; }
  /// The products of one panel, [16][blocks of the panel][pitch][16].
  std::ptrdiff_t result() const { return kWinogradProducts * source_product(); }
  /// Zeros in place of a bias.
  std::ptrdiff_t zeros() const {
    return result() + std::ptrdiff_t{kWinogradProducts} * kMostBlocks * pitch * kBlock;
  }
  /// Of the windows in `result`, as the microkernels take them.
  std::ptrdiff_t offsets() const { return zeros() + kMostBlocks * kBlock; }
  std::ptrdiff_t floats() const { return offsets() + padded(windows); }
};

/// As pack_conv.
void pack_winograd(const ConvPlan& plan, const float* weight, const float* bias, float* packed);

}  // namespace mobileone::kernels
