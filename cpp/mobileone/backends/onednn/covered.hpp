// Which operators have a file here: those that oneDNN has a primitive for. Readable without the
// library.
#pragma once

#include <type_traits>

#include "mobileone/graph/op.hpp"

namespace mobileone::onednn {

template <typename Operator, typename... Covered>
inline constexpr bool is_one_of = (std::is_same_v<Operator, Covered> || ...);

template <typename Operator>
inline constexpr bool covered = is_one_of<Operator, Conv2d, BatchNorm, Activation, Add, Multiply,
                                          GlobalAvgPool, Linear, LayerNorm, Attention, Concat>;

inline bool covers(const Op& op) {
  return std::visit(
      [](const auto& attributes) { return covered<std::decay_t<decltype(attributes)>>; }, op);
}

}  // namespace mobileone::onednn
