// Weights in the order in which the quantized kernels read them.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "mobileone/kernels/quantized/quantized.hpp"

namespace mobileone::kernels {

/// One vector of weights: four factors for each of its sums.
class WeightVector {
 public:
  WeightVector(const ByteTraits& traits, std::byte* to) : traits_(traits), to_(to) {
    std::memset(to, 0, bytes());
  }
  std::size_t bytes() const {
    return static_cast<std::size_t>(traits_.vector_bytes() * traits_.weight_size);
  }
  void set(int sum, int factor, float value) {
    if (traits_.weight_size == 1) {
      const auto narrow = static_cast<std::int8_t>(value);
      std::memcpy(to_ + 4 * sum + factor, &narrow, sizeof narrow);
      return;
    }
    // Even factors of all sums, then odd ones.
    const auto wide = static_cast<std::int16_t>(value);
    std::memcpy(to_ + factor % 2 * traits_.vector_bytes() + 4 * sum + factor / 2 * 2, &wide,
                sizeof wide);
  }

 private:
  const ByteTraits& traits_;
  std::byte* to_;
};

/// The output channel of a panel's sum: where a block's 16 are two vectors, their fours take turns.
inline int channel_of_sum(const ByteTraits& traits, int vector, int sum) {
  if (traits.vectors_per_block() == 1) return vector * kBlock + sum;
  return sum / 4 * 8 + vector * 4 + sum % 4;
}

template <typename T>
void put(std::byte* to, int index, T value) {
  std::memcpy(to + static_cast<std::ptrdiff_t>(sizeof(T)) * index, &value, sizeof value);
}

/// bias - zero_point * (sum of the weights): what a sum of products with whole bytes begins with.
inline std::int32_t folded_bias(float bias, int zero_point, double weight_sum) {
  return static_cast<std::int32_t>(static_cast<std::int64_t>(bias) -
                                   zero_point * static_cast<std::int64_t>(weight_sum));
}

/// What a sum begins with and is multiplied with, and how its product is rounded once: as float32
/// of an integer, or of a bias with the bits of 1.5 * 2^23, where the sum's bits are those of 1.5 *
/// 2^23 + sum, by one fused multiply-add with the offset -1.5 * 2^23 * multiplier. The latter needs
/// that the offset is exact, of multipliers of 22 bits, and no sum beyond 2^22.
struct SumScale {
  std::int32_t bias = 0;
  float multiplier = 0.f;
  bool fuses = true;

  static constexpr std::int32_t kNumberBits = 0x4b400000;
  static constexpr float kNumber = 0x1.8p23f;

  /// weight(i) for so many terms.
  template <typename Weight>
  static SumScale of(const QuantizedWeights& weights, int output, int zero_point, int terms,
                     const Weight& weight) {
    std::int64_t positive = 0, negative = 0;
    for (int i = 0; i < terms; ++i) {
      const auto value = static_cast<std::int64_t>(weight(i));
      (value > 0 ? positive : negative) += value;
    }
    const float multiplier = weights.multiplier[output];
    std::uint32_t bits;
    std::memcpy(&bits, &multiplier, sizeof bits);
    const std::int32_t bias =
        folded_bias(weights.bias[output], zero_point, static_cast<double>(positive + negative));
    const bool exact = bits % 4 == 0 && multiplier >= 0x1p-100f && multiplier <= 0x1p100f;
    const bool fits = bias + 255 * positive < 1 << 22 && bias + 255 * negative >= -(1 << 22);
    return {bias, multiplier, exact && fits};
  }
};

/// Writes scales as vectors of biases, multipliers and offsets, `stride` numbers each, and the line
/// that says whether all of them fuse.
inline void pack_scales(std::span<const SumScale> scales, int stride, std::byte* packed) {
  const bool fuse = std::ranges::all_of(scales, &SumScale::fuses);
  for (int i = 0; i < static_cast<int>(scales.size()); ++i) {
    const SumScale& scale = scales[static_cast<std::size_t>(i)];
    put(packed, i, fuse ? scale.bias + SumScale::kNumberBits : scale.bias);
    put(packed, stride + i, scale.multiplier);
    put(packed, 2 * stride + i, -SumScale::kNumber * scale.multiplier);
  }
  put(packed, 3 * stride, std::int32_t{fuse});
}

/// All panels; weight(output, input) for outputs below panels.outputs.
template <typename Weight>
void pack_panels(const BytePanels& panels, const QuantizedWeights& weights, int zero_point,
                 const Weight& weight, std::byte* packed) {
  const ByteTraits& traits = panels.traits;
  for (int panel = 0; panel < panels.panels(); ++panel, packed += panels.panel_bytes()) {
    std::memset(packed, 0, panels.panel_bytes());
    std::vector<SumScale> scales(std::size_t(traits.panel_channels()));
    for (int at = 0; at < traits.panel_channels(); ++at) {
      const int output = panel * traits.panel_channels() +
                         channel_of_sum(traits, at / traits.sums, at % traits.sums);
      if (output >= panels.outputs) continue;
      scales[std::size_t(at)] = SumScale::of(weights, output, zero_point, panels.inputs,
                                             [&](int input) { return weight(output, input); });
    }
    pack_scales(scales, traits.panel_channels(), packed + panels.weight_bytes());
    std::byte* to = packed;
    for (int group = 0; group < panels.groups(); ++group) {
      for (int vector = 0; vector < 2; ++vector) {
        WeightVector four(traits, to);
        for (int sum = 0; sum < traits.sums; ++sum) {
          const int output = panel * traits.panel_channels() + channel_of_sum(traits, vector, sum);
          if (output >= panels.outputs) continue;
          for (int i = 0; i < 4; ++i) four.set(sum, i, weight(output, 4 * group + i));
        }
        to += four.bytes();
      }
    }
  }
}

/// The taps, biases and multipliers of one channel block of a block's depthwise convolution.
void pack_taps(const QuantizedBlockPlan& plan, const QuantizedWeights& weights, int block,
               std::byte* packed);

}  // namespace mobileone::kernels
