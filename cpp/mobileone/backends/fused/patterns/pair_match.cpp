#include "mobileone/backends/fused/patterns/pair_match.hpp"

#include "mobileone/backends/fused/activation.hpp"

namespace mobileone::fused {

namespace {

// The activation of what was taken last, if the kernels apply it to their sums.
std::optional<kernels::Activation> floor_of(const Cursor& cursor) {
  const auto activation = kernel_activation(cursor.activation());
  return activation && is_floor(*activation) ? activation : std::nullopt;
}

// Takes one on sums that have no activation yet, which the kernels know how to run.
std::optional<SqueezeMatch> take_pair_squeeze(Cursor& cursor) {
  if (cursor.activation()) return std::nullopt;
  Cursor next = cursor;
  const auto squeeze = take_squeeze(next);
  const bool runs = squeeze && squeeze->activation == ActivationKind::relu &&
                    squeeze->gate == ActivationKind::sigmoid && floor_of(next);
  if (!runs) return std::nullopt;
  cursor = next;
  return squeeze;
}

// Without its SE, which take_pair_squeeze() adds.
std::optional<ConvMatch> take_conv(Cursor& cursor) {
  const auto* conv = cursor.take<Conv2d>();
  const auto activation = conv && conv->bias ? floor_of(cursor) : std::nullopt;
  if (!activation) return std::nullopt;
  return ConvMatch{cursor.node(), std::nullopt, *activation};
}

void add_squeeze(Cursor& cursor, ConvMatch& match) {
  match.squeeze = take_pair_squeeze(cursor);
  if (match.squeeze) match.activation = *floor_of(cursor);
}

// Everything but the pointwise's SE.
std::optional<PairMatch> take_two(Cursor& cursor) {
  const auto* dw = cursor.get<Conv2d>();
  if (!dw || !dw->depthwise() || !is_conv(*dw, 3) || dw->stride[0] > 2) return std::nullopt;
  PairMatch match;
  match.source = cursor.inputs()[0];
  const auto depthwise = take_conv(cursor);
  if (!depthwise) return std::nullopt;
  match.depthwise = *depthwise;
  add_squeeze(cursor, match.depthwise);
  const auto* pw = cursor.get<Conv2d>();
  if (!pw || !is_dense(*pw, 1, 1) || !cursor.hands_over()) return std::nullopt;
  const auto pointwise = take_conv(cursor);
  if (!pointwise) return std::nullopt;
  match.pointwise = *pointwise;
  return match;
}

// Whether what reads the result of the operator taken last multiplies it with a factor.
bool factor_is_applied(Cursor cursor) {
  if (!cursor.hands_over()) return false;
  return cursor.get<GlobalAvgPool>() || take_two(cursor);
}

}  // namespace

std::optional<PairMatch> match_pair(const Cursor& at) {
  Cursor cursor = at;
  auto match = take_two(cursor);
  if (!match) return std::nullopt;
  Cursor with_squeeze = cursor;
  ConvMatch pointwise = match->pointwise;
  add_squeeze(with_squeeze, pointwise);
  if (pointwise.squeeze && factor_is_applied(with_squeeze)) {
    match->pointwise = pointwise;
    cursor = with_squeeze;
  }
  match->ops = cursor.taken();
  return match;
}

}  // namespace mobileone::fused
