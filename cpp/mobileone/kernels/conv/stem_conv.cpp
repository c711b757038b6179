#include "mobileone/kernels/conv/stem_conv.hpp"

#include <stdexcept>

namespace mobileone::kernels {

StemConvPlan plan_stem_conv(const StemPlan& stem, const ConvPlan& conv) {
  const MapShape map = stem.dst();
  const ConvShape& shape = conv.shape;
  const bool follows =
      shape.channels_in == map.channels && shape.height == map.height && shape.width == map.width;
  if (!follows || stem.per_lane != 1 || shape.stride != 2 || shape.kernel != 3 ||
      shape.channels_in2 != 0 || shape.epilogue.residual || conv.column_parts != 1) {
    throw std::invalid_argument(
        "[stem] the fused convolution must be a 3x3 one with stride 2, one source, no residual and "
        "one column part, on the stem's output, in float32");
  }
  return {stem, conv};
}

}  // namespace mobileone::kernels
