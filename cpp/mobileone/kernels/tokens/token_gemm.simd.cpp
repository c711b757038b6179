#include "mobileone/kernels/tokens/token_gemm.hpp"

#include "mobileone/kernels/simd/math.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// Every loop that indexes the accumulators is unrolled by force, as in microkernel.hpp.

template <int kRows, int kVectors, int kRowStep>
__attribute__((always_inline)) inline void multiply_row(Vec (&acc)[kRows][kVectors], const float* a,
                                                        const float* b) {
  Vec row[kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) row[v] = load(b + v * kLanes);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const Vec x = broadcast(a[r * kRowStep]);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) accumulate(acc[r][v], x, row[v]);
  }
}

// Functions of the sums while they are in registers: the next tile's products hide how long they
// take.
template <int kRows, int kVectors>
__attribute__((always_inline)) inline void store_silu(const Vec (&acc)[kRows][kVectors],
                                                      const TokenTile& t) {
  float* c = t.c;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r, c += t.c_step) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(c + v * kLanes, silu(acc[r][v]));
  }
}

template <int kRows, int kVectors>
__attribute__((always_inline)) inline void store_powers(const Vec (&acc)[kRows][kVectors],
                                                        const TokenTile& t) {
  Vec sum[kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) sum[v] = load(t.lanes + v * kLanes);
  float* c = t.c;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r, c += t.c_step) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const Vec power = exp2_saturating(acc[r][v]);
      sum[v] = add(sum[v], power);
      store(c + v * kLanes, power);
    }
  }
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) store(t.lanes + v * kLanes, sum[v]);
}

template <int kRows, int kVectors>
__attribute__((always_inline)) inline void finish_tile(Vec (&acc)[kRows][kVectors],
                                                       const TokenTile& t) {
  float* c = t.c;
  const std::ptrdiff_t step = t.c_step;
  if (t.finish == Finish::kAdd) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r, c += step) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        store(c + v * kLanes, add(acc[r][v], load(c + v * kLanes)));
      }
    }
    return;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r, c += step) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(c + v * kLanes, acc[r][v]);
  }
  if (t.finish == Finish::kMax) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      Vec most = load(t.lanes + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) most = max(most, acc[r][v]);
      store(t.lanes + v * kLanes, most);
    }
  }
}

// Weights are read front to back, one cache line or less per k: so far ahead they are fetched.
constexpr int kAhead = 1024;

template <int kRows, int kVectors, int kRowStep>
__attribute__((noinline)) void token_kernel(const TokenTile& t) {
  constexpr int kUnroll = 4;
  Vec acc[kRows][kVectors];
  if (t.bias != nullptr) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) acc[r][v] = broadcast(t.bias[r]);
    }
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) acc[r][v] = zero();
    }
  }
  const float* a = t.a;
  const float* b = t.b;
  const std::ptrdiff_t a_step = kRowStep == 1 ? t.a_step : 1;
  const std::ptrdiff_t b_step = t.b_step;
  int left = t.k;
  int segment = t.first_k;
  while (true) {
    int n = segment;
    for (; n >= kUnroll; n -= kUnroll) {
#pragma GCC unroll 4
      for (int k = 0; k < kUnroll; ++k) {
        if (kRowStep == 1) prefetch_l1(a + kAhead);
        multiply_row<kRows, kVectors, kRowStep>(acc, a, b);
        a += a_step;
        b += b_step;
      }
    }
    for (; n > 0; --n) {
      multiply_row<kRows, kVectors, kRowStep>(acc, a, b);
      a += a_step;
      b += b_step;
    }
    left -= segment;
    if (kRowStep == 1 || left <= 0) break;
    a += t.a_gap;
    segment = left < t.segment_k ? left : t.segment_k;
  }
  if constexpr (kRowStep == 1) {
    if (t.finish == Finish::kPower) return store_powers(acc, t);
    if (t.finish == Finish::kSilu) return store_silu(acc, t);
  }
  finish_tile(acc, t);
}

template <int kVectors, int kRowStep>
constexpr TokenKernel kInstances[kMaxRows] = {
    token_kernel<1, kVectors, kRowStep>,  token_kernel<2, kVectors, kRowStep>,
    token_kernel<3, kVectors, kRowStep>,  token_kernel<4, kVectors, kRowStep>,
    token_kernel<5, kVectors, kRowStep>,  token_kernel<6, kVectors, kRowStep>,
#ifdef __AVX512F__
    token_kernel<7, kVectors, kRowStep>,  token_kernel<8, kVectors, kRowStep>,
    token_kernel<9, kVectors, kRowStep>,  token_kernel<10, kVectors, kRowStep>,
    token_kernel<11, kVectors, kRowStep>, token_kernel<12, kVectors, kRowStep>,
    token_kernel<13, kVectors, kRowStep>, token_kernel<14, kVectors, kRowStep>,
#endif
};

}  // namespace

TokenKernel find_token_kernel(int rows, int vectors, Rows layout) {
  if (layout == Rows::kSide) {
    return vectors == 2 ? kInstances<2, 1>[rows - 1] : kInstances<1, 1>[rows - 1];
  }
  return vectors == 2 ? kInstances<2, kPanel>[rows - 1] : kInstances<1, kPanel>[rows - 1];
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
