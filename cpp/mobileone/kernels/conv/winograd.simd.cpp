#include "mobileone/kernels/conv/winograd.hpp"

#include "mobileone/kernels/conv/winograd_windows.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// The products of one panel; the next one's matrices are fetched meanwhile, and during the last
// what `background` holds.
void multiply_windows(const ConvTile& conv, const WinogradScratch& parts, int windows,
                      const PointwiseTile& tile, const Panel& panel, PrefetchStream* background) {
  const int vectors = panel.columns() / kLanes;
  const PixelGroups groups(windows, max_pixels(vectors));
  const int positions = winograd_positions(parts.kind);
  const std::ptrdiff_t matrix = std::ptrdiff_t{parts.k_blocks} * kBlock * panel.columns();
  const float* end = tile.packed + conv.plan.panels_floats();
  Chain chain = chain_of_windows(parts.pitch, conv.t + parts.zeros());
  Link& link = chain.links[0];
  link.b = tile.packed +
           winograd_forms(parts.kind) * conv.plan.pointwise.panel_offset(panel.first_block);
  const float* source = conv.t + parts.source();
  for (int i = 0; i < positions; ++i) {
    const int forms = position_forms(parts.kind, i);
    const float* const next = link.b + forms * matrix;
    const float* const next_end =
        next + matrix * position_forms(parts.kind, i + 1 < positions ? i + 1 : 0);
    PrefetchStream stream = tile.stream(next, next_end < end ? next_end : end);
    if (next >= end) stream = {};
    chain.k_blocks = forms * parts.k_blocks;
    link.a = source;
    link.partial = conv.t + parts.result() + i * parts.result_position(panel);
    multiply_groups(chain, groups, vectors, stream, background);
    source += forms * parts.source_form();
    link.b = next;
  }
}

template <typename Windows>
void run(const ConvTile& conv, const PointwiseTile& tile, PrefetchStream* background) {
  const PointwisePlan& product = conv.plan.pointwise;
  const WinogradScratch parts(conv.plan);
  const WinogradTile<Windows> windows(conv, parts);
  for (int i = 0; i < WinogradScratch::kMostBlocks * kBlock; ++i) conv.t[parts.zeros() + i] = 0.0f;
  windows.transform_source();
  for (int index = 0; index < product.num_panels(); ++index) {
    const Panel panel = product.panel(index);
    PrefetchStream* const rest = index + 1 == product.num_panels() ? background : nullptr;
    multiply_windows(conv, parts, windows.windows(), tile, panel, rest);
    windows.transform_result(tile, panel);
    conv.finish(panel.first_block, panel.num_blocks);
  }
}

}  // namespace

void run_winograd(const ConvTile& conv, const PointwiseTile& tile, PrefetchStream* background) {
  switch (windows_of(conv.plan.shape)) {
    case Windows::kPlain:
      return run<PlainWindows>(conv, tile, background);
    case Windows::kStrided:
      return run<StridedWindows>(conv, tile, background);
    default:
      return run<WideWindows>(conv, tile, background);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
