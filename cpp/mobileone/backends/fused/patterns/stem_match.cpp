#include "mobileone/backends/fused/patterns/stem_match.hpp"

#include "mobileone/backends/fused/activation.hpp"

namespace mobileone::fused {

namespace {

std::optional<StemMatch> take_stem(Cursor& cursor) {
  const auto* conv = cursor.take<Conv2d>();
  if (!conv || conv->in_channels != 3 || !is_dense(*conv, 3, 2)) return std::nullopt;
  const Node& node = cursor.builder().node(cursor.node());
  const auto activation = kernel_activation(cursor.activation());
  // Without bias and activation it is of the train-time form: its batch norm follows.
  const bool fits = std::holds_alternative<Input>(cursor.builder().node(node.inputs[0]).op) &&
                    activation && (conv->bias || cursor.activation());
  if (!fits) return std::nullopt;
  StemMatch match;
  match.conv = cursor.node();
  match.activation = *activation;
  return match;
}

}  // namespace

std::optional<StemMatch> match_stem(const Cursor& at) {
  Cursor cursor = at;
  auto stem = take_stem(cursor);
  if (!stem) return std::nullopt;
  stem->ops = cursor.taken();
  // Whoever runs a squeeze-and-excitation runs the convolution before it, too.
  return take_squeeze(cursor) ? std::nullopt : stem;
}

std::optional<StemPairMatch> match_stem_pair(const Cursor& at) {
  Cursor cursor = at;
  const auto stem = take_stem(cursor);
  if (!stem || !is_floor(stem->activation) || !cursor.hands_over()) return std::nullopt;
  const auto pair = match_pair(cursor.here());
  if (!pair || pair->depthwise.squeeze || pair->pointwise.squeeze) return std::nullopt;
  const auto& depthwise = std::get<Conv2d>(at.builder().node(pair->depthwise.node).op);
  if (depthwise.stride[0] != 2) return std::nullopt;
  cursor.skip(pair->ops.size());
  return StemPairMatch{{cursor.taken()}, *stem, *pair};
}

}  // namespace mobileone::fused
