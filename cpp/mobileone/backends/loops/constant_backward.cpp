#include <cstring>

#include "mobileone/backends/loops/emit_backward.hpp"

namespace mobileone::loops {

template <>
void emit_backward(const Constant&, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dw = builder.new_weight_gradient(op.node, builder.node(op.node).name + ".value");
  const std::size_t bytes = builder.value(dy).bytes();
  const auto run = [=](const Buffers& buffers) {
    std::memcpy(output(buffers, dw), input(buffers, dy), bytes);
  };
  add_backward_loop(op, builder, {dy}, {dw}, run);
}

}  // namespace mobileone::loops
