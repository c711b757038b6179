// What dropout's forward and backward loops share.
#pragma once

#include <string>

#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/graph/dropout.hpp"

namespace mobileone::loops {

// A run: to = from where the node's mask keeps elements, scaled, and 0 elsewhere. Both are
// row-major, the order in which the mask counts elements.
inline auto masked_copy(const Dropout& dropout, const LoweredOp& op, const PlanBuilder& builder,
                        ValueId from, ValueId to) {
  return [=, name = builder.node(op.node).name, p = dropout.p,
          count = element_count(builder.shape(op.result)),
          pool = pool_of(builder)](const Buffers& buffers) {
    const DropoutMask mask(buffers.arguments.dropout_seed, name, p);
    const auto scale = static_cast<float>(mask.scale());
    const float* const x = input(buffers, from);
    float* const y = output(buffers, to);
    spread(pool, count, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) {
        y[i] = mask.keeps(static_cast<std::uint64_t>(i)) ? scale * x[i] : 0.f;
      }
    });
  };
}

}  // namespace mobileone::loops
