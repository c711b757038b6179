#include "mobileone/kernels/arch/conv_tile.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// One tap of one source: pixel i, channel 16 b + c at a[b * a_block + 16 i + c].
struct Segment {
  const float* a;
  std::ptrdiff_t a_block;
  int k_blocks;
};

constexpr int kMaxSegments = 18;  // nine taps of two sources

/// A run of neighbouring output pixels, for one panel.
struct PixelRun {
  Segment segments[kMaxSegments];
  int num_segments = 0;
  std::ptrdiff_t shift = 0;    // floats from a segment's first pixel to the run's
  const float* b = nullptr;    // [k][lanes * vectors], k through all segments
  const float* row = nullptr;  // bias
  const float* prefetch = nullptr;
  float floor = 0.0f;
  float* dst = nullptr;
  std::ptrdiff_t dst_block = 0;
};

// As microkernel(), over all segments with the same accumulators.
template <int kPixels, int kVectors>
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
    for (int block = segment.k_blocks; block > 0; --block, a += segment.a_block) {
      const float* pixels = a;
      for (int step = 0; step < kBlock / kUnroll; ++step) {
        prefetch_l2(next);
        prefetch_l2(next + 16);
#pragma GCC unroll 4
        for (int k = 0; k < kUnroll; ++k) {
          multiply_column(acc, pixels + k, b + k * kWidth, nothing);
        }
        pixels += kUnroll;
        b += kUnroll * kWidth;
        next += 32;
      }
    }
  }
  const Vec floor = broadcast(run.floor);
  float* dst = run.dst;
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      store(dst + p * kBlock + vector_block(v) * run.dst_block + vector_lane(v),
            max(floor, acc[p][v]));
    }
  }
}

using ConvRun = void (*)(const PixelRun&);

template <int kVectors>
constexpr ConvRun kInstances[] = {
    nullptr,
    conv_run<1, kVectors>,
    conv_run<2, kVectors>,
    conv_run<3, kVectors>,
    conv_run<4, kVectors>,
    conv_run<5, kVectors>,
    conv_run<6, kVectors>,
#ifdef __AVX512F__
    conv_run<7, kVectors>,
    conv_run<8, kVectors>,
#endif
};

#ifdef __AVX512F__
template <int kVectors>
constexpr ConvRun kTallInstances[] = {
    conv_run<9, kVectors>,  conv_run<10, kVectors>, conv_run<11, kVectors>,
    conv_run<12, kVectors>, conv_run<13, kVectors>, conv_run<14, kVectors>,
};
#endif

ConvRun find_conv_run(int pixels, int vectors) {
#ifdef __AVX512F__
  if (pixels >= 9) {
    return vectors == 1 ? kTallInstances<1>[pixels - 9] : kTallInstances<2>[pixels - 9];
  }
  if (vectors == 1) return kInstances<1>[pixels];
  if (vectors == 3) return kInstances<3>[pixels];
#endif
  (void)vectors;
  return kInstances<2>[pixels];
}

// Taps of output row `y` at x = 0, in the order of the packed weights.
void set_segments(const ConvTile& conv, int y, PixelRun& run) {
  const ConvShape& shape = conv.plan.shape;
  const MapShape maps[2] = {shape.src(), shape.src2()};
  const float* const sources[2] = {conv.args.src, conv.args.src2};
  const int reach = shape.kernel / 2;
  Segment* segment = run.segments;
  for (int ky = 0; ky < shape.kernel; ++ky) {
    for (int source = 0; source < (shape.channels_in2 > 0 ? 2 : 1); ++source) {
      const MapShape& map = maps[source];
      const float* row = sources[source] + map.offset(0, y + ky - reach, -reach);
      for (int kx = 0; kx < shape.kernel; ++kx, row += kBlock) {
        *segment++ = {row, map.block_stride(), blocks(map.channels)};
      }
    }
  }
  run.num_segments = static_cast<int>(segment - run.segments);
}

}  // namespace

void multiply_rows(const ConvTile& conv, const PointwiseTile& operands, const Panel& panel,
                   PrefetchStream* stream) {
  const ConvShape& shape = conv.plan.shape;
  const MapShape map = shape.dst();
  const int vectors = panel.num_blocks * kBlock / kLanes;
  PixelRun run;
  run.b = operands.packed + conv.plan.pointwise.panel_offset(panel.first_block);
  run.row = operands.bias + panel.first_block * kBlock;
  run.floor = operands.floor;
  run.dst_block = map.block_stride();
  const PixelGroups groups(shape.width, max_pixels(vectors));
  for (int y = conv.row_begin; y < conv.row_begin + conv.rows; ++y) {
    set_segments(conv, y, run);
    run.dst = conv.args.dst + map.offset(panel.first_block, y, 0);
    run.shift = 0;
    for (int group = 0; group < groups.count; ++group) {
      const int pixels = groups.size(group);
      run.prefetch = stream != nullptr && stream->active()
                         ? stream->take(prefetch_floats(shape.k_blocks()))
                         : run.b;
      find_conv_run(pixels, vectors)(run);
      run.shift += pixels * kBlock;
      run.dst += pixels * kBlock;
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
