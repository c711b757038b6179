// Which operators have a file here: those that oneDNN has a primitive for. Readable without the
// library.
#pragma once

#include <type_traits>

#include "mobileone/graph/op.hpp"

namespace mobileone::onednn {

template <typename Operator, typename... Covered>
inline constexpr bool is_one_of = (std::is_same_v<Operator, Covered> || ...);

template <typename Operator>
inline constexpr bool covered =
    is_one_of<Operator, Conv2d, BatchNorm, Activation, Add, Multiply, GlobalAvgPool, Linear,
              LayerNorm, Attention, Concat, MatMul>;

// With a result of that shape: oneDNN's binary primitives and ours of its layouts are of maps,
// sequences and vectors.
inline bool covers(const Op& op, const Shape& result) {
  if (result.size() > 5) return false;
  const auto* join = std::get_if<Concat>(&op);
  if (join && !join->by_channels(result)) return false;
  return std::visit(
      [](const auto& attributes) { return covered<std::decay_t<decltype(attributes)>>; }, op);
}

}  // namespace mobileone::onednn
