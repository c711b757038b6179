#include "mobileone/kernels/quantized/packing.hpp"

namespace mobileone::kernels {

namespace {

std::int32_t bias_of(const QuantizedBlockPlan& plan, const QuantizedWeights& weights, int channel) {
  const int taps = plan.shape.taps();
  double weight_sum = 0.0;
  for (int tap = 0; tap < taps; ++tap) {
    weight_sum += static_cast<double>(weights.weight[channel * taps + tap]);
  }
  return folded_bias(weights.bias[channel], plan.shape.source_zero_point, weight_sum);
}

// A vector has a pixel's 16 sums, with the taps of a row's columns.
void pack_columns(const QuantizedBlockPlan& plan, const QuantizedWeights& weights, int block,
                  std::byte* packed) {
  const int vector = plan.traits.vector_bytes();
  WeightVector rows[3] = {
      {plan.traits, packed}, {plan.traits, packed + vector}, {plan.traits, packed + 2 * vector}};
  SumScale scales[kBlock];
  for (int sum = 0; sum < kBlock; ++sum) {
    const int channel = block * kBlock + sum;
    if (channel >= plan.shape.channels_in) break;
    const auto tap_of = [&](int tap) { return weights.weight[channel * 9 + tap]; };
    for (int tap = 0; tap < 9; ++tap) rows[tap / 3].set(sum, tap % 3, tap_of(tap));
    scales[sum] = SumScale::of(weights, channel, plan.shape.source_zero_point, 9, tap_of);
  }
  pack_scales(scales, kBlock, packed + 3 * vector);
}

}  // namespace

// Else, and of 5x5 kernels, a vector has four channels' sums of one pixel after the other, all with
// the same taps.
void pack_taps(const QuantizedBlockPlan& plan, const QuantizedWeights& weights, int block,
               std::byte* packed) {
  const ByteTraits& traits = plan.traits;
  std::memset(packed, 0, plan.taps_bytes());
  const int kernel = plan.shape.kernel;
  if (traits.dots_of_columns() && kernel == 3) return pack_columns(plan, weights, block, packed);
  const auto for_each_sum = [&](int vector, const auto& visit) {
    for (int sum = 0; sum < traits.sums; ++sum) {
      const int channel = block * kBlock + vector * 4 + sum % 4;
      if (channel < plan.shape.channels_in) visit(sum, channel);
    }
  };
  // Four vectors with rows [first, last) of a column, from factor `shift` on.
  const auto pack_column = [&](int column, int first, int last, int shift) {
    for (int vector = 0; vector < 4; ++vector) {
      WeightVector four(traits, packed);
      for_each_sum(vector, [&](int sum, int channel) {
        for (int y = first; y < last; ++y) {
          four.set(sum, shift + y - first,
                   weights.weight[channel * kernel * kernel + y * kernel + column]);
        }
      });
      packed += four.bytes();
    }
  };
  if (kernel == 5) {
    for (int column = 0; column < 5; ++column) {
      pack_column(column, 0, 4, 0);
      pack_column(column, 4, 5, 0);
    }
  } else {
    for (int row = 0; row < 2; ++row) {
      for (int column = 0; column < 3; ++column) pack_column(column, 0, 3, row);
    }
  }
  for (int vector = 0; vector < 4; ++vector) {
    for_each_sum(vector, [&](int sum, int channel) {
      const int at = vector * traits.sums + sum;
      put(packed, at, bias_of(plan, weights, channel));
      put(packed + 4 * traits.vector_bytes(), at, weights.multiplier[channel]);
    });
  }
}

}  // namespace mobileone::kernels
