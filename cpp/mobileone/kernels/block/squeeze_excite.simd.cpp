#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/activations.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// Vectors of outputs that go through the weights together: each row's are neighbours in memory,
// and four chains of each fit the registers.
constexpr int kTogether = kTraits.registers == 32 ? 4 : 2;

// sum_i in[i] * weight[i][...] of kVectors neighbouring vectors of outputs, each on four chains.
template <int kVectors>
void dot_columns(const float* in, int count, const float* weight, int width,
                 Vec (&result)[kVectors]) {
  Vec acc[kVectors][4];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) acc[v][j] = zero();
  }
  int i = 0;
  for (; i + 4 <= count; i += 4) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const Vec x = broadcast(in[i + j]);
      const float* row = weight + std::ptrdiff_t{i + j} * width;
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) acc[v][j] = fma(x, load(row + v * kLanes), acc[v][j]);
    }
  }
  for (; i < count; ++i) {
    const float* row = weight + std::ptrdiff_t{i} * width;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      acc[v][0] = fma(broadcast(in[i]), load(row + v * kLanes), acc[v][0]);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    result[v] = add(add(acc[v][0], acc[v][1]), add(acc[v][2], acc[v][3]));
  }
}

// out[o] = finish(sum_i in[i] * weight[i][o], o), vector by vector.
template <typename Finish>
void linear_layer(const float* in, int count, const float* weight, int width, float* out,
                  const Finish& finish) {
  int o = 0;
  for (; o + kTogether * kLanes <= width; o += kTogether * kLanes) {
    Vec dot[kTogether];
    dot_columns(in, count, weight + o, width, dot);
#pragma GCC unroll 4
    for (int v = 0; v < kTogether; ++v) {
      store(out + o + v * kLanes, finish(dot[v], o + v * kLanes));
    }
  }
  for (; o < width; o += kLanes) {
    Vec dot[1];
    dot_columns(in, count, weight + o, width, dot);
    store(out + o, finish(dot[0], o));
  }
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
  linear_layer(sums, se.channels, w1, reduced, hidden, [&](Vec dot, int o) {
    return activate(se.activation, fma(dot, inverse, load(b1 + o)));
  });
  linear_layer(hidden, se.reduced, w2, channels, scale,
               [&](Vec dot, int o) { return activate(se.gate, add(dot, load(b2 + o))); });
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
