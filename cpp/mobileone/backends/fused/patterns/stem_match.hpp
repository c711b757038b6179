// The first convolution of a network, which makes a map of an image.
#pragma once

#include "mobileone/backends/fused/patterns/block_match.hpp"
#include "mobileone/backends/fused/patterns/conv_match.hpp"

namespace mobileone::fused {

// A dense 3x3 stride-2 convolution of the network's three-channel input, and an activation.
struct StemMatch : Match {
  NodeId conv = -1;
  kernels::Activation activation = kernels::Activation::kNone;
};
std::optional<StemMatch> match_stem(const Cursor& cursor);

// The same and the block that follows, 3x3 depthwise with stride 2 and pointwise: the map between
// them is never made.
struct StemBlockMatch : Match {
  StemMatch stem;
  BlockMatch block;
};
std::optional<StemBlockMatch> match_stem_block(const Cursor& cursor);

// The same and a dense 3x3 convolution with stride 2.
struct StemConvMatch : Match {
  StemMatch stem;
  DenseConvMatch conv;
};
std::optional<StemConvMatch> match_stem_conv(const Cursor& cursor);

}  // namespace mobileone::fused
