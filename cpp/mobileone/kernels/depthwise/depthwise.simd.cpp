#include "mobileone/kernels/depthwise/depthwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// Accumulators that leave registers for a row of the kernel's weights and a pixel. Fewer than
/// eight keep the multipliers waiting: two of them, with a latency of four cycles.
constexpr int max_outputs(int kernel) {
  if (kTraits.registers == 32) return 14;
  return kernel == 5 ? 10 : kernel <= 7 ? 8 : 13 - kernel;
}

/// A column of groups: the same `kOutputs` output columns of consecutive rows.
struct GroupColumn {
  const float* const* rows;
  int count;              // output rows
  std::ptrdiff_t column;  // of the group's first input pixel, in floats
  const float* taps;
  Vec floor, ceiling;
  float most;  // the ceiling: kernels from 5 x 5 on have no register to ask for it
  float* dst;
  std::ptrdiff_t dst_row;  // floats from one output row to the next
};

/// Without a ceiling nothing is spent on one.
template <int kOutputs>
__attribute__((always_inline)) inline void apply_ceiling(Vec (&acc)[kOutputs], float most) {
  if (most == __builtin_inff()) return;
  const Vec ceiling = broadcast(most);
#pragma GCC unroll 16
  for (int i = 0; i < kOutputs; ++i) acc[i] = min(ceiling, acc[i]);
}

/// Output i of a group.
template <bool kRounds>
__attribute__((always_inline)) inline void put(float* dst, int i, Vec v) {
  if constexpr (kRounds) {
    store_bfloat16(dst + i * Bfloat16::kBlockLanes, v);
  } else {
    store(dst + i * kBlock, v);
  }
}

// 3 x 3. Each input column is loaded once per row and feeds up to three accumulators.
template <int kStride, bool kRounds, int kOutputs>
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
    apply_ceiling(acc, g.most);
#pragma GCC unroll 16
    for (int i = 0; i < kOutputs; ++i) put<kRounds>(dst, i, max(floor, acc[i]));
  }
}

// 5 x 5 to 11 x 11: a row of the kernel in registers, through which the input columns go one by
// one, each to up to kKernel accumulators. Kernel rows are a loop: unrolled, the code of a group
// would be larger than the instruction cache's share of it.
template <int kKernel, int kStride, bool kRounds, int kOutputs>
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
#pragma GCC unroll 12
      for (int kx = 0; kx < kHeld; ++kx) w[kx] = in_register(load(taps + kx * kBlock));
#pragma GCC unroll 64
      for (int c = 0; c < kColumns; ++c) {
        const Vec x = in_register(load(row + c * kBlock));
#pragma GCC unroll 12
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
    for (int i = 0; i < kOutputs; ++i) put<kRounds>(dst, i, min(g.ceiling, max(g.floor, acc[i])));
  }
}

using Group = void (*)(const GroupColumn&);

/// The instance, or the widest there is.
template <int kKernel, int kStride, bool kRounds, int kOutputs>
constexpr Group group() {
  constexpr int kWidest = max_outputs(kKernel);
  constexpr int kNumber = kOutputs < kWidest ? kOutputs : kWidest;
  if constexpr (kKernel == 3) {
    return depthwise_group<kStride, kRounds, kNumber>;
  } else {
    return depthwise_wide_group<kKernel, kStride, kRounds, kNumber>;
  }
}

template <int kKernel, int kStride, bool kRounds>
constexpr Group kGroups[] = {
    nullptr,
    group<kKernel, kStride, kRounds, 1>(),
    group<kKernel, kStride, kRounds, 2>(),
    group<kKernel, kStride, kRounds, 3>(),
    group<kKernel, kStride, kRounds, 4>(),
    group<kKernel, kStride, kRounds, 5>(),
    group<kKernel, kStride, kRounds, 6>(),
    group<kKernel, kStride, kRounds, 7>(),
    group<kKernel, kStride, kRounds, 8>(),
    group<kKernel, kStride, kRounds, 9>(),
    group<kKernel, kStride, kRounds, 10>(),
    group<kKernel, kStride, kRounds, 11>(),
    group<kKernel, kStride, kRounds, 12>(),
    group<kKernel, kStride, kRounds, 13>(),
    group<kKernel, kStride, kRounds, 14>(),
};

template <bool kRounds>
const Group* groups_of(int kernel, int stride) {
  if (kernel == 3) return stride == 1 ? kGroups<3, 1, kRounds> : kGroups<3, 2, kRounds>;
  if (kernel == 5) return stride == 1 ? kGroups<5, 1, kRounds> : kGroups<5, 2, kRounds>;
  if constexpr (!kRounds) {  // not of blocks
    if (kernel == 9) return stride == 1 ? kGroups<9, 1, false> : kGroups<9, 2, false>;
    if (kernel == 11) return stride == 1 ? kGroups<11, 1, false> : kGroups<11, 2, false>;
  }
  return stride == 1 ? kGroups<7, 1, kRounds> : kGroups<7, 2, kRounds>;
}

/// The instances for a number of outputs up to max_outputs(kernel).
const Group* find_groups(const DepthwiseWindow& window) {
  if constexpr (kTraits.per_lane > 1) {
    if (window.rounds) return groups_of<true>(window.kernel, window.stride);
  }
  return groups_of<false>(window.kernel, window.stride);
}

}  // namespace

void depthwise_rows(const DepthwiseWindow& window, const float* const* rows, int count, int width,
                    float* dst) {
  const PixelGroups groups(width, max_outputs(window.kernel));
  const Group* run = find_groups(window);
  const int per_float = window.rounds ? kTraits.per_lane : 1;
  const std::ptrdiff_t dst_row =
      window.dst_row != 0 ? window.dst_row : std::ptrdiff_t{width} * kBlock / per_float;
  for (int lane = 0; lane < kBlock; lane += kLanes) {
    GroupColumn column{rows,
                       count,
                       lane,
                       window.taps + lane,
                       broadcast(window.floor),
                       broadcast(window.ceiling),
                       window.ceiling,
                       dst + lane / per_float,
                       dst_row};
    for (int group = 0; group < groups.count; ++group) {
      const int outputs = groups.size(group);
      run[outputs](column);
      column.column += std::ptrdiff_t{outputs} * window.stride * kBlock;
      column.dst += outputs * kBlock / per_float;
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
