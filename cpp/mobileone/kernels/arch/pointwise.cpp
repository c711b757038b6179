#include "mobileone/kernels/arch/pointwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

void fill_offsets(const PointwisePlan& plan, int width, std::ptrdiff_t row_stride, float* scratch) {
  std::int32_t* offsets = offset_table(plan, scratch);
  for (int p = 0; p < plan.max_pixels; ++p) {
    offsets[p] = static_cast<std::int32_t>(p / width * row_stride + p % width * kBlock);
  }
}

// Panels outside, pixel groups inside: the panel stays in L1 (or L2) while T streams past it, and
// the first group of a panel fetches the next panel.
void pointwise_direct(const PointwisePlan& plan, const PointwiseTile& t) {
  Product product;
  product.a_block = std::ptrdiff_t{plan.pitch()} * kBlock;
  product.k_blocks = plan.k_blocks;
  product.floor = t.floor;
  product.dst_block = t.dst_block;
  const float* a = tile(plan, t.scratch);
  const std::int32_t* offsets = offset_table(plan, t.scratch);
  for (int index = t.panel_begin; index < t.panel_end; ++index) {
    const Panel panel = plan.panel(index);
    const int vectors = panel.num_blocks * kBlock / kLanes;
    const std::ptrdiff_t size = std::ptrdiff_t{plan.k_blocks} * kBlock * panel.num_blocks * kBlock;
    product.b = t.packed + plan.panel_offset(panel.first_block);
    product.prefetch = index + 1 < t.panel_end ? size : 0;
    product.bias = t.bias + panel.first_block * kBlock;
    product.sums = t.sums == nullptr ? nullptr : t.sums + panel.first_block * kBlock;
    product.dst = t.dst + panel.first_block * t.dst_block;
    const PixelGroups groups(t.pixels, max_pixels(vectors));
    int pixel = 0;
    for (int group = 0; group < groups.count; ++group) {
      product.a = a + pixel * kBlock;
      product.offsets = offsets + pixel;
      find_microkernel(groups.size(group), vectors)(product);
      product.prefetch = 0;
      pixel += groups.size(group);
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
