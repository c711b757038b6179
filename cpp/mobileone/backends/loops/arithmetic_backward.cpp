#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/strided.hpp"

namespace mobileone::loops {

namespace {

// An operand's elements, and for each those of the result that it is repeated in: its own strides
// and those of result and other operand.
struct Operands {
  Nest<3> own;       // own gradient, result, other operand
  Nest<2> repeated;  // result, other operand

  Operands(const Value& value, const Value& result, const Value& other)
      : own(kept(value, result, true),
            {broadcast_strides(value, result.shape.size()), strides_of(result),
             broadcast_strides(other, result.shape.size())}),
        repeated(kept(value, result, false),
                 {strides_of(result), broadcast_strides(other, result.shape.size())}) {}

 private:
  // The result's shape with an extent of 1 where the operand is repeated, or where it is not.
  static Shape kept(const Value& value, const Value& result, bool operand) {
    Shape shape = result.shape;
    const std::size_t lead = shape.size() - value.shape.size();
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      const bool whole = axis >= lead && value.shape[axis - lead] == shape[axis];
      if (whole != operand) shape[axis] = 1;
    }
    return shape;
  }
};

// The gradient of operand `index`.
void add_operand(const ArithmeticFunction& function, const LoweredOp& op, PlanBuilder& builder,
                 ValueId dy, std::size_t index) {
  const std::vector<NodeId>& inputs = builder.node(op.node).inputs;
  const ValueId own = builder.in_layout(inputs[index], Layout::nchw());
  const ValueId other = builder.in_layout(inputs[1 - index], Layout::nchw());
  const ValueId dx = builder.new_gradient(inputs[index], Layout::nchw());
  const Operands operands(builder.value(own), builder.value(dy), builder.value(other));
  const bool first = index == 0;
  const auto derivative = first ? function.by_first : function.by_second;
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    const float* const gradient = input(buffers, dy);
    const float* const others = input(buffers, other);
    const auto element = [&](const Nest<3>::Offsets& at) {
      const auto x = static_cast<double>(input(buffers, own)[at[0]]);
      double sum = 0.0;
      operands.repeated.for_each([&](const Nest<2>::Offsets& more) {
        const auto y = static_cast<double>(others[at[2] + more[1]]);
        sum += static_cast<double>(gradient[at[1] + more[0]]) *
               (first ? derivative(x, y) : derivative(y, x));
      });
      output(buffers, dx)[at[0]] = static_cast<float>(sum);
    };
    const auto [x_stride, y_stride, other_stride] = operands.own.strides();
    spread(pool, operands.own.rows(), [&](std::int64_t begin, std::int64_t end, int) {
      operands.own.for_each_row(begin, end, [&](const Nest<3>::Offsets& at) {
        for (std::int64_t i = 0; i < operands.own.count(); ++i) {
          element({at[0] + i * x_stride, at[1] + i * y_stride, at[2] + i * other_stride});
        }
      });
    });
  };
  add_backward_loop(op, builder, {own, other, dy}, {dx}, run);
  builder.add_gradient(inputs[index], dx);
}

}  // namespace

template <>
void emit_backward(const Arithmetic& arithmetic, const LoweredOp& op, PlanBuilder& builder) {
  const std::vector<NodeId>& inputs = builder.node(op.node).inputs;
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ArithmeticFunction& function = mobileone::arithmetic(arithmetic.kind);
  for (std::size_t index = 0; index < inputs.size(); ++index) {
    if (builder.wants_gradient(inputs[index])) add_operand(function, op, builder, dy, index);
  }
}

}  // namespace mobileone::loops
