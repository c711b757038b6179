#include "mobileone/kernels/depthwise/depthwise_pack.hpp"

#include <algorithm>

namespace mobileone::kernels {

void pack_depthwise(int channels, int kernel, const float* weight, const float* bias,
                    float* packed) {
  const std::ptrdiff_t floats = depthwise_floats(kernel);
  const int taps = kernel * kernel;
  std::fill_n(packed, blocks(channels) * floats, 0.0f);
  for (int c = 0; c < channels; ++c) {
    float* out = packed + c / kBlock * floats + c % kBlock;
    for (int tap = 0; tap < taps; ++tap) out[tap * kBlock] = *weight++;
    if (bias != nullptr) out[taps * kBlock] = bias[c];
  }
}

}  // namespace mobileone::kernels
