#include "mobileone/kernels/block/inverted_residual.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace mobileone::kernels {

namespace {

void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument("[inverted residual] " + message);
}

}  // namespace

double InvertedResidualShape::macs() const {
  const double out = double(out_height()) * out_width();
  return double(height) * width * channels_in * hidden + out * hidden * (9.0 + channels_out);
}

bool strassen_applies(const InvertedResidualShape& shape) {
  return shape.channels_out % kBlock == 0 &&
         strassen_divides(blocks(shape.hidden), blocks(shape.channels_out));
}

InvertedResidualPlan plan_inverted_residual(int panel_blocks, const InvertedResidualShape& shape,
                                            int tile_rows, Algorithm algorithm) {
  require(shape.channels_in >= 1 && shape.hidden >= 1 && shape.channels_out >= 1 &&
              shape.height >= 1 && shape.width >= 1,
          "channels and sizes must be at least 1");
  require(shape.stride == 1 || shape.stride == 2,
          "stride is " + std::to_string(shape.stride) + "; expected 1 or 2");
  require(!shape.residual || (shape.stride == 1 && shape.channels_in == shape.channels_out),
          "a residual needs stride 1 and as many output as input channels");
  require(tile_rows >= 1 && tile_rows <= InvertedResidualPlan::kMaxTileRows,
          "tile_rows is " + std::to_string(tile_rows) + "; expected 1 to " +
              std::to_string(InvertedResidualPlan::kMaxTileRows));
  require(algorithm == Algorithm::kDirect || strassen_applies(shape),
          "strassen needs whole 16-channel blocks of output, and an even number of blocks on both "
          "sides");
  InvertedResidualPlan plan;
  plan.shape = shape;
  plan.tile_rows = std::min(tile_rows, shape.out_height());
  const int pixels = plan.tile_rows * shape.out_width();
  plan.expand = {.k_blocks = blocks(shape.channels_in),
                 .n_blocks = blocks(shape.hidden),
                 .panel_blocks = panel_blocks};
  plan.project = {.k_blocks = blocks(shape.hidden),
                  .n_blocks = blocks(shape.channels_out),
                  .tile_pixels = pixels,
                  .max_pixels = pixels,
                  .panel_blocks = panel_blocks,
                  .algorithm = algorithm};
  return plan;
}

void pack_inverted_residual(const InvertedResidualPlan& plan,
                            const InvertedResidualWeights& weights, float* packed) {
  const InvertedResidualShape& shape = plan.shape;
  pack_bias(shape.hidden, weights.expand_bias, packed);
  pack_pointwise(plan.expand, shape.channels_in, shape.hidden, weights.expand,
                 packed + plan.expand_offset());
  pack_depthwise(shape.hidden, weights.depthwise, weights.depthwise_bias,
                 packed + plan.taps_offset());
  pack_bias(shape.channels_out, weights.project_bias, packed + plan.bias_offset());
  pack_pointwise(plan.project, shape.hidden, shape.channels_out, weights.project,
                 packed + plan.project_offset());
}

}  // namespace mobileone::kernels
