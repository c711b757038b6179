#include "mobileone/kernels/block/squeeze_excite.hpp"

#include <algorithm>

namespace mobileone::kernels {

namespace {

// Of weight [out][in].
float* pack_linear(int in, int out, const float* weight, const float* bias, float* packed) {
  const int width = padded(out);
  for (int first = 0; first < width; first += kSqueezeChunk) {
    const int chunk = std::min(kSqueezeChunk, width - first);
    std::fill_n(packed, std::ptrdiff_t{in + 1} * chunk, 0.0f);
    for (int o = first; o < std::min(out, first + chunk); ++o) {
      float* const to = packed + o - first;
      for (int i = 0; i < in; ++i) to[std::ptrdiff_t{i} * chunk] = weight[o * in + i];
      if (bias != nullptr) to[std::ptrdiff_t{in} * chunk] = bias[o];
    }
    packed += std::ptrdiff_t{in + 1} * chunk;
  }
  return packed;
}

}  // namespace

void pack_squeeze_excite(int channels, int reduced, const float* reduce, const float* reduce_bias,
                         const float* expand, const float* expand_bias, float* packed) {
  packed = pack_linear(channels, reduced, reduce, reduce_bias, packed);
  pack_linear(reduced, channels, expand, expand_bias, packed);
}

}  // namespace mobileone::kernels
