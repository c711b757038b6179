#include "mobileone/backends/fused/patterns/quantized_linear_match.hpp"

#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

std::optional<QuantizedLinearMatch> match_quantized_linear(const Cursor& at) {
  Cursor cursor = at;
  const PlanBuilder& builder = at.builder();
  const auto* bytes = cursor.take<Quantize>();
  if (!bytes || !quantized_kernels() || !cursor.hands_over()) return std::nullopt;
  QuantizedLinearMatch match;
  match.source = at.inputs()[0];
  const auto* conv = cursor.take<QuantizedConvolution>();
  const Shape& shape = builder.shape(match.source);
  const bool fits = conv && conv->float_result && is_dense(conv->convolution(), 1, 1) &&
                    conv->input_zero_point == bytes->zero_point && shape.size() == 4 &&
                    shape[2] == 1 && shape[3] == 1 && cursor.hands_over();
  if (!fits) return std::nullopt;
  match.conv = cursor.node();
  if (!cursor.take<Reshape>() ||
      builder.shape(cursor.result()) != Shape{shape[0], conv->out_channels}) {
    return std::nullopt;
  }
  const auto zero_point = static_cast<int>(bytes->zero_point);
  match.bytes = {static_cast<float>(bytes->scale), zero_point};
  match.plan = {static_cast<int>(conv->in_channels), static_cast<int>(conv->out_channels),
                zero_point, quantized_kernels()->traits};
  match.ops = cursor.taken();
  return match;
}

}  // namespace mobileone::fused
