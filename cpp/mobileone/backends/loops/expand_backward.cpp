#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/strided.hpp"

namespace mobileone::loops {

template <>
void emit_backward(const Expand&, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  const std::int64_t count = element_count(builder.shape(source));
  const std::int64_t images = builder.shape(op.result)[0];
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, count, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) {
        double sum = 0.0;
        for (std::int64_t image = 0; image < images; ++image) {
          sum += static_cast<double>(input(buffers, dy)[image * count + i]);
        }
        output(buffers, dx)[i] = static_cast<float>(sum);
      }
    });
  };
  add_backward_loop(op, builder, {dy}, {dx}, run);
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
