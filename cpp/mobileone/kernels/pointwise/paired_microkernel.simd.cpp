// The microkernel for panels whose last block has eight columns, where vectors hold sixteen: that
// block's vectors hold two pixels, eight columns each (HalfBlock::kPairs). A pair costs one
// multiply-add and a blend of two broadcasts instead of two multiply-adds.
#include <algorithm>

#include "mobileone/kernels/pointwise/microkernel.hpp"
#include "mobileone/kernels/simd/instances.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

#ifdef __AVX512F__
namespace {

constexpr __mmask16 kLower = 0x00ff, kUpper = 0xff00;

/// The lower half of `low` beside the upper half of `high`.
inline Vec halves(Vec low, Vec high) { return _mm512_mask_blend_ps(kUpper, low, high); }
/// One half in lanes 0 to 7, zeros above.
inline Vec lower_half(Vec v) { return _mm512_maskz_mov_ps(kLower, v); }
inline Vec upper_half(Vec v) { return _mm512_maskz_shuffle_f32x4(kLower, v, v, 0xee); }

template <int kPixels, int kVectors>
struct Sums {
  static constexpr int kPairs = (kPixels + 1) / 2;
  Vec whole[kPixels][kVectors];
  Vec pairs[kPairs];
};

/// One k for all pixels, two by two; emit(pair) is called as soon as a pair is done.
template <int kPixels, int kVectors, typename Emit>
__attribute__((always_inline)) inline void multiply_pairs(Sums<kPixels, kVectors>& sums,
                                                          const float* pixels, const float* b,
                                                          const Emit& emit) {
  Vec column[kVectors + 1];
#pragma GCC unroll 4
  for (int v = 0; v <= kVectors; ++v) column[v] = load(b + v * kLanes);
#pragma GCC unroll 8
  for (int pair = 0; pair < Sums<kPixels, kVectors>::kPairs; ++pair) {
    const int p = 2 * pair;
    Vec both = broadcast(pixels[p * kBlock]);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) accumulate(sums.whole[p][v], both, column[v]);
    if (p + 1 < kPixels) {
      const Vec x = broadcast(pixels[(p + 1) * kBlock]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) accumulate(sums.whole[p + 1][v], x, column[v]);
      both = halves(both, x);
    }
    accumulate(sums.pairs[pair], both, column[kVectors]);
    emit(pair);
  }
}

/// Stores of a pair of pixels.
template <int kPixels, int kVectors>
struct PairWriter {
  const std::int32_t* offsets;
  float* dst;
  std::ptrdiff_t dst_block;
  Vec floor;

  __attribute__((always_inline)) void operator()(const Sums<kPixels, kVectors>& sums,
                                                 int pair) const {
    const Vec tail = max(floor, sums.pairs[pair]);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const int p = 2 * pair + i;
      if (p >= kPixels) break;
      float* const at = dst + offsets[p];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        store(at + v * dst_block, max(floor, sums.whole[p][v]));
      }
      store(at + kVectors * dst_block, i == 0 ? lower_half(tail) : upper_half(tail));
    }
  }
};

/// Adds the sums of all pixels, before the floor.
template <int kPixels, int kVectors>
__attribute__((always_inline)) inline void add_sums(const Sums<kPixels, kVectors>& sums,
                                                    float* out) {
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    Vec sum = load(out + v * kLanes);
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) sum = add(sum, sums.whole[p][v]);
    store(out + v * kLanes, sum);
  }
  Vec even = load(out + kVectors * kLanes), odd = zero();
#pragma GCC unroll 8
  for (int pair = 0; pair < Sums<kPixels, kVectors>::kPairs; ++pair) {
    even = add(even, lower_half(sums.pairs[pair]));
    if (2 * pair + 1 < kPixels) odd = add(odd, upper_half(sums.pairs[pair]));
  }
  store(out + kVectors * kLanes, add(even, odd));
}

template <int kPixels, int kVectors>
__attribute__((noinline)) void paired_microkernel(const Chain& chain) {
  constexpr int kWidth = (kVectors + 1) * kLanes;
  constexpr int kUnroll = 4;
  const auto nothing = [](int) {};
  Sums<kPixels, kVectors> sums;
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const Vec start = load(chain.row + v * kLanes);
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) sums.whole[p][v] = start;
  }
  const Vec tail = load(chain.row + kVectors * kLanes);
#pragma GCC unroll 8
  for (Vec& pair : sums.pairs) pair = _mm512_shuffle_f32x4(tail, tail, 0x44);
  const Link& link = chain.links[0];
  const float *a = link.a, *b = link.b, *pixels = a;
  const float* next = chain.prefetch;
  for (int block = chain.k_blocks; block > 0; --block, a += link.a_block) {
    pixels = a;
    // The last block's last unrolled step comes after the loop.
    for (int step = block == 1 ? 1 : 0; step < kBlock / kUnroll; ++step) {
      prefetch_l2(next);
      prefetch_l2(next + 16);
#pragma GCC unroll 4
      for (int k = 0; k < kUnroll; ++k) multiply_pairs(sums, pixels + k, b + k * kWidth, nothing);
      pixels += kUnroll;
      b += kUnroll * kWidth;
      next += 32;
    }
  }
#pragma GCC unroll 4
  for (int k = 0; k < kUnroll - 1; ++k) multiply_pairs(sums, pixels + k, b + k * kWidth, nothing);
  const Output& output = link.output;
  const PairWriter<kPixels, kVectors> write{output.offsets, output.dst, chain.dst_block,
                                            broadcast(chain.floor)};
  multiply_pairs(sums, pixels + kUnroll - 1, b + (kUnroll - 1) * kWidth,
                 [&](int pair) __attribute__((always_inline)) { write(sums, pair); });
  if (output.sums != nullptr) add_sums(sums, output.sums);
}

template <int kVectors>
constexpr auto kInstances = make_instances<Microkernel>([]<int kPixels>() -> Microkernel {
  return paired_microkernel<std::min(kPixels, max_paired_pixels(kVectors)), kVectors>;
});

}  // namespace

Microkernel find_paired_microkernel(int pixels, int vectors) {
  if constexpr (kTraits.per_lane > 1) {
    return nullptr;  // no plan of bfloat16 asks for one
  } else {
    return vectors == 1 ? kInstances<1>[pixels] : kInstances<2>[pixels];
  }
}
#else
Microkernel find_paired_microkernel(int, int) { return nullptr; }  // no plan asks for one
#endif

}  // namespace mobileone::kernels::MOBILEONE_ISA
