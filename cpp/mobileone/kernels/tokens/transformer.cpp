#include "mobileone/kernels/tokens/transformer.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace mobileone::kernels {

namespace {

void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument("[transformer] " + message);
}

int round_up(int value, int multiple) { return ceil_div(value, multiple) * multiple; }

}  // namespace

TokenLayout TransformerShape::tokens() const {
  return {round_up(height, patch_height), round_up(width, patch_width), patch_height, patch_width};
}

bool TransformerShape::resizes() const {
  return height % patch_height != 0 || width % patch_width != 0;
}

MapShape TransformerShape::last() const { return {channels_out, tokens().height, tokens().width}; }

int TransformerPlan::query_panels() const {
  // A position may begin in the middle of a panel.
  const int begins_inside = tokens.stride() % panel_columns != 0 ? 1 : 0;
  return ceil_div(tokens.tokens(), panel_columns) + begins_inside;
}

std::ptrdiff_t TransformerPlan::stage_offset(int stage) const {
  const std::ptrdiff_t layer =
      proj().packed_floats() + fc1().packed_floats() + fc2().packed_floats();
  const std::ptrdiff_t first = enter().packed_floats(), next = qkv().packed_floats();
  if (stage == 0) return 0;
  std::ptrdiff_t offset = first + next + (stage - 1) * (layer + next);
  if (stage > shape.depth) offset += leave().packed_floats() - next;
  return offset;
}

std::size_t TransformerPlan::scratch_bytes() const {
  const std::ptrdiff_t wide = std::max({shape.hidden, shape.channels_in, shape.channels_out});
  const std::ptrdiff_t stage = kTokenUnitPanels * panel_floats(shape.features + int(wide));
  const std::ptrdiff_t attention = panel_floats(tokens.tokens() + 2);
  return sizeof(float) * static_cast<std::size_t>(std::max(stage, attention));
}

TransformerPlan plan_transformer(const IsaTraits& isa, const TransformerShape& shape) {
  require(shape.height >= 1 && shape.width >= 1 && shape.channels_in >= 1 && shape.features >= 1 &&
              shape.hidden >= 1 && shape.heads >= 1 && shape.depth >= 1 &&
              shape.channels_out >= 1 && shape.patch_height >= 1 && shape.patch_width >= 1,
          "sizes must be at least 1");
  require(shape.features % shape.heads == 0, std::to_string(shape.features) +
                                                 " features; expected a multiple of the " +
                                                 std::to_string(shape.heads) + " heads");
  return {shape, shape.tokens(), isa.token_columns(), isa.token_rows()};
}

void pack_token_linear(const TokenLinear& linear, const float* weight, const float* bias,
                       const FoldedNorm& norm, float* packed) {
  const auto scale = [&](int row) { return row < norm.scaled_rows ? norm.row_scale : 1.0; };
  std::fill_n(packed, linear.packed_floats(), 0.0f);
  for (int row = 0; row < linear.out; ++row) {
    double sum = bias != nullptr ? bias[row] : 0.0;
    for (int i = 0; norm.offset != nullptr && i < linear.in; ++i) {
      sum += double(weight[std::ptrdiff_t{row} * linear.in + i]) * norm.offset[i];
    }
    packed[row] = static_cast<float>(sum * scale(row));
  }
  float* out = packed + padded(linear.out);
  const int groups = ceil_div(linear.out, linear.max_rows);
  const int small = linear.out / groups, large = linear.out % groups;
  for (int group = 0, first = 0; group < groups; ++group) {
    const int rows = small + (group < large ? 1 : 0);
    for (int i = 0; i < linear.in; ++i) {
      const double gain = norm.gain != nullptr ? norm.gain[i] : 1.0;
      for (int row = first; row < first + rows; ++row) {
        const double w = weight[std::ptrdiff_t{row} * linear.in + i];
        *out++ = static_cast<float>(w * gain * scale(row));
      }
    }
    first += rows;
  }
}

void pack_transformer(const TransformerPlan& plan, const TransformerWeights& weights,
                      float* packed) {
  const TransformerShape& shape = plan.shape;
  const auto pack = [&](const TokenLinear& linear, const float* weight, const float* bias,
                        const FoldedNorm& norm = {}) {
    pack_token_linear(linear, weight, bias, norm, packed);
    packed += linear.packed_floats();
  };
  // Scores in units of ln 2: attention takes powers of two.
  const double score_scale = 1.0 / (std::sqrt(double(shape.head_features())) * std::log(2.0));
  const auto pack_qkv = [&](const TransformerLayerWeights& layer) {
    pack(plan.qkv(), layer.qkv, layer.qkv_bias,
         {layer.norm1, layer.norm1_bias, shape.features, score_scale});
  };
  pack(plan.enter(), weights.enter, weights.enter_bias);
  pack_qkv(weights.layers[0]);
  for (int i = 0; i < shape.depth; ++i) {
    const TransformerLayerWeights& layer = weights.layers[i];
    pack(plan.proj(), layer.proj, layer.proj_bias);
    pack(plan.fc1(), layer.fc1, layer.fc1_bias, {layer.norm2, layer.norm2_bias});
    pack(plan.fc2(), layer.fc2, layer.fc2_bias);
    if (i + 1 < shape.depth) {
      pack_qkv(weights.layers[i + 1]);
    } else {
      pack(plan.leave(), weights.leave, weights.leave_bias, {weights.norm, weights.norm_bias});
    }
  }
}

}  // namespace mobileone::kernels
