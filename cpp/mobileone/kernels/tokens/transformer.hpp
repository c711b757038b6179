// The global half of a MobileViT block in inference form, from the map that enters its 1x1
// convolution to the map that leaves conv_proj (Mehta & Rastegari 2022, figure 1b):
//   [resize] -> 1x1 -> unfold -> depth x (x += proj(attention(norm x)); x += fc2(silu(fc1(norm
//   x))))
//   -> norm -> fold -> 1x1 -> [resize] -> silu.
//
// It runs as 2 depth + 1 passes with a barrier after each, which alternate:
//   tokens(0): 1x1, norm, q|k|v;  attention(0);  tokens(1): proj, norm, fc1, silu, fc2, norm,
//   q|k|v;
//   ...;  attention(depth - 1);  tokens(depth): proj, norm, fc1, silu, fc2, norm, 1x1, silu.
// Where the patch does not divide the map, the source is interpolated before the first 1x1 and the
// result after the last (both are linear, and a 1x1 convolution commutes with interpolation).
#pragma once

#include <vector>

#include "mobileone/kernels/isa.hpp"
#include "mobileone/kernels/tokens/tokens.hpp"

namespace mobileone::kernels {

/// Panels that one call of a pass works on together: each group of a layer's rows meets them all
/// while it is in L1.
inline constexpr int kTokenUnitPanels = 2;

struct TransformerShape {
  int height = 0;  // of the source and the result
  int width = 0;
  int channels_in = 0;
  int features = 0;  // d, a multiple of heads
  int hidden = 0;    // of the feed-forward network
  int heads = 4;
  int depth = 1;
  int channels_out = 0;
  int patch_height = 2;
  int patch_width = 2;
  float eps = 1e-5f;  // of every layer norm

  /// The result's size rounded up to whole patches.
  TokenLayout tokens() const;
  bool resizes() const;
  int head_features() const { return features / heads; }
  MapShape src() const { return {channels_in, height, width}; }
  MapShape dst() const { return {channels_out, height, width}; }
  /// What the last pass writes: dst, or the map that resize_map then makes dst of.
  MapShape last() const;
};

struct TransformerPlan {
  TransformerShape shape;
  TokenLayout tokens;
  int panel_columns = 0;  // IsaTraits::token_columns
  int max_rows = 0;       // IsaTraits::token_rows

  TokenLinear enter() const { return linear(shape.channels_in, shape.features); }
  TokenLinear qkv() const { return linear(shape.features, 3 * shape.features); }
  TokenLinear proj() const { return linear(shape.features, shape.features); }
  TokenLinear fc1() const { return linear(shape.features, shape.hidden); }
  TokenLinear fc2() const { return linear(shape.hidden, shape.features); }
  TokenLinear leave() const { return linear(shape.features, shape.channels_out); }

  int panels() const { return tokens.panels(panel_columns); }
  /// Units of transform_tokens(): vectors of tokens.
  int half_panels() const { return ceil_div(tokens.columns(), panel_columns / 2); }
  /// Units of attention(): one per position, head and panel of queries.
  int query_panels() const;
  int attention_units() const { return tokens.positions() * shape.heads * query_panels(); }

  /// Floats of the values between passes, for one image.
  std::ptrdiff_t x_floats() const { return panel_floats(shape.features) * panels(); }
  std::ptrdiff_t qkv_stride() const { return panel_floats(3 * shape.features); }
  std::ptrdiff_t qkv_floats() const { return qkv_stride() * panels(); }
  std::ptrdiff_t panel_floats(int rows) const { return std::ptrdiff_t{rows} * panel_columns; }

  /// Floats from the start of the packed weights to those of tokens(stage); stage depth + 1: all.
  std::ptrdiff_t stage_offset(int stage) const;
  std::ptrdiff_t packed_floats() const { return stage_offset(shape.depth + 1); }
  /// Scratch of each concurrent caller, aligned to kAlignment.
  std::size_t scratch_bytes() const;

 private:
  TokenLinear linear(int in, int out) const { return {in, out, max_rows}; }
};

/// Weights as PyTorch holds them; biases and the norms' weights may be null.
struct TransformerLayerWeights {
  const float *norm1 = nullptr, *norm1_bias = nullptr, *qkv = nullptr, *qkv_bias = nullptr,
              *proj = nullptr, *proj_bias = nullptr, *norm2 = nullptr, *norm2_bias = nullptr,
              *fc1 = nullptr, *fc1_bias = nullptr, *fc2 = nullptr, *fc2_bias = nullptr;
};
struct TransformerWeights {
  const float *enter = nullptr, *enter_bias = nullptr;
  std::vector<TransformerLayerWeights> layers;  // [depth]
  const float *norm = nullptr, *norm_bias = nullptr, *leave = nullptr, *leave_bias = nullptr;
};

/// Throws std::invalid_argument for sizes < 1 and for features that heads do not divide.
TransformerPlan plan_transformer(const IsaTraits& isa, const TransformerShape& shape);
void pack_transformer(const TransformerPlan& plan, const TransformerWeights& weights,
                      float* packed);

/// Pointers of one pass over one image. Values between passes: x and attended [panels][features]
/// [panel_columns], qkv [panels][3 features][panel_columns].
struct TransformerArgs {
  const float* src = nullptr;  // blocked map (layout.hpp), read by stage 0
  float* dst = nullptr;        // blocked map of shape.last(), whose interior the last stage writes
  float* x = nullptr;
  float* qkv = nullptr;
  float* attended = nullptr;
  const float* packed = nullptr;
  void* scratch = nullptr;
};

}  // namespace mobileone::kernels
