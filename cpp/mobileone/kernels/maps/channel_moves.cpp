#include "mobileone/kernels/maps/channel_moves.hpp"

#include <algorithm>
#include <stdexcept>

namespace mobileone::kernels {

namespace {

bool is_whole(const LaneMove& move, int lanes) {
  for (int lane = 0; lane < lanes; ++lane) {
    if (move.mask[lane] == 0 || move.order[lane] != lane) return false;
  }
  return true;
}

}  // namespace

const LaneMove* ChannelMoves::begin(int vector) const {
  return moves.data() + first[static_cast<std::size_t>(vector)];
}

const MapShape& ChannelMoves::source(int map) const {
  return sources[static_cast<std::size_t>(map)];
}

ChannelMoves plan_channel_moves(const IsaTraits& isa, std::span<const MapShape> sources,
                                std::span<const ChannelSource> from) {
  if (sources.empty() || from.empty()) throw std::invalid_argument("[channels] nothing to move");
  ChannelMoves plan;
  plan.dst = {static_cast<int>(from.size()), sources[0].height, sources[0].width};
  plan.sources.assign(sources.begin(), sources.end());
  for (const MapShape& map : sources) {
    if (map.height != plan.dst.height || map.width != plan.dst.width) {
      throw std::invalid_argument("[channels] maps differ in size");
    }
  }
  for (int begin = 0; begin < padded(plan.dst.channels); begin += isa.lanes) {
    plan.first.push_back(static_cast<int>(plan.moves.size()));
    for (int lane = 0; lane < isa.lanes && begin + lane < plan.dst.channels; ++lane) {
      const ChannelSource& source = from[static_cast<std::size_t>(begin + lane)];
      if (source.map < 0 || source.map >= static_cast<int>(sources.size()) || source.channel < 0 ||
          source.channel >= sources[static_cast<std::size_t>(source.map)].channels) {
        throw std::invalid_argument("[channels] a source has no such channel");
      }
      const int vector = source.channel / isa.lanes;
      const auto found = std::find_if(
          plan.moves.begin() + plan.first.back(), plan.moves.end(),
          [&](const LaneMove& m) { return m.map == source.map && m.vector == vector; });
      const bool known = found != plan.moves.end();
      if (!known) plan.moves.push_back({.map = source.map, .vector = vector});
      LaneMove& move = known ? *found : plan.moves.back();
      move.order[lane] = source.channel % isa.lanes;
      move.mask[lane] = -1;
    }
  }
  plan.first.push_back(static_cast<int>(plan.moves.size()));
  for (LaneMove& move : plan.moves) move.whole = is_whole(move, isa.lanes);
  return plan;
}

}  // namespace mobileone::kernels
