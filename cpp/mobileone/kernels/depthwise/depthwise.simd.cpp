#include "mobileone/kernels/depthwise/depthwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// Accumulators that leave registers for a row of the kernel's weights and a pixel. Fewer than
/// eight keep the multipliers waiting: two of them, with a latency of four cycles.
constexpr int max_outputs(int kernel) {
  if (kTraits.registers == 32) return 14;
  return kernel == 7 ? 8 : kernel == 5 ? 10 : 8;
}

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

// 3 x 3. Each input column is loaded once per row and feeds up to three accumulators.
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

// 5 x 5 and 7 x 7: a row of the kernel in registers, through which the input columns go one by one,
// each to up to kKernel accumulators. Kernel rows are a loop: unrolled, the code of a group would
// be larger than the instruction cache's share of it.
template <int kKernel, int kStride, int kOutputs>
__attribute__((noinline)) void depthwise_wide_group(const GroupColumn& g) {
  constexpr int kColumns = (kOutputs - 1) * kStride + kKernel;
  // One weight fewer where accumulators, weights and x would take the last register.
  constexpr int kHeld = kKernel - (kOutputs + kKernel + 1 == kTraits.registers);
  const std::ptrdiff_t column = g.column;
  const float* const* rows = g.rows;
  float* dst = g.dst;
  for (int y = 0; y < g.count; ++y, rows += kStride, dst += g.dst_row) {
    const float* taps = g.taps;
    const Vec bias = load(taps + kKernel * kKernel * kBlock);
    Vec acc[kOutputs];
#pragma GCC unroll 16
    for (int i = 0; i < kOutputs; ++i) acc[i] = bias;
    for (int ky = 0; ky < kKernel; ++ky, taps += kKernel * kBlock) {
      const float* row = opaque(rows[ky] + column);
      Vec w[kHeld];
#pragma GCC unroll 8
      for (int kx = 0; kx < kHeld; ++kx) w[kx] = in_register(load(taps + kx * kBlock));
#pragma GCC unroll 64
      for (int c = 0; c < kColumns; ++c) {
        const Vec x = in_register(load(row + c * kBlock));
#pragma GCC unroll 8
        for (int kx = 0; kx < kKernel; ++kx) {
          const int output = (c - kx) / kStride;
          if (c < kx || (c - kx) % kStride != 0 || output >= kOutputs) continue;
          if (kx < kHeld) {
            accumulate(acc[output], x, w[kx < kHeld ? kx : 0]);
          } else {
            accumulate(acc[output], x, reinterpret_cast<const Vec*>(taps + kx * kBlock));
          }
        }
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kOutputs; ++i) store(dst + i * kBlock, max(g.floor, acc[i]));
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

/// The instance, or the widest there is.
template <int kKernel, int kStride, int kOutputs>
constexpr Group kWideGroup =
    depthwise_wide_group<kKernel, kStride,
                         (kOutputs < max_outputs(kKernel) ? kOutputs : max_outputs(kKernel))>;

template <int kKernel, int kStride>
constexpr Group kWideGroups[] = {
    nullptr,
    kWideGroup<kKernel, kStride, 1>,
    kWideGroup<kKernel, kStride, 2>,
    kWideGroup<kKernel, kStride, 3>,
    kWideGroup<kKernel, kStride, 4>,
    kWideGroup<kKernel, kStride, 5>,
    kWideGroup<kKernel, kStride, 6>,
    kWideGroup<kKernel, kStride, 7>,
    kWideGroup<kKernel, kStride, 8>,
    kWideGroup<kKernel, kStride, 9>,
    kWideGroup<kKernel, kStride, 10>,
#ifdef __AVX512F__
    kWideGroup<kKernel, kStride, 11>,
    kWideGroup<kKernel, kStride, 12>,
    kWideGroup<kKernel, kStride, 13>,
    kWideGroup<kKernel, kStride, 14>,
#endif
};

/// The instances for a number of outputs up to max_outputs(kernel).
const Group* find_groups(int kernel, int stride) {
  if (kernel == 3) return stride == 1 ? kGroups<1> : kGroups<2>;
  if (kernel == 5) return stride == 1 ? kWideGroups<5, 1> : kWideGroups<5, 2>;
  return stride == 1 ? kWideGroups<7, 1> : kWideGroups<7, 2>;
}

}  // namespace

void depthwise_rows(const DepthwiseWindow& window, const float* const* rows, int count, int width,
                    float* dst) {
  const PixelGroups groups(width, max_outputs(window.kernel));
  const Group* run = find_groups(window.kernel, window.stride);
  for (int lane = 0; lane < kBlock; lane += kLanes) {
    GroupColumn column{rows,
                       count,
                       lane,
                       window.taps + lane,
                       broadcast(window.floor),
                       dst + lane,
                       std::ptrdiff_t{width} * kBlock};
    for (int group = 0; group < groups.count; ++group) {
      const int outputs = groups.size(group);
      run[outputs](column);
      column.column += std::ptrdiff_t{outputs} * window.stride * kBlock;
      column.dst += outputs * kBlock;
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
