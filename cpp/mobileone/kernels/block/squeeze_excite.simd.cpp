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

// out[o] = finish(sum_i in[i] * weight[i][o], bias[o]), vector by vector; returns what is after the
// layer's packed weights.
template <typename Finish>
const float* linear_layer(const float* in, int count, const float* packed, int width, float* out,
                          const Finish& finish) {
  for (int first = 0; first < width; first += kSqueezeChunk, out += kSqueezeChunk) {
    const int chunk = width - first < kSqueezeChunk ? width - first : kSqueezeChunk;
    const float* const bias = packed + std::ptrdiff_t{count} * chunk;
    int o = 0;
    for (; o + kTogether * kLanes <= chunk; o += kTogether * kLanes) {
      Vec dot[kTogether];
      dot_columns(in, count, packed + o, chunk, dot);
#pragma GCC unroll 4
      for (int v = 0; v < kTogether; ++v) {
        store(out + o + v * kLanes, finish(dot[v], load(bias + o + v * kLanes)));
      }
    }
    for (; o < chunk; o += kLanes) {
      Vec dot[1];
      dot_columns(in, count, packed + o, chunk, dot);
      store(out + o, finish(dot[0], load(bias + o)));
    }
    packed = bias + chunk;
  }
  return packed;
}

}  // namespace

void squeeze_excite(const SqueezeExcite& se, const float* sums, int pixels, float* hidden,
                    float* scale) {
  const int reduced = padded(se.reduced), channels = padded(se.channels);
  const Vec inverse = broadcast(1.0f / static_cast<float>(pixels));
  const float* const expand = linear_layer(
      sums, se.channels, se.packed, reduced, hidden,
      [&](Vec dot, Vec bias) { return activate(se.activation, fma(dot, inverse, bias)); });
  linear_layer(hidden, se.reduced, expand, channels, scale,
               [&](Vec dot, Vec bias) { return activate(se.gate, add(dot, bias)); });
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
