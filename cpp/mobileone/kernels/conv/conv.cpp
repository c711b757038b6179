#include "mobileone/kernels/conv/conv.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "mobileone/kernels/conv/phases.hpp"
#include "mobileone/kernels/conv/winograd.hpp"

namespace mobileone::kernels {

namespace {

void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument("[conv] " + message);
}

}  // namespace

bool fills_microkernels(const IsaTraits& isa, int width) {
  return width / ceil_div(width, isa.pixels) >= isa.row_pixels;
}

double ConvShape::macs() const {
  return double(out_height()) * out_width() * taps() * (channels_in + channels_in2) * channels_out;
}

bool strassen_applies(const ConvShape& shape) {
  if (shape.dilation > 1) return phases_apply(shape);
  if (shape.kernel == 3) {
    return shape.out_height() % 2 == 0 && shape.out_width() % 2 == 0;
  }
  // As for pairs: padding columns must stay zero.
  return shape.channels_out % kBlock == 0 &&
         strassen_divides(1, shape.k_blocks(), blocks(shape.channels_out));
}

Windows windows_of(const ConvShape& shape) {
  if (shape.stride == 1) return Windows::kPlain;
  // 45 matrices of 16 KiB, a fraction of any L2: a tile has few windows to use each of them for.
  constexpr int kMostWideWeights = 4096;
  const bool small =
      (shape.channels_in + shape.channels_in2) * shape.channels_out <= kMostWideWeights;
  return small && shape.out_width() % 4 == 0 ? Windows::kWide : Windows::kStrided;
}

namespace {

ConvPlan with_phases(ConvPlan plan, const IsaTraits& isa, const Tiling& tiling) {
  const ConvShape& shape = plan.shape;
  plan.tile_rows = std::min(tiling.tile_rows, plan.rows());
  const int windows = PhaseAxis(shape.height, shape.dilation).most_windows(plan.tiles()) *
                      PhaseAxis(shape.width, shape.dilation).windows();
  plan.pointwise = {.k_blocks = shape.source_blocks(),
                    .n_blocks = blocks(shape.channels_out),
                    .tile_pixels = windows,
                    .max_pixels = windows,
                    .panel_blocks = isa.panel_blocks};
  return plan;
}

}  // namespace

ConvPlan plan_conv(const IsaTraits& isa, const ConvShape& shape, const Tiling& tiling) {
  require(shape.channels_in >= 1 && shape.channels_in2 >= 0 && shape.channels_out >= 1 &&
              shape.height >= 1 && shape.width >= 1,
          "channels and sizes must be at least 1");
  require(shape.kernel == 1 || shape.kernel == 3,
          "kernel is " + std::to_string(shape.kernel) + "; expected 1 or 3");
  require(
      shape.dilation >= 1 && (shape.dilation == 1 || shape.kernel == 3),
      "dilation is " + std::to_string(shape.dilation) + "; expected 1, or more of a 3x3 kernel");
  require(shape.stride == 1 || (shape.stride == 2 && shape.dilation == 1),
          "stride is " + std::to_string(shape.stride) +
              "; expected 1, or 2 of a kernel that is not dilated");
  require(tiling.tile_rows >= 1 && tiling.column_parts >= 1,
          "tile_rows and column_parts must be at least 1");
  require(tiling.algorithm != Algorithm::kTwoLevels, "two levels of strassen are of blocks alone");
  require(tiling.algorithm == Algorithm::kDirect || strassen_applies(shape),
          "strassen needs whole 16-channel blocks of output, and an even number of blocks on both "
          "sides; winograd a 3x3 kernel and a result of even height and width, or, with dilation, "
          "nothing but a floor after the sums");
  ConvPlan plan;
  plan.shape = shape;
  plan.weights_stay = tiling.weights_stay;
  const bool fewer = tiling.algorithm == Algorithm::kStrassen;
  plan.winograd = fewer && shape.kernel == 3;
  plan.phases = plan.winograd && shape.dilation > 1;
  if (plan.phases) return with_phases(plan, isa, tiling);
  plan.tile_rows = fewer && !plan.winograd
                       ? strassen_rows(1, tiling.tile_rows, shape.out_height(), shape.out_width())
                       : std::min(tiling.tile_rows + (plan.winograd ? tiling.tile_rows % 2 : 0),
                                  shape.out_height());
  const int pixels = plan.tile_rows * shape.out_width() /
                     (plan.winograd ? 2 * window_columns(windows_of(shape)) : 1);
  plan.pointwise = {.k_blocks = plan.winograd ? shape.source_blocks() : shape.k_blocks(),
                    .n_blocks = blocks(shape.channels_out),
                    .tile_pixels = pixels,
                    .max_pixels = pixels,
                    .panel_blocks = isa.panel_blocks,
                    .algorithm = plan.winograd ? Algorithm::kDirect : tiling.algorithm};
  plan.column_parts =
      plan.winograd ? 1 : std::min(tiling.column_parts, plan.pointwise.num_panels());
  plan.by_rows = shape.dilation > 1 || (!fewer && fills_microkernels(isa, shape.out_width()));
  return plan;
}

int ConvPlan::products() const {
  if (!phases) return winograd ? winograd_forms(windows_of(shape)) : 1;
  return PhaseAxis(shape.height, shape.dilation).forms() *
         PhaseAxis(shape.width, shape.dilation).forms();
}

int ConvPlan::rows() const {
  return phases ? PhaseAxis(shape.height, shape.dilation).windows() : shape.out_height();
}

std::size_t ConvPlan::scratch_bytes() const {
  if (by_rows) return 0;
  const std::ptrdiff_t floats = phases     ? PhaseScratch(*this).floats()
                                : winograd ? WinogradScratch(*this).floats()
                                           : pointwise.scratch_floats();
  return sizeof(float) * static_cast<std::size_t>(floats);
}

namespace {

// Of T: source block, tap, channel of the block. By rows: kernel row, source, kernel column, and
// the channels of that source.
std::ptrdiff_t position_in_k(const ConvPlan& plan, int channel, int tap) {
  const ConvShape& shape = plan.shape;
  const bool second = channel >= shape.channels_in;
  const int lane = second ? channel - shape.channels_in : channel;
  const int before = second ? padded(shape.channels_in) : 0;
  if (!plan.by_rows) {
    const int block = (before + lane) / kBlock;
    return (std::ptrdiff_t{block} * shape.taps() + tap) * kBlock + lane % kBlock;
  }
  const int own = padded(second ? shape.channels_in2 : shape.channels_in);
  const int row = tap / shape.kernel, column = tap % shape.kernel;
  return std::ptrdiff_t{shape.kernel} * (row * shape.source_blocks() * kBlock + before) +
         std::ptrdiff_t{column} * own + lane;
}

}  // namespace

void pack_conv(const ConvPlan& plan, const float* weight, const float* bias, float* packed) {
  if (plan.phases) return pack_phases(plan, weight, bias, packed);
  if (plan.winograd) return pack_winograd(plan, weight, bias, packed);
  const ConvShape& shape = plan.shape;
  const int taps = shape.taps(), channels = shape.channels_in + shape.channels_in2;
  const std::ptrdiff_t k = std::ptrdiff_t{shape.k_blocks()} * kBlock;
  // [channels_out][K] with K in the order in which it is read.
  std::vector<float> matrix(static_cast<std::size_t>(k * shape.channels_out));
  for (int n = 0; n < shape.channels_out; ++n) {
    float* row = matrix.data() + n * k;
    for (int c = 0; c < channels; ++c) {
      for (int tap = 0; tap < taps; ++tap) row[position_in_k(plan, c, tap)] = *weight++;
    }
  }
  pack_bias(shape.channels_out, bias, packed);
  pack_pointwise(plan.pointwise, static_cast<int>(k), shape.channels_out, matrix.data(),
                 packed + plan.panels_offset());
}

}  // namespace mobileone::kernels
