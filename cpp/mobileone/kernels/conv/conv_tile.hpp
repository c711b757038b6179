// One tile of a dense convolution: whole output rows.
#pragma once

#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/pointwise/pointwise.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

struct ConvTile {
  const ConvPlan& plan;
  const ConvArgs& args;
  int row_begin, rows;
  float* t = nullptr;  // scratch, unless the plan goes by rows

  /// Block 0 of source 0 or 1 at pixel (y, x), as MapShape::offset has them.
  const float* source(int index, int y, int x) const {
    const MapShape map = index == 0 ? plan.shape.src() : plan.shape.src2();
    if (index == 0 && args.rows > 0) {
      return args.src + (y - args.first_row) * map.row_stride() + std::ptrdiff_t{x + 1} * kBlock;
    }
    return (index == 0 ? args.src : args.src2) + map.offset(0, y, x);
  }
  /// Floats between the blocks of a source.
  std::ptrdiff_t source_block(int index) const {
    const MapShape map = index == 0 ? plan.shape.src() : plan.shape.src2();
    return index == 0 && args.rows > 0 ? args.rows * map.row_stride() : map.block_stride();
  }

  /// Block `k_block` of T: one tap of one source block.
  void gather(int k_block) const {
    const ConvShape& shape = plan.shape;
    const int taps = shape.taps(), tap = k_block % taps;
    const int block = k_block / taps, first = blocks(shape.channels_in);
    const int index = block >= first;
    const int reach = shape.kernel / 2;
    const float* from = source(index, row_begin * shape.stride + tap / shape.kernel - reach,
                               tap % shape.kernel - reach) +
                        (block - index * first) * source_block(index);
    const std::ptrdiff_t floats = std::ptrdiff_t{shape.out_width()} * kBlock;
    const std::ptrdiff_t row = shape.stride * shape.src().row_stride();
    float* to = t + std::ptrdiff_t{k_block} * plan.pointwise.pitch() * kBlock;
    for (int y = 0; y < rows; ++y, from += row, to += floats) {
      for (std::ptrdiff_t i = 0; i < floats; i += kBlock) {
#pragma GCC unroll 2
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          store(to + i + lane, load(from + shape.stride * i + lane));
        }
      }
    }
  }

  void gather_all(const PointwiseTile& tile) const {
    const PointwisePlan& pointwise_plan = plan.pointwise;
    const int half = pointwise_plan.strassen() ? pointwise_plan.k_blocks / 2 : 0;
    for (int block = 0; block < half; ++block) {
      gather(block);
      gather(block + half);
      sum_quarters(pointwise_plan, tile, block);
    }
    for (int block = 2 * half; block < pointwise_plan.k_blocks; ++block) gather(block);
  }

  /// Residual and activation of `count` output blocks.
  void finish(int first_block, int count) const {
    finish_rows(plan.shape.epilogue, plan.shape.dst(),
                {first_block, first_block + count, row_begin, row_begin + rows}, args.residual,
                args.dst);
  }
};

/// A product of windows: the chain's only link, whose sums are stored.
inline Chain chain_of_windows(int pitch, const float* zeros) {
  Chain chain;
  chain.row = zeros;
  chain.links[0].a_block = std::ptrdiff_t{pitch} * kBlock;
  chain.links[0].after = After::kStore;
  return chain;
}

/// One panel and one form of a tile's windows, all groups of them, from zeros or, without
/// `chain.row`, what link's `partial` holds, [windows][lanes * vectors]. `stream` is fetched
/// meanwhile, and then `background`, or null.
inline void multiply_groups(Chain& chain, const PixelGroups& groups, int vectors,
                            PrefetchStream& stream, PrefetchStream* background) {
  Link& link = chain.links[0];
  for (int group = 0; group < groups.count; ++group) {
    const int pixels = groups.size(group);
    PrefetchStream* const from = stream.active() ? &stream : background;
    chain.prefetch =
        from != nullptr && from->active() ? from->take(prefetch_floats(chain.k_blocks)) : link.b;
    chain.start = link.partial;
    find_microkernel(pixels, vectors, Outputs::kMap, 1)(chain);
    link.a += pixels * kBlock;
    link.partial += pixels * vectors * kLanes;
  }
}

/// All outputs of the tile by Winograd's algorithm (winograd.hpp); `tile` gives weights, bias and
/// floor; `background` is fetched during the last products.
void run_winograd(const ConvTile& conv, const PointwiseTile& tile, PrefetchStream* background);

/// The same of a dilated kernel (phases.hpp), for the tile's rows of windows.
void run_phases(const ConvTile& conv, const PointwiseTile& tile, PrefetchStream* background);

/// The sums of one panel for all rows of the tile, read from the maps. `operands` gives weights,
/// bias and floor; `stream` is fetched meanwhile.
void multiply_rows(const ConvTile& conv, const PointwiseTile& operands, const Panel& panel,
                   PrefetchStream* stream);

}  // namespace mobileone::kernels::MOBILEONE_ISA
