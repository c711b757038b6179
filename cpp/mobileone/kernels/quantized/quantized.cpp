#include "mobileone/kernels/quantized/quantized.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "mobileone/kernels/quantized/packing.hpp"

namespace mobileone::kernels {

namespace {

// What T of a tile may take: a part of the second-level cache. A panel's weights, which are read
// once a tile, stay in the first-level one, and of T a group of pixels.
constexpr int kTileBytes = 192 * 1024;

}  // namespace

QuantizedBlockPlan plan_quantized_block(const ByteTraits& traits, const QuantizedBlockShape& shape,
                                        int threads) {
  const int height = shape.out_height();
  const int row_bytes = shape.src().blocks() * kBlock * shape.out_width();
  const int most = std::min(height, std::max(2, kTileBytes / row_bytes));
  // Of the thread with the most; the last tile of an image may have fewer.
  const auto share = [&](int tile) { return ceil_div(ceil_div(height, tile), threads) * tile; };
  int rows = ceil_div(height, ceil_div(height, most));
  for (int tile = 1; threads > 1 && tile <= most; ++tile) {
    if (share(tile) < share(rows) || (share(tile) == share(rows) && tile > rows)) rows = tile;
  }
  // Two rows share their depthwise's loads.
  if (threads == 1 && !traits.dots_of_columns() && rows % 2 == 1 && rows < most) ++rows;
  return {shape, traits, rows};
}

void pack_quantized_block(const QuantizedBlockPlan& plan, const QuantizedWeights& depthwise,
                          const QuantizedWeights& project, std::byte* packed) {
  const QuantizedBlockShape& shape = plan.shape;
  for (int block = 0; shape.has_depthwise() && block < plan.k_blocks();
       ++block, packed += plan.taps_bytes()) {
    pack_taps(plan, depthwise, block, packed);
  }
  if (!shape.has_project()) return;
  pack_panels(
      plan.project(), project, shape.depthwise.zero_point,
      [&](int output, int input) {
        return input < shape.channels_in
                   ? project.weight[std::ptrdiff_t{output} * shape.channels_in + input]
                   : 0.f;
      },
      packed);
}

void pack_quantized_stem(const QuantizedStemPlan& plan, const QuantizedWeights& weights,
                         std::byte* packed) {
  // Inputs are the windows' bytes as byte_image.hpp has them, and one that is nothing.
  const auto weight_of = [&](int output, int channel, int row, int column) {
    return weights.weight[(output * 3 + channel) * 9 + row * 3 + column];
  };
  pack_panels(
      plan.panels(), weights, plan.image_zero_point,
      [&](int output, int input) {
        const int four = input / 4, byte = input % 4;
        if (four == 6) return byte < 3 ? weight_of(output, 2, 2, byte) : 0.f;
        return byte < 3 ? weight_of(output, byte, four / 3, four % 3)
                        : weight_of(output, four / 3, 2, four % 3);
      },
      packed);
}

void pack_quantized_linear(const QuantizedLinearPlan& plan, const QuantizedWeights& weights,
                           std::byte* packed) {
  const ByteTraits& traits = plan.traits;
  for (int first = 0; first < plan.outputs; first += plan.panel_outputs()) {
    const int outputs = std::min(plan.panel_outputs(), plan.outputs - first);
    std::byte* const bias = packed + plan.weight_bytes();
    std::byte* const multiplier = bias + (plan.panel_bytes() - plan.weight_bytes()) / 2;
    std::memset(packed, 0, plan.panel_bytes());
    for (int o = 0; o < outputs; ++o) {
      const float* const row = weights.weight + std::ptrdiff_t{first + o} * plan.inputs;
      const double sum = std::accumulate(row, row + plan.inputs, 0.0);
      put(bias, o, folded_bias(weights.bias[first + o], plan.zero_point, sum));
      put(multiplier, o, weights.multiplier[first + o]);
    }
    for (int group = 0; group < plan.groups(); ++group) {
      for (int v = 0; v < QuantizedLinearPlan::kVectors; ++v) {
        WeightVector four(traits, packed);
        for (int sum = 0; sum < traits.sums; ++sum) {
          const int o = v * traits.sums + sum;
          for (int i = 4 * group; o < outputs && i < std::min(4 * group + 4, plan.inputs); ++i) {
            four.set(sum, i % 4, weights.weight[std::ptrdiff_t{first + o} * plan.inputs + i]);
          }
        }
        packed += four.bytes();
      }
    }
    packed += plan.panel_bytes() - plan.weight_bytes();
  }
}

}  // namespace mobileone::kernels
