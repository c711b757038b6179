#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/strided.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

using Strides = Nest<3>::Offsets;  // of result, first and second operand

// y[i] = f(a[i], b[i]), each at its stride; vectors where those are the usual ones.
template <typename Function>
void apply(const Strides& strides, std::int64_t count, float* y, const float* a, const float* b,
           const Function& f) {
  vectorized([&]() MOBILEONE_INLINE_LAMBDA {
    if (strides == Strides{1, 1, 1}) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) y[i] = f(a[i], b[i]);
    } else if (strides == Strides{1, 1, 0}) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) y[i] = f(a[i], *b);
    } else if (strides == Strides{1, 0, 1}) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) y[i] = f(*a, b[i]);
    } else {
      for (std::int64_t i = 0; i < count; ++i) {
        y[i * strides[0]] = f(a[i * strides[1]], b[i * strides[2]]);
      }
    }
  });
}

void apply(ArithmeticKind kind, const Strides& strides, std::int64_t count, float* y,
           const float* a, const float* b) {
  const auto with = [&](const auto& f) { apply(strides, count, y, a, b, f); };
  switch (kind) {
    case ArithmeticKind::add:
      return with([](float p, float q) MOBILEONE_INLINE_LAMBDA { return p + q; });
    case ArithmeticKind::subtract:
      return with([](float p, float q) MOBILEONE_INLINE_LAMBDA { return p - q; });
    case ArithmeticKind::multiply:
      return with([](float p, float q) MOBILEONE_INLINE_LAMBDA { return p * q; });
    case ArithmeticKind::divide:
      return with([](float p, float q) MOBILEONE_INLINE_LAMBDA { return p / q; });
    case ArithmeticKind::maximum:  // NaN if either is
      return with([](float p, float q)
                      MOBILEONE_INLINE_LAMBDA { return p <= q ? q : (p > q ? p : p + q); });
    case ArithmeticKind::minimum:
      return with([](float p, float q)
                      MOBILEONE_INLINE_LAMBDA { return p >= q ? q : (p < q ? p : p + q); });
  }
}

// Of the operand that is not repeated; the other one's would be one of a single element.
Layout result_layout(const PlanBuilder& builder, const Shape& result, ValueId a, ValueId b) {
  for (ValueId operand : {a, b}) {
    if (builder.value(operand).shape == result) return builder.value(operand).layout;
  }
  return Layout::nchw();
}

}  // namespace

template <>
void emit(const Arithmetic& arithmetic, const LoweredOp& op, PlanBuilder& builder) {
  const std::vector<NodeId>& inputs = builder.node(op.node).inputs;
  const ValueId a = plain_value(builder, inputs[0]), b = plain_value(builder, inputs[1]);
  const Shape& shape = builder.shape(op.result);
  const ValueId dst = builder.new_result(op.result, result_layout(builder, shape, a, b));
  const Nest<3> nest(
      shape, {strides_of(builder.value(dst)), broadcast_strides(builder.value(a), shape.size()),
              broadcast_strides(builder.value(b), shape.size())});
  const auto run = [=, kind = arithmetic.kind, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, nest.rows(), [&](std::int64_t begin, std::int64_t end, int) {
      nest.for_each_row(begin, end, [&](const Strides& at) {
        apply(kind, nest.strides(), nest.count(), output(buffers, dst) + at[0],
              input(buffers, a) + at[1], input(buffers, b) + at[2]);
      });
    });
  };
  add_loop(op, builder, {a, b}, {dst}, run);
}

}  // namespace mobileone::loops
