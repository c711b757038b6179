// Weights in the order in which the quantized kernels read them.
#pragma once

#include <cstring>

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

/// All panels; weight(output, input) for outputs below panels.outputs.
template <typename Weight>
void pack_panels(const BytePanels& panels, const QuantizedWeights& weights, int zero_point,
                 const Weight& weight, std::byte* packed) {
  const ByteTraits& traits = panels.traits;
  for (int panel = 0; panel < panels.panels(); ++panel, packed += panels.panel_bytes()) {
    std::memset(packed, 0, panels.panel_bytes());
    std::byte* const bias = packed + panels.weight_bytes();
    std::byte* const multiplier = bias + 2 * traits.vector_bytes();
    for (int vector = 0; vector < 2; ++vector) {
      for (int sum = 0; sum < traits.sums; ++sum) {
        const int output = panel * traits.panel_channels() + channel_of_sum(traits, vector, sum);
        if (output >= panels.outputs) continue;
        double weight_sum = 0.0;
        for (int input = 0; input < panels.inputs; ++input) {
          weight_sum += static_cast<double>(weight(output, input));
        }
        const int at = vector * traits.sums + sum;
        put(bias, at, folded_bias(weights.bias[output], zero_point, weight_sum));
        put(multiplier, at, weights.multiplier[output]);
      }
    }
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
