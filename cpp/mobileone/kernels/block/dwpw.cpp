#include "mobileone/kernels/block/dwpw.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace mobileone::kernels {

namespace {

void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument("[dwpw] " + message);
}

}  // namespace

double DwPwShape::macs() const {
  return double(out_height()) * out_width() * channels_in * (9.0 + channels_out);
}

std::size_t DwPwPlan::packed_bytes() const {
  return sizeof(float) * static_cast<std::size_t>(panels_offset() + pointwise.packed_floats());
}

std::size_t DwPwPlan::scratch_bytes() const {
  const std::ptrdiff_t channels = pointwise.k_blocks * kBlock;
  // The tile's operands, depthwise taps scaled by src_scale, and the squeeze-and-excite's vectors.
  return sizeof(float) * static_cast<std::size_t>(pointwise.scratch_floats() + bias_offset() +
                                                  (shape.depthwise_se ? 3 * channels : 0));
}

bool strassen_applies(const DwPwShape& shape) {
  // Sums of sums leave rounding residue in padding columns, which must stay zero: no padding then.
  return shape.channels_out % kBlock == 0 &&
         strassen_divides(blocks(shape.channels_in), blocks(shape.channels_out));
}

DwPwPlan plan_dwpw(int panel_blocks, const DwPwShape& shape, const Tiling& tiling) {
  require(
      shape.channels_in >= 1 && shape.channels_out >= 1 && shape.height >= 1 && shape.width >= 1,
      "channels and sizes must be at least 1");
  require(shape.stride == 1 || shape.stride == 2,
          "stride is " + std::to_string(shape.stride) + "; expected 1 or 2");
  require(tiling.tile_rows >= 1 && tiling.column_parts >= 1,
          "tile_rows and column_parts must be at least 1");
  DwPwPlan plan;
  plan.shape = shape;
  plan.weights_stay = tiling.weights_stay;
  plan.tile_rows = std::min(tiling.tile_rows, shape.out_height());
  require(tiling.algorithm == Algorithm::kDirect || strassen_applies(shape),
          "strassen needs whole 16-channel blocks of output, and an even number of blocks on both "
          "sides");
  plan.pointwise = {.k_blocks = blocks(shape.channels_in),
                    .n_blocks = blocks(shape.channels_out),
                    .tile_pixels = plan.depthwise_rows() * shape.out_width(),
                    .max_pixels = plan.tile_rows * shape.out_width(),
                    .panel_blocks = panel_blocks,
                    .algorithm = tiling.algorithm};
  plan.column_parts = std::min(tiling.column_parts, plan.pointwise.num_panels());
  return plan;
}

void pack_depthwise(int channels, const float* weight, const float* bias, float* packed) {
  std::fill_n(packed, std::ptrdiff_t{blocks(channels)} * 10 * kBlock, 0.0f);
  for (int c = 0; c < channels; ++c) {
    float* taps = packed + std::ptrdiff_t{c / kBlock} * 10 * kBlock + c % kBlock;
    for (int tap = 0; tap < 9; ++tap) taps[tap * kBlock] = weight[c * 9 + tap];
    if (bias != nullptr) taps[9 * kBlock] = bias[c];
  }
}

void pack_bias(int channels, const float* bias, float* packed) {
  std::fill_n(packed, padded(channels), 0.0f);
  if (bias != nullptr) std::copy_n(bias, channels, packed);
}

void pack_dwpw(const DwPwPlan& plan, const float* depthwise, const float* depthwise_bias,
               const float* pointwise, const float* pointwise_bias, float* packed) {
  const DwPwShape& shape = plan.shape;
  pack_depthwise(shape.channels_in, depthwise, depthwise_bias, packed);
  pack_bias(shape.channels_out, pointwise_bias, packed + plan.bias_offset());
  pack_pointwise(plan.pointwise, shape.channels_in, shape.channels_out, pointwise,
                 packed + plan.panels_offset());
}

}  // namespace mobileone::kernels
