// Tokens of a MobileViT block (Mehta & Rastegari 2022, section 3.1) and how they lie in memory.
//
// A map is cut into patches; the pixels at one position inside all patches are one sequence, and
// attention runs within each. Inside a block activations are "panels" with tokens in lanes:
//   [panels][features][panel width]   32 tokens per panel with AVX-512, 16 with AVX2,
// so that a layer norm is vertical, any number of features fits without padding, and the queries,
// keys, values and softmax rows of attention are used where the matrix products leave them. The
// sequences follow each other, each filled up to whole 16 columns. What lies in the filling is
// finite and never read by another column.
#pragma once

#include <cstddef>

#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

struct TokenLayout {
  int height = 0;  // of the map that is cut: multiples of the patch
  int width = 0;
  int patch_height = 2;
  int patch_width = 2;

  int positions() const { return patch_height * patch_width; }
  int grid_width() const { return width / patch_width; }
  /// Tokens of one position: the number of patches.
  int tokens() const { return height / patch_height * grid_width(); }
  /// Columns from one position's first token to the next position's.
  int stride() const { return padded(tokens()); }
  int columns() const { return positions() * stride(); }
  int panels(int panel_columns) const { return ceil_div(columns(), panel_columns); }
};

/// y = W x + b on tokens. Packed: the bias, filled up to 16, then the rows of W in groups of at
/// most `max_rows` (sizes within one of each other), each [in][rows].
struct TokenLinear {
  int in = 0;
  int out = 0;
  int max_rows = 0;  // IsaTraits::token_rows

  std::ptrdiff_t packed_floats() const {
    return padded(out) + (std::ptrdiff_t{in} * out + kBlock - 1) / kBlock * kBlock;
  }
};

/// What is folded into a linear layer when it is packed, in float64 and rounded once: the scale and
/// offset of the layer norm before it, W diag(gain) and b + W offset; and a factor of its first
/// rows.
struct FoldedNorm {
  const float* gain = nullptr;    // [in], or null
  const float* offset = nullptr;  // [in], or null
  int scaled_rows = 0;
  double row_scale = 1.0;
};

/// weight [out][in], bias [out] or null.
void pack_token_linear(const TokenLinear& linear, const float* weight, const float* bias,
                       const FoldedNorm& norm, float* packed);

}  // namespace mobileone::kernels
