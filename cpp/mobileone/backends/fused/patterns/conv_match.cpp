#include "mobileone/backends/fused/patterns/conv_match.hpp"

#include "mobileone/backends/fused/activation.hpp"
#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

namespace {

// Takes the concatenation of two maps, if it is there and nobody but the next operator reads it.
bool take_sources(Cursor& cursor, DenseConvMatch& match) {
  const std::vector<NodeId>& sources = cursor.inputs();
  match.source = sources[0];
  if (!cursor.take<Concat>()) return true;
  if (sources.size() == 2) match.source2 = sources[1];
  return match.source2 >= 0 && cursor.hands_over();
}

bool is_known(const Conv2d& conv) {
  if (conv.groups != 1 || conv.stride[0] > 2) return false;
  return is_conv(conv, 1) || is_conv(conv, 3) || (conv.stride[0] == 1 && is_dilated(conv, 3));
}

}  // namespace

std::optional<DenseConvMatch> match_dense_conv_of(const Cursor& at) {
  Cursor cursor = at;
  DenseConvMatch match;
  if (!take_sources(cursor, match)) return std::nullopt;
  const auto* conv = cursor.take<Conv2d>();
  if (!conv || !is_known(*conv)) return std::nullopt;
  match.conv = cursor.node();
  match.residual = cursor.take_residual();
  const auto activation = map_activation(cursor.activation());
  if (!activation) return std::nullopt;
  match.activation = *activation;
  match.ops = cursor.taken();
  return match;
}

std::optional<DenseConvMatch> match_dense_conv(const Cursor& at) {
  if (!at.get<Conv2d>() && !at.get<Concat>()) return std::nullopt;
  if (!is_map(at.inputs()[0], at.builder())) return std::nullopt;
  return match_dense_conv_of(at);
}

}  // namespace mobileone::fused
