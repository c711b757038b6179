// A linear layer of integers whose results are float32 numbers: the classifier.
#pragma once

#include "mobileone/kernels/quantized/byte_traits.hpp"

namespace mobileone::kernels {

/// y[n][out] = float32(bias + sum over inputs of (x - zero_point) * weight) * multiplier. Panels of
/// eight vectors of sums: [inputs / 4][8 vectors][4], then biases and multipliers.
struct QuantizedLinearPlan {
  static constexpr int kVectors = 8;

  int inputs = 0, outputs = 0;
  int zero_point = 0;  // of the inputs
  ByteTraits traits;

  int groups() const { return ceil_div(inputs, 4); }
  int panel_outputs() const { return kVectors * traits.sums; }
  int panels() const { return ceil_div(outputs, panel_outputs()); }
  std::size_t weight_bytes() const {
    return std::size_t(groups()) * kVectors * std::size_t(traits.vector_bytes()) *
           std::size_t(traits.weight_size);
  }
  std::size_t panel_bytes() const {
    return weight_bytes() + 2 * kVectors * std::size_t(traits.vector_bytes());
  }
  std::size_t packed_bytes() const { return std::size_t(panels()) * panel_bytes(); }
};

struct QuantizedLinearArgs {
  const std::uint8_t* src = nullptr;  // [batch][padded(inputs)]; what pads them is not used
  float* dst = nullptr;               // [batch][outputs]
  int batch = 1;
  const std::byte* packed = nullptr;  // pack_quantized_linear's, aligned to 64 bytes
};

/// weight [out][in].
void pack_quantized_linear(const QuantizedLinearPlan& plan, const QuantizedWeights& weights,
                           std::byte* packed);

}  // namespace mobileone::kernels
