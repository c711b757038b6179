#include "mobileone/kernels/quantized/quantized.hpp"

#include <algorithm>
#include <cstring>

#include "mobileone/kernels/quantized/packing.hpp"

namespace mobileone::kernels {

namespace {

// What T of a tile may take, so that it stays in the first-level cache beside a panel's weights;
// and where that shares out rows better, in the second-level one, which costs hardly more.
constexpr int kTileBytes = 24 * 1024, kMostTileBytes = 64 * 1024;

}  // namespace

QuantizedBlockPlan plan_quantized_block(const ByteTraits& traits, const QuantizedBlockShape& shape,
                                        int threads) {
  const int height = shape.out_height();
  const int row_bytes = shape.src().blocks() * kBlock * shape.out_width();
  // Two rows share their depthwise's loads.
  int rows = std::min(height, std::max(2, kTileBytes / row_bytes / 2 * 2));
  if (threads > 1) {
    // Of the thread with the most.
    const auto share = [&](int tile) { return ceil_div(ceil_div(height, tile), threads) * tile; };
    for (int tile = 1; tile <= std::min(height, std::max(2, kMostTileBytes / row_bytes)); ++tile) {
      if (share(tile) < share(rows) || (share(tile) == share(rows) && tile > rows)) rows = tile;
    }
  }
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
  // Inputs are the nine places' pixels of three channels and a byte that is nothing.
  pack_panels(
      plan.panels(), weights, plan.image_zero_point,
      [&](int output, int input) {
        const int place = input / 4, channel = input % 4;
        return channel < 3 ? weights.weight[(output * 3 + channel) * 9 + place] : 0.f;
      },
      packed);
}

}  // namespace mobileone::kernels
