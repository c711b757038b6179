#include "mobileone/kernels/stem/stem_rows.hpp"

#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/pointwise/microkernel.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// Of float32 three products are a row of taps, rows[3 ky + channel], a padded image row, and
// neighbouring pixels' first taps lie two columns apart; of bfloat16 products have rows of pairs.
constexpr bool kPairs = kTraits.per_lane > 1;
constexpr int kPixelFloats = kPairs ? 1 : 2;
constexpr int kProducts = kPairs ? kStemPairs : kStemTaps;

// The microkernel over all products, for the pixels from output column `x` on. Neighbouring pixels
// share a broadcast (kx = 2 of one is kx = 0 of the next): the opaque pointer keeps GCC from
// holding on to it, for which there is no register.
template <int kPixels, int kVectors>
__attribute__((noinline)) void stem_group(const float* const* rows, int x, const float* b,
                                          const float* bias, float floor, float* dst,
                                          std::ptrdiff_t dst_block) {
  constexpr int kWidth = kVectors * kLanes;
  constexpr int kLastTriple = kProducts / 3 - 1;
  Vec acc[kPixels][kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const Vec start = load(bias + v * kLanes);
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) acc[p][v] = start;
  }
  const auto product = [&](int triple, int i, const auto& emit) __attribute__((always_inline)) {
    const float* pixels = kPairs ? rows[3 * triple + i] : rows[triple] + i;
    pixels = opaque(pixels + kPixelFloats * x);
    Vec w[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) w[v] = load(b + i * kWidth + v * kLanes);
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) {
      const Vec value = broadcast(pixels[kPixelFloats * p]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) TileElement::accumulate(acc[p][v], value, w[v]);
      emit(p);
    }
  };
  const auto nothing = [](int) {};
  for (int triple = 0; triple < kLastTriple; ++triple, b += 3 * kWidth) {
    product(triple, 0, nothing);
    product(triple, 1, nothing);
    product(triple, 2, nothing);
  }
  product(kLastTriple, 0, nothing);
  product(kLastTriple, 1, nothing);
  const Vec low = broadcast(floor);
  product(kLastTriple, 2, [&](int p) __attribute__((always_inline)) {  // as in multiply_column
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      store(dst + vector_block(v) * dst_block + vector_lane(v) + p * kBlock, max(low, acc[p][v]));
    }
  });
}

using StemKernel = void (*)(const float* const*, int, const float*, const float*, float, float*,
                            std::ptrdiff_t);
template <int kVectors>
constexpr StemKernel kInstances[] = {
    nullptr,
    stem_group<1, kVectors>,
    stem_group<2, kVectors>,
    stem_group<3, kVectors>,
    stem_group<4, kVectors>,
    stem_group<5, kVectors>,
    stem_group<6, kVectors>,
#ifdef __AVX512F__
    stem_group<7, kVectors>,
    stem_group<8, kVectors>,
#endif
};
#ifdef __AVX512F__
template <int kVectors>
constexpr StemKernel kTallInstances[] = {
    stem_group<9, kVectors>,  stem_group<10, kVectors>, stem_group<11, kVectors>,
    stem_group<12, kVectors>, stem_group<13, kVectors>, stem_group<14, kVectors>,
};
#endif

StemKernel find_stem_kernel(int pixels, int vectors) {
#ifdef __AVX512F__
  if (pixels >= 9)
    return vectors == 1 ? kTallInstances<1>[pixels - 9] : kTallInstances<2>[pixels - 9];
  if (vectors == 1) return kInstances<1>[pixels];
  if (vectors == 3) return kInstances<3>[pixels];
#endif
  (void)vectors;
  return kInstances<2>[pixels];
}

}  // namespace

void stem_row(const StemPlan& plan, const float* packed, const float* const rows[StemRows::kRows],
              float* dst, std::ptrdiff_t dst_block) {
  const float floor = activation_floor(plan.activation);
  const PointwisePlan panels = plan.panels();
  const float* weights = packed + padded(plan.channels);
  const int width = plan.out_width();
  const int count = panels.num_panels();
  for (int index = 0; index < count; ++index) {
    const Panel panel = panels.panel(index);
    const int vectors = panel.num_blocks * kBlock / kLanes;
    const int column = panel.first_block * kBlock;
    const PixelGroups groups(width, max_pixels(vectors));
    int x = 0;
    for (int group = 0; group < groups.count; ++group) {
      find_stem_kernel(groups.size(group), vectors)(
          rows, x, weights + std::ptrdiff_t{column} * kProducts, packed + column, floor,
          dst + panel.first_block * dst_block + x * kBlock, dst_block);
      x += groups.size(group);
    }
    finish_stem_pixels(plan, panel, width, dst, dst_block);
  }
}

void finish_stem_pixels(const StemPlan& plan, const Panel& panel, int pixels, float* dst,
                        std::ptrdiff_t dst_block) {
  const std::ptrdiff_t floats = std::ptrdiff_t{pixels} * kBlock;
  for (int block = panel.first_block; block < panel.first_block + panel.num_blocks; ++block) {
    float* const row = dst + block * dst_block;
    activate_in_place(plan.activation, row, floats);
    keep_padding_zero(plan.activation, plan.channels - block * kBlock, row, floats);
  }
}

void run_stem(const StemPlan& plan, const StemArgs& args, int row_begin, int row_end) {
  const MapShape map = plan.dst();
  const auto to = [&](int y) { return args.dst + map.offset(0, y, 0); };
  with_stem(plan, args.packed, args.image, static_cast<float*>(args.scratch),
            [&](auto& stem) { stem.make(row_begin, row_end, map.block_stride(), to); });
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
