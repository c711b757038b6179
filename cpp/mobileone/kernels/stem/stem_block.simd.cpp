// A stem and the block after it, in one.
#include <algorithm>
#include <type_traits>

#include "mobileone/kernels/depthwise/depthwise.hpp"
#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/pointwise/pointwise.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"
#include "mobileone/kernels/stem/stem_strips.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
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

/// Rows of T from rows of the stem that are made one by one.
class RingDepthwise {
 public:
  RingDepthwise(const StemBlockPlan& plan, const StemBlockArgs& args, DirectStem& stem,
                int first_row)
      : plan_(plan),
        args_(args),
        scratch_(static_cast<float*>(args.scratch)),
        stem_(stem),
        ring_(plan, scratch_ + plan.rows_offset()),
        next_stem_row_(first_row > 0 ? 2 * first_row - 1 : 0) {}

  /// Output row y of all channel blocks, to row `row` of T.
  void make(int y, int row) {
    fill_ring(2 * y + 1);
    for (int block = 0; block < plan_.block.project.k_blocks; ++block) depthwise(block, y, row);
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
  DirectStem& stem_;
  StemRing ring_;
  int next_stem_row_;
};

/// Stem and block in one, from rows of T that `Rows` makes.
template <typename Rows>
class StemBlockRun {
 public:
  StemBlockRun(const StemBlockPlan& plan, const StemBlockArgs& args, Rows& rows, int first)
      : plan_(plan),
        args_(args),
        scratch_(static_cast<float*>(args.scratch)),
        rows_(rows),
        first_(first) {
    const PointwisePlan& project = plan.block.project;
    const MapShape dst = plan.block.shape.dst();
    fill_offsets(project, dst.width, dst.row_stride(), scratch_);
    tile_.scratch = scratch_;
    tile_.packed = args.block_packed + plan.block.project_offset();
    tile_.bias = args.block_packed + plan.block.bias_offset();
    tile_.floor = epilogue_floor(plan.block.shape.project);
    tile_.dst_block = dst.block_stride();
    tile_.panel_end = project.num_panels();
  }

  void run(int index) {
    const PointwisePlan& project = plan_.block.project;
    const BlockShape& shape = plan_.block.shape;
    const MapShape dst = shape.dst();
    const int row_begin = plan_.block.first_row(index);
    const int row_end = plan_.block.first_row(index + 1);
    for (int y = row_begin; y < row_end; ++y) rows_.make(y, y - row_begin);
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
  const StemBlockPlan& plan_;
  const StemBlockArgs& args_;
  float* scratch_;
  Rows& rows_;
  PointwiseTile tile_;
  int first_;  // tile
};

template <typename Rows, typename Stem>
void run_tiles(const StemBlockPlan& plan, const StemBlockArgs& args, Stem& stem, int begin,
               int end) {
  Rows rows(plan, args, stem, plan.block.first_row(begin));
  StemBlockRun<Rows> run(plan, args, rows, begin);
  for (int index = begin; index < end; ++index) run.run(index);
}

}  // namespace

void run_stem_block(const StemBlockPlan& plan, const StemBlockArgs& args, int tile_begin,
                    int tile_end) {
  if (tile_begin == tile_end) return;
  float* const own = static_cast<float*>(args.scratch) + plan.block.scratch_bytes() / sizeof(float);
  with_stem(plan.stem, args.stem_packed, args.image, own, [&]<typename Stem>(Stem& stem) {
    constexpr bool kDirect = std::is_same_v<Stem, DirectStem>;
    using Rows = std::conditional_t<kDirect, RingDepthwise, StemStrips>;
    run_tiles<Rows>(plan, args, stem, tile_begin, tile_end);
  });
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
