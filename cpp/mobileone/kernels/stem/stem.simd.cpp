#include "mobileone/kernels/stem/stem_rows.hpp"

#include <algorithm>

#include "mobileone/kernels/depthwise/depthwise.hpp"
#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/pointwise/pointwise.hpp"
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
    finish_stem_row(plan, panel, dst, dst_block);
  }
}

void finish_stem_row(const StemPlan& plan, const Panel& panel, float* dst,
                     std::ptrdiff_t dst_block) {
  const std::ptrdiff_t floats = std::ptrdiff_t{plan.out_width()} * kBlock;
  for (int block = panel.first_block; block < panel.first_block + panel.num_blocks; ++block) {
    float* const row = dst + block * dst_block;
    activate_in_place(plan.activation, row, floats);
    keep_padding_zero(plan.activation, plan.channels - block * kBlock, row, floats);
  }
}

namespace {

// Stem rows that the depthwise still needs: row y in slot y mod 4, and a slot of zeros for the rows
// outside the map. [blocks][5][width + 2][16].
class StemRing {
 public:
  StemRing(const StemBlockPlan& plan, float* storage) : plan_(plan), storage_(storage) {
    const std::ptrdiff_t row = plan.ring_row_floats();
    for (int block = 0; block < blocks(plan.stem.channels); ++block) {
      float* base = storage + block * plan.ring_block_floats();
      for (std::ptrdiff_t i = 0; i < row; i += kLanes) store(base + 4 * row + i, zero());
      for (int slot = 0; slot < 4; ++slot) {
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          store(base + slot * row + lane, zero());
          store(base + (slot + 1) * row - kBlock + lane, zero());
        }
      }
    }
  }

  /// Row y of channel block `block` at its border pixel.
  float* row(int block, int y) const {
    const int slot = y < 0 || y >= plan_.stem.out_height() ? 4 : y & 3;
    return storage_ + block * plan_.ring_block_floats() + slot * plan_.ring_row_floats();
  }

 private:
  const StemBlockPlan& plan_;
  float* storage_;
};

}  // namespace

void run_stem(const StemPlan& plan, const StemArgs& args, int row_begin, int row_end) {
  const MapShape map = plan.dst();
  const auto to = [&](int y) { return args.dst + map.offset(0, y, 0); };
  with_stem(plan, args.packed, args.image, static_cast<float*>(args.scratch),
            [&](auto& stem) { stem.make(row_begin, row_end, map.block_stride(), to); });
}

namespace {

/// Stem and block in one: rows of the stem go into a ring, from which the depthwise reads.
template <typename Stem>
class StemBlockRun {
 public:
  StemBlockRun(const StemBlockPlan& plan, const StemBlockArgs& args, Stem& stem, int tile_begin)
      : plan_(plan),
        args_(args),
        scratch_(static_cast<float*>(args.scratch)),
        stem_(stem),
        ring_(plan,
              scratch_ + plan.block.scratch_bytes() / sizeof(float) + plan.stem.scratch_floats()),
        first_(tile_begin) {
    const PointwisePlan& project = plan.block.project;
    const MapShape dst = plan.block.shape.dst();
    fill_offsets(project, dst.width, dst.row_stride(), scratch_);
    tile_.scratch = scratch_;
    tile_.packed = args.block_packed + plan.block.project_offset();
    tile_.bias = args.block_packed + plan.block.bias_offset();
    tile_.floor = epilogue_floor(plan.block.shape.project);
    tile_.dst_block = dst.block_stride();
    tile_.panel_end = project.num_panels();
    next_stem_row_ = 2 * plan.block.first_row(tile_begin) - 1;
    if (next_stem_row_ < 0) next_stem_row_ = 0;
  }

  void run(int index) {
    const PointwisePlan& project = plan_.block.project;
    const BlockShape& shape = plan_.block.shape;
    const MapShape dst = shape.dst();
    const int row_begin = plan_.block.first_row(index);
    const int row_end = plan_.block.first_row(index + 1);
    for (int y = row_begin; y < row_end; ++y) {
      fill_ring(2 * y + 1);
      for (int block = 0; block < project.k_blocks; ++block) depthwise(block, y, y - row_begin);
    }
    PrefetchStream next = PrefetchStream::rows(
        dst, args_.dst, row_end, plan_.block.first_row(std::min(index + 2, plan_.block.tiles())));
    tile_.background = &next;
    // The weights are few, and stay.
    if (index > first_) tile_.fetched = tile_.packed + project.packed_floats();
    tile_.pixels = (row_end - row_begin) * dst.width;
    tile_.dst = args_.dst + dst.offset(0, row_begin, 0);
    for (int block = 0; project.levels() == 1 && block < project.k_blocks / 2; ++block) {
      sum_quarters(project, tile_, block);
    }
    pointwise(project, tile_);
    finish_rows(shape.project, dst, {0, project.n_blocks, row_begin, row_end}, nullptr, args_.dst);
  }

 private:
  // The stem's rows up to `last`, of the two that are new: the ring has room for no more.
  void fill_ring(int last) {
    const int height = plan_.block.shape.height, end = last < height ? last + 1 : height;
    stem_.make(next_stem_row_, end, plan_.ring_block_floats(),
               [&](int y) { return ring_.row(0, y) + kBlock; });
    if (next_stem_row_ < end) next_stem_row_ = end;
  }

  // Output row y of one channel block, to row `row` of T.
  void depthwise(int block, int y, int row) const {
    const BlockShape& shape = plan_.block.shape;
    const std::ptrdiff_t floats = std::ptrdiff_t{shape.out_width()} * kBlock;
    const float* const rows[3] = {ring_.row(block, 2 * y - 1), ring_.row(block, 2 * y),
                                  ring_.row(block, 2 * y + 1)};
    const Activation activation = shape.depthwise_activation;
    const bool rounds = kTraits.per_lane > 1 && is_floor(activation);
    const DepthwiseWindow window{3, 2, args_.block_packed + block * depthwise_floats(3),
                                 activation_floor(activation), rounds};
    const std::ptrdiff_t pixel = std::ptrdiff_t{block} * plan_.block.project.pitch() +
                                 std::ptrdiff_t{row} * shape.out_width();
    float* const t = scratch_ + pixel * TileElement::kBlockLanes;
    const bool direct = kTraits.per_lane == 1 || rounds;
    float* const dst = direct ? t : scratch_ + plan_.block.wide_offset();
    depthwise_rows(window, rows, 1, shape.out_width(), dst);
    activate_in_place(activation, dst, floats);
    if (!direct) store_tile(dst, t, floats);
  }

  const StemBlockPlan& plan_;
  const StemBlockArgs& args_;
  float* scratch_;
  Stem& stem_;
  StemRing ring_;
  PointwiseTile tile_;
  int first_;  // tile
  int next_stem_row_ = 0;
};

}  // namespace

void run_stem_block(const StemBlockPlan& plan, const StemBlockArgs& args, int tile_begin,
                    int tile_end) {
  float* const scratch = static_cast<float*>(args.scratch);
  with_stem(plan.stem, args.stem_packed, args.image,
            scratch + plan.block.scratch_bytes() / sizeof(float), [&]<typename Stem>(Stem& stem) {
              StemBlockRun<Stem> run(plan, args, stem, tile_begin);
              for (int index = tile_begin; index < tile_end; ++index) run.run(index);
            });
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
