#include <cstring>

#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/backends/loops/windows.hpp"

namespace mobileone::loops {

namespace {

// Row-major, along any axis.
void emit_strided(const Concat& join, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  std::vector<ValueId> parts;
  std::vector<StridedCopy> copies;
  std::int64_t first = 0;
  for (NodeId input : builder.node(op.node).inputs) {
    parts.push_back(builder.in_layout(input, Layout::nchw()));
    const Value& part = builder.value(parts.back());
    copies.push_back(
        window_of(join, part.shape, first).into(builder.value(dst), part, parts.back()));
    first += part.shape[static_cast<std::size_t>(join.axis)];
  }
  add_loop(op, builder, parts, {dst}, StridedCopies(builder, dst, std::move(copies)));
}

}  // namespace

template <>
void emit(const Concat& join, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  if (node.inputs.size() == 1) {
    builder.alias(op.result, node.inputs[0]);
    return;
  }
  if (!join.by_channels(builder.shape(op.result))) return emit_strided(join, op, builder);
  std::vector<ValueId> parts;
  for (NodeId input : node.inputs) parts.push_back(builder.in_layout(input, Layout::nhwc()));
  const ValueId dst = builder.new_result(op.result, Layout::nhwc());
  std::vector<std::int64_t> widths;
  for (ValueId part : parts) widths.push_back(builder.value(part).shape[1]);
  const MapView map(builder.value(dst));
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, map.images * map.height, [&](std::int64_t begin, std::int64_t end, int) {
      float* to = output(buffers, dst) + begin * map.width * map.channels;
      for (std::int64_t pixel = begin * map.width; pixel < end * map.width; ++pixel) {
        for (std::size_t i = 0; i < parts.size(); ++i) {
          std::memcpy(to, input(buffers, parts[i]) + pixel * widths[i],
                      static_cast<std::size_t>(widths[i]) * sizeof(float));
          to += widths[i];
        }
      }
    });
  };
  add_loop(op, builder, parts, {dst}, run);
}

}  // namespace mobileone::loops
