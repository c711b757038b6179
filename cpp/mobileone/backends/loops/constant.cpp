#include <cstring>

#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/loop_step.hpp"

namespace mobileone::loops {

template <>
void emit(const Constant&, const LoweredOp& op, PlanBuilder& builder) {
  const Operand value = builder.weight(builder.node(op.node).name + ".value");
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  const std::size_t bytes = builder.value(dst).bytes();
  const auto run = [=](const Buffers& buffers) {
    std::memcpy(output(buffers, dst), value.address(buffers), bytes);
  };
  add_loop(op, builder, PlanBuilder::values_of({value}), {dst}, run);
}

}  // namespace mobileone::loops
