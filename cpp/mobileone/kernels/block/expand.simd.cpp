#include "mobileone/kernels/block/block_tile.hpp"
#include "mobileone/kernels/conv/conv_run.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

namespace {

// A panel's rows. One pixel group after the other: the activation finds its operands in L1.
class PanelExpansion {
 public:
  // `dst_block` floats from one channel block of the result to the next.
  PanelExpansion(const BlockPlan& plan, const BlockArgs& args, const Panel& panel,
                 std::ptrdiff_t dst_block)
      : plan_(plan),
        source_{args.src, plan.shape.channels_in},
        parts_(args.num_parts > 0 ? args.parts : &source_),
        panel_(panel),
        groups_(plan.shape.width, max_pixels(vectors())) {
    const Activation activation = plan.shape.expand_activation;
    run_.num_segments = args.num_parts > 0 ? args.num_parts : 1;
    run_.b = args.packed + plan.expand_offset() + plan.expand.panel_offset(panel.first_block);
    run_.row =
        (args.expand_bias != nullptr ? args.expand_bias : args.packed) + panel.first_block * kBlock;
    run_.floor = activation_floor(activation);
    run_.ceiling = activation_ceiling(activation);
    run_.dst_block = dst_block;
  }

  // Row y of the source, to `dst` and the blocks after it.
  void row(int y, float* dst, PrefetchStream& background) {
    const BlockShape& shape = plan_.shape;
    const MapShape map = shape.src();
    const bool more = !is_clamp(shape.expand_activation);
    for (int i = 0; i < run_.num_segments; ++i) {
      const BlockPart& part = parts_[i];
      run_.segments[i] = {part.map + map.offset(0, y, 0), map.block_stride(), blocks(part.channels),
                          last_steps(part.channels)};
    }
    run_.shift = 0;
    run_.dst = dst;
    for (int group = 0; group < groups_.count; ++group) {
      const std::ptrdiff_t floats = std::ptrdiff_t{groups_.size(group)} * kBlock;
      run_.prefetch =
          background.active() ? background.take(prefetch_floats(plan_.expand.k_blocks)) : run_.b;
      find_conv_run(groups_.size(group), vectors())(run_);
      for (int block = 0; more && block < panel_.num_blocks; ++block) {
        activate_in_place(shape.expand_activation, run_.dst + block * run_.dst_block, floats);
      }
      run_.shift += floats;
      run_.dst += floats;
    }
  }

 private:
  int vectors() const { return panel_.num_blocks * kBlock / kLanes; }

  const BlockPlan& plan_;
  BlockPart source_;
  const BlockPart* parts_;
  Panel panel_;
  PixelGroups groups_;
  PixelRun run_;
};

}  // namespace

void expand_rows(const BlockPlan& plan, const BlockArgs& args, const RowRing& ring,
                 const Panel& panel, int begin, int end, PrefetchStream& background) {
  PanelExpansion expansion(plan, args, panel, plan.ring_block());
  for (int y = begin; y < end; ++y) {
    expansion.row(y, ring.pixels(panel.first_block, y), background);
  }
}

void expand_into_tile(const BlockPlan& plan, const BlockArgs& args, const Panel& panel, int begin,
                      int end, PrefetchStream& background) {
  const std::ptrdiff_t block = std::ptrdiff_t{plan.project.pitch()} * kBlock;
  PanelExpansion expansion(plan, args, panel, block);
  float* dst = static_cast<float*>(args.scratch) + panel.first_block * block;
  for (int y = begin; y < end; ++y, dst += std::ptrdiff_t{plan.shape.width} * kBlock) {
    expansion.row(y, dst, background);
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
