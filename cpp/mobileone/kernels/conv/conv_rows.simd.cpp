#include "mobileone/kernels/conv/conv_run.hpp"
#include "mobileone/kernels/conv/conv_tile.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

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
        *segment++ = {row, map.block_stride(), blocks(map.channels), last_steps(map.channels)};
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
