#include "mobileone/kernels/conv/phases.hpp"

#include <algorithm>
#include <vector>

namespace mobileone::kernels {

PhaseAxis::PhaseAxis(int extent, int dilation)
    : extent(extent), dilation(dilation), pairs(extent <= 2 * dilation) {
  const int longer = extent % dilation, pixels = extent / dilation;
  const Phase more = phase(pixels + 1), fewer = phase(pixels);
  large = longer * more.large + (dilation - longer) * fewer.large;
  small = longer * more.small + (dilation - longer) * fewer.small;
}

PhaseAxis::Phase PhaseAxis::phase(int pixels) const {
  if (pairs) return {pixels == 2, pixels == 1};
  const int small = (3 - pixels % 3) % 3;  // windows of two; the rest are threes
  return {(pixels - 2 * small) / 3, small};
}

int PhaseAxis::first(int window) const {
  const int longer = extent % dilation, pixels = extent / dilation;
  const Phase more = phase(pixels + 1), fewer = phase(pixels);
  const bool is_small = window >= large;
  if (is_small) window -= large;
  const int own = is_small ? more.small : more.large, others = is_small ? fewer.small : fewer.large;
  int rest = 0;  // of the phase
  Phase phase = more;
  if (window < longer * own) {
    rest = window / own;
    window %= own;
  } else {
    rest = longer + (window - longer * own) / others;
    window = (window - longer * own) % others;
    phase = fewer;
  }
  const int pixel = is_small ? 3 * phase.large + 2 * window : 3 * window;
  return rest + dilation * pixel;
}

PhaseScratch::PhaseScratch(const ConvPlan& plan)
    : chunks(plan.pointwise.k_blocks),
      n_blocks(plan.pointwise.n_blocks),
      row_forms(PhaseAxis(plan.shape.height, plan.shape.dilation).forms()),
      column_forms(PhaseAxis(plan.shape.width, plan.shape.dilation).forms()),
      windows(plan.pointwise.tile_pixels),
      places(PhaseAxis(plan.shape.height, plan.shape.dilation).most_windows(plan.tiles()) +
             PhaseAxis(plan.shape.width, plan.shape.dilation).windows()),
      pitch(tile_pitch(windows)) {}

bool phases_apply(const ConvShape& shape) {
  return shape.kernel == 3 && shape.stride == 1 && shape.dilation > 1 && !shape.epilogue.residual &&
         is_floor(shape.epilogue.activation);
}

namespace {

// One form of three weights in a row or column.
double form_of(const PhaseAxis& axis, int form, const double (&g)[3]) {
  if (axis.pairs) return form == 0 ? g[1] : form == 1 ? g[2] - g[1] : g[0] - g[1];
  switch (form) {
    case 0:
      return g[0];
    case 1:
      return (g[0] + g[1] + g[2]) / 2;
    case 2:
      return (g[0] - g[1] + g[2]) / 6;
    case 3:
      return g[2];
    default:
      return (g[0] + 2 * g[1] + 4 * g[2]) / 6;
  }
}

// A pair of forms of a 3x3 kernel.
double form_of(const PhaseAxis& rows, int i, const PhaseAxis& columns, int j, const float* g) {
  double form[3];
  for (int y = 0; y < 3; ++y) form[y] = form_of(columns, j, {g[3 * y], g[3 * y + 1], g[3 * y + 2]});
  return form_of(rows, i, form);
}

// The 3x3 kernel between output channel n and what has a place in K: null of padding.
struct Kernels {
  const ConvShape& shape;
  const float* weight;

  const float* at(int n, int place) const {
    const int first = padded(shape.channels_in), second = place - first;
    if (place < first ? place >= shape.channels_in : second >= shape.channels_in2) return nullptr;
    const int channel = place < first ? place : shape.channels_in + second;
    return weight + std::ptrdiff_t{9} * ((shape.channels_in + shape.channels_in2) * n + channel);
  }
};

}  // namespace

void pack_phases(const ConvPlan& plan, const float* weight, const float* bias, float* packed) {
  const ConvShape& shape = plan.shape;
  const PhaseAxis rows(shape.height, shape.dilation), columns(shape.width, shape.dilation);
  const PhaseChunks chunks(plan.pointwise.k_blocks);
  const Kernels kernels{shape, weight};
  pack_bias(shape.channels_out, bias, packed);
  packed += plan.panels_offset();
  std::vector<float> matrix(static_cast<std::size_t>(chunks.most_blocks() * kBlock) *
                            static_cast<std::size_t>(shape.channels_out));
  PointwisePlan product = plan.pointwise;
  for (int index = 0; index < rows.forms() * chunks.count * columns.forms(); ++index) {
    const int j = index % columns.forms(), chunk = index / columns.forms() % chunks.count;
    const int i = index / columns.forms() / chunks.count;
    product.k_blocks = chunks.size(chunk);
    const int begin = chunks.begin(chunk) * kBlock, k = product.k_blocks * kBlock;
    float* to = matrix.data();
    for (int n = 0; n < shape.channels_out; ++n) {
      for (int place = begin; place < begin + k; ++place, ++to) {
        const float* g = kernels.at(n, place);
        *to = g == nullptr ? 0.0f : static_cast<float>(form_of(rows, i, columns, j, g));
      }
    }
    pack_pointwise(product, k, shape.channels_out, matrix.data(), packed);
    packed += product.packed_floats();
  }
}

}  // namespace mobileone::kernels
