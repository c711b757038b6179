#include "mobileone/kernels/pointwise/pointwise_plan.hpp"

#include <algorithm>

#include "mobileone/kernels/bfloat16.hpp"

namespace mobileone::kernels {

int PointwisePlan::num_panels() const {
  // Half a vector more is no panel of its own.
  const int whole = panelled_blocks() - (half == HalfBlock::kVector ? 1 : 0);
  return std::max(1, whole / panel_blocks);
}

Panel PointwisePlan::panel(int index) const {
  // The last one, without the division of num_panels: asked for by every tile.
  const int first = index * panel_blocks, blocks = panelled_blocks();
  const int whole = blocks - (half == HalfBlock::kVector ? 1 : 0);
  if (first + 2 * panel_blocks > whole) return {first, blocks - first, half};
  return {first, panel_blocks};
}

std::ptrdiff_t PointwisePlan::panel_offset(int first_block) const {
  const std::ptrdiff_t rows = strassen() ? 7 * (k_blocks / 2) : k_blocks;
  return rows * kBlock * first_block * kBlock / per_lane;
}

std::ptrdiff_t PointwisePlan::packed_floats() const { return panel_offset(panelled_blocks()); }

int tile_pitch(int pixels) {
  const int line = pixels % 64;
  if (line < 13) return pixels + 13 - line;
  if (line > 51) return pixels + 64 - line + 13;
  return pixels;
}

namespace {

// Of pixels that are read every other one, with room for the copy of an odd last one: odd, so that
// channel blocks alternate between even and odd L1 sets.
int pair_pitch(int pixels) { return tile_pitch(pixels + pixels % 2) | 1; }

}  // namespace

int PointwisePlan::pitch() const {
  return strassen() ? pair_pitch(tile_pixels) : tile_pitch(tile_pixels);
}
int PointwisePlan::sum_pitch() const { return pair_pitch(max_pixels); }
std::ptrdiff_t PointwisePlan::sums_floats() const {
  return strassen() ? std::ptrdiff_t{k_blocks} * sum_pitch() * kBlock : 0;
}

std::ptrdiff_t PointwisePlan::tile_floats() const {
  const std::ptrdiff_t numbers = std::ptrdiff_t{k_blocks} * pitch() * kBlock;
  return (numbers / per_lane + kBlock - 1) / kBlock * kBlock;
}

std::ptrdiff_t PointwisePlan::scratch_floats() const {
  std::ptrdiff_t total = tile_floats() + padded(tile_pixels);  // T and the offset table
  return strassen() ? total + kPartialFloats + sums_floats() : total;
}

int strassen_rows(int rows, int height, int width) {
  return std::min(rows + (width % 2 == 1 ? rows % 2 : 0), height);
}

HalfBlock half_block(const IsaTraits& isa, int channels_out, Algorithm algorithm) {
  const bool half = (channels_out - 1) % kBlock < kBlock / 2 && channels_out > kBlock;
  if (!half || algorithm == Algorithm::kStrassen || isa.per_lane > 1) return HalfBlock::kWhole;
  return isa.lanes < kBlock ? HalfBlock::kVector : HalfBlock::kPairs;
}

bool strassen_divides(int k_blocks, int n_blocks) { return k_blocks % 2 == 0 && n_blocks % 2 == 0; }

namespace {

// B[k][n] of the transposed, zero-padded weight.
struct PaddedWeight {
  int channels_in, channels_out;
  const float* weight;
  double operator()(int k, int n) const {
    if (k >= channels_in || n >= channels_out) return 0.0;
    return weight[std::ptrdiff_t{n} * channels_in + k];
  }
};

float* pack_strassen_panel(const PaddedWeight& b, int half_k, int half_n, int first, int width,
                           float* out) {
  const std::ptrdiff_t floats = std::ptrdiff_t{half_k} * width;  // of an operand
  for (int k = 0; k < half_k; ++k) {
    for (int n = first; n < first + width; ++n, ++out) {
      const double b11 = b(k, n), b12 = b(k, n + half_n);
      const double b21 = b(k + half_k, n), b22 = b(k + half_k, n + half_n);
      const double t1 = b12 - b11, t2 = b22 - t1;
      const double operands[7] = {b11, b21, t2, b22 - b12, b21 - t2, t1, b22};
      for (int i = 0; i < 7; ++i) out[i * floats] = static_cast<float>(operands[i]);
    }
  }
  return out + 6 * floats;
}

}  // namespace

void pack_pointwise(const PointwisePlan& plan, int channels_in, int channels_out,
                    const float* weight, float* packed) {
  const PaddedWeight b{channels_in, channels_out, weight};
  float* const end = packed + plan.packed_floats();
  for (int index = 0; index < plan.num_panels(); ++index) {
    const Panel panel = plan.panel(index);
    const int first = panel.first_block * kBlock;
    const int width = panel.columns();
    if (plan.strassen()) {
      packed = pack_strassen_panel(b, plan.k_blocks / 2 * kBlock, plan.n_blocks / 2 * kBlock, first,
                                   width, packed);
      continue;
    }
    for (int k = 0; k < plan.k_blocks * kBlock; k += plan.per_lane) {
      for (int n = first; n < first + width; ++n) {
        const bool again = panel.half == HalfBlock::kPairs && n >= first + width - kBlock / 2;
        const int from = again ? n - kBlock / 2 : n;
        *packed++ = plan.per_lane == 1 ? static_cast<float>(b(k, from))
                                       : bfloat16_pair(static_cast<float>(b(k, from)),
                                                       static_cast<float>(b(k + 1, from)));
      }
    }
  }
  std::fill(packed, end, 0.0f);  // what a panel of fewer columns leaves
}

void pack_bias(int channels, const float* bias, float* packed) {
  std::fill_n(packed, padded(channels), 0.0f);
  if (bias != nullptr) std::copy_n(bias, channels, packed);
}

}  // namespace mobileone::kernels
