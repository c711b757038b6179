// Maps that are joined for a 1x1 convolution alone, which reads them where they are.
#pragma once

#include "mobileone/backends/fused/match.hpp"

namespace mobileone::fused {

// A concatenation by channels. One of the parts may be one pixel spread over the map, the pooled
// branch of an ASPP: to the convolution, an image's own bias.
struct JoinedMaps {
  std::vector<NodeId> maps;
  int channels = 0;        // of all maps
  NodeId pixel = -1;       // [N, C, 1, 1], or none
  int pixel_begin = 0;     // its first channel in the concatenation
  int pixel_channels = 0;  // 0: there is none
};

// Takes the concatenation, and the resize before it that spreads the pixel, if both are there and
// nobody but the operator after them reads what they make; of maps of whole 16-channel blocks, as
// many as the kernels take.
std::optional<JoinedMaps> take_joined(Cursor& cursor);

}  // namespace mobileone::fused
