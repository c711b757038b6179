#include "mobileone/backends/fused/patterns/inverted_residual_match.hpp"

#include "mobileone/backends/fused/activation.hpp"
#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

std::optional<InvertedResidualMatch> match_inverted_residual(const Cursor& at) {
  Cursor cursor = at;
  const auto* expand = cursor.take<Conv2d>();
  if (!expand || !is_dense(*expand, 1, 1)) return std::nullopt;
  InvertedResidualMatch match;
  match.source = at.inputs()[0];
  match.expand = cursor.node();
  const auto expand_activation = cursor.activation();
  const auto activation = kernel_activation(expand_activation);
  if (!activation || !is_map(match.source, at.builder())) return std::nullopt;
  match.activation = *activation;

  const auto* depthwise = cursor.hands_over() ? cursor.take<Conv2d>() : nullptr;
  const bool fits = depthwise && depthwise->depthwise() && is_conv(*depthwise, 3) &&
                    depthwise->stride[0] <= 2 && cursor.activation() == expand_activation;
  if (!fits) return std::nullopt;
  match.depthwise = cursor.node();

  const auto* project = cursor.hands_over() ? cursor.take<Conv2d>() : nullptr;
  if (!project || !is_dense(*project, 1, 1) || cursor.activation()) return std::nullopt;
  match.project = cursor.node();
  Cursor sum = cursor;
  if (cursor.hands_over() && sum.take_sum(cursor.result()) == match.source && !sum.activation()) {
    match.residual = true;
    cursor = sum;
  }
  match.ops = cursor.taken();
  return match;
}

}  // namespace mobileone::fused
