// The matrix-multiplication microkernel under every pointwise convolution:
//   C[pixel][n] = sum_k A[pixel][k] * B[k][n]   for up to 14 pixels x 2 vectors of n (AVX-512).
#pragma once

#include "mobileone/kernels/arch/simd.hpp"
#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// What the accumulators become after the product.
enum class Finish {
  kOutput,        // dst = max(floor, acc + bias)
  kPartial,       // partial = acc
  kOutputAndAdd,  // dst = max(floor, acc + other + bias), partial += acc
};

/// Operands of one microkernel call. Strides are in floats.
struct Product {
  const float* a = nullptr;  // pixel i, channel 16 b + c at a[b * a_block + 16 i + c]
  std::ptrdiff_t a_block = 0;
  const float* b = nullptr;      // panel [k][lanes * vectors]
  const float* prefetch = nullptr;  // prefetch_floats(k_blocks) from here are brought into L2
  int k_blocks = 0;                 // k / 16
  const float* start = nullptr;  // initial accumulators [pixel][lanes * vectors], or null: zero
  Finish finish = Finish::kOutput;
  float* partial = nullptr;      // [pixel][lanes * vectors]
  const float* other = nullptr;  // [pixel][lanes * vectors]
  const float* bias = nullptr;   // [lanes * vectors]
  float floor = 0.0f;            // 0: ReLU, -infinity: none
  float* dst = nullptr;          // pixel i at dst + offsets[i], channel block b at + b * dst_block
  const std::int32_t* offsets = nullptr;
  std::ptrdiff_t dst_block = 0;
  float* sums = nullptr;  // if set, += sum over pixels of (acc + bias), before the floor
};

/// What one call prefetches: two cache lines per four k, a quarter of a 32-column panel.
constexpr std::ptrdiff_t prefetch_floats(int k_blocks) { return std::ptrdiff_t{k_blocks} * 4 * 32; }

/// Position of vector v of a panel inside the destination's 16-channel blocks.
constexpr int vector_block(int v) { return v * kLanes / kBlock; }
constexpr int vector_lane(int v) { return v * kLanes % kBlock; }

// Every loop that indexes the accumulators is unrolled by force: one that is not makes GCC keep the
// whole array on the stack.
template <int kPixels, int kVectors>
__attribute__((noinline)) void microkernel(const Product& g) {
  constexpr int kWidth = kVectors * kLanes;
  Vec acc[kPixels][kVectors];
  if (g.start != nullptr) {
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) acc[p][v] = load(g.start + p * kWidth + v * kLanes);
    }
  } else {
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) acc[p][v] = zero();
    }
  }
  const float* a = g.a;
  const float* b = g.b;
  const float* next = g.prefetch;
  for (int block = g.k_blocks; block > 0; --block, a += g.a_block) {
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
          for (int v = 0; v < kVectors; ++v) acc[p][v] = fma(x, column[v], acc[p][v]);
        }
      }
    }
  }
  if (g.finish == Finish::kPartial) {
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) store(g.partial + p * kWidth + v * kLanes, acc[p][v]);
    }
    return;
  }
  if (g.finish == Finish::kOutputAndAdd) {
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        float* partial = g.partial + p * kWidth + v * kLanes;
        store(partial, add(load(partial), acc[p][v]));
        acc[p][v] = add(acc[p][v], load(g.other + p * kWidth + v * kLanes));
      }
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const Vec bias = load(g.bias + v * kLanes);
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) acc[p][v] = add(acc[p][v], bias);
  }
  if (g.sums != nullptr) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      Vec sum = load(g.sums + v * kLanes);
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) sum = add(sum, acc[p][v]);
      store(g.sums + v * kLanes, sum);
    }
  }
  const Vec floor = broadcast(g.floor);
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
    float* dst = g.dst + g.offsets[p];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      store(dst + vector_block(v) * g.dst_block + vector_lane(v), max(floor, acc[p][v]));
    }
  }
}

using Microkernel = void (*)(const Product&);

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
