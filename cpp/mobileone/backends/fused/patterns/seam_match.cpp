#include "mobileone/backends/fused/patterns/seam_match.hpp"

#include <algorithm>

#include "mobileone/backends/fused/patterns/quantized_dense_match.hpp"
#include "mobileone/backends/fused/patterns/quantized_match.hpp"
#include "mobileone/backends/fused/support.hpp"
#include "mobileone/kernels/byte_rounding.hpp"

namespace mobileone::fused {

namespace {

template <typename T>
kernels::ByteMeaning meaning_of(const T& op) {
  return {static_cast<float>(op.scale), static_cast<int>(op.zero_point)};
}

bool is_byte_map(NodeId id, const PlanBuilder& builder) {
  return builder.value(builder.value_of(id)).layout.bytes;
}

}  // namespace

std::optional<SeamMatch> match_byte_activation(const Cursor& at) {
  Cursor cursor = at;
  const PlanBuilder& builder = at.builder();
  const auto* numbers = cursor.take<Dequantize>();
  if (!numbers || !is_byte_map(at.inputs()[0], builder)) return std::nullopt;
  const NodeId before = cursor.result();
  const auto* activation = cursor.take<Activation>({before});
  if (!activation || !is_only_needed_by(before, cursor.node(), builder)) return std::nullopt;
  const NodeId after = cursor.result();
  const auto* bytes = cursor.take<Quantize>({after});
  const bool fits = bytes && is_only_needed_by(after, cursor.node(), builder) &&
                    is_read_as_bytes(cursor.result(), builder);
  if (!fits) return std::nullopt;
  return SeamMatch{
      {cursor.taken()}, at.inputs()[0], meaning_of(*numbers), meaning_of(*bytes), activation->kind};
}

std::optional<SeamMatch> match_numbers(const Cursor& at) {
  Cursor cursor = at;
  const auto* numbers = cursor.take<Dequantize>();
  if (!numbers || !is_byte_map(at.inputs()[0], at.builder())) return std::nullopt;
  return SeamMatch{{cursor.taken()}, at.inputs()[0], meaning_of(*numbers), {}, {}};
}

std::optional<SeamMatch> match_bytes(const Cursor& at) {
  Cursor cursor = at;
  const PlanBuilder& builder = at.builder();
  const auto* bytes = cursor.take<Quantize>();
  if (!bytes || !quantized_kernels() || builder.shape(cursor.result()).size() != 4) {
    return std::nullopt;
  }
  const auto& readers = builder.readers(cursor.result());
  const bool wanted = std::ranges::any_of(readers, [&](NodeId reader) {
    const auto* op = std::get_if<QuantizedConvolution>(&builder.node(reader).op);
    return op && op->input_zero_point == bytes->zero_point &&
           (runs_on_bytes(*op) || is_quantized_dense(*op));
  });
  if (!wanted || !is_read_as_bytes(cursor.result(), builder)) return std::nullopt;
  return SeamMatch{{cursor.taken()}, at.inputs()[0], {}, meaning_of(*bytes), {}};
}

kernels::ByteTable byte_table(const SeamMatch& match) {
  const kernels::ByteMeaning from = *match.from, to = *match.to;
  const auto value = activation(*match.activation).value;
  const kernels::ByteRounding rounding{static_cast<float>(to.zero_point), 0.f};
  kernels::ByteTable table;
  for (int q = 0; q < 256; ++q) {
    const float x = static_cast<float>(q - from.zero_point) * from.scale;
    const auto y = static_cast<float>(value(static_cast<double>(x)));
    table[static_cast<std::size_t>(q)] = static_cast<std::uint8_t>(rounding.round(y / to.scale));
  }
  return table;
}

}  // namespace mobileone::fused
