#include <cstring>

#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/backends/loops/windows.hpp"

namespace mobileone::loops {

namespace {

// The channels of a map [.., channels] that are one input's.
struct Part {
  std::int64_t first, count;
  ValueId gradient;
};

// Row-major, along any axis.
void emit_strided(const Concat& join, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  std::int64_t first = 0;
  for (NodeId node : builder.node(op.node).inputs) {
    const Shape& shape = builder.shape(node);
    if (builder.wants_gradient(node)) {
      const ValueId dx = builder.new_gradient(node, Layout::nchw());
      const Window window = window_of(join, shape, first);
      const StridedCopy copy = window.out_of(builder.value(dy), builder.value(dx), dy);
      add_backward_loop(op, builder, {dy}, {dx}, StridedCopies(builder, dx, {copy}));
      builder.add_gradient(node, dx);
    }
    first += shape[static_cast<std::size_t>(join.axis)];
  }
}

}  // namespace

template <>
void emit_backward(const Concat& join, const LoweredOp& op, PlanBuilder& builder) {
  if (!join.by_channels(builder.shape(op.result))) return emit_strided(join, op, builder);
  const std::vector<NodeId>& inputs = builder.node(op.node).inputs;
  const ValueId dy = builder.gradient_of(op, Layout::nhwc());
  std::vector<Part> parts;
  std::vector<ValueId> writes;
  std::int64_t first = 0;
  for (NodeId node : inputs) {
    const std::int64_t count = builder.shape(node)[1];
    if (builder.wants_gradient(node)) {
      writes.push_back(builder.new_gradient(node, Layout::nhwc()));
      parts.push_back({first, count, writes.back()});
      builder.add_gradient(node, writes.back());
    }
    first += count;
  }
  if (parts.empty()) return;
  const MapView map(builder.value(dy));
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, map.images * map.pixels(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t pixel = begin; pixel < end; ++pixel) {
        const float* const from = input(buffers, dy) + pixel * map.channels;
        for (const Part& part : parts) {
          std::memcpy(output(buffers, part.gradient) + pixel * part.count, from + part.first,
                      static_cast<std::size_t>(part.count) * sizeof(float));
        }
      }
    });
  };
  add_backward_loop(op, builder, {dy}, writes, run);
}

}  // namespace mobileone::loops
