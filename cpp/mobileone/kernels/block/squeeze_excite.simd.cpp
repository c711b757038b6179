#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/activations.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// One vector of outputs: sum_i in[i] * weight[i][...] on four chains.
Vec dot_columns(const float* in, int count, const float* weight, int width) {
  Vec acc[4] = {zero(), zero(), zero(), zero()};
  int i = 0;
  for (; i + 4 <= count; i += 4) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      acc[j] = fma(broadcast(in[i + j]), load(weight + std::ptrdiff_t{i + j} * width), acc[j]);
    }
  }
  for (; i < count; ++i) {
    acc[0] = fma(broadcast(in[i]), load(weight + std::ptrdiff_t{i} * width), acc[0]);
  }
  return add(add(acc[0], acc[1]), add(acc[2], acc[3]));
}

}  // namespace

void squeeze_excite(const SqueezeExcite& se, const float* sums, int pixels, float* hidden,
                    float* scale) {
  const int reduced = padded(se.reduced), channels = padded(se.channels);
  const float* w1 = se.packed;
  const float* b1 = w1 + std::ptrdiff_t{se.channels} * reduced;
  const float* w2 = b1 + reduced;
  const float* b2 = w2 + std::ptrdiff_t{se.reduced} * channels;
  const Vec inverse = broadcast(1.0f / static_cast<float>(pixels));
  for (int o = 0; o < reduced; o += kLanes) {
    const Vec dot = dot_columns(sums, se.channels, w1 + o, reduced);
    store(hidden + o, activate(se.activation, fma(dot, inverse, load(b1 + o))));
  }
  for (int o = 0; o < channels; o += kLanes) {
    const Vec dot = dot_columns(hidden, se.reduced, w2 + o, channels);
    store(scale + o, activate(se.gate, add(dot, load(b2 + o))));
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
