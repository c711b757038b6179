#include "mobileone/backends/fused/patterns/attention_match.hpp"

namespace mobileone::fused {

std::optional<AttentionMatch> match_attention(const Cursor& at) {
  Cursor cursor = at;
  const auto* attention = cursor.take<Attention>();
  if (!attention) return std::nullopt;
  AttentionMatch match;
  match.source = at.inputs()[0];
  const Shape& packed = at.builder().shape(match.source);
  match.sequences = packed[0];
  match.width = packed[2] / 3;
  match.heads = static_cast<int>(attention->heads);
  match.head = {static_cast<int>(packed[1]), static_cast<int>(match.width / match.heads),
                3 * match.width, match.width};
  match.ops = cursor.taken();
  return match;
}

}  // namespace mobileone::fused
