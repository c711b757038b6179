#include "mobileone/kernels/tokens/layer_norm.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

constexpr int kChains = 4;  // partial sums per vector: hides the latency of additions

// sum over rows of term(row's vector); rows are a panel apart.
template <int kVectors, typename Term>
__attribute__((always_inline)) inline void sum_rows(const float* x, int rows,
                                                    Vec (&total)[kVectors], const Term& term) {
  Vec sum[kChains][kVectors];
#pragma GCC unroll 4
  for (int i = 0; i < kChains; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[i][v] = zero();
  }
  int row = 0;
  for (; row + kChains <= rows; row += kChains, x += kChains * kPanel) {
#pragma GCC unroll 4
    for (int i = 0; i < kChains; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v)
        sum[i][v] = term(sum[i][v], load(x + i * kPanel + v * kLanes), v);
    }
  }
  for (; row < rows; ++row, x += kPanel) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[0][v] = term(sum[0][v], load(x + v * kLanes), v);
  }
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    total[v] = add(add(sum[0][v], sum[1][v]), add(sum[2][v], sum[3][v]));
  }
}

template <int kVectors>
void normalize_columns(const float* x, int features, float eps, float* out) {
  const Vec inverse = broadcast(1.0f / static_cast<float>(features));
  Vec mean[kVectors], variance[kVectors], scale[kVectors];
  sum_rows(x, features, mean, [](Vec sum, Vec value, int) { return add(sum, value); });
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) mean[v] = mul(mean[v], inverse);
  sum_rows(x, features, variance, [&](Vec sum, Vec value, int v) {
    const Vec centred = sub(value, mean[v]);
    return fma(centred, centred, sum);
  });
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    scale[v] = div(broadcast(1.0f), sqrt(fma(variance[v], inverse, broadcast(eps))));
  }
  for (int row = 0; row < features; ++row, x += kPanel, out += kPanel) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      store(out + v * kLanes, mul(sub(load(x + v * kLanes), mean[v]), scale[v]));
    }
  }
}

}  // namespace

void normalize(const float* x, int features, float eps, int vectors, float* out) {
  if (vectors == 2) {
    normalize_columns<2>(x, features, eps, out);
  } else {
    normalize_columns<1>(x, features, eps, out);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
