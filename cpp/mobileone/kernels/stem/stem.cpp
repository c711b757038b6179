#include "mobileone/kernels/stem/stem.hpp"

#include <stdexcept>

#include "mobileone/kernels/bfloat16.hpp"
#include "mobileone/kernels/stem/stem_windows.hpp"

namespace mobileone::kernels {

namespace {

/// Of a window's product, which multiplies the opposite of column form 2.
float window_product(const float* weight, const stem_windows::Product& product) {
  const auto form = [](int which, double a, double b, double c) {
    return which == 0 ? a : which == 2 ? c : which == 4 ? a + c : b;
  };
  double rows[3];
  for (int kx = 0; kx < 3; ++kx) {
    rows[kx] = form(product.row, weight[kx], weight[3 + kx], weight[6 + kx]);
  }
  const double last = product.column == 2 ? -rows[2] : rows[2];
  return static_cast<float>(form(product.column, rows[0], rows[1], last));
}

/// Of one output channel's weights [3][3][3], products in the order of the packed panels.
float packed_product(const StemPlan& plan, const float* weight, int product) {
  if (plan.by_windows()) {
    return window_product(weight + product % kImageChannels * 9,
                          stem_windows::kProducts[product / kImageChannels]);
  }
  const auto at = [&](int channel, int ky, int kx) { return weight[(channel * 3 + ky) * 3 + kx]; };
  if (plan.per_lane == 1) return at(product / 3 % 3, product / 9, product % 3);
  const int ky = product / 5, pair = product % 5;
  if (pair < kImageChannels) return bfloat16_pair(at(pair, ky, 0), at(pair, ky, 1));
  if (pair == kImageChannels) return bfloat16_pair(at(0, ky, 2), at(1, ky, 2));
  return bfloat16_pair(at(2, ky, 2), 0.0f);
}

}  // namespace

std::ptrdiff_t StemWindowScratch::operand(int index) const {
  constexpr int kLine[] = {2, 0, 2, 0, 1}, kFirst[] = {0, 0, 1, 1, 0};  // of forms of columns
  const stem_windows::Product& product = stem_windows::kProducts[index];
  return forms() + form(product.row, kLine[product.column]) + kFirst[product.column];
}

int StemPlan::strip_windows() const {
  // Both rows of a strip, and the weights, are to stay in L1.
  if (panel_blocks == 1) return 24;  // AVX2: groups of six
  return blocks(channels) <= 3 ? 28 : 14;
}

std::size_t StemPlan::packed_bytes() const {
  return sizeof(float) * std::size_t(padded(channels)) * (1 + products());
}

StemPlan plan_stem(const IsaTraits& isa, int height, int width, int channels, Activation activation,
                   Algorithm algorithm) {
  if (height < 1 || width < 1 || channels < 1) {
    throw std::invalid_argument("[stem] channels and sizes must be at least 1");
  }
  if (algorithm == Algorithm::kStrassen && isa.per_lane != 1) {
    throw std::invalid_argument("[stem] windows are for float32");
  }
  return {height, width, channels, activation, isa.panel_blocks, isa.per_lane, algorithm};
}

void pack_stem(const StemPlan& plan, const float* weight, const float* bias, float* packed) {
  pack_bias(plan.channels, bias, packed);
  packed += padded(plan.channels);
  const PointwisePlan panels = plan.panels();
  for (int index = 0; index < panels.num_panels(); ++index) {
    const Panel panel = panels.panel(index);
    for (int product = 0; product < plan.products(); ++product) {
      for (int i = 0; i < panel.num_blocks * kBlock; ++i) {
        const int n = panel.first_block * kBlock + i;
        const bool padding = n >= plan.channels;
        *packed++ = padding ? 0.0f : packed_product(plan, weight + n * kStemTaps, product);
      }
    }
  }
}

StemBlockPlan plan_stem_block(const StemPlan& stem, const BlockPlan& block) {
  const MapShape map = stem.dst();
  const BlockShape& shape = block.shape;
  if (shape.channels_in != map.channels || shape.height != map.height || shape.width != map.width ||
      shape.stride != 2 || shape.kernel != 3 || shape.expands() || shape.excites()) {
    throw std::invalid_argument(
        "[stem] the fused block must be a 3x3 depthwise with stride 2 and a projection, without "
        "squeeze-and-excite, on the stem's output");
  }
  return {stem, block};
}

}  // namespace mobileone::kernels
