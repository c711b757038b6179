// The global half of a MobileViT block among lowered operators.
#pragma once

#include "mobileone/backends/fused/match.hpp"

namespace mobileone::fused {

// One pre-norm transformer: nodes whose weights it reads.
struct TransformerLayerMatch {
  NodeId norm1 = -1, qkv = -1, attention = -1, proj = -1, norm2 = -1, fc1 = -1, fc2 = -1;
};

// 1x1 -> resize -> unfold -> transformers -> layer norm -> fold -> resize back -> 1x1 + SiLU,
// nothing else reading what lies between. Operators of pass s (kernels/tokens/transformer.hpp) are
// [pass_begin[s], pass_begin[s + 1]) of those taken.
struct TransformerMatch : Match {
  NodeId source = -1, enter = -1, norm = -1, leave = -1;
  std::vector<TransformerLayerMatch> layers;
  Extent patch{1, 1};
  std::int64_t features = 0, hidden = 0, heads = 0;
  double eps = 0.0;
  std::vector<std::size_t> pass_begin;  // [2 depth + 2]
};

std::optional<TransformerMatch> match_transformer(const Cursor& cursor);

}  // namespace mobileone::fused
