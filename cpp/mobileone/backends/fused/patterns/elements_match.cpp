#include "mobileone/backends/fused/patterns/elements_match.hpp"

#include "mobileone/backends/fused/activation.hpp"
#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

namespace {

// With what was taken, and the activation of the last operator.
std::optional<ElementsMatch> finished(ElementsMatch match, const Cursor& cursor,
                                      std::optional<ActivationKind> kind) {
  const auto activation = map_activation(kind);
  if (!activation) return std::nullopt;
  match.activation = *activation;
  match.ops = cursor.taken();
  return match;
}

}  // namespace

std::optional<ElementsMatch> match_excite(const Cursor& at) {
  if (!at.get<GlobalAvgPool>() || !is_map(at.inputs()[0], at.builder())) return std::nullopt;
  Cursor cursor = at;
  ElementsMatch match;
  match.a = at.inputs()[0];
  match.excite = take_squeeze_of(match.a, cursor);
  const bool known = match.excite && at.builder().factor_of(match.a) < 0 &&
                     kernel_activation(match.excite->activation) &&
                     kernel_activation(match.excite->gate);
  return known ? finished(match, cursor, cursor.activation()) : std::nullopt;
}

std::optional<ElementsMatch> match_sum(const Cursor& at) {
  if (!at.get<Add>() || at.inputs().size() != 2) return std::nullopt;
  ElementsMatch match;
  match.a = at.inputs()[0];
  match.b = at.inputs()[1];
  if (!is_map(match.a, at.builder()) || !is_map(match.b, at.builder())) return std::nullopt;
  Cursor cursor = at;
  cursor.take<Add>();
  return finished(match, cursor, cursor.activation());
}

std::optional<ElementsMatch> match_activation(const Cursor& at) {
  const auto* op = at.get<Activation>();
  if (!op || !is_map(at.inputs()[0], at.builder())) return std::nullopt;
  ElementsMatch match;
  match.a = at.inputs()[0];
  Cursor cursor = at;
  cursor.take<Activation>();
  return finished(match, cursor, op->kind);
}

std::optional<MaximaMatch> match_maxima(const Cursor& at) {
  const auto* pool = at.get<MaxPool>();
  if (!pool || !is_map(at.inputs()[0], at.builder())) return std::nullopt;
  const bool square = pool->kernel[0] == pool->kernel[1] && pool->stride[0] == pool->stride[1] &&
                      pool->padding[0] == pool->padding[1];
  if (!square) return std::nullopt;
  Cursor cursor = at;
  cursor.take<MaxPool>();
  return MaximaMatch{{cursor.taken()}, at.inputs()[0]};
}

}  // namespace mobileone::fused
