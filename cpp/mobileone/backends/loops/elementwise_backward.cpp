#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

// Its derivative at the input, by the graph's own function.
template <>
void emit_backward(const Activation& activation, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId node = builder.node(op.node).inputs[0];
  const ValueId x = dense_map(builder, node);
  const Layout layout = builder.value(x).layout;
  const ValueId dy = builder.gradient_of(op, layout);
  const ValueId dx = builder.new_gradient(node, layout);
  const std::int64_t count = element_count(builder.shape(node));
  const auto derivative = mobileone::activation(activation.kind).derivative;
  const bool silu = activation.kind == ActivationKind::silu;
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, count, [&](std::int64_t begin, std::int64_t end, int) {
      const float* const from = input(buffers, x);
      const float* const gradient = input(buffers, dy);
      float* const to = output(buffers, dx);
      if (silu) {
        vectorized([&]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
          for (std::int64_t i = begin; i < end; ++i) {
            const float gate = 1.f / (1.f + exponential(-from[i]));
            to[i] = gradient[i] * gate * (1.f + from[i] * (1.f - gate));
          }
        });
        return;
      }
      for (std::int64_t i = begin; i < end; ++i) {
        to[i] = static_cast<float>(static_cast<double>(gradient[i]) *
                                   derivative(static_cast<double>(from[i])));
      }
    });
  };
  add_backward_loop(op, builder, {x, dy}, {dx}, run);
  builder.add_gradient(node, dx);
}

template <>
void emit_backward(const Add&, const LoweredOp& op, PlanBuilder& builder) {
  const std::vector<NodeId>& inputs = builder.node(op.node).inputs;
  const Layout layout = builder.value(dense_map(builder, op.result)).layout;
  const ValueId dy = builder.gradient_of(op, layout);
  for (NodeId node : inputs) {
    if (builder.wants_gradient(node)) builder.add_gradient(node, dy);
  }
}

namespace {

// A gate per channel of an image: its gradient is a sum over pixels.
struct Gate {
  MapView map;

  std::int64_t tasks() const { return map.images * map.runs(); }
  void run(std::int64_t task, const float* x, const float* gate, const float* dy, float* dx,
           float* dgate) const {
    const std::int64_t image = task / map.runs(), channel = task % map.runs() * map.run;
    const std::int64_t first = map.at(image, channel, 0, 0), length = map.length(channel);
    const float* const factors = gate + image * map.channels + channel;
    for (std::int64_t c = 0; c < length; ++c) {
      double sum = 0.0;
      for (std::int64_t pixel = 0; pixel < map.pixels(); ++pixel) {
        const std::int64_t at = first + pixel * map.run + c;
        sum += static_cast<double>(dy[at]) * static_cast<double>(x[at]);
      }
      dgate[image * map.channels + channel + c] = static_cast<float>(sum);
    }
    for (std::int64_t pixel = 0; pixel < map.pixels(); ++pixel) {
      const std::int64_t at = first + pixel * map.run;
#pragma GCC ivdep
      for (std::int64_t c = 0; c < length; ++c) dx[at + c] = dy[at + c] * factors[c];
      std::fill(dx + at + length, dx + at + map.run, 0.f);  // padding channels stay zero
    }
  }
};

void emit_gate_backward(const LoweredOp& op, PlanBuilder& builder) {
  const std::vector<NodeId>& inputs = builder.node(op.node).inputs;
  const ValueId x = map_with_runs(builder, inputs[0]);
  const Layout layout = builder.value(x).layout;
  const ValueId gate = builder.in_layout(inputs[1], Layout::nhwc());
  const ValueId dy = builder.gradient_of(op, layout);
  const ValueId dx = builder.new_gradient(inputs[0], layout);
  const ValueId dgate = builder.new_gradient(inputs[1], Layout::nhwc());
  const Gate gradient{MapView(builder.value(x))};
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, gradient.tasks(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        gradient.run(task, input(buffers, x), input(buffers, gate), input(buffers, dy),
                     output(buffers, dx), output(buffers, dgate));
      }
    });
  };
  add_backward_loop(op, builder, {x, gate, dy}, {dx, dgate}, run);
  builder.add_gradient(inputs[0], dx);
  builder.add_gradient(inputs[1], dgate);
}

}  // namespace

template <>
void emit_backward(const Multiply&, const LoweredOp& op, PlanBuilder& builder) {
  const std::vector<NodeId> inputs = builder.node(op.node).inputs;
  if (builder.shape(inputs[1]) != builder.shape(op.result)) return emit_gate_backward(op, builder);
  const ValueId a = dense_map(builder, inputs[0]);
  const Layout layout = builder.value(a).layout;
  const ValueId b = builder.in_layout(inputs[1], layout);
  const ValueId dy = builder.gradient_of(op, layout);
  const ValueId da = builder.new_gradient(inputs[0], layout);
  const ValueId db = builder.new_gradient(inputs[1], layout);
  const std::int64_t count = element_count(builder.shape(op.result));
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, count, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) {
        const float gradient = input(buffers, dy)[i];
        output(buffers, da)[i] = gradient * input(buffers, b)[i];
        output(buffers, db)[i] = gradient * input(buffers, a)[i];
      }
    });
  };
  add_backward_loop(op, builder, {a, b, dy}, {da, db}, run);
  builder.add_gradient(inputs[0], da);
  builder.add_gradient(inputs[1], db);
}

template <>
void emit_backward(const GlobalAvgPool&, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId node = builder.node(op.node).inputs[0];
  const Layout layout = builder.value(map_with_runs(builder, node)).layout;
  const ValueId dy = builder.gradient_of(op, Layout::nhwc());
  const ValueId dx = builder.new_gradient(node, layout);
  const MapView map(builder.value(dx));
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, map.images * map.runs(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t image = task / map.runs(), channel = task % map.runs() * map.run;
        const float* const from = input(buffers, dy) + image * map.channels + channel;
        float* const to = output(buffers, dx) + map.at(image, channel, 0, 0);
        const auto share = static_cast<float>(1.0 / static_cast<double>(map.pixels()));
        for (std::int64_t pixel = 0; pixel < map.pixels(); ++pixel) {
          for (std::int64_t c = 0; c < map.run; ++c) {
            to[pixel * map.run + c] = c < map.length(channel) ? from[c] * share : 0.f;
          }
        }
      }
    });
  };
  add_backward_loop(op, builder, {dy}, {dx}, run);
  builder.add_gradient(node, dx);
}

}  // namespace mobileone::loops
