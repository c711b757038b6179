// What a 1x1 convolution of joined maps (joined_match.hpp) makes of one of its parts, a pixel.
#pragma once

#include "mobileone/backends/fused/patterns/joined_match.hpp"

namespace mobileone::fused {

// Of the convolution's weights [out][in] the columns of the maps alone.
std::vector<float> map_columns(const JoinedMaps& joined, const Conv2d& conv, const float* weight);

// Adds the step that makes each image's bias of the node `conv`, its own and the pixel's products,
// and returns its value [N, padded channels].
ValueId add_pixel_bias(const JoinedMaps& joined, NodeId conv, PlanBuilder& builder);

}  // namespace mobileone::fused
