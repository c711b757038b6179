// The block that mobile networks are made of: [1x1 expansion ->] depthwise -> 1x1 projection.
#pragma once

#include "mobileone/backends/fused/patterns/joined_match.hpp"
#include "mobileone/kernels/block/block.hpp"

namespace mobileone::fused {

// A convolution and the activation after it.
struct ConvMatch {
  NodeId node = -1;
  kernels::Activation activation = kernels::Activation::kNone;
};

// What kernels/block/block.hpp runs; nothing else reads what lies between. MobileOne's pairs,
// MobileNetV2's inverted residuals, the blocks of MobileNetV3 and EfficientNet, and channel mixers,
// which have no depthwise convolution, where the map between is too large for the cache or the
// source is joined of several maps.
struct BlockMatch : Match {
  NodeId source = -1;
  std::optional<JoinedMaps> joined;  // what `source` is made of, of a channel mixer
  std::optional<ConvMatch> expand;   // 1x1
  ConvMatch depthwise;               // 3x3, 5x5 or 7x7, stride 1 or 2; or no node
  kernels::ExcitePlace place = kernels::ExcitePlace::kNone;
  std::optional<SqueezeMatch> excite;  // between depthwise and projection, at `place`
  ConvMatch project;                   // 1x1; its activation comes after the residual or the SE
  bool residual = false;               // the source is added
  // After the projection: left to whoever reads the result, as a factor of it.
  std::optional<SqueezeMatch> factor;

  // The depthwise convolution, if there is one.
  const Conv2d* find_depthwise(const PlanBuilder& builder) const {
    if (depthwise.node < 0) return nullptr;
    return &std::get<Conv2d>(builder.node(depthwise.node).op);
  }
};

// The block that comes next, if there is one. An SE after the projection is part of it only if
// every reader of the result can apply its factor: the next block, or the global pool.
std::optional<BlockMatch> match_block(const Cursor& cursor);

}  // namespace mobileone::fused
