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

void pack_row_pairs(int channels, const float* weight, const float* bias, float* packed) {
  std::fill_n(packed, blocks(channels) * kRowPairFloats, 0.0f);
  for (int c = 0; c < channels; ++c, weight += 9) {
    float* out = packed + c / kBlock * kRowPairFloats + c % kBlock;
    for (int column = 0; column < 3; ++column) {
      const double g0 = weight[column], g1 = weight[3 + column], g2 = weight[6 + column];
      for (double factor : {g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2}) {
        *out = static_cast<float>(factor);
        out += kBlock;
      }
    }
    if (bias != nullptr) *out = bias[c];
  }
}

}  // namespace mobileone::kernels
