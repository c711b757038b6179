#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

constexpr std::int64_t kOutputs = 8;  // rows of the weight's gradient that one task makes

struct LinearGradient {
  std::int64_t rows, in, out;

  // dx[row] = dy[row] W.
  void input_row(const float* dy, const float* weight, float* dx) const {
    std::fill_n(dx, in, 0.f);
    vectorized([&]() MOBILEONE_INLINE_LAMBDA {
      for (std::int64_t o = 0; o < out; ++o) {
        const float factor = dy[o];
        const float* const w = weight + o * in;
#pragma GCC ivdep
        for (std::int64_t i = 0; i < in; ++i) dx[i] += factor * w[i];
      }
    });
  }

  // dW = dy^T x and the sums of dy, of kOutputs outputs.
  void weight_rows(std::int64_t task, const float* x, const float* dy, float* dw, float* db) const {
    const std::int64_t first = task * kOutputs, last = std::min(out, first + kOutputs);
    std::fill(dw + first * in, dw + last * in, 0.f);
    double sums[kOutputs] = {};
    for (std::int64_t row = 0; row < rows; ++row) {
      vectorized([&]() MOBILEONE_INLINE_LAMBDA {
        for (std::int64_t o = first; o < last; ++o) {
          const float factor = dy[row * out + o];
          sums[o - first] += static_cast<double>(factor);
          float* const w = dw + o * in;
          const float* const from = x + row * in;
#pragma GCC ivdep
          for (std::int64_t i = 0; i < in; ++i) w[i] += factor * from[i];
        }
      });
    }
    for (std::int64_t o = first; db && o < last; ++o) db[o] = static_cast<float>(sums[o - first]);
  }
};

}  // namespace

template <>
void emit_backward(const Linear& linear, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const NodeId source = node.inputs[0];
  const Layout layout =
      linear.takes_pixels(builder.shape(source)) ? Layout::nhwc() : Layout::nchw();
  const ValueId x = builder.in_layout(source, layout);
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const Operand weight = builder.weight(node.name + ".weight");
  const ValueId dw = builder.new_weight_gradient(op.node, node.name + ".weight");
  const ValueId db = linear.bias ? builder.new_weight_gradient(op.node, node.name + ".bias") : -1;
  const bool wanted = builder.wants_gradient(source);
  const ValueId dx = wanted ? builder.new_gradient(source, layout) : -1;
  const LinearGradient gradient{element_count(builder.shape(op.result)) / linear.out_features,
                                linear.in_features, linear.out_features};
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    const std::int64_t tasks = (gradient.out + kOutputs - 1) / kOutputs;
    spread(pool, tasks, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        gradient.weight_rows(task, input(buffers, x), input(buffers, dy), output(buffers, dw),
                             db < 0 ? nullptr : output(buffers, db));
      }
    });
    if (!wanted) return;
    spread(pool, gradient.rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) {
        gradient.input_row(input(buffers, dy) + row * gradient.out, weight.address(buffers),
                           output(buffers, dx) + row * gradient.in);
      }
    });
  };
  add_backward_loop(op, builder, {x, dy}, weight, {dw, db, dx}, run);
  if (wanted) builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
