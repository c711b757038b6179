#include "mobileone/backends/fused/patterns/depthwise_match.hpp"

#include "mobileone/backends/fused/activation.hpp"
#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

namespace {

bool is_known(const Conv2d& conv) {
  if (conv.groups == 1 || conv.groups != conv.in_channels || conv.stride[0] > 2) return false;
  const std::int64_t multiplier = conv.out_channels / conv.in_channels;
  return (multiplier == 1 || multiplier == 2 || multiplier == 4 || multiplier == 8) &&
         conv.kernel[0] >= 3 && conv.kernel[0] <= 11 && conv.kernel[0] % 2 == 1 &&
         is_conv(conv, conv.kernel[0]);
}

}  // namespace

std::optional<DepthwiseMatch> match_depthwise(const Cursor& at) {
  Cursor cursor = at;
  DepthwiseMatch match;
  match.source = cursor.inputs()[0];
  const auto* conv = cursor.take<Conv2d>();
  if (!conv || !is_known(*conv) || !is_map(match.source, at.builder())) return std::nullopt;
  match.conv = cursor.node();
  match.residual = cursor.take_residual();
  const auto activation = map_activation(cursor.activation());
  if (!activation) return std::nullopt;
  match.activation = *activation;
  match.ops = cursor.taken();
  return match;
}

}  // namespace mobileone::fused
