#include "mobileone/backends/loops/strided.hpp"

#include <cstring>

namespace mobileone::loops {

Shape strides_of(const Shape& shape, const Layout& layout) {
  if (shape.size() == 4 && layout.kind == Layout::Kind::nhwc) {
    return {shape[1] * shape[2] * shape[3], 1, shape[3] * shape[1], shape[1]};
  }
  Shape strides(shape.size(), 1);
  for (std::size_t axis = shape.size(); axis-- > 1;) {
    strides[axis - 1] = strides[axis] * shape[axis];
  }
  return strides;
}

Shape broadcast_strides(const Value& value, std::size_t rank) {
  const Shape own = strides_of(value);
  const std::size_t lead = rank - own.size();
  Shape strides(rank, 0);
  for (std::size_t axis = 0; axis < own.size(); ++axis) {
    if (value.shape[axis] > 1) strides[axis + lead] = own[axis];
  }
  return strides;
}

Shape permuted(const Shape& strides, const Integers& perm) {
  Shape result;
  for (std::int64_t axis : perm) result.push_back(strides[static_cast<std::size_t>(axis)]);
  return result;
}

ValueId plain_value(PlanBuilder& builder, NodeId node) {
  const ValueId made = builder.value_of(node);
  const Layout& layout = builder.value(made).layout;
  const bool plain = layout.kind != Layout::Kind::blocked && layout.border == 0;
  return plain ? made : builder.in_layout(node, Layout::nhwc());
}

void StridedCopy::run(std::int64_t begin, std::int64_t end, const float* x, float* y) const {
  const std::int64_t count = nest.count();
  const auto [to_stride, from_stride] = nest.strides();
  nest.for_each_row(begin, end, [&](const Nest<2>::Offsets& offsets) {
    float* const target = y + to_offset + offsets[0];
    const float* const source = x + from_offset + offsets[1];
    if (to_stride == 1 && from_stride == 1) {
      std::memcpy(target, source, static_cast<std::size_t>(count) * sizeof(float));
      return;
    }
    for (std::int64_t i = 0; i < count; ++i) target[i * to_stride] = source[i * from_stride];
  });
}

StridedCopies::StridedCopies(const PlanBuilder& builder, ValueId to,
                             std::vector<StridedCopy> copies, std::optional<float> fill)
    : copies_(std::move(copies)),
      to_(to),
      floats_(element_count(builder.value(to).shape)),
      fill_(fill),
      pool_(pool_of(builder)) {}

void StridedCopies::operator()(const Buffers& buffers) const {
  if (fill_) std::fill_n(output(buffers, to_), floats_, *fill_);
  for (const StridedCopy& copy : copies_) {
    spread(pool_, copy.nest.rows(), [&](std::int64_t begin, std::int64_t end, int) {
      copy.run(begin, end, input(buffers, copy.from), output(buffers, to_));
    });
  }
}

namespace {

// Strides of a window's axes in the larger tensor, and where its first element lies.
std::pair<Shape, std::int64_t> place_of(const Window& window, const Value& larger) {
  Shape strides = strides_of(larger);
  std::int64_t first = 0;
  for (std::size_t axis = 0; axis < strides.size(); ++axis) {
    first += window.offset[axis] * strides[axis];
    strides[axis] *= window.step[axis];
  }
  return {strides, first};
}

}  // namespace

StridedCopy Window::into(const Value& larger, const Value& smaller, ValueId from) const {
  const auto [strides, first] = place_of(*this, larger);
  return {Nest<2>(shape, {strides, strides_of(smaller)}), first, 0, from};
}

StridedCopy Window::out_of(const Value& larger, const Value& smaller, ValueId from) const {
  const auto [strides, first] = place_of(*this, larger);
  return {Nest<2>(shape, {strides_of(smaller), strides}), 0, first, from};
}

Window whole_window(const Shape& shape) {
  return {shape, Integers(shape.size(), 0), Integers(shape.size(), 1)};
}

}  // namespace mobileone::loops
