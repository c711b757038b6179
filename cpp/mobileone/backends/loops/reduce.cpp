#include "mobileone/backends/loops/reduction.hpp"

#include "mobileone/backends/loops/emit.hpp"

namespace mobileone::loops {

namespace {

// Of a row or of its squares, in four sums: one would wait for each addition.
double row_sum(const float* x, std::int64_t count, std::int64_t stride, bool squares) {
  double sums[4] = {};
  const auto value = [&](std::int64_t i) {
    const auto element = static_cast<double>(x[i * stride]);
    return squares ? element * element : element;
  };
  std::int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (int j = 0; j < 4; ++j) sums[j] += value(i + j);
  }
  for (; i < count; ++i) sums[0] += value(i);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

}  // namespace

template <>
void emit(const Reduce& reduce, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = plain_value(builder, builder.node(op.node).inputs[0]);
  const ValueId dst = builder.new_result(op.result, builder.value(src).layout);
  const ReductionNests nests(reduce, builder.value(src), builder.value(dst));
  const auto run = [=, kind = reduce.kind, pool = pool_of(builder)](const Buffers& buffers) {
    nests.for_each_result(pool, [&](std::int64_t at, std::int64_t first) {
      const float* const x = input(buffers, src) + first;
      double sum = 0.0;
      const std::int64_t count = nests.reduced.count(), stride = nests.reduced.strides()[0];
      nests.reduced.for_each_row(0, nests.reduced.rows(), [&](const Nest<1>::Offsets& offset) {
        sum += row_sum(x + offset[0], count, stride, kind == ReductionKind::norm);
      });
      if (kind == ReductionKind::norm) sum = std::sqrt(sum);
      if (kind == ReductionKind::mean) sum /= static_cast<double>(nests.terms);
      output(buffers, dst)[at] = static_cast<float>(sum);
    });
  };
  add_loop(op, builder, {src}, {dst}, run);
}

}  // namespace mobileone::loops
