#include "mobileone/backends/fused/patterns/quantized_dense_match.hpp"

#include "mobileone/backends/fused/patterns/quantized_match.hpp"
#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

bool is_quantized_dense(const QuantizedConvolution& op) {
  const Conv2d conv = op.convolution();
  return !op.float_result && (is_dense(conv, 3, 1) || is_dense(conv, 3, 2));
}

std::optional<QuantizedDenseMatch> match_quantized_dense(const Cursor& at) {
  Cursor cursor = at;
  const PlanBuilder& builder = at.builder();
  const auto* op = cursor.take<QuantizedConvolution>();
  if (!op || !quantized_kernels() || !is_quantized_dense(*op)) return std::nullopt;
  QuantizedDenseMatch match;
  match.source = at.inputs()[0];
  const Layout& layout = builder.value(builder.value_of(match.source)).layout;
  if (layout != byte_layout(op->input_zero_point)) return std::nullopt;
  if (!is_read_as_bytes(cursor.result(), builder)) return std::nullopt;
  match.conv = cursor.node();
  match.stride = static_cast<int>(op->stride[0]);
  match.ops = cursor.taken();
  const kernels::ByteMap result = byte_map(builder.shape(cursor.result()));
  kernels::QuantizedBlockShape& shape = match.windows;
  shape.channels_in = 9 * byte_map(builder.shape(match.source)).blocks() * kernels::kBlock;
  shape.channels_out = result.channels;
  shape.height = result.height;
  shape.width = result.width;
  shape.source_zero_point = static_cast<int>(op->input_zero_point);
  shape.depthwise.zero_point = static_cast<int>(op->input_zero_point);
  shape.project = {static_cast<int>(op->output_zero_point), static_cast<int>(op->least())};
  shape.parts = kernels::BlockParts::kProject;
  return match;
}

}  // namespace mobileone::fused
