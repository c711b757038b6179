#include "mobileone/kernels/block/block_tile.hpp"
#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// The weights that are read first after this tile: the next step's, or this one's again.
PrefetchStream first_weights(const BlockPlan& plan, const BlockArgs& args, int unit_begin,
                             int unit_end, bool last) {
  if (last) {
    return PrefetchStream::share(args.next_panel, args.next_panel_floats, unit_begin, unit_end,
                                 plan.units());
  }
  if (plan.weights_stay) return {};
  return {args.packed + plan.project_offset(), args.packed + plan.first_floats()};
}

/// One call: units of one image.
class BlockRun {
 public:
  BlockRun(const BlockPlan& plan, const BlockArgs& args, RowRing* ring, const float* taps,
           const PrefetchStream& background)
      : plan_(plan),
        args_(args),
        scratch_(static_cast<float*>(args.scratch)),
        ring_(ring),
        depthwise_(plan, args.src, taps, ring, scratch_),
        background_(background) {
    if (args.excite != nullptr) {
      excite_ = {args.excite->packed, args.excite->packed + args.excite->packed_floats()};
    }
    tile_.scratch = scratch_;
    tile_.packed = args.packed + plan.project_offset();
    tile_.bias = args.packed + plan.bias_offset();
    tile_.floor = epilogue_floor(plan.shape.project);
    tile_.dst_block = plan.shape.dst().block_stride();
    tile_.sums = args.dst_sums;
  }

  /// Panels [panel_begin, panel_end) of tile `index`; `last` of this call.
  void run(int index, int panel_begin, int panel_end, bool last, PrefetchStream& late) {
    PrefetchStream source = last ? PrefetchStream{} : source_after(index);
    tile_.background = source.active() && !background_.active() ? &source : &background_;
    const int row_begin = plan_.first_row(index);
    const int rows = plan_.first_row(index + 1) - row_begin;
    tile_.dst = args_.dst + plan_.shape.dst().offset(0, row_begin, 0);
    tile_.fetched = plan_.weights_stay && index > 0 ? tile_.packed + plan_.project.packed_floats()
                                                    : args_.packed + args_.fetched_floats;
    tile_.panel_begin = panel_begin;
    tile_.panel_end = panel_end;
    tile_.pixel_begin = 0;
    tile_.pixels = rows * plan_.shape.out_width();
    if (!plan_.shape.has_depthwise()) {
      fill_without_depthwise(row_begin, row_begin + rows);
    } else if (plan_.shape.expands()) {
      fill_from_expansion(row_begin, row_begin + rows);
    } else {
      fill_by_blocks(row_begin, row_begin + rows);
    }
    if (plan_.shape.excites()) apply_excite();
    project(row_begin, rows, late);
  }

 private:
  // What the tile after `index` reads of the source and this one does not: where the map does not
  // stay in L2, its depthwise would wait for it.
  PrefetchStream source_after(int index) const {
    const BlockShape& shape = plan_.shape;
    if (shape.expands() || index + 1 >= plan_.tiles()) return {};
    const auto limit = [&](int tile) {
      const int row = (plan_.first_row(tile) - 1) * shape.stride + shape.reach() + 1;
      return row < shape.height ? row : shape.height;
    };
    return PrefetchStream::rows(shape.src(), args_.src, limit(index + 1), limit(index + 2));
  }

  // Blocks in one half of K, whose sums Strassen's algorithm needs while they are in L1; the direct
  // one needs none. A squeeze-and-excite changes them first.
  int summed_blocks() const {
    return plan_.project.levels() == 1 && !plan_.shape.excites() ? plan_.project.k_blocks / 2 : 0;
  }

  // Of all blocks at once, where they are not made half by half.
  void sum_tile() const {
    for (int block = 0; block < summed_blocks(); ++block) {
      sum_quarters(plan_.project, tile_, block);
    }
  }

  void fill_by_blocks(int begin, int end) {
    const auto fill = [&](int block) {
      if (ring_ != nullptr) return fill_through_ring({block, 1}, begin, end);
      depthwise_.run(block, begin, end, begin);
      if (plan_.shape.excites()) depthwise_.add_map(block);
    };
    const int half = summed_blocks();
    for (int block = 0; block < half; ++block) {
      fill(block);
      fill(block + half);
      sum_quarters(plan_.project, tile_, block);
    }
    for (int block = 2 * half; block < plan_.project.k_blocks; ++block) fill(block);
  }

  void fill_without_depthwise(int begin, int end) {
    for (int i = 0; i < plan_.expand.num_panels(); ++i) {
      expand_into_tile(plan_, args_, plan_.expand.panel(i), begin, end, background_);
    }
    sum_tile();
  }

  // The ring is this panel's alone.
  void fill_through_ring(const Panel& panel, int begin, int end) {
    next_row_ = 0;
    ring_->start(panel.first_block);
    for_steps(begin, end, [&](const Rows& rows) { fill_panel(panel, begin, rows); });
  }

  void fill_from_expansion(int begin, int end) {
    const int panels = plan_.expand.num_panels();
    if (!plan_.ring_holds_all()) {
      for (int i = 0; i < panels; ++i) fill_through_ring(plan_.expand.panel(i), begin, end);
      return;
    }
    for_steps(begin, end, [&](const Rows& rows) {
      for (int i = 0; i < panels; ++i) fill_panel(plan_.expand.panel(i), begin, rows);
    });
    sum_tile();
  }

  /// Output rows, and the input rows that the ring still misses for them.
  struct Rows {
    int begin, end;
    int missing_begin, missing_end;
  };

  template <typename Work>
  void for_steps(int begin, int end, const Work& work) {
    const BlockShape& shape = plan_.shape;
    const int step = plan_.ring_rows();
    for (int y = begin; y < end; y += step) {
      const int limit = y + step < end ? y + step : end;
      const int first = y * shape.stride - shape.reach();
      const int last = first + (limit - y - 1) * shape.stride + shape.kernel;
      const int from = next_row_ > first ? next_row_ : first;
      next_row_ = last < shape.height ? last : shape.height;
      work(Rows{y, limit, from, next_row_});
    }
  }

  // A panel's rows go into the ring right before the depthwise reads them. T starts at `first_row`.
  void fill_panel(const Panel& panel, int first_row, const Rows& rows) {
    if (plan_.shape.expands()) {
      expand_rows(plan_, args_, *ring_, panel, rows.missing_begin, rows.missing_end,
                  excite_.active() ? excite_ : background_);
    } else {
      copy_rows(plan_, args_.src, *ring_, panel.first_block, rows.missing_begin, rows.missing_end);
    }
    for (int block = panel.first_block; block < panel.first_block + panel.num_blocks; ++block) {
      depthwise_.run(block, rows.begin, rows.end, first_row);
      if (plan_.shape.excites()) {
        depthwise_.add_rows(block, rows.begin - first_row, rows.end - first_row);
      }
    }
  }

  void apply_excite() {
    const float* scale = excite(plan_, *args_.excite, scratch_);
    if (!plan_.scales_weights()) return scale_tile(plan_, scale, scratch_);
    float* scaled = scratch_ + plan_.scaled_weights_offset();
    scale_weights(plan_, args_.packed + plan_.project_offset(), scale, tile_.panel_begin,
                  tile_.panel_end, scaled);
    tile_.packed = scaled;
    tile_.fetched = scaled + plan_.project.packed_floats();
  }

  void project(int row_begin, int rows, PrefetchStream& late) {
    const bool strassen_left = plan_.project.levels() == 1 && plan_.shape.excites();
    const int width = plan_.shape.out_width();
    for (int y = 0; y < rows; y += plan_.tile_rows) {
      const int count = rows - y < plan_.tile_rows ? rows - y : plan_.tile_rows;
      tile_.pixel_begin = y * width;
      tile_.pixels = count * width;
      for (int block = 0; strassen_left && block < plan_.project.k_blocks / 2; ++block) {
        sum_quarters(plan_.project, tile_, block);
      }
      tile_.late = y + count == rows ? &late : nullptr;
      pointwise(plan_.project, tile_);
      finish(row_begin + y, count);
    }
  }

  // The epilogue of this call's panels; Strassen's algorithm writes each one's columns of all
  // parts.
  void finish(int row_begin, int count) const {
    const PointwisePlan& plan = plan_.project;
    const Panel last = plan.panel(tile_.panel_end - 1);
    MapPart part{plan.panel(tile_.panel_begin).first_block, last.first_block + last.num_blocks,
                 row_begin, row_begin + count};
    for (int i = 0; i < plan.parts(); ++i) {
      finish_rows(plan_.shape.project, plan_.shape.dst(), part, args_.src, args_.dst);
      part.block_begin += plan.panelled_blocks();
      part.block_end += plan.panelled_blocks();
    }
  }

  const BlockPlan& plan_;
  const BlockArgs& args_;
  float* scratch_;
  RowRing* ring_;
  DepthwiseTile depthwise_;
  PrefetchStream background_;
  PrefetchStream excite_;  // its weights, wanted once all pixels are expanded
  PointwiseTile tile_;
  int next_row_ = 0;  // first input row that is not in the ring yet
};

void run_units(const BlockPlan& plan, const BlockArgs& args, RowRing* ring, int unit_begin,
               int unit_end) {
  float* const scratch = static_cast<float*>(args.scratch);
  fill_offsets(plan.project, plan.shape.out_width(), plan.shape.dst().row_stride(), scratch);
  const float* taps = args.packed + plan.taps_offset();
  if (args.src_scale != nullptr) {
    float* scaled = scratch + plan.scaled_taps_offset();
    scale_taps(plan, taps, args.src_scale, scaled);
    taps = scaled;
  }
  BlockRun run(
      plan, args, ring, taps,
      PrefetchStream::share(args.next_data, args.next_floats, unit_begin, unit_end, plan.units()));
  for (int unit = unit_begin; unit < unit_end;) {
    const int index = unit / plan.column_parts, part = unit % plan.column_parts;
    // All of this call's parts of the tile share one depthwise.
    const int tile_end = (index + 1) * plan.column_parts;
    const int next = tile_end < unit_end ? tile_end : unit_end;
    const bool last = next == unit_end;
    PrefetchStream late = first_weights(plan, args, unit_begin, unit_end, last);
    run.run(index, plan.first_panel(part), plan.first_panel(part + next - unit), last, late);
    unit = next;
  }
}

}  // namespace

void run_block(const BlockPlan& plan, const BlockArgs& args, int unit_begin, int unit_end) {
  if (!plan.shape.has_ring()) return run_units(plan, args, nullptr, unit_begin, unit_end);
  RowRing ring(plan, static_cast<float*>(args.scratch) + plan.ring_offset());
  run_units(plan, args, &ring, unit_begin, unit_end);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
