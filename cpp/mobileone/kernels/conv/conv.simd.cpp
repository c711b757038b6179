#include "mobileone/kernels/conv/conv_tile.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// Panel by panel, so that what a panel has written is still in L1 or L2 when it is finished. While
// one panel is in use the next one is fetched, and during the last what `background` holds.
void multiply(const ConvTile& conv, PointwiseTile tile, int panel_begin, int panel_end,
              PrefetchStream* background) {
  const PointwisePlan& plan = conv.plan.pointwise;
  for (int index = panel_begin; index < panel_end; ++index) {
    const Panel panel = plan.panel(index);
    tile.panel_begin = index;
    tile.panel_end = index + 1;
    PrefetchStream next;
    if (index + 1 < panel_end) {
      const Panel following = plan.panel(index + 1);
      next = tile.stream(
          tile.packed + plan.panel_offset(following.first_block),
          tile.packed + plan.panel_offset(following.first_block + following.num_blocks));
    }
    tile.background = next.active() ? &next : background;
    if (conv.plan.by_rows) {
      multiply_rows(conv, tile, panel, tile.background);
    } else {
      pointwise(plan, tile);
    }
    conv.finish(panel.first_block, panel.num_blocks);
    if (plan.strassen()) conv.finish(panel.first_block + plan.n_blocks / 2, panel.num_blocks);
  }
}

}  // namespace

void run_conv(const ConvPlan& plan, const ConvArgs& args, int unit_begin, int unit_end) {
  const ConvShape& shape = plan.shape;
  const MapShape dst = shape.dst();
  const int rows_of_plan = plan.rows();
  float* scratch = static_cast<float*>(args.scratch);
  const bool gathers = !plan.by_rows && !plan.winograd;
  if (gathers) fill_offsets(plan.pointwise, dst.width, dst.row_stride(), scratch);

  PointwiseTile tile;
  tile.scratch = scratch;
  tile.packed = args.packed + plan.panels_offset();
  tile.bias = args.packed;
  tile.floor = epilogue_floor(shape.epilogue);
  tile.dst_block = dst.block_stride();
  PrefetchStream background =
      PrefetchStream::share(args.next_data, args.next_floats, unit_begin, unit_end, plan.units());
  for (int unit = unit_begin; unit < unit_end;) {
    const int index = unit / plan.column_parts, part = unit % plan.column_parts;
    // All of this call's parts of the tile share one T.
    const int tile_end = (index + 1) * plan.column_parts;
    const int next = tile_end < unit_end ? tile_end : unit_end;
    const int row_begin = index * plan.tile_rows;
    const int rows_left = rows_of_plan - row_begin;
    const int rows = rows_left < plan.tile_rows ? rows_left : plan.tile_rows;
    const ConvTile conv{plan, args, row_begin, rows, scratch};
    tile.pixels = rows * dst.width;
    tile.dst = args.dst + dst.offset(0, row_begin, 0);
    tile.fetched = plan.weights_stay && index > 0 ? tile.packed + plan.panels_floats()
                                                  : args.packed + args.fetched_floats;
    if (plan.winograd) {
      plan.phases ? run_phases(conv, tile, &background) : run_winograd(conv, tile, &background);
      unit = next;
      continue;
    }
    if (gathers) conv.gather_all(tile);
    multiply(conv, tile, plan.first_panel(part), plan.first_panel(part + next - unit), &background);
    unit = next;
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
