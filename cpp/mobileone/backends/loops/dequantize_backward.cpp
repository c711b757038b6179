#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

template <>
void emit_backward(const Dequantize& dequantize, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId node = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(node)) return;
  const Layout layout = builder.value(dense_map(builder, node)).layout;
  const ValueId dy = builder.gradient_of(op, layout);
  const ValueId dx = builder.new_gradient(node, layout);
  const std::int64_t count = element_count(builder.shape(node));
  const auto scale = static_cast<float>(dequantize.scale);
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, count, [&](std::int64_t begin, std::int64_t end, int) {
      const float* const gradient = input(buffers, dy);
      float* const to = output(buffers, dx);
      for (std::int64_t i = begin; i < end; ++i) to[i] = gradient[i] * scale;
    });
  };
  add_backward_loop(op, builder, {dy}, {dx}, run);
  builder.add_gradient(node, dx);
}

}  // namespace mobileone::loops
