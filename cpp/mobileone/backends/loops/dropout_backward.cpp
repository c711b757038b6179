#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/graph/dropout.hpp"

namespace mobileone::loops {

template <>
void emit_backward(const Dropout& dropout, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const NodeId source = node.inputs[0];
  if (!builder.wants_gradient(source)) return;
  if (dropout.p == 0.0) {
    const Layout layout = builder.value(dense_map(builder, source)).layout;
    builder.add_gradient(source, builder.gradient_of(op, layout));
    return;
  }
  // Row-major, the order in which the mask counts elements.
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  const std::int64_t count = element_count(builder.shape(op.result));
  const auto run = [=, name = node.name, p = dropout.p,
                    pool = pool_of(builder)](const Buffers& buffers) {
    const DropoutMask mask(buffers.arguments.dropout_seed, name, p);
    const auto scale = static_cast<float>(mask.scale());
    const float* const from = input(buffers, dy);
    float* const to = output(buffers, dx);
    spread(pool, count, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) {
        to[i] = mask.keeps(static_cast<std::uint64_t>(i)) ? scale * from[i] : 0.f;
      }
    });
  };
  add_backward_loop(op, builder, {dy}, {dx}, run);
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
