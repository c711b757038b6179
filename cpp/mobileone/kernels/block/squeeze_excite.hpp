// Squeeze-and-excite on pooled sums (Hu et al., 2018, section 3):
//   scale = gate(W2 activation(W1 mean + b1) + b2).
#pragma once

#include <cstddef>

#include "mobileone/kernels/activation.hpp"
#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

/// Packed weights, in order: W1 and b1 of `channels` inputs, W2 and b2 of `reduced` ones, each as
/// chunks of kSqueezeChunk outputs [inputs][chunk], and after them their biases: read in one go
/// from end to end. The last chunk has what is left in whole blocks.
inline constexpr int kSqueezeChunk = 64;

struct SqueezeExcite {
  int channels = 0;
  int reduced = 0;
  const float* packed = nullptr;
  Activation activation = Activation::kRelu;
  Activation gate = Activation::kSigmoid;

  std::size_t packed_floats() const {
    return std::size_t(channels) * padded(reduced) + padded(reduced) +
           std::size_t(reduced) * padded(channels) + padded(channels);
  }
};

/// reduce [reduced][channels], expand [channels][reduced], biases or null.
void pack_squeeze_excite(int channels, int reduced, const float* reduce, const float* reduce_bias,
                         const float* expand, const float* expand_bias, float* packed);

}  // namespace mobileone::kernels
