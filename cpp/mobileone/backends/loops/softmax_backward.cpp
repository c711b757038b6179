#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/softmax_rows.hpp"

namespace mobileone::loops {

// dx = y (dy - sum of y dy).
template <>
void emit_backward(const Softmax& softmax, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const ValueId y = builder.in_layout(op.result, Layout::nchw());
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  const SoftmaxRows rows(softmax, builder.shape(op.result));
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, rows.count, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) {
        const float* const result = input(buffers, y) + rows.first(row);
        const float* const gradient = input(buffers, dy) + rows.first(row);
        float* const to = output(buffers, dx) + rows.first(row);
        double mean = 0.0;
        for (std::int64_t k = 0; k < rows.extent * rows.stride; k += rows.stride) {
          mean += static_cast<double>(result[k]) * static_cast<double>(gradient[k]);
        }
        for (std::int64_t k = 0; k < rows.extent * rows.stride; k += rows.stride) {
          to[k] = static_cast<float>(static_cast<double>(result[k]) *
                                     (static_cast<double>(gradient[k]) - mean));
        }
      }
    });
  };
  add_backward_loop(op, builder, {y, dy}, {dx}, run);
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
