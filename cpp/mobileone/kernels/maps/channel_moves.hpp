// A map whose channels are those of other maps of the same size, in any order: concatenation,
// slices, channel shuffle.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mobileone/kernels/isa.hpp"
#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

/// Where an output channel comes from.
struct ChannelSource {
  int map = 0;
  int channel = 0;
  bool operator==(const ChannelSource&) const = default;
};

/// Lanes of one vector of the result that come from one vector of a source.
struct LaneMove {
  int map = 0;
  int vector = 0;               // of the source's channels
  std::int32_t order[16] = {};  // result lane -> source lane
  std::int32_t mask[16] = {};   // -1 where it is taken
  bool whole = false;           // all lanes where they are
};

struct ChannelMoves {
  MapShape dst;
  std::vector<MapShape> sources;
  std::vector<LaneMove> moves;  // in the order of the result's vectors
  std::vector<int> first;       // of each vector's moves; one more at the end

  /// Units of run_channel_moves: blocks of the result.
  int units() const { return blocks(dst.channels); }
  // Of a vector of the result: its moves, from the first to past the last.
  const LaneMove* begin(int vector) const;
  const LaneMove* end(int vector) const { return begin(vector + 1); }
  const MapShape& source(int map) const;
};

/// `from` has an entry for every channel of the result. Throws std::invalid_argument for channels
/// that are not there and for maps of different sizes.
ChannelMoves plan_channel_moves(const IsaTraits& isa, std::span<const MapShape> sources,
                                std::span<const ChannelSource> from);

}  // namespace mobileone::kernels
