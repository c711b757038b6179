#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/products.hpp"

namespace mobileone::loops {

template <>
void emit(const Linear& linear, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId input = builder.node(op.node).inputs[0];
  // Everything but the features is one batch.
  const Layout layout = linear.takes_pixels(builder.shape(input)) ? Layout::nhwc() : Layout::nchw();
  const ValueId src = builder.in_layout(input, layout);
  const ValueId dst = builder.new_result(op.result, Layout::nchw(), true);
  // A 1x1 convolution of rows of pixels; short rows, so that there is work for every thread.
  const std::int64_t batch = element_count(builder.shape(op.result)) / linear.out_features;
  std::int64_t width = std::min<std::int64_t>(batch, 4 * kPixels);
  while (batch % width != 0) --width;
  const auto rows = [&](std::int64_t channels) {
    return MapView(Value{{1, channels, batch / width, width}, Layout::nhwc()});
  };
  Conv2d conv{linear.in_features, linear.out_features};
  conv.bias = linear.bias;
  add_products({conv, rows(linear.in_features), rows(linear.out_features), op.activation}, src, dst,
               op, builder);
}

}  // namespace mobileone::loops
