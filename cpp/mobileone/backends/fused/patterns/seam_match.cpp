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

// Numbers to integers that kernels of them read.
const Quantize* take_bytes(Cursor& cursor) {
  const PlanBuilder& builder = cursor.builder();
  const auto* bytes = cursor.take<Quantize>();
  if (!bytes || !quantized_kernels() || builder.shape(cursor.result()).size() != 4) return nullptr;
  const auto& readers = builder.readers(cursor.result());
  const bool wanted = std::ranges::any_of(readers, [&](NodeId reader) {
    const auto* op = std::get_if<QuantizedConvolution>(&builder.node(reader).op);
    return op && op->input_zero_point == bytes->zero_point &&
           (runs_on_bytes(*op) || is_quantized_dense(*op));
  });
  return wanted && is_read_as_bytes(cursor.result(), builder) ? bytes : nullptr;
}

// A map [N, C, 1, T].
bool is_row(const Shape& shape) { return shape.size() == 4 && shape[2] == 1; }

// The next operator, where it alone reads what was taken last: of a result with so many dimensions,
// the first two of which are those of what it reads, but for a transposition.
template <typename T>
const T* take_moved(Cursor& cursor, std::size_t dimensions) {
  if (!cursor.hands_over()) return nullptr;
  const Shape before = cursor.builder().shape(cursor.result());
  const T* op = cursor.take<T>();
  if (!op) return nullptr;
  const Shape& after = cursor.builder().shape(cursor.result());
  const bool keeps =
      std::is_same_v<T, Transpose> || (after[0] == before[0] && after[1] == before[1]);
  return keeps && after.size() == dimensions ? op : nullptr;
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
  const auto* bytes = take_bytes(cursor);
  if (!bytes) return std::nullopt;
  return SeamMatch{{cursor.taken()}, at.inputs()[0], {}, meaning_of(*bytes), {}};
}

std::optional<SeamMatch> match_tokens_of_bytes(const Cursor& at) {
  Cursor cursor = at;
  const auto* numbers = cursor.take<Dequantize>();
  if (!numbers || !is_byte_map(at.inputs()[0], at.builder())) return std::nullopt;
  if (!is_row(at.builder().shape(cursor.result())) || !take_moved<Reshape>(cursor, 3)) {
    return std::nullopt;
  }
  const auto* transpose = take_moved<Transpose>(cursor, 3);
  if (!transpose || transpose->perm != Integers{0, 2, 1}) return std::nullopt;
  return SeamMatch{{cursor.taken()}, at.inputs()[0], meaning_of(*numbers), {}, {}, true};
}

std::optional<SeamMatch> match_bytes_of_tokens(const Cursor& at) {
  Cursor cursor = at;
  const auto* transpose = cursor.take<Transpose>();
  if (!transpose || transpose->perm != Integers{0, 2, 1} || !take_moved<Reshape>(cursor, 4) ||
      !is_row(at.builder().shape(cursor.result()))) {
    return std::nullopt;
  }
  const NodeId map = cursor.result();
  const auto* bytes = cursor.hands_over() ? take_bytes(cursor) : nullptr;
  if (!bytes || at.builder().is_output(map)) return std::nullopt;
  return SeamMatch{{cursor.taken()}, at.inputs()[0], {}, meaning_of(*bytes), {}, true};
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
