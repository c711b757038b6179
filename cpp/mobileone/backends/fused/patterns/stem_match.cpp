#include "mobileone/backends/fused/patterns/stem_match.hpp"

#include "mobileone/backends/fused/activation.hpp"

namespace mobileone::fused {

namespace {

std::optional<StemMatch> take_stem(Cursor& cursor) {
  const auto* conv = cursor.take<Conv2d>();
  if (!conv || conv->in_channels != 3 || !is_dense(*conv, 3, 2)) return std::nullopt;
  const Node& node = cursor.builder().node(cursor.node());
  const auto activation = map_activation(cursor.activation());
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

std::optional<StemBlockMatch> match_stem_block(const Cursor& at) {
  Cursor cursor = at;
  const auto stem = take_stem(cursor);
  if (!stem || !cursor.hands_over()) return std::nullopt;
  const auto block = match_block(cursor.here());
  if (!block || block->expand || block->excite || block->factor) return std::nullopt;
  if (!is_square(*block->find_depthwise(at.builder()), 3, 2)) return std::nullopt;
  cursor.skip(block->ops.size());
  return StemBlockMatch{{cursor.taken()}, *stem, *block};
}

std::optional<StemConvMatch> match_stem_conv(const Cursor& at) {
  Cursor cursor = at;
  const auto stem = take_stem(cursor);
  if (!stem || !cursor.hands_over()) return std::nullopt;
  const auto conv = match_dense_conv_of(cursor.here());
  if (!conv || conv->source2 >= 0 || conv->residual >= 0) return std::nullopt;
  if (!is_dense(std::get<Conv2d>(at.builder().node(conv->conv).op), 3, 2)) return std::nullopt;
  cursor.skip(conv->ops.size());
  return StemConvMatch{{cursor.taken()}, *stem, *conv};
}

}  // namespace mobileone::fused
