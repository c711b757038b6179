// Products of matrices that training's convolutions consist of, forward and backward, and moments.
//
// A matrix of n columns is [ceil(n/16)][rows][16], its rows being pixels (or output channels), with
// `block` floats from one column block to the next; columns beyond the n-th hold zeros.
#pragma once

#include <cstddef>
#include <vector>

#include "mobileone/kernels/isa.hpp"
#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

/// Such a matrix, read.
struct Columns {
  const float* data = nullptr;
  std::ptrdiff_t block = 0;
  int blocks = 0;
};

/// One summand x w of a product; w is pack_panels of [16 x.blocks][16 n_blocks].
struct ProductTerm {
  Columns x;
  const float* panels = nullptr;
};

/// y = max(floor, bias + sum of terms), where mask > 0, else 0.
struct Product {
  ProductTerm terms[2];
  int num_terms = 1;
  int rows = 0;
  int n_blocks = 0;             // columns of y / 16
  const float* bias = nullptr;  // [16 n_blocks]
  float floor = 0.0f;           // 0: ReLU, -infinity: none
  const float* mask = nullptr;  // laid out as y, or null
  float* y = nullptr;
  std::ptrdiff_t y_block = 0;
};

/// sum[i][j] += sum over rows of a[row][i] b[row][j]; In fp32:
/// a few hundred rows at a time.
struct OuterProducts {
  Columns a, b;
  int rows = 0;
  bool upper = false;  // a is b: only 16 x 16 blocks on and above the diagonal
  float* sum = nullptr;
  std::ptrdiff_t sum_row = 0;  // floats from one row of `sum` to the next
};

/// out = x - shift by column, sums += the columns' sums of that; `out` may be null.
struct ShiftedColumns {
  Columns x;
  int rows = 0;
  const float* shift = nullptr;  // [16 blocks]
  float* out = nullptr;
  std::ptrdiff_t out_block = 0;
  float* sums = nullptr;  // [16 blocks]
};

/// Floats of pack_panels.
constexpr std::size_t panel_floats(int k_blocks, int n_blocks) {
  return static_cast<std::size_t>(k_blocks) * kBlock * static_cast<std::size_t>(n_blocks) * kBlock;
}

/// Packs a weight matrix for Product: w(k, n) for k < 16 k_blocks, n < 16 n_blocks, zero beyond
/// [rows][columns]. Panels of columns, each [k][columns of the panel].
template <typename Weight>
void pack_panels(const IsaTraits& traits, int rows, int columns, const Weight& w, float* packed) {
  const int k_count = padded(rows), n_blocks = blocks(columns);
  for (int first = 0; first < n_blocks; first += traits.panel_blocks) {
    const int wide =
        n_blocks - first < traits.panel_blocks ? n_blocks - first : traits.panel_blocks;
    for (int k = 0; k < k_count; ++k) {
      for (int i = 0; i < wide * kBlock; ++i) {
        const int n = first * kBlock + i;
        *packed++ = k < rows && n < columns ? static_cast<float>(w(k, n)) : 0.0f;
      }
    }
  }
}

}  // namespace mobileone::kernels
