#include "mobileone/backends/loops/maps.hpp"

#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

int channel_block() { return vectors() == Vectors::avx512 ? 16 : 8; }

Layout map_layout(const PlanBuilder& builder, const Shape& shape) {
  if (shape.size() != 4) return Layout::nchw();
  const bool whole = shape[1] % channel_block() == 0 && shape[2] * shape[3] > 1;
  const bool alone = builder.options().backend == BackendChoice::loops;
  return whole && !alone ? Layout::blocked(channel_block()) : Layout::nhwc();
}

Layout layout_of_both(const PlanBuilder& builder, const Shape& from, const Shape& to) {
  const bool one_pixel = from[2] * from[3] == 1 || to[2] * to[3] == 1;
  return one_pixel ? Layout::nhwc() : map_layout(builder, to);
}

ValueId dense_map(PlanBuilder& builder, NodeId node) {
  const ValueId made = builder.value_of(node);
  const Value& value = builder.value(made);
  const bool padded =
      value.layout.bytes ||
      value.bytes() != static_cast<std::size_t>(element_count(value.shape)) * size_of(value.dtype);
  return padded ? builder.in_layout(node, Layout::nhwc()) : made;
}

ValueId map_with_runs(PlanBuilder& builder, NodeId node) {
  const ValueId made = builder.value_of(node);
  const Layout& layout = builder.value(made).layout;
  if (layout.border == 0 && layout.kind != Layout::Kind::nchw) return made;
  return builder.in_layout(node, map_layout(builder, builder.shape(node)));
}

}  // namespace mobileone::loops
