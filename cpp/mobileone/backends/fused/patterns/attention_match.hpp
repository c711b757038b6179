// Self-attention on tokens that lie row by row, where no transformer is one step.
#pragma once

#include "mobileone/backends/fused/match.hpp"
#include "mobileone/kernels/tokens/row_attention.hpp"

namespace mobileone::fused {

struct AttentionMatch : Match {
  NodeId source = -1;  // packed projections [sequences, tokens, 3 width]
  std::int64_t sequences = 0, width = 0;
  int heads = 0;
  kernels::RowAttention head;
};

std::optional<AttentionMatch> match_attention(const Cursor& at);

}  // namespace mobileone::fused
