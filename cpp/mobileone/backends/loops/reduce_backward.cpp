#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/reduction.hpp"

namespace mobileone::loops {

template <>
void emit_backward(const Reduce& reduce, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const ValueId x = builder.in_layout(source, Layout::nchw());
  const ValueId y = builder.in_layout(op.result, Layout::nchw());
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  const ReductionNests nests(reduce, builder.value(dx), builder.value(dy));
  const auto run = [=, kind = reduce.kind, pool = pool_of(builder)](const Buffers& buffers) {
    nests.for_each_result(pool, [&](std::int64_t at, std::int64_t first) {
      const float* const from = input(buffers, x) + first;
      float* const to = output(buffers, dx) + first;
      const auto gradient = static_cast<double>(input(buffers, dy)[at]);
      const auto norm = static_cast<double>(input(buffers, y)[at]);
      const double mean = gradient / static_cast<double>(nests.terms);
      const double scaled = norm == 0.0 ? 0.0 : gradient / norm;  // as PyTorch at the kink
      nests.reduced.for_each([&](const Nest<1>::Offsets& offset) {
        const double value = kind == ReductionKind::norm
                                 ? scaled * static_cast<double>(from[offset[0]])
                                 : (kind == ReductionKind::mean ? mean : gradient);
        to[offset[0]] = static_cast<float>(value);
      });
    });
  };
  add_backward_loop(op, builder, {x, y, dy}, {dx}, run);
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
