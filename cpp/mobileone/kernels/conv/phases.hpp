// A dilated 3x3 kernel with fewer products.
//
// Of dilation d it is d x d kernels without one: pixels whose rows and columns leave the same rest
// by d, a phase, reach no others. Each is filtered along both sides with minimal algorithms
// (Winograd 1980; Lavin and Gray, arXiv 1509.09308, section 4), whose windows fit its few pixels:
//
//   F(3, 3)  three outputs of five pixels by 5 products, points 0, 1, -1, infinity and 2
//   F(2, 3)  two outputs of four pixels by 4 of these
//   phases of one or two pixels, between the zeros outside of the map: x0 alone, or (Karatsuba's)
//            y0 = (x0 + x1) g1 + x1 (g2 - g1),  y1 = (x0 + x1) g1 + x0 (g0 - g1):  3 for 4
//
// At 32 x 32 pixels that is 3136 products in place of 7056 (dilation 6), 3136 of 5184 (12) and 2116
// of 3600 (18), counting the definition's inside of the map alone.
//
// A product of a form of rows and one of columns is a matrix product [windows][C] x [C][N] over the
// windows of all phases, so that few pixels each fill the microkernels. C is cut into chunks, whose
// operands stay near: the sums of one go on in the next. Packed: bias [16 n_blocks], then, in the
// order of use, by form of rows, chunk and form of columns the matrix, in panels. Windows and
// chunks are the same wherever tiles are cut: the same bits for any tiling.
#pragma once

#include "mobileone/kernels/conv/conv.hpp"

namespace mobileone::kernels {

/// How one side of a map is cut: windows of two kinds, those with more outputs first. The smaller
/// kind's forms of the kernel are the first ones of the larger's.
struct PhaseAxis {
  static constexpr int kMostInputs = 5;

  PhaseAxis(int extent, int dilation);

  int extent, dilation;
  bool pairs;  // no phase has more than two pixels
  int large = 0, small = 0;

  int windows() const { return large + small; }
  int large_forms() const { return pairs ? 3 : 5; }
  int small_forms() const { return pairs ? 1 : 4; }
  /// Of the kernel that are in use.
  int forms() const { return large > 0 ? large_forms() : small_forms(); }
  int products() const { return large * large_forms() + small * small_forms(); }
  /// The definition's products inside of the map.
  int taps() const { return 3 * extent - 2 * (dilation < extent ? dilation : extent); }
  /// Where the first output of a window is; the others are `dilation` apart.
  int first(int window) const;

  /// Windows of one of `tiles` tiles: as many of either kind as of the others', within 1.
  struct Part {
    int large_begin, large_end, small_begin, small_end;
  };
  Part part(int tile, int tiles) const {
    return {large * tile / tiles, large * (tile + 1) / tiles, small * tile / tiles,
            small * (tile + 1) / tiles};
  }
  /// The most windows that a tile has.
  int most_windows(int tiles) const { return ceil_div(large, tiles) + ceil_div(small, tiles); }

 private:
  struct Phase {
    int large, small;  // windows
  };
  Phase phase(int pixels) const;
};

/// How the source's 16-channel blocks are cut: of a chunk the weights of a panel stay in L1 beside
/// a group of windows, and all forms of columns of a tile in L2.
struct PhaseChunks {
  static constexpr int kMostBlocks = 20;

  explicit PhaseChunks(int blocks) : k_blocks(blocks), count(ceil_div(blocks, kMostBlocks)) {}

  int k_blocks, count;

  int begin(int chunk) const { return k_blocks * chunk / count; }
  int size(int chunk) const { return begin(chunk + 1) - begin(chunk); }
  int most_blocks() const { return ceil_div(k_blocks, count); }
};

/// Parts of the scratch of such a plan, in floats.
struct PhaseScratch {
  static constexpr int kMostBlocks = 3;  // of a panel

  explicit PhaseScratch(const ConvPlan& plan);

  PhaseChunks chunks;
  int n_blocks, row_forms, column_forms, windows, places;
  int pitch;  // windows from one 16-channel block to the next

  /// Forms of a chunk of the source that share one of rows, [forms of columns][blocks][pitch][16].
  std::ptrdiff_t source() const { return 0; }
  std::ptrdiff_t source_form() const {
    return std::ptrdiff_t{chunks.most_blocks()} * pitch * kBlock;
  }
  /// Products, [forms of rows][forms of columns], each by panel [pitch][columns].
  std::ptrdiff_t result() const { return column_forms * source_form(); }
  std::ptrdiff_t result_form() const { return std::ptrdiff_t{n_blocks} * pitch * kBlock; }
  std::ptrdiff_t result_panel(const Panel& panel) const {
    return std::ptrdiff_t{panel.first_block} * pitch * kBlock;
  }
  /// A product's panels, from the first of the packed ones.
  std::ptrdiff_t weights(int row_form, int chunk, int column_form) const {
    const int before = chunks.k_blocks * row_form + chunks.begin(chunk);
    const std::ptrdiff_t rows = column_forms * before + column_form * chunks.size(chunk);
    return rows * kBlock * n_blocks * kBlock;
  }
  /// Zeros in place of a bias.
  std::ptrdiff_t zeros() const { return result() + row_forms * column_forms * result_form(); }
  /// Of the pixels that each window reads: floats to rows, then to columns.
  std::ptrdiff_t inputs() const { return zeros() + kMostBlocks * kBlock; }
  std::ptrdiff_t floats() const { return inputs() + padded(places * PhaseAxis::kMostInputs); }
};

/// Whether run_conv has this way for the shape: a dilated kernel with nothing after its sums but a
/// floor.
bool phases_apply(const ConvShape& shape);

/// As pack_conv.
void pack_phases(const ConvPlan& plan, const float* weight, const float* bias, float* packed);

}  // namespace mobileone::kernels
