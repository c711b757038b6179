#include <cstring>

#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/maps.hpp"

namespace mobileone::loops {

template <>
void emit(const Concat&, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  if (node.inputs.size() == 1) {
    builder.alias(op.result, node.inputs[0]);
    return;
  }
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
