#include "mobileone/kernels/block/inverted_residual.hpp"

#include "mobileone/kernels/conv/conv_run.hpp"
#include "mobileone/kernels/depthwise/depthwise.hpp"
#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/pointwise/pointwise.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// Expanded rows that the depthwise still needs: row y in slot y mod slots. Rows outside the map
// are the row of zeros.
class ExpandedRows {
 public:
  ExpandedRows(const InvertedResidualPlan& plan, float* storage)
      : plan_(plan), storage_(storage), zeros_(storage + plan.expand.n_blocks * plan.ring_block()) {
    const std::ptrdiff_t row = plan.ring_row();
    for (std::ptrdiff_t i = 0; i < row; i += kLanes) store(zeros_ + i, zero());
    float* slot = storage;
    for (int i = 0; i < plan.expand.n_blocks * plan.ring_slots(); ++i, slot += row) {
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        store(slot + lane, zero());
        store(slot + row - kBlock + lane, zero());
      }
    }
  }

  /// Row y of channel block `block` at its border pixel.
  float* row(int block, int y) const {
    if (y < 0 || y >= plan_.shape.height) return zeros_;
    return storage_ + block * plan_.ring_block() + y % plan_.ring_slots() * plan_.ring_row();
  }

 private:
  const InvertedResidualPlan& plan_;
  float* storage_;
  float* zeros_;
};

class InvertedResidual {
 public:
  InvertedResidual(const InvertedResidualPlan& plan, const InvertedResidualArgs& args)
      : plan_(plan),
        args_(args),
        t_(static_cast<float*>(args.scratch)),
        rows_(plan, t_ + plan.project.scratch_floats()),
        floor_(activation_floor(plan.shape.activation)) {}

  /// Expanded rows [begin, end) of one panel of channels, one pixel group after the other: the
  /// activation finds its operands in L1.
  void expand(const Panel& panel, int begin, int end, PrefetchStream& background) const {
    const InvertedResidualShape& shape = plan_.shape;
    const MapShape map = shape.src();
    const int vectors = panel.num_blocks * kBlock / kLanes;
    const bool silu = shape.activation == Activation::kSilu;  // others are the microkernel's floor
    PixelRun run;
    run.num_segments = 1;
    run.b = args_.packed + plan_.expand_offset() + plan_.expand.panel_offset(panel.first_block);
    run.row = args_.packed + panel.first_block * kBlock;
    run.floor = floor_;
    run.dst_block = plan_.ring_block();
    const PixelGroups groups(shape.width, max_pixels(vectors));
    for (int y = begin; y < end; ++y) {
      run.segments[0] = {args_.src + map.offset(0, y, 0), map.block_stride(), plan_.expand.k_blocks,
                         last_steps(shape.channels_in)};
      run.shift = 0;
      run.dst = rows_.row(panel.first_block, y) + kBlock;
      for (int group = 0; group < groups.count; ++group) {
        const std::ptrdiff_t floats = std::ptrdiff_t{groups.size(group)} * kBlock;
        run.prefetch =
            background.active() ? background.take(prefetch_floats(plan_.expand.k_blocks)) : run.b;
        find_conv_run(groups.size(group), vectors)(run);
        for (int block = 0; silu && block < panel.num_blocks; ++block) {
          silu_in_place(run.dst + block * run.dst_block, floats);
        }
        run.shift += floats;
        run.dst += floats;
      }
    }
  }

  /// The depthwise of output rows [row_begin, row_begin + count) of one channel block, into T.
  void depthwise(int block, int row_begin, int count) const {
    const InvertedResidualShape& shape = plan_.shape;
    constexpr int kMaxRows = 2 * InvertedResidualPlan::kMaxTileRows + 1;
    const float* rows[kMaxRows];
    const int first = row_begin * shape.stride - 1;
    for (int i = 0; i < (count - 1) * shape.stride + 3; ++i) rows[i] = rows_.row(block, first + i);
    float* t = t_ + std::ptrdiff_t{block} * plan_.project.pitch() * kBlock;
    depthwise_rows(shape.stride, rows, count,
                   args_.packed + plan_.taps_offset() + block * kDepthwiseFloats, floor_,
                   shape.out_width(), t);
    if (shape.activation != Activation::kSilu) return;
    // Whole rows at a time where it makes no difference in bits: SiLU pairs neighbours.
    const int step = shape.out_width() % 2 == 0 ? count : 1;
    const std::ptrdiff_t floats = std::ptrdiff_t{step} * shape.out_width() * kBlock;
    for (int y = 0; y < count; y += step, t += floats) {
      silu_in_place(t, floats);
    }
  }

  /// Projection of T to output rows [row_begin, row_begin + count), and the residual.
  void project(int row_begin, int count) const {
    const PointwisePlan& project_plan = plan_.project;
    const MapShape map = plan_.shape.dst();
    PointwiseTile tile;
    tile.scratch = t_;
    tile.pixels = count * plan_.shape.out_width();
    tile.packed = args_.packed + plan_.project_offset();
    tile.bias = args_.packed + plan_.bias_offset();
    tile.floor = kUnlimited;
    tile.dst = args_.dst + map.offset(0, row_begin, 0);
    tile.dst_block = map.block_stride();
    tile.panel_end = project_plan.num_panels();
    for (int block = 0; project_plan.strassen() && block < project_plan.k_blocks / 2; ++block) {
      sum_quarters(project_plan, tile, block);
    }
    pointwise(project_plan, tile);
    if (!plan_.shape.residual) return;
    for (int block = 0; block < project_plan.n_blocks; ++block) {
      for (int y = row_begin; y < row_begin + count; ++y) {
        const std::ptrdiff_t at = map.offset(block, y, 0);
        finish_in_place(Activation::kNone, args_.src + at, args_.dst + at,
                        std::ptrdiff_t{map.width} * kBlock);
      }
    }
  }

 private:
  const InvertedResidualPlan& plan_;
  const InvertedResidualArgs& args_;
  float* t_;
  ExpandedRows rows_;
  float floor_;
};

}  // namespace

void run_inverted_residual(const InvertedResidualPlan& plan, const InvertedResidualArgs& args,
                           int tile_begin, int tile_end) {
  const InvertedResidualShape& shape = plan.shape;
  fill_offsets(plan.project, shape.out_width(), shape.dst().row_stride(),
               static_cast<float*>(args.scratch));
  const InvertedResidual run(plan, args);
  PrefetchStream background =
      PrefetchStream::share(args.next_data, args.next_floats, tile_begin, tile_end, plan.tiles());
  int next_row = 0;  // first row of the input that has not been expanded
  for (int index = tile_begin; index < tile_end; ++index) {
    const int row_begin = index * plan.tile_rows;
    const int rows_left = shape.out_height() - row_begin;
    const int rows = rows_left < plan.tile_rows ? rows_left : plan.tile_rows;
    const int first = row_begin * shape.stride - 1;
    const int limit = first + (rows - 1) * shape.stride + 3;
    const int begin = next_row > first ? next_row : first;
    const int end = limit < shape.height ? limit : shape.height;
    for (int i = 0; i < plan.expand.num_panels(); ++i) {
      const Panel panel = plan.expand.panel(i);
      run.expand(panel, begin, end, background);
      for (int block = 0; block < panel.num_blocks; ++block) {
        run.depthwise(panel.first_block + block, row_begin, rows);
      }
    }
    next_row = end;
    run.project(row_begin, rows);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
