// Where a quantized network's integers meet float32 steps.
#pragma once

#include "mobileone/backends/fused/match.hpp"
#include "mobileone/kernels/byte_conversion.hpp"

namespace mobileone::fused {

// One of: integers of a map of bytes as float32 numbers, in a map; the other way round; an
// activation between the two, which is a table of 256 integers.
struct SeamMatch : Match {
  NodeId source = -1;
  std::optional<kernels::ByteMeaning> from, to;
  std::optional<ActivationKind> activation;
  // Whether the numbers are tokens [N, T, C], of a map [N, C, 1, T].
  bool tokens = false;
};

std::optional<SeamMatch> match_byte_activation(const Cursor& at);
std::optional<SeamMatch> match_tokens_of_bytes(const Cursor& at);
std::optional<SeamMatch> match_bytes_of_tokens(const Cursor& at);
std::optional<SeamMatch> match_numbers(const Cursor& at);
std::optional<SeamMatch> match_bytes(const Cursor& at);

// The integer of each integer: float32 operations, as the graph says, of an activation that is
// computed in float64 and rounded once.
kernels::ByteTable byte_table(const SeamMatch& match);

}  // namespace mobileone::fused
