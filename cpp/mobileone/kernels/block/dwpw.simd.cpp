#include "mobileone/kernels/depthwise/depthwise.hpp"
#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/pointwise/pointwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

constexpr float kNoFloor = -__builtin_inff();

// depthwise(scale * x) = depthwise with scaled weights; the bias stays.
void scale_taps(const float* taps, const float* scale, int k_blocks, float* out) {
  for (int block = 0; block < k_blocks; ++block, scale += kBlock) {
    for (int tap = 0; tap < 10; ++tap, taps += kBlock, out += kBlock) {
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        const Vec w = load(taps + lane);
        store(out + lane, tap < 9 ? mul(w, load(scale + lane)) : w);
      }
    }
  }
}

constexpr int kMaxRowPointers = 64;

/// The depthwise of one tile, block by block.
struct DepthwiseTile {
  const DwPwPlan& plan;
  const float* src;
  const float* taps;
  float floor;
  int row_begin, row_end;
  float* t;

  // Row pointers are handed over in chunks, so that a tile may have any number of rows.
  void run_block(int block) const {
    const DwPwShape& shape = plan.shape;
    const MapShape map = shape.src();
    const int width = shape.out_width();
    const int max_rows = (kMaxRowPointers - 2) / shape.stride;
    float* dst = t + std::ptrdiff_t{block} * plan.pointwise.pitch() * kBlock;
    for (int y = row_begin; y < row_end; y += max_rows) {
      const int count = row_end - y < max_rows ? row_end - y : max_rows;
      const float* rows[kMaxRowPointers];
      for (int i = 0; i < (count - 1) * shape.stride + 3; ++i) {
        rows[i] = src + map.offset(block, y * shape.stride - 1 + i, -1);
      }
      depthwise_rows(shape.stride, rows, count, taps + block * kDepthwiseFloats, floor, width,
                     dst + std::ptrdiff_t{y - row_begin} * width * kBlock);
    }
  }
};

void sum_tile(const PointwisePlan& plan, const float* t, int pixels, float* sums) {
  for (int block = 0; block < plan.k_blocks; ++block, t += std::ptrdiff_t{plan.pitch()} * kBlock) {
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      Vec sum[4] = {zero(), zero(), zero(), zero()};
      int p = 0;
      for (; p + 4 <= pixels; p += 4) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) sum[i] = add(sum[i], load(t + (p + i) * kBlock + lane));
      }
      for (; p < pixels; ++p) sum[0] = add(sum[0], load(t + p * kBlock + lane));
      store(sums + block * kBlock + lane, add(add(sum[0], sum[1]), add(sum[2], sum[3])));
    }
  }
}

void scale_tile(const PointwisePlan& plan, int pixels, const float* scale, float floor, float* t) {
  const Vec low = broadcast(floor);
  for (int block = 0; block < plan.k_blocks; ++block, t += std::ptrdiff_t{plan.pitch()} * kBlock) {
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      const Vec factor = load(scale + block * kBlock + lane);
      for (int p = 0; p < pixels; ++p) {
        store(t + p * kBlock + lane, max(low, mul(load(t + p * kBlock + lane), factor)));
      }
    }
  }
}

// Depthwise of the whole map, squeeze-and-excite, then the ReLU: relu(scale * x).
void excite_tile(DepthwiseTile depthwise, const SqueezeExcite& se, float* vectors) {
  const PointwisePlan& plan = depthwise.plan.pointwise;
  const float floor = depthwise.floor;
  depthwise.floor = kNoFloor;
  for (int block = 0; block < plan.k_blocks; ++block) depthwise.run_block(block);
  float *sums = vectors, *hidden = sums + plan.k_blocks * kBlock;
  float* scale = hidden + plan.k_blocks * kBlock;
  sum_tile(plan, depthwise.t, plan.tile_pixels, sums);
  squeeze_excite(se, sums, plan.tile_pixels, hidden, scale);
  scale_tile(plan, plan.tile_pixels, scale, floor, depthwise.t);
}

// The weights that are read first after this tile: the next step's, or this one's again.
PrefetchStream first_weights(const DwPwPlan& plan, const DwPwArgs& args, int unit_begin,
                             int unit_end, bool last) {
  if (last) {
    return PrefetchStream::share(args.next_panel, args.next_panel_floats, unit_begin, unit_end,
                                 plan.units());
  }
  if (plan.weights_stay) return {};
  return {args.packed + plan.panels_offset(), args.packed + plan.first_floats()};
}

}  // namespace

void run_dwpw(const DwPwPlan& plan, const DwPwArgs& args, int unit_begin, int unit_end) {
  const DwPwShape& shape = plan.shape;
  const PointwisePlan& pointwise_plan = plan.pointwise;
  const MapShape dst = shape.dst();
  float* scratch = static_cast<float*>(args.scratch);
  float* taps_scratch = scratch + pointwise_plan.scratch_floats();
  float* se_scratch = taps_scratch + plan.bias_offset();
  const float* taps = args.packed;
  if (args.src_scale != nullptr) {
    scale_taps(taps, args.src_scale, pointwise_plan.k_blocks, taps_scratch);
    taps = taps_scratch;
  }
  const float depthwise_floor = shape.depthwise_relu ? 0.0f : kNoFloor;
  fill_offsets(pointwise_plan, shape.out_width(), dst.row_stride(), scratch);

  // Blocks in one half of K, whose sums Strassen's algorithm needs; the direct one needs none.
  const int strassen_blocks = pointwise_plan.strassen() ? pointwise_plan.k_blocks / 2 : 0;

  PointwiseTile t;
  t.scratch = scratch;
  t.packed = args.packed + plan.panels_offset();
  t.bias = args.packed + plan.bias_offset();
  t.floor = shape.pointwise_relu ? 0.0f : kNoFloor;
  t.dst_block = dst.block_stride();
  t.sums = args.dst_sums;
  PrefetchStream background =
      PrefetchStream::share(args.next_data, args.next_floats, unit_begin, unit_end, plan.units());
  t.background = &background;
  for (int unit = unit_begin; unit < unit_end;) {
    const int index = unit / plan.column_parts, part = unit % plan.column_parts;
    // All of this call's parts of the tile share one depthwise.
    const int tile_end = (index + 1) * plan.column_parts;
    const int next = tile_end < unit_end ? tile_end : unit_end;
    const int row_begin = index * plan.depthwise_rows();
    const int rows_left = shape.out_height() - row_begin;
    const int rows = rows_left < plan.depthwise_rows() ? rows_left : plan.depthwise_rows();
    const DepthwiseTile depthwise{plan,      args.src,         taps,   depthwise_floor,
                                  row_begin, row_begin + rows, scratch};
    t.dst = args.dst + dst.offset(0, row_begin, 0);
    t.fetched = plan.weights_stay && index > 0 ? t.packed + pointwise_plan.packed_floats()
                                               : args.packed + args.fetched_floats;
    PrefetchStream late = first_weights(plan, args, unit_begin, unit_end, next == unit_end);
    t.late = &late;
    t.panel_begin = plan.first_panel(part);
    t.panel_end = plan.first_panel(part + next - unit);
    if (shape.depthwise_se) {
      excite_tile(depthwise, *args.depthwise_se, se_scratch);
      for (int y = 0; y < rows; y += plan.tile_rows) {
        const int count = rows - y < plan.tile_rows ? rows - y : plan.tile_rows;
        t.pixel_begin = y * shape.out_width();
        t.pixels = count * shape.out_width();
        for (int block = 0; block < strassen_blocks; ++block)
          sum_quarters(pointwise_plan, t, block);
        t.late = y + count == rows ? &late : nullptr;
        pointwise(pointwise_plan, t);
      }
    } else {
      t.pixels = rows * shape.out_width();
      for (int block = 0; block < strassen_blocks; ++block) {
        depthwise.run_block(block);
        depthwise.run_block(block + strassen_blocks);
        sum_quarters(pointwise_plan, t, block);
      }
      for (int block = 2 * strassen_blocks; block < pointwise_plan.k_blocks; ++block) {
        depthwise.run_block(block);
      }
      pointwise(pointwise_plan, t);
    }
    unit = next;
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
