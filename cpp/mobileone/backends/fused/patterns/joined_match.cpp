#include "mobileone/backends/fused/patterns/joined_match.hpp"

#include "mobileone/backends/fused/support.hpp"
#include "mobileone/kernels/block/block.hpp"

namespace mobileone::fused {

namespace {

// Takes the resize of one pixel, which the next operator alone reads, and returns that.
NodeId take_spread(Cursor& cursor) {
  Cursor next = cursor;
  if (next.get<Resize>() == nullptr) return -1;
  const NodeId pixel = next.inputs()[0];
  const Shape& shape = next.builder().shape(pixel);
  next.skip(1);
  const bool one = shape.size() == 4 && shape[2] == 1 && shape[3] == 1;
  if (!one || !next.hands_over() || next.builder().factor_of(pixel) >= 0) return -1;
  cursor = next;
  return pixel;
}

bool is_part(NodeId id, const PlanBuilder& builder) {
  return is_map(id, builder) && builder.factor_of(id) < 0 &&
         builder.shape(id)[1] % kernels::kBlock == 0;
}

}  // namespace

std::optional<JoinedMaps> take_joined(Cursor& cursor) {
  const PlanBuilder& builder = cursor.builder();
  Cursor next = cursor;
  JoinedMaps joined;
  joined.pixel = take_spread(next);
  const NodeId spread = joined.pixel >= 0 ? next.result() : -1;
  const auto* concat = next.get<Concat>();
  if (concat == nullptr || concat->axis != 1) return std::nullopt;
  for (NodeId input : next.inputs()) {
    const int channels = static_cast<int>(builder.shape(input)[1]);
    if (input == spread) {
      joined.pixel_begin = joined.channels;
      joined.pixel_channels = channels;
    } else if (is_part(input, builder)) {
      joined.maps.push_back(input);
      joined.channels += channels;
    } else {
      return std::nullopt;
    }
  }
  next.skip(1);
  if (joined.maps.empty() || joined.maps.size() > kernels::kMaxBlockParts || !next.hands_over()) {
    return std::nullopt;
  }
  cursor = next;
  return joined;
}

}  // namespace mobileone::fused
