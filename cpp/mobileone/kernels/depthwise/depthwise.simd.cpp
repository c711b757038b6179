#include "mobileone/kernels/depthwise/depthwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

constexpr int kMaxOutputs = kLanes == 16 ? 14 : 8;

/// A column of groups: the same `kOutputs` output columns of consecutive rows.
struct GroupColumn {
  const float* const* rows;
  int count;              // output rows
  std::ptrdiff_t column;  // of the group's first input pixel, in floats
  const float* taps;
  Vec floor;
  float* dst;
  std::ptrdiff_t dst_row;  // floats from one output row to the next
};

// Each input column is loaded once per row and feeds up to three accumulators.
template <int kStride, int kOutputs>
__attribute__((noinline)) void depthwise_group(const GroupColumn& g) {
  const Vec floor = g.floor;
  const std::ptrdiff_t column = g.column;
  const float* const* rows = g.rows;
  float* dst = g.dst;
  for (int y = 0; y < g.count; ++y, rows += kStride, dst += g.dst_row) {
    // The weights are read again in every row: hoisted, they would push the accumulators out.
    const float* taps = opaque(g.taps);
    const Vec bias = load(taps + 9 * kBlock);
    Vec acc[kOutputs];
#pragma GCC unroll 16
    for (int i = 0; i < kOutputs; ++i) acc[i] = bias;
#pragma GCC unroll 3
    for (int ky = 0; ky < 3; ++ky) {
      const float* row = opaque(rows[ky] + column);
      const Vec w0 = load(taps + (3 * ky + 0) * kBlock);
      const Vec w1 = load(taps + (3 * ky + 1) * kBlock);
      const Vec w2 = load(taps + (3 * ky + 2) * kBlock);
      if constexpr (kStride == 1) {
#pragma GCC unroll 16
        for (int i = 0; i < kOutputs + 2; ++i) {
          const Vec x = in_register(load(row + i * kBlock));
          if (i < kOutputs) acc[i] = fma(x, w0, acc[i]);
          if (i >= 1 && i <= kOutputs) acc[i - 1] = fma(x, w1, acc[i - 1]);
          if (i >= 2) acc[i - 2] = fma(x, w2, acc[i - 2]);
        }
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < kOutputs; ++i) {
          const Vec even = in_register(load(row + 2 * i * kBlock));
          if (i > 0) acc[i - 1] = fma(even, w2, acc[i - 1]);
          acc[i] = fma(even, w0, acc[i]);
        }
        acc[kOutputs - 1] = fma(load(row + 2 * kOutputs * kBlock), w2, acc[kOutputs - 1]);
#pragma GCC unroll 16
        for (int i = 0; i < kOutputs; ++i) {
          acc[i] = fma(load(row + (2 * i + 1) * kBlock), w1, acc[i]);
        }
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kOutputs; ++i) store(dst + i * kBlock, max(floor, acc[i]));
  }
}

using Group = void (*)(const GroupColumn&);

template <int kStride>
constexpr Group kGroups[] = {
    nullptr,
    depthwise_group<kStride, 1>,
    depthwise_group<kStride, 2>,
    depthwise_group<kStride, 3>,
    depthwise_group<kStride, 4>,
    depthwise_group<kStride, 5>,
    depthwise_group<kStride, 6>,
    depthwise_group<kStride, 7>,
    depthwise_group<kStride, 8>,
#ifdef __AVX512F__
    depthwise_group<kStride, 9>,
    depthwise_group<kStride, 10>,
    depthwise_group<kStride, 11>,
    depthwise_group<kStride, 12>,
    depthwise_group<kStride, 13>,
    depthwise_group<kStride, 14>,
#endif
};

}  // namespace

void depthwise_rows(int stride, const float* const* rows, int count, const float* taps, float floor,
                    int width, float* dst) {
  const PixelGroups groups(width, kMaxOutputs);
  for (int lane = 0; lane < kBlock; lane += kLanes) {
    GroupColumn column{rows,
                       count,
                       lane,
                       taps + lane,
                       broadcast(floor),
                       dst + lane,
                       std::ptrdiff_t{width} * kBlock};
    for (int group = 0; group < groups.count; ++group) {
      const int outputs = groups.size(group);
      (stride == 1 ? kGroups<1> : kGroups<2>)[outputs](column);
      column.column += std::ptrdiff_t{outputs} * stride * kBlock;
      column.dst += outputs * kBlock;
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
