#include "mobileone/backends/fused/patterns/quantized_excite_match.hpp"

#include "mobileone/backends/fused/activation.hpp"
#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

namespace {

// A map of bytes as numbers.
const Dequantize* take_numbers(Cursor& cursor) {
  if (!quantized_kernels() || !cursor.get<Dequantize>()) return nullptr;
  const PlanBuilder& builder = cursor.builder();
  if (!builder.value(builder.value_of(cursor.inputs()[0])).layout.bytes) return nullptr;
  const auto* numbers = cursor.take<Dequantize>();
  return is_usual(numbers->scale) ? numbers : nullptr;
}

// Up to the activation; its result is the cursor's.
bool take_excite(Cursor& cursor, QuantizedExcite& match) {
  const auto* numbers = take_numbers(cursor);
  if (!numbers) return false;
  match.numbers = *numbers;
  match.source = cursor.builder().node(cursor.node()).inputs[0];
  const auto squeeze = take_squeeze(cursor);
  if (!squeeze || !kernel_activation(squeeze->activation) || !kernel_activation(squeeze->gate)) {
    return false;
  }
  match.squeeze = *squeeze;
  match.relu = cursor.activation().has_value();
  return !match.relu || *cursor.activation() == ActivationKind::relu;
}

}  // namespace

std::optional<QuantizedExciteMatch> match_quantized_excite(const Cursor& at) {
  Cursor cursor = at;
  const PlanBuilder& builder = at.builder();
  QuantizedExciteMatch match;
  if (!take_excite(cursor, match)) return std::nullopt;
  const NodeId scaled = cursor.result();
  const auto* bytes = cursor.take<Quantize>({scaled});
  if (!bytes || !is_usual(bytes->scale) || !is_only_needed_by(scaled, cursor.node(), builder) ||
      !is_read_as_bytes(cursor.result(), builder)) {
    return std::nullopt;
  }
  const int zero_point = static_cast<int>(bytes->zero_point);
  match.scaling = {byte_map(builder.shape(match.source)),
                   static_cast<int>(match.numbers.zero_point),
                   {zero_point, match.relu ? zero_point : 0}};
  match.result_scale = static_cast<float>(bytes->scale);
  match.ops = cursor.taken();
  return match;
}

std::optional<QuantizedExcitePoolMatch> match_quantized_excite_pool(const Cursor& at) {
  Cursor cursor = at;
  QuantizedExcitePoolMatch match;
  if (!take_excite(cursor, match)) return std::nullopt;
  const NodeId scaled = cursor.result();
  if (!cursor.take<GlobalAvgPool>({scaled}) ||
      !is_only_needed_by(scaled, cursor.node(), at.builder())) {
    return std::nullopt;
  }
  match.ops = cursor.taken();
  return match;
}

std::optional<QuantizedPoolMatch> match_quantized_pool(const Cursor& at) {
  Cursor cursor = at;
  const auto* numbers = take_numbers(cursor);
  if (!numbers) return std::nullopt;
  QuantizedPoolMatch match;
  match.source = at.inputs()[0];
  const NodeId numbers_node = cursor.result();
  if (!cursor.take<GlobalAvgPool>({numbers_node})) return std::nullopt;
  if (!is_only_needed_by(numbers_node, cursor.node(), at.builder())) return std::nullopt;
  match.numbers = *numbers;
  match.ops = cursor.taken();
  return match;
}

}  // namespace mobileone::fused
