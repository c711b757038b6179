// Backward steps of operators that move the elements of their input.
#pragma once

#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/strided.hpp"

namespace mobileone::loops {

// Adds the backward step, if it is wanted, of an operator with one input: copy(dx, dy, id of dy)
// says what of the result's gradient is whose of the input; the rest of that is `fill`.
template <typename Copy>
void add_gradient_copy(const LoweredOp& op, PlanBuilder& builder, const Copy& copy,
                       std::optional<float> fill = std::nullopt) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  const StridedCopy one = copy(builder.value(dx), builder.value(dy), dy);
  add_backward_loop(op, builder, {dy}, {dx}, StridedCopies(builder, dx, {one}, fill));
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
