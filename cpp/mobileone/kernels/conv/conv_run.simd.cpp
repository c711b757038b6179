#include "mobileone/kernels/conv/conv_run.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// As microkernel(), over all segments with the same accumulators.
template <int kPixels, int kVectors, int kStep>
__attribute__((noinline)) void conv_run(const PixelRun& run) {
  constexpr int kWidth = kVectors * kLanes;
  constexpr int kUnroll = 4;
  const auto nothing = [](int) {};
  Vec acc[kPixels][kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const Vec bias = load(run.row + v * kLanes);
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) acc[p][v] = bias;
  }
  const float* b = run.b;
  const float* next = run.prefetch;
  const std::ptrdiff_t shift = run.shift;
  for (int index = 0; index < run.num_segments; ++index) {
    const Segment& segment = run.segments[index];
    const float* a = segment.a + shift;
    b += segment.b_skip;
    for (int block = segment.k_blocks; block > 0; --block, a += segment.a_block) {
      const float* pixels = a;
      const int steps = block > 1 ? kBlock / kUnroll : segment.last_steps;
      for (int step = 0; step < steps; ++step) {
        prefetch_l2(next);
        prefetch_l2(next + 16);
#pragma GCC unroll 4
        for (int k = 0; k < kUnroll; ++k) {
          multiply_column<Float32, kStep>(acc, pixels + k, b + k * kWidth, nothing);
        }
        pixels += kUnroll;
        b += kUnroll * kWidth;
        next += 32;
      }
    }
    b += (kBlock / kUnroll - segment.last_steps) * kUnroll * kWidth;
  }
  const Vec floor = broadcast(run.floor), ceiling = broadcast(run.ceiling);
  float* dst = run.dst;
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      store(dst + p * kBlock + vector_block(v) * run.dst_block + vector_lane(v),
            min(ceiling, max(floor, acc[p][v])));
    }
  }
}

template <int kVectors, int kStep>
constexpr ConvRun kInstances[] = {
    nullptr,
    conv_run<1, kVectors, kStep>,
    conv_run<2, kVectors, kStep>,
    conv_run<3, kVectors, kStep>,
    conv_run<4, kVectors, kStep>,
    conv_run<5, kVectors, kStep>,
    conv_run<6, kVectors, kStep>,
#ifdef __AVX512F__
    conv_run<7, kVectors, kStep>,
    conv_run<8, kVectors, kStep>,
#endif
};

#ifdef __AVX512F__
template <int kVectors, int kStep>
constexpr ConvRun kTallInstances[] = {
    conv_run<9, kVectors, kStep>,  conv_run<10, kVectors, kStep>, conv_run<11, kVectors, kStep>,
    conv_run<12, kVectors, kStep>, conv_run<13, kVectors, kStep>, conv_run<14, kVectors, kStep>,
};
#endif

template <int kStep>
ConvRun find(int pixels, int vectors) {
#ifdef __AVX512F__
  if (pixels >= 9) {
    return vectors == 1 ? kTallInstances<1, kStep>[pixels - 9]
                        : kTallInstances<2, kStep>[pixels - 9];
  }
  if (vectors == 1) return kInstances<1, kStep>[pixels];
  if (vectors == 3) return kInstances<3, kStep>[pixels];
#endif
  (void)vectors;
  return kInstances<2, kStep>[pixels];
}

}  // namespace

ConvRun find_conv_run(int pixels, int vectors, int step) {
  return step == 2 ? find<2>(pixels, vectors) : find<1>(pixels, vectors);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
