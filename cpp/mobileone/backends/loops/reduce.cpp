#include "mobileone/backends/loops/reduction.hpp"

#include "mobileone/backends/loops/emit.hpp"

namespace mobileone::loops {

template <>
void emit(const Reduce& reduce, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = plain_value(builder, builder.node(op.node).inputs[0]);
  const ValueId dst = builder.new_result(op.result, builder.value(src).layout);
  const ReductionNests nests(reduce, builder.value(src), builder.value(dst));
  const auto run = [=, kind = reduce.kind, pool = pool_of(builder)](const Buffers& buffers) {
    nests.for_each_result(pool, [&](std::int64_t at, std::int64_t first) {
      const float* const x = input(buffers, src) + first;
      double sum = 0.0;
      nests.reduced.for_each([&](const Nest<1>::Offsets& offset) {
        const auto value = static_cast<double>(x[offset[0]]);
        sum += kind == ReductionKind::norm ? value * value : value;
      });
      if (kind == ReductionKind::norm) sum = std::sqrt(sum);
      if (kind == ReductionKind::mean) sum /= static_cast<double>(nests.terms);
      output(buffers, dst)[at] = static_cast<float>(sum);
    });
  };
  add_loop(op, builder, {src}, {dst}, run);
}

}  // namespace mobileone::loops
