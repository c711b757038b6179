#include "mobileone/graph/dropout.hpp"

#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/loop_step.hpp"

namespace mobileone::loops {

template <>
void emit(const Dropout& dropout, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  if (!builder.options().training || dropout.p == 0.0) {
    builder.alias(op.result, node.inputs[0]);
    return;
  }
  // Row-major, the order in which the mask counts elements.
  const ValueId src = builder.in_layout(node.inputs[0], Layout::nchw());
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  const std::int64_t count = element_count(builder.shape(op.result));
  const auto run = [=, name = node.name, p = dropout.p,
                    pool = pool_of(builder)](const Buffers& buffers) {
    const DropoutMask mask(buffers.arguments.dropout_seed, name, p);
    const auto scale = static_cast<float>(mask.scale());
    const float* const x = input(buffers, src);
    float* const y = output(buffers, dst);
    spread(pool, count, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) {
        y[i] = mask.keeps(static_cast<std::uint64_t>(i)) ? scale * x[i] : 0.f;
      }
    });
  };
  add_loop(op, builder, {src}, {dst}, run);
}

}  // namespace mobileone::loops
