#include "mobileone/kernels/conv/conv_run.hpp"
#include "mobileone/kernels/conv/conv_tile.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// Taps of output row `y` at x = 0, in the order of the packed weights.
void set_segments(const ConvTile& conv, int y, PixelRun& run) {
  const ConvShape& shape = conv.plan.shape;
  const int channels[2] = {shape.channels_in, shape.channels_in2};
  const int reach = shape.kernel / 2;
  Segment* segment = run.segments;
  for (int ky = 0; ky < shape.kernel; ++ky) {
    for (int source = 0; source < (shape.channels_in2 > 0 ? 2 : 1); ++source) {
      const float* row = conv.source(source, y * shape.stride + ky - reach, -reach);
      for (int kx = 0; kx < shape.kernel; ++kx, row += kBlock) {
        *segment++ = {row, conv.source_block(source), blocks(channels[source]),
                      last_steps(channels[source])};
      }
    }
  }
  run.num_segments = static_cast<int>(segment - run.segments);
}

// Whether a tap of a dilated kernel (0, 1 or 2, along one side) is inside of the map at `at`.
bool inside(int tap, int at, int dilation, int extent) {
  const int place = at + (tap - 1) * dilation;
  return place >= 0 && place < extent;
}

// Taps of output row `y` that are inside of the map where `x` is, read from x = 0 on.
void set_dilated_segments(const ConvTile& conv, int y, int x, int width, PixelRun& run) {
  const ConvShape& shape = conv.plan.shape;
  const MapShape maps[2] = {shape.src(), shape.src2()};
  const float* const sources[2] = {conv.args.src, conv.args.src2};
  const int dilation = shape.dilation;
  Segment* segment = run.segments;
  std::ptrdiff_t skip = 0;
  for (int ky = 0; ky < shape.kernel; ++ky) {
    for (int source = 0; source < (shape.channels_in2 > 0 ? 2 : 1); ++source) {
      const MapShape& map = maps[source];
      for (int kx = 0; kx < shape.kernel; ++kx) {
        if (!inside(ky, y, dilation, shape.height) || !inside(kx, x, dilation, shape.width)) {
          skip += std::ptrdiff_t{blocks(map.channels)} * kBlock * width;
          continue;
        }
        const float* from =
            sources[source] + map.offset(0, y + (ky - 1) * dilation, (kx - 1) * dilation);
        *segment++ = {from, map.block_stride(), blocks(map.channels), last_steps(map.channels),
                      skip};
        skip = 0;
      }
    }
  }
  run.num_segments = static_cast<int>(segment - run.segments);
}

// Where a row is cut: from one cut to the next the same taps are inside of the map.
struct Cuts {
  int at[6];
  int count = 0;

  Cuts(int width, int dilation) {
    const int near = dilation < width ? dilation : width, far = width - near;
    add(0);
    add(near < far ? near : far);
    add(near < far ? far : near);
    add(width);
  }
  void add(int x) {
    if (count == 0 || x > at[count - 1]) at[count++] = x;
  }
};

// The row of a dilated kernel, piece by piece.
void multiply_dilated_row(const ConvTile& conv, int y, int vectors, float* dst, PixelRun& run) {
  const ConvShape& shape = conv.plan.shape;
  const Cuts cuts(shape.width, shape.dilation);
  for (int piece = 0; piece + 1 < cuts.count; ++piece) {
    const int begin = cuts.at[piece], end = cuts.at[piece + 1];
    set_dilated_segments(conv, y, begin, vectors * kLanes, run);
    const PixelGroups groups(end - begin, max_pixels(vectors));
    int x = begin;
    for (int group = 0; group < groups.count; ++group) {
      run.shift = std::ptrdiff_t{x} * kBlock;
      run.dst = dst + run.shift;
      run.prefetch = run.b;
      find_conv_run(groups.size(group), vectors)(run);
      x += groups.size(group);
    }
  }
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
  const PixelGroups groups(map.width, max_pixels(vectors));
  for (int y = conv.row_begin; y < conv.row_begin + conv.rows; ++y) {
    if (shape.dilation > 1) {
      float* row = conv.args.dst + map.offset(panel.first_block, y, 0);
      multiply_dilated_row(conv, y, vectors, row, run);
      continue;
    }
    set_segments(conv, y, run);
    run.dst = conv.args.dst + map.offset(panel.first_block, y, 0);
    run.shift = 0;
    for (int group = 0; group < groups.count; ++group) {
      const int pixels = groups.size(group);
      run.prefetch = stream != nullptr && stream->active()
                         ? stream->take(prefetch_floats(shape.k_blocks()))
                         : run.b;
      find_conv_run(pixels, vectors, shape.stride)(run);
      run.shift += pixels * shape.stride * kBlock;
      run.dst += pixels * kBlock;
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
