#include "mobileone/kernels/pointwise/pointwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// A panel's microkernels.
struct PanelKernels {
  int vectors;
  bool paired, sums;

  PanelKernels(const Panel& panel, bool sums)
      : vectors(panel.columns() / kLanes), paired(panel.half == HalfBlock::kPairs), sums(sums) {
    if (paired) --vectors;
  }
  int widest() const { return paired ? max_paired_pixels(vectors) : max_pixels(vectors); }
  Microkernel find(int pixels) const {
    return paired ? find_paired_microkernel(pixels, vectors)
                  : find_microkernel(pixels, vectors, sums ? Outputs::kSums : Outputs::kMap, 1);
  }
};

}  // namespace

void fill_offsets(const PointwisePlan& plan, int width, std::ptrdiff_t row_stride, float* scratch) {
  std::int32_t* offsets = offset_table(plan, scratch);
  for (int p = 0, row = 0; p < plan.tile_pixels; row += static_cast<std::int32_t>(row_stride)) {
    const int end = p + width < plan.tile_pixels ? p + width : plan.tile_pixels;
    for (std::int32_t at = row; p < end; ++p, at += kBlock) offsets[p] = at;
  }
}

// Panels outside, pixel groups inside: the panel stays in L1 or L2 while T streams past, and the
// first groups of a panel fetch the next panel.
void pointwise_direct(const PointwisePlan& plan, const PointwiseTile& t) {
  Chain chain;
  chain.k_blocks = plan.k_blocks;
  chain.floor = t.floor;
  chain.dst_block = t.dst_block;
  Link& link = chain.links[0];
  link.a_block = std::ptrdiff_t{plan.pitch()} * TileElement::kBlockLanes;
  const std::int32_t* offsets = offset_table(plan, t.scratch) + t.pixel_begin;
  const int panel_vectors = plan.panel_blocks * kBlock / kLanes;
  Prefetcher prefetcher(t, PixelGroups(t.pixels, max_pixels(panel_vectors)).count * plan.k_blocks,
                        plan.panel_offset(plan.panel_blocks));
  for (int index = t.panel_begin; index < t.panel_end; ++index) {
    const Panel panel = plan.panel(index);
    const PanelKernels kernels(panel, t.sums != nullptr);
    const std::ptrdiff_t size =
        std::ptrdiff_t{plan.k_blocks} * TileElement::kBlockLanes * panel.columns();
    link.b = t.packed + plan.panel_offset(panel.first_block);
    link.output = t.output(panel.first_block, offsets);
    chain.row = t.bias + panel.first_block * kBlock;
    prefetcher.start_panel(index, link.b + size, link.b + (index + 1 < t.panel_end ? 2 : 1) * size);
    const PixelGroups groups(t.pixels, kernels.widest());
    link.a = t.scratch + std::ptrdiff_t{t.pixel_begin} * TileElement::kBlockLanes;
    for (int group = 0; group < groups.count; ++group) {
      const int pixels = groups.size(group);
      chain.prefetch = prefetcher.take(plan.k_blocks, link.b);
      kernels.find(pixels)(chain);
      link.a += pixels * TileElement::kBlockLanes;
      link.output.offsets += pixels;
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
