#include "mobileone/kernels/block/squeeze_excite.hpp"

#include <algorithm>

namespace mobileone::kernels {

namespace {

// [out][in] -> [in][padded(out)] followed by the padded bias.
float* pack_linear(int in, int out, const float* weight, const float* bias, float* packed) {
  const int width = padded(out);
  std::fill_n(packed, std::ptrdiff_t{in + 1} * width, 0.0f);
  for (int o = 0; o < out; ++o) {
    for (int i = 0; i < in; ++i) packed[std::ptrdiff_t{i} * width + o] = weight[o * in + i];
    if (bias != nullptr) packed[std::ptrdiff_t{in} * width + o] = bias[o];
  }
  return packed + std::ptrdiff_t{in + 1} * width;
}

}  // namespace

void pack_squeeze_excite(int channels, int reduced, const float* reduce, const float* reduce_bias,
                         const float* expand, const float* expand_bias, float* packed) {
  packed = pack_linear(channels, reduced, reduce, reduce_bias, packed);
  pack_linear(reduced, channels, expand, expand_bias, packed);
}

}  // namespace mobileone::kernels
