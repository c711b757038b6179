#include "mobileone/kernels/arch/pointwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

void fill_offsets(const PointwisePlan& plan, int width, std::ptrdiff_t row_stride, float* scratch) {
  std::int32_t* offsets = offset_table(plan, scratch);
  for (int p = 0; p < plan.max_pixels; ++p) {
    offsets[p] = static_cast<std::int32_t>(p / width * row_stride + p % width * kBlock);
  }
}

void multiply_panel(PanelProduct& job) {
  const int width = job.vectors * kLanes;
  const PixelGroups groups(job.pixels, max_pixels(job.vectors));
  const PixelGroups chunks(job.k_blocks, job.k_chunk);
  int k = 0;
  for (int chunk = 0; chunk < chunks.count; ++chunk) {
    Product g = job.product;
    g.k_blocks = chunks.size(chunk);
    g.b += std::ptrdiff_t{k} * kBlock * width;
    const float* a = job.a.data + k * job.a.block;
    g.a_block = job.a.block;
    if (chunk > 0) g.start = job.spill;
    if (chunk + 1 < chunks.count) {
      g.finish = Finish::kPartial;
      g.partial = job.spill;
    }
    const float *start = g.start, *other = g.other;
    float* partial = g.partial;
    const std::ptrdiff_t quantum = prefetch_floats(g.k_blocks);
    int pixel = 0;
    for (int group = 0; group < groups.count; ++group) {
      PrefetchStream* stream = job.panel.active() ? &job.panel : job.background;
      g.prefetch = stream != nullptr && stream->active() ? stream->take(quantum) : g.b;
      const std::ptrdiff_t at = std::ptrdiff_t{pixel} * width;
      g.a = a + pixel * kBlock;
      g.start = start == nullptr ? nullptr : start + at;
      g.partial = partial == nullptr ? nullptr : partial + at;
      g.other = other == nullptr ? nullptr : other + at;
      g.offsets = job.product.offsets + pixel;
      find_microkernel(groups.size(group), job.vectors)(g);
      pixel += groups.size(group);
    }
    k += chunks.size(chunk);
  }
}

// Panels outside, pixel groups inside: the panel (a chunk of it) stays in L1 while T streams past,
// and the first groups of a panel fetch the next panel.
void pointwise_direct(const PointwisePlan& plan, const PointwiseTile& t) {
  PanelProduct job;
  job.a = {t.scratch, std::ptrdiff_t{plan.pitch()} * kBlock};
  job.pixels = t.pixels;
  job.k_blocks = plan.k_blocks;
  job.k_chunk = plan.k_chunk;
  job.spill = partials(plan, t.scratch);
  job.background = t.background;
  job.product.floor = t.floor;
  job.product.dst_block = t.dst_block;
  job.product.offsets = offset_table(plan, t.scratch);
  for (int index = t.panel_begin; index < t.panel_end; ++index) {
    const Panel panel = plan.panel(index);
    const std::ptrdiff_t size = std::ptrdiff_t{plan.k_blocks} * kBlock * panel.num_blocks * kBlock;
    job.vectors = panel.num_blocks * kBlock / kLanes;
    job.product.b = t.packed + plan.panel_offset(panel.first_block);
    job.panel = {job.product.b + size, job.product.b + (index + 1 < t.panel_end ? 2 : 1) * size};
    job.product.bias = t.bias + panel.first_block * kBlock;
    job.product.sums = t.sums == nullptr ? nullptr : t.sums + panel.first_block * kBlock;
    job.product.dst = t.dst + panel.first_block * t.dst_block;
    multiply_panel(job);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
