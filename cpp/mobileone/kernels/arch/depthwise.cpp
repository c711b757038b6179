#include "mobileone/kernels/arch/depthwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

constexpr int kMaxOutputs = kLanes == 16 ? 14 : 8;

// Each input column is loaded once per row and feeds up to three accumulators.
template <int kStride, int kOutputs>
inline void depthwise_group(const float* const rows[3], std::ptrdiff_t column, const float* taps,
                            Vec floor, float* dst) {
  Vec acc[kOutputs];
  const Vec bias = load(taps + 9 * kBlock);
#pragma GCC unroll 16
  for (int i = 0; i < kOutputs; ++i) acc[i] = bias;
#pragma GCC unroll 3
  for (int ky = 0; ky < 3; ++ky) {
    const float* row = rows[ky] + column;
    const Vec w0 = load(taps + (3 * ky + 0) * kBlock);
    const Vec w1 = load(taps + (3 * ky + 1) * kBlock);
    const Vec w2 = load(taps + (3 * ky + 2) * kBlock);
    if constexpr (kStride == 1) {
#pragma GCC unroll 16
      for (int i = 0; i < kOutputs + 2; ++i) {
        const Vec x = load(row + i * kBlock);
        if (i < kOutputs) acc[i] = fma(x, w0, acc[i]);
        if (i >= 1 && i <= kOutputs) acc[i - 1] = fma(x, w1, acc[i - 1]);
        if (i >= 2) acc[i - 2] = fma(x, w2, acc[i - 2]);
      }
    } else {
#pragma GCC unroll 16
      for (int i = 0; i < kOutputs; ++i) {
        const Vec even = load(row + 2 * i * kBlock);
        if (i > 0) acc[i - 1] = fma(even, w2, acc[i - 1]);
        acc[i] = fma(even, w0, acc[i]);
        acc[i] = fma(load(row + (2 * i + 1) * kBlock), w1, acc[i]);
      }
      acc[kOutputs - 1] = fma(load(row + 2 * kOutputs * kBlock), w2, acc[kOutputs - 1]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kOutputs; ++i) store(dst + i * kBlock, max(floor, acc[i]));
}

template <int kStride>
void run_group(int outputs, const float* const rows[3], std::ptrdiff_t column, const float* taps,
               Vec floor, float* dst) {
  switch (outputs) {
#define MOBILEONE_CASE(n) \
  case n:                 \
    return depthwise_group<kStride, n>(rows, column, taps, floor, dst);
    MOBILEONE_CASE(1)
    MOBILEONE_CASE(2)
    MOBILEONE_CASE(3)
    MOBILEONE_CASE(4)
    MOBILEONE_CASE(5)
    MOBILEONE_CASE(6)
    MOBILEONE_CASE(7)
    MOBILEONE_CASE(8)
#ifdef __AVX512F__
    MOBILEONE_CASE(9)
    MOBILEONE_CASE(10)
    MOBILEONE_CASE(11)
    MOBILEONE_CASE(12)
    MOBILEONE_CASE(13)
    MOBILEONE_CASE(14)
#endif
#undef MOBILEONE_CASE
  }
}

}  // namespace

void depthwise_row(int stride, const float* const rows[3], const float* taps, float floor,
                   int width, float* dst) {
  const PixelGroups groups(width, kMaxOutputs);
  const Vec low = broadcast(floor);
  for (int lane = 0; lane < kBlock; lane += kLanes) {
    int x = 0;
    for (int group = 0; group < groups.count; ++group) {
      const int outputs = groups.size(group);
      const std::ptrdiff_t column = std::ptrdiff_t{x} * stride * kBlock + lane;
      float* out = dst + std::ptrdiff_t{x} * kBlock + lane;
      if (stride == 1) {
        run_group<1>(outputs, rows, column, taps + lane, low, out);
      } else {
        run_group<2>(outputs, rows, column, taps + lane, low, out);
      }
      x += outputs;
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
