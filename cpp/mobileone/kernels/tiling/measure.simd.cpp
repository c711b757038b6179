// Loops that measure the machine: arithmetic peak and read bandwidth.
#include "mobileone/kernels/entry_points.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

double peak(long iterations, float* sink) {
  constexpr int kChains = 12;  // two FMA ports x up to five cycles of latency
  Vec acc[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) acc[i] = broadcast(static_cast<float>(i));
  const Vec a = broadcast(0.999f), b = broadcast(1e-3f);
  for (long n = 0; n < iterations; ++n) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) acc[i] = fma(acc[i], a, b);
  }
#pragma GCC unroll 16
  for (int i = 1; i < kChains; ++i) acc[0] = add(acc[0], acc[i]);
  store(sink, acc[0]);
  return 2.0 * kLanes * kChains * static_cast<double>(iterations);
}

float read_sum(const float* data, std::ptrdiff_t count) {
  Vec sum[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) sum[i] = zero();
  for (std::ptrdiff_t at = 0; at < count; at += 8 * kLanes) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) sum[i] = add(sum[i], load(data + at + i * kLanes));
  }
#pragma GCC unroll 8
  for (int i = 1; i < 8; ++i) sum[0] = add(sum[0], sum[i]);
  float lanes[kLanes];
  store(lanes, sum[0]);
  float total = 0.0f;
  for (int i = 0; i < kLanes; ++i) total += lanes[i];
  return total;
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
