#include "mobileone/kernels/block/block_tile.hpp"
#include "mobileone/kernels/conv/conv_run.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

// One pixel group after the other: the activation finds its operands in L1.
void expand_rows(const BlockPlan& plan, const BlockArgs& args, const RowRing& ring,
                 const Panel& panel, int begin, int end, PrefetchStream& background) {
  const BlockShape& shape = plan.shape;
  const MapShape map = shape.src();
  const int vectors = panel.num_blocks * kBlock / kLanes;
  const bool more = !is_clamp(shape.expand_activation);
  PixelRun run;
  run.num_segments = 1;
  run.b = args.packed + plan.expand_offset() + plan.expand.panel_offset(panel.first_block);
  run.row = args.packed + panel.first_block * kBlock;
  run.floor = activation_floor(shape.expand_activation);
  run.ceiling = activation_ceiling(shape.expand_activation);
  run.dst_block = plan.ring_block();
  const PixelGroups groups(shape.width, max_pixels(vectors));
  for (int y = begin; y < end; ++y) {
    run.segments[0] = {args.src + map.offset(0, y, 0), map.block_stride(), plan.expand.k_blocks,
                       last_steps(shape.channels_in)};
    run.shift = 0;
    run.dst = ring.pixels(panel.first_block, y);
    for (int group = 0; group < groups.count; ++group) {
      const std::ptrdiff_t floats = std::ptrdiff_t{groups.size(group)} * kBlock;
      run.prefetch =
          background.active() ? background.take(prefetch_floats(plan.expand.k_blocks)) : run.b;
      find_conv_run(groups.size(group), vectors)(run);
      for (int block = 0; more && block < panel.num_blocks; ++block) {
        activate_in_place(shape.expand_activation, run.dst + block * run.dst_block, floats);
      }
      run.shift += floats;
      run.dst += floats;
    }
  }
}

void copy_rows(const BlockPlan& plan, const float* src, const RowRing& ring, int block, int begin,
               int end) {
  const MapShape map = plan.shape.src();
  const std::ptrdiff_t floats = std::ptrdiff_t{map.width} * kBlock;
  for (int y = begin; y < end; ++y) {
    const float* from = src + map.offset(block, y, 0);
    float* to = ring.pixels(block, y);
    for (std::ptrdiff_t i = 0; i < floats; i += kLanes) store(to + i, load(from + i));
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
