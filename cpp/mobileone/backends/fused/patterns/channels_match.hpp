// Concatenations, slices and shuffles of channels: maps made of other maps' channels.
#pragma once

#include <map>

#include "mobileone/backends/fused/match.hpp"

namespace mobileone::fused {

// A channel of a node's map.
using NodeChannel = std::pair<NodeId, int>;

// Operators one after the other that only move channels of maps: Concat and Slice by channels, and
// Reshape, Transpose and Reshape that leave pixels where they are. Of all their results those
// that somebody else reads are maps, each with where its channels come from.
// Maps that one result may be made of.
inline constexpr std::size_t kMaxChannelMaps = 64;

struct ChannelsMatch : Match {
  std::map<NodeId, std::vector<NodeChannel>> made;
};

// The nodes among `channels`, each once.
std::vector<NodeId> sources_of(const std::vector<NodeChannel>& channels);

std::optional<ChannelsMatch> match_channels(const Cursor& cursor);

}  // namespace mobileone::fused
