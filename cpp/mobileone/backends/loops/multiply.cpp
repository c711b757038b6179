#include "mobileone/backends/loops/elementwise.hpp"
#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

// A factor of its own for every channel of an image.
void emit_gate(const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const ValueId src = map_with_runs(builder, node.inputs[0]);
  const ValueId gate = builder.in_layout(node.inputs[1], Layout::nhwc());
  const ValueId dst = builder.new_result(op.result, builder.value(src).layout);
  const MapView map(builder.value(src));
  const auto run = [=, activation = op.activation,
                    pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, map.images * map.runs() * map.height,
           [&](std::int64_t begin, std::int64_t end, int) {
             for (std::int64_t row = begin; row < end; ++row) {
               const std::int64_t plane = row / map.height;
               const std::int64_t channel = plane % map.runs() * map.run;
               const float* const factors =
                   input(buffers, gate) + plane / map.runs() * map.channels + channel;
               const std::int64_t first = row * map.width * map.run, length = map.length(channel);
               const float* const x = input(buffers, src) + first;
               float* const y = output(buffers, dst) + first;
               vectorized([&]() MOBILEONE_INLINE_LAMBDA {
                 for (std::int64_t pixel = 0; pixel < map.width; ++pixel) {
#pragma GCC ivdep
                   for (std::int64_t c = 0; c < length; ++c) {
                     y[pixel * map.run + c] = x[pixel * map.run + c] * factors[c];
                   }
                 }
               });
               activate(activation, y, map.width * map.run);
             }
           });
  };
  add_loop(op, builder, {src, gate}, {dst}, run);
}

}  // namespace

template <>
void emit(const Multiply&, const LoweredOp& op, PlanBuilder& builder) {
  const std::vector<NodeId>& inputs = builder.node(op.node).inputs;
  if (builder.shape(inputs[1]) != builder.shape(op.result)) return emit_gate(op, builder);
  add_elementwise(op, builder, inputs, [](const auto& x, float* y, std::int64_t count) {
    const float* const a = x(0);
    const float* const b = x(1);
    vectorized([&]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) y[i] = a[i] * b[i];
    });
  });
}

}  // namespace mobileone::loops
