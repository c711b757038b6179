#include "mobileone/kernels/pointwise/pointwise_plan.hpp"

#include <algorithm>
#include <numeric>

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

PointwisePlan PointwisePlan::product() const {
  PointwisePlan plan = *this;
  plan.k_blocks /= 2;
  plan.n_blocks /= 2;
  plan.tile_pixels = plan.max_pixels = 2 * ceil_div(max_pixels, 4);
  plan.algorithm = Algorithm::kStrassen;
  return plan;
}

std::ptrdiff_t PointwisePlan::panel_offset(int first_block) const {
  const std::ptrdiff_t rows = strassen() ? 7 * (k_blocks >> levels()) : k_blocks;
  return rows * kBlock * first_block * kBlock / per_lane;
}

std::ptrdiff_t PointwisePlan::packed_floats() const {
  return (levels() == 2 ? 7 : 1) * panel_offset(panelled_blocks());
}

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
  if (levels() == 2) return tile_pitch(4 * ceil_div(tile_pixels, 4));
  return strassen() ? pair_pitch(tile_pixels) : tile_pitch(tile_pixels);
}
int PointwisePlan::sum_pitch() const { return pair_pitch(max_pixels); }
std::ptrdiff_t PointwisePlan::sums_floats() const {
  return levels() == 1 ? std::ptrdiff_t{k_blocks} * sum_pitch() * kBlock : 0;
}
int PointwisePlan::spare_floats() const {
  return std::max(n_blocks / 2 * kBlock, kPartialFloats / 2);
}
std::ptrdiff_t PointwisePlan::partial_floats() const {
  return std::ptrdiff_t{2} * ceil_div(max_pixels, 4) * (n_blocks / 2) * kBlock;
}

std::ptrdiff_t PointwisePlan::tile_floats() const {
  const std::ptrdiff_t numbers = std::ptrdiff_t{k_blocks} * pitch() * kBlock;
  return (numbers / per_lane + kBlock - 1) / kBlock * kBlock;
}

std::ptrdiff_t PointwisePlan::scratch_floats() const {
  std::ptrdiff_t total = tile_floats() + padded(tile_pixels);  // T and the offset table
  if (levels() == 2)
    return total + product().scratch_floats() + 2 * partial_floats() + n_blocks / 2 * kBlock +
           2 * spare_floats();
  return strassen() ? total + kPartialFloats + sums_floats() : total;
}

int paired_rows(int levels, int width) {
  const int pixels = 1 << levels;
  return pixels / std::gcd(pixels, width);
}

int strassen_rows(int levels, int rows, int height, int width) {
  const int step = paired_rows(levels, width);
  return std::min(ceil_div(rows, step) * step, height);
}

HalfBlock half_block(const IsaTraits& isa, int channels_out, Algorithm algorithm) {
  const bool half = (channels_out - 1) % kBlock < kBlock / 2 && channels_out > kBlock;
  if (!half || algorithm != Algorithm::kDirect || isa.per_lane > 1) return HalfBlock::kWhole;
  return isa.lanes < kBlock ? HalfBlock::kVector : HalfBlock::kPairs;
}

bool strassen_divides(int levels, int k_blocks, int n_blocks) {
  const int parts = 1 << levels;
  return k_blocks % parts == 0 && n_blocks % parts == 0;
}

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

// B's operands of the seven products at an entry of the quarters, in the order of use, T4 negated.
struct StrassenOperands {
  double of[7];
  StrassenOperands(double b11, double b12, double b21, double b22) {
    const double t1 = b12 - b11, t2 = b22 - t1;
    const double all[] = {b11, b21, t2, b22 - b12, b21 - t2, t1, b22};
    std::copy_n(all, 7, of);
  }
};

// One level's panels, one operand after the other.
void pack_strassen(const PointwisePlan& plan, const PaddedWeight& b, float* out) {
  const int half_k = plan.k_blocks / 2 * kBlock, half_n = plan.n_blocks / 2 * kBlock;
  for (int index = 0; index < plan.num_panels(); ++index) {
    const Panel panel = plan.panel(index);
    const int first = panel.first_block * kBlock, width = panel.columns();
    const std::ptrdiff_t floats = std::ptrdiff_t{half_k} * width;  // of an operand
    for (int k = 0; k < half_k; ++k) {
      for (int n = first; n < first + width; ++n, ++out) {
        const StrassenOperands operands(b(k, n), b(k, n + half_n), b(k + half_k, n),
                                        b(k + half_k, n + half_n));
        for (int i = 0; i < 7; ++i) out[i * floats] = static_cast<float>(operands.of[i]);
      }
    }
    out += 6 * floats;
  }
}

// Of two levels: every operand of the outer one as one level's B. A row of all 49 goes through a
// buffer: written one by one, numbers of operands that are whole pages apart miss the cache.
void pack_two_levels(const PointwisePlan& plan, const PaddedWeight& b, float* out) {
  const int half_k = plan.k_blocks / 2 * kBlock, half_n = plan.n_blocks / 2 * kBlock;
  const int quarter_k = half_k / 2, quarter_n = half_n / 2;
  const std::ptrdiff_t product = plan.product().packed_floats();
  const auto outer = [&](int k, int n) {
    return StrassenOperands(b(k, n), b(k, n + half_n), b(k + half_k, n), b(k + half_k, n + half_n));
  };
  float rows[7][7][3 * kBlock];
  for (int index = 0; index < plan.num_panels(); ++index) {
    const Panel panel = plan.panel(index);
    const int first = panel.first_block * kBlock, width = panel.columns();
    const std::ptrdiff_t floats = std::ptrdiff_t{quarter_k} * width;  // of an operand
    for (int k = 0; k < quarter_k; ++k, out += width) {
      for (int n = 0; n < width; ++n) {
        const StrassenOperands b11 = outer(k, first + n), b12 = outer(k, first + n + quarter_n),
                               b21 = outer(k + quarter_k, first + n),
                               b22 = outer(k + quarter_k, first + n + quarter_n);
        for (int i = 0; i < 7; ++i) {
          const StrassenOperands inner(b11.of[i], b12.of[i], b21.of[i], b22.of[i]);
          for (int j = 0; j < 7; ++j) rows[i][j][n] = static_cast<float>(inner.of[j]);
        }
      }
      for (int i = 0; i < 7; ++i) {
        for (int j = 0; j < 7; ++j) {
          std::copy_n(rows[i][j], width, out + i * product + j * floats);
        }
      }
    }
    out += 6 * floats;
  }
}

}  // namespace

void pack_pointwise(const PointwisePlan& plan, int channels_in, int channels_out,
                    const float* weight, float* packed) {
  const PaddedWeight b{channels_in, channels_out, weight};
  float* const end = packed + plan.packed_floats();
  if (plan.levels() == 1) return pack_strassen(plan, b, packed);
  if (plan.levels() == 2) return pack_two_levels(plan, b, packed);
  for (int index = 0; index < plan.num_panels(); ++index) {
    const Panel panel = plan.panel(index);
    const int first = panel.first_block * kBlock;
    const int width = panel.columns();
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
