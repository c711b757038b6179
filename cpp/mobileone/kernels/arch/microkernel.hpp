// The matrix-multiplication microkernel under every pointwise convolution:
//   C[pixel][n] = sum_k A[pixel][k] * B[k][n]   for up to 14 pixels x 2 vectors of n (AVX-512).
// It runs a chain of such products on the same accumulators, which is what Strassen's algorithm
// needs; a direct convolution is a chain of one.
#pragma once

#include "mobileone/kernels/arch/simd.hpp"
#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Where a finished sum goes: dst[offsets[pixel] + block * dst_block] = max(floor, sum).
struct Output {
  float* dst = nullptr;
  const std::int32_t* offsets = nullptr;
  float* sums = nullptr;  // if set, += the sums of all pixels, before the floor: [lanes * vectors]
  bool skip_first = false;  // the first pixel does not enter the sums
};

/// What happens after a link's product; the accumulators live on into the next link.
enum class After {
  kStore,      // partial = acc
  kOutput,     // output(acc)
  kOutputAdd,  // output(acc + other), then acc += addend
};

/// acc += A * B, then `after`. Strides are in floats; partials are [pixel][lanes * vectors].
struct Link {
  const float* a = nullptr;  // pixel i, channel 16 b + c at a[b * a_block + 16 i + c]
  std::ptrdiff_t a_block = 0;
  const float* b = nullptr;  // panel [k][lanes * vectors]
  After after = After::kOutput;
  float* partial = nullptr;
  Output output;
};

struct Chain {
  Link links[3];
  int num_links = 1;
  int k_blocks = 0;              // k / 16 of every link
  const float* row = nullptr;    // initial accumulators of every pixel (a bias), or else
  const float* start = nullptr;  // initial accumulators, [pixel][lanes * vectors]
  const float* other = nullptr;  // for After::kOutputAdd
  const float* addend = nullptr;
  const float* prefetch = nullptr;  // prefetch_floats(num_links * k_blocks) are brought into L2
  float floor = 0.0f;               // 0: ReLU, -infinity: none
  std::ptrdiff_t dst_block = 0;
};

/// What a chain of `k_blocks` prefetches: two cache lines per four k, a quarter of a 32-column
/// panel.
constexpr std::ptrdiff_t prefetch_floats(int k_blocks) { return std::ptrdiff_t{k_blocks} * 4 * 32; }

/// Position of vector v of a panel inside the destination's 16-channel blocks.
constexpr int vector_block(int v) { return v * kLanes / kBlock; }
constexpr int vector_lane(int v) { return v * kLanes % kBlock; }

// Every loop that indexes the accumulators is unrolled by force: one that is not makes GCC keep the
// whole array on the stack. Vector stores may alias anything, so what they could change is copied
// out of the structs first.
template <bool kAdd, int kPixels, int kVectors>
__attribute__((always_inline)) inline void write_output(const Vec (&acc)[kPixels][kVectors],
                                                        const Output& output, const Chain& chain) {
  const float* const other = chain.other;
  const auto value = [&](int p, int v) __attribute__((always_inline)) {
    return kAdd ? add(acc[p][v], load(other + (p * kVectors + v) * kLanes)) : acc[p][v];
  };
  const std::int32_t* offsets = output.offsets;
  float* const base = output.dst;
  float* const sums = output.sums;
  const std::ptrdiff_t dst_block = chain.dst_block;
  const Vec floor = broadcast(chain.floor);
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
    float* dst = base + offsets[p];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      store(dst + vector_block(v) * dst_block + vector_lane(v), max(floor, value(p, v)));
    }
  }
  if (sums == nullptr) return;
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    Vec sum = load(sums + v * kLanes);
    if (!output.skip_first) sum = add(sum, value(0, v));
#pragma GCC unroll 16
    for (int p = 1; p < kPixels; ++p) sum = add(sum, value(p, v));
    store(sums + v * kLanes, sum);
  }
}

template <int kPixels, int kVectors>
__attribute__((noinline)) void microkernel(const Chain& chain) {
  constexpr int kWidth = kVectors * kLanes;
  Vec acc[kPixels][kVectors];
  const float* start = chain.row != nullptr ? chain.row : chain.start;
  const std::ptrdiff_t start_stride = chain.row != nullptr ? 0 : kWidth;
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p, start += start_stride) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[p][v] = load(start + v * kLanes);
  }
  const float* next = chain.prefetch;
  for (int index = 0; index < chain.num_links; ++index) {
    const Link& link = chain.links[index];
    const float* a = link.a;
    const float* b = link.b;
    for (int block = chain.k_blocks; block > 0; --block, a += link.a_block) {
      const float* pixel = a;
      for (int quarter = 0; quarter < 4; ++quarter, pixel += 4, b += 4 * kWidth, next += 32) {
        prefetch_l2(next);
        prefetch_l2(next + 16);
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) {
          Vec column[kVectors];
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v) column[v] = load(b + k * kWidth + v * kLanes);
#pragma GCC unroll 16
          for (int p = 0; p < kPixels; ++p) {
            const Vec x = broadcast(pixel[p * kBlock + k]);
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) accumulate(acc[p][v], x, column[v]);
          }
        }
      }
    }
    if (link.after == After::kStore) {
      float* const partial = link.partial;
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) store(partial + p * kWidth + v * kLanes, acc[p][v]);
      }
    } else if (link.after == After::kOutput) {
      write_output<false>(acc, link.output, chain);
    } else {
      write_output<true>(acc, link.output, chain);
      const float* const addend = chain.addend;
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          acc[p][v] = add(acc[p][v], load(addend + p * kWidth + v * kLanes));
        }
      }
    }
  }
}

using Microkernel = void (*)(const Chain&);

/// Widest pixel group for a panel of `vectors` vectors: accumulators + B vectors + 1 fit the
/// registers.
constexpr int max_pixels(int vectors) {
  if constexpr (kLanes == 16) return vectors == 3 ? 9 : 14;
  return 6;
}

/// The instance for `pixels` x `vectors` (1 <= pixels <= max_pixels(vectors)).
Microkernel find_microkernel(int pixels, int vectors);

/// A partition of `total` pixels into as few groups of at most `widest` as possible, sizes
/// within 1.
struct PixelGroups {
  int count, small, num_large;
  constexpr PixelGroups(int total, int widest)
      : count((total + widest - 1) / widest), small(total / count), num_large(total % count) {}
  constexpr int size(int group) const { return group < num_large ? small + 1 : small; }
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
